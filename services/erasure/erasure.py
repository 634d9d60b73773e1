"""Carries each `client.erased` out: deletes every record of the client, then the erasure itself, then sees to the bytes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec
import structlog

from keepwell import metrics
from keepwell.contract.events import ClientErased, decode_accepted
from keepwell.contract.keys import CLOCK, ERASURE
from keepwell.streams.log import Log, Message, Partition, Record
from keepwell.streams.topics import Topics
from keepwell.streams.worker.follow import Handled
from services.erasure.client import Client, find, written

PAUSE: Final = 0.5
"""Seconds between two looks whether the predictor has obeyed."""
BUDGET: Final = 2.0
"""Seconds of one call, after which the membership is kept alive before the work goes on."""
_DAY_MS: Final = 86_400_000
_log = structlog.get_logger(__name__)


class Eraser:
    """A handler that follows `episode-events`. Deleting again what is deleted is harmless, so a crash costs nothing.

    An erasure stands on every partition; whoever meets one first carries it out on all of them, once the predictor has
    forgotten the client everywhere. Scores, alerts and state were deleted by the predictor as it forgot; here the accepted
    events are, all in one append with the erasure's own records at the end, so that there is no moment at which some of the
    client is left and nothing tells that it must go. Then the bytes go, as the log can: at once, or by compaction, which is
    asked for again each day.
    """

    def __init__(self, log: Log, topics: Topics, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._topics = topics
        self._clock = clock
        self._jobs: dict[bytes, Iterator[float]] = {}
        self._days: dict[Partition, int] = {}

    def position(self, partition: Partition) -> int | None:
        """The group's committed offset says it."""
        return None

    def handle(self, partition: Partition, records: Sequence[Record]) -> Handled:
        """Carries out the erasures among records; waits at one that the predictor has not obeyed."""
        for done, record in enumerate(records):
            if not (record.key or b"").startswith(ERASURE):
                continue
            event = _erasure(record)
            if event is None:
                continue  # the predictor refused it
            again = self._go_on(record, event)
            if again is not None:
                return Handled(done, again=again)
        self._purge_daily(partition, records)
        return Handled(len(records))

    def forget(self, partition: Partition) -> None:
        """Drops what was begun: it begins over, here or with the next owner."""
        self._jobs.clear()
        self._days.pop(partition, None)

    def _go_on(self, record: Record, event: ClientErased) -> float | None:
        """Seconds until there is more to do; None where it is done."""
        key = record.key or b""
        until = self._clock() + BUDGET
        job = self._jobs.pop(key, None) or self._carry_out(key, event)
        for wait in job:
            if wait or self._clock() >= until:
                self._jobs[key] = job
                return wait
        return None

    def _carry_out(self, key: bytes, event: ClientErased) -> Iterator[float]:
        """The steps of an erasure, each with the seconds to wait before the next."""
        topics, client = self._topics, Client(event.clinic, event.data.client_id)
        # An erasure is written to all partitions at once, so its copies lie below these ends.
        ends = {each: self._log.bounds(each)[1] for each in self._partitions(topics.episodes)}
        if waiting := behind(self._log, topics.predictor_group, topics.episodes, ends):
            _log.info("erasure.waiting", partitions=waiting)
        while behind(self._log, topics.predictor_group, topics.episodes, ends):
            yield PAUSE
        deletions: list[Message] = []
        episodes = 0
        for each in ends:
            found = find(self._log, each, client, before=key)
            yield 0.0
            if found is not None:
                episodes += len(found.episodes)
                deletions += [Message(each.topic, one, None, (), each.number) for one in (*found.keys, key)]
        if deletions:
            self._log.append(deletions)
            yield 0.0
        self._log.purge([each for topic in written(topics) for each in self._partitions(topic)])
        if deletions:
            metrics.ERASURES.inc()
            _log.info("erasure.done", episodes=episodes, records=len(deletions))

    def _purge_daily(self, partition: Partition, records: Sequence[Record]) -> None:
        ticks = [record for record in records if (record.key or b"").startswith(CLOCK)]
        day = ticks[-1].timestamp // _DAY_MS if ticks else None
        if day is not None and day != self._days.get(partition):
            self._days[partition] = day
            self._log.purge([Partition(topic, partition.number) for topic in written(self._topics)])

    def _partitions(self, topic: str) -> list[Partition]:
        return [Partition(topic, number) for number in range(self._log.partitions(topic))]


def behind(log: Log, group: str, topic: str, ends: Mapping[Partition, int]) -> list[int]:
    """The partitions of a topic of which a group has something to work off below these offsets; deletions do not count."""
    committed = log.committed(group, topic)
    return [
        partition.number
        for partition, end in ends.items()
        if (offset := committed.get(partition, 0)) < end
        and any(record.value is not None for record in log.read(partition, offset, end))
    ]


def _erasure(record: Record) -> ClientErased | None:
    try:
        event = decode_accepted(record.value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return event if isinstance(event, ClientErased) else None
