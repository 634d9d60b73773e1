"""A log that may say no."""

from __future__ import annotations

from keepwell.streams.log import LogError, Message


class Doubtful:
    """A log that takes appends, or says that it does not."""

    def __init__(self) -> None:
        self.taken: list[Message] = []
        self.fails = False

    def append(self, messages: list[Message]) -> None:
        if self.fails:
            raise LogError("the log is not there")
        self.taken += messages
