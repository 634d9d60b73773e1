"""The pure part of a worker: from records of a partition to what they amount to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from keepwell.streams.log import Message, Record


class Step(NamedTuple):
    """What one batch of one partition amounts to: committed whole, with the offsets, or not at all.

    `messages` are the outputs (scores, alerts, accepted events, dead letters). `state` holds the changed state by key,
    None to delete; empty for a stateless processor. Every record received was either accepted or refused.
    """

    messages: Sequence[Message]
    state: Mapping[bytes, bytes | None]
    received: int
    accepted: int
    refused: int


class Outdated(Exception):
    """A state record of another version: the worker builds the partition's state anew from the beginning of its source."""


class Processor(Protocol):
    """Decides, and holds the memory of the partitions it was given. Does no I/O, reads no clock, draws no lots.

    A step may change the memory at once: after a commit in doubt the whole processor is dropped and a new one restored.
    """

    def restore(self, partition: int, key: bytes, payload: bytes | None) -> None:
        """Takes one changelog entry, in offset order. A key may come again, the newer entry wins; None deletes.

        Raises `Outdated` where it is of another version. Where no newer entry of the key follows, the records of the source
        come to `step` again from the first on, and what was restored must count no more, but for decisions that do not follow
        from the source. What these steps put out is dropped, as it was put out before.
        """

    def step(self, partition: int, records: Sequence[Record]) -> Step:
        """Works records of one partition in, in offset order. Raises for programming errors only: a bad record is refused."""

    def forget(self, partition: int) -> None:
        """Drops the memory of a partition that another member has now. Idempotent."""
