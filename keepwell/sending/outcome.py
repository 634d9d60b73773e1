"""What can become of one try to send something."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Delivered(NamedTuple):
    """The receiver has it."""


class Later(NamedTuple):
    """Not taken now. `after`: seconds that the receiver asks to be left alone. `answered`: it is there, at least."""

    why: str
    after: float | None = None
    answered: bool = True


class Rejected(NamedTuple):
    """The receiver will not take this, however often it is sent. `status` is what it answered."""

    status: int


class Gone(NamedTuple):
    """There is no such receiver any more, and nothing more may be sent to it (410)."""


Outcome = Delivered | Later | Rejected | Gone


class Send(Protocol):
    """Posts one thing once. `notice` is its name, the same at every try."""

    def __call__(self, notice: str, body: str) -> Outcome: ...
