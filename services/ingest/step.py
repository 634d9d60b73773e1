"""What ingest decides: a record of `session-events` becomes an accepted event or a dead letter, never both, never neither."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from keepwell.contract.decode import KnownScales, decode
from keepwell.contract.events import AnyEvent, ClientErased, encode
from keepwell.contract.keys import record_key
from keepwell.contract.refusal import Refusal
from keepwell.metrics import UNKNOWN_MEMBERS
from keepwell.streams.log import Header, Message, Record, partition_for
from keepwell.streams.topics import Topics
from keepwell.streams.worker.dead_letters import letter
from keepwell.streams.worker.step import Step

ORIGIN: Final = "keepwell-origin"
"""Header of an accepted event: the record it came from, as `<topic>/<partition>/<offset>`."""


class IngestProcessor:
    """Checks and normalises; holds no state. A record's key is not trusted: the episode is the one that the event names.

    `now` is the clock against which the future is judged; `partitions` is the number of `episode-events`. Duplicates pass:
    who reads them knows an event by `source` + `id`.
    """

    def __init__(self, topics: Topics, partitions: int, instruments: KnownScales, now: Callable[[], datetime]) -> None:
        self._topics = topics
        self._partitions = partitions
        self._instruments = instruments
        self._now = now
        self._unknown = UNKNOWN_MEMBERS.labels(topics.ingest_group)

    def step(self, partition: int, records: Sequence[Record]) -> Step:
        """One message for each accepted record (one to every partition for an erasure), one letter for each refused."""
        now = self._now()
        messages: list[Message] = []
        refused = 0
        for record in records:
            checked = decode(record.value, record.headers, now=now, instruments=self._instruments)
            if isinstance(checked, Refusal):
                refused += 1
                detail = f"{checked.path}: {checked.detail}"
                messages.append(letter(self._topics.dead_letters, record, checked.code, detail))
                continue
            messages += self._outgoing(checked.event, record)
            if checked.unknown:
                self._unknown.inc(checked.unknown)
        return Step(messages, {}, len(records), len(records) - refused, refused)

    def restore(self, partition: int, key: bytes, payload: bytes | None) -> None:
        """There is no changelog to restore from."""

    def forget(self, partition: int) -> None:
        """There is nothing to forget."""

    def _outgoing(self, event: AnyEvent, record: Record) -> list[Message]:
        topic, value, headers = self._topics.episodes, encode(event), _headers(event, record)
        key = record_key(event, record.partition.number, record.offset)
        if isinstance(event, ClientErased):
            return [Message(topic, key, value, headers, number) for number in range(self._partitions)]
        return [Message(topic, key, value, headers, partition_for(event.key.encode(), self._partitions))]


def _headers(event: AnyEvent, record: Record) -> tuple[Header, ...]:
    topic, number = record.partition
    origin = (ORIGIN, f"{topic}/{number}/{record.offset}".encode())
    if event.traceparent is None:
        return (origin,)
    return origin, ("traceparent", event.traceparent.encode())
