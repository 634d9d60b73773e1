"""The predictor's outputs, captured once and replayed: so the engine is measured without the model, on the same records."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from benchmarks.figures import Mark
from benchmarks.material import by_partition, predictor
from keepwell.streams.log import Message, Record
from keepwell.streams.topics import Topics
from keepwell.streams.worker.step import Processor, Step


class Output(NamedTuple):
    """All that follows from one event: messages, and the state it leaves behind."""

    messages: Sequence[Message]
    state: Mapping[bytes, bytes | None]


Captured = Mapping[bytes, Output]
"""By the value of a source record, which holds the event's id and so is unique."""


def capture(source: Sequence[Message]) -> Captured:
    """The outputs of the predictor for each message of `episode-events`."""
    worker = predictor(Topics())
    found: dict[bytes, Output] = {}
    for number, records in by_partition(source).items():
        for record in records:
            step = worker.step(number, [record])
            found[record.value or b""] = Output(step.messages, step.state)
    return found


def under(topics: Topics, captured: Captured) -> Captured:
    """The same outputs under the topics of another installation."""
    names = dict(zip((topic.name for topic in Topics().all()), (topic.name for topic in topics.all()), strict=True))
    return {
        value: Output([message._replace(topic=names[message.topic]) for message in output.messages], output.state)
        for value, output in captured.items()
    }


class Replayed:
    """A processor that decodes an event and then says what was captured of it."""

    def __init__(self, captured: Captured) -> None:
        self._captured = captured

    def restore(self, partition: int, key: bytes, payload: bytes | None) -> None:
        """There is nothing to remember."""

    def forget(self, partition: int) -> None:
        """There is nothing to forget."""

    def step(self, partition: int, records: Sequence[Record]) -> Step:
        messages: list[Message] = []
        state: dict[bytes, bytes | None] = {}
        for record in records:
            msgspec.json.decode(record.value or b"")
            output = self._captured[record.value or b""]
            messages += output.messages
            state |= output.state
        return Step(messages, state, len(records), len(records), 0)


class Watched:
    """A processor that notes when its first batch came, and when restoring began and last went on."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self.began: Mark | None = None
        self.restored = 0
        self.restoring = (0.0, 0.0)
        """When the first state came and the newest; seconds of the performance counter."""

    def restore(self, partition: int, key: bytes, payload: bytes | None) -> None:
        came = time.perf_counter()
        self._processor.restore(partition, key, payload)
        self.restoring = (self.restoring[0] or came, time.perf_counter())
        self.restored += 1

    def forget(self, partition: int) -> None:
        self._processor.forget(partition)

    def step(self, partition: int, records: Sequence[Record]) -> Step:
        if self.began is None:
            self.began = Mark.now()
        return self._processor.step(partition, records)
