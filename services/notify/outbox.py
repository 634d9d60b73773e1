"""The outbox: effects outside the log's transaction, each at least once and under a key that tells a repetition.

`risk-alerts` is the outbox itself. What was sent is what the group has committed; a crash between the two sends
again, under the same key, so that the receiver can drop it. An alert is never marked as sent before it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import msgspec
import structlog

from keepwell.metrics import NOTIFIED
from keepwell.streams.log import Doubt, Log, Member, Message, Partition, Record
from keepwell.streams.topics import Topics
from keepwell.streams.worker.dead_letters import letter
from keepwell.streams.worker.loop import STALLED_SECONDS, Stop
from keepwell.streams.worker.process import Check

BATCH: Final = 100
"""Alerts sent between two commits, so at most so many are sent again after a crash."""
PAUSE: Final = 1.0
"""Seconds before a new life after a doubt, or after a receiver that could not be reached."""

_log = structlog.get_logger(__name__)


class Unreachable(Exception):
    """The receiver could not be reached, or asked to be asked later. The alert stays in the outbox."""


class Rejected(Exception):
    """The receiver will not take this alert, however often it is sent. `status` is what it answered."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the receiver answered {status}")
        self.status = status


class Send(Protocol):
    """Delivers one alert. Raises `Unreachable` or `Rejected`."""

    def __call__(self, key: str, body: bytes) -> None: ...


class Outbox:
    """Sends every alert of a log, in order by episode."""

    def __init__(self, log: Log, topics: Topics, instance: str, send: Send) -> None:
        self._log = log
        self._topics = topics
        self._instance = instance
        self._send = send
        self._ready = Check(False, "not in the group")
        self._beat = time.monotonic()

    def run(self, stop: Stop) -> None:
        """Sends until `stop` is set. Raises `LogError` where the log cannot be read at all."""
        while not stop.is_set():
            try:
                self._live(stop.is_set)
            except (Doubt, Unreachable) as error:
                self._ready = Check(False, str(error))
                _log.warning("outbox.rebuild", cause=type(error).__name__, why=str(error))
                stop.wait(PAUSE)

    def drain(self, stop: Stop) -> None:
        """Sends what the log holds now, until `stop` is set. Raises `Unreachable` or `Doubt` where it cannot."""
        targets = {partition: self._log.bounds(partition)[1] for partition in self._partitions()}

        def done() -> bool:
            sent = self._log.committed(self._topics.notify_group, self._topics.alerts)
            return stop.is_set() or all(not _waiting(self._log, p, sent.get(p, 0), end) for p, end in targets.items())

        self._live(done)

    def silence(self) -> float:
        """Seconds since the last beat of the loop; a receiver that is slow or away makes it long. For any thread."""
        return time.monotonic() - self._beat

    def live(self) -> Check:
        """Whether the loop still turns. For any thread."""
        silence = self.silence()
        return Check(silence < STALLED_SECONDS, f"last beat of the loop {silence:.0f} s ago")

    def ready(self) -> Check:
        """Whether alerts get through. For any thread."""
        return self._ready

    def _live(self, done: Callable[[], bool]) -> None:
        member = self._log.join(self._topics.notify_group, self._topics.alerts, self._instance)
        try:
            while not done():
                polled = member.poll(0.5, BATCH)
                self._beat = time.monotonic()
                for partition in polled.gained:
                    member.start(partition)
                self._work_off(member, polled.records)
                self._ready = Check(True, "alerts get through")
        finally:
            member.close()

    def _work_off(self, member: Member, records: Mapping[Partition, Sequence[Record]]) -> None:
        for partition, batch in records.items():
            letters: list[Message] = []
            for number, record in enumerate(batch):
                try:
                    letters += self._deliver(record)
                except Unreachable:
                    if number:
                        member.commit(letters, {partition: record.offset})
                    raise
            member.commit(letters, {partition: batch[-1].offset + 1})

    def _deliver(self, record: Record) -> list[Message]:
        """Sends one alert; the dead letter of one that the receiver rejects for good. A deletion is nothing to tell."""
        self._beat = time.monotonic()
        if record.value is None:
            return []
        try:
            self._send(key_of(record.value), record.value)
        except Rejected as error:
            NOTIFIED.labels("rejected").inc()
            return [letter(self._topics.dead_letters, record, "webhook_rejected", f"$: answered {error.status}")]
        NOTIFIED.labels("sent").inc()
        return []

    def _partitions(self) -> list[Partition]:
        topic = self._topics.alerts
        return [Partition(topic, number) for number in range(self._log.partitions(topic))]


class _Identity(msgspec.Struct):
    alert_id: str
    status: str


def key_of(alert: bytes) -> str:
    """What tells one notice from another: the alert's id and its status, each of which is told once.

    >>> key_of(b'{"alert_id": "al-x", "status": "raised", "kind": "risk"}')
    'al-x.raised'
    """
    told = msgspec.json.decode(alert, type=_Identity)
    return f"{told.alert_id}.{told.status}"


def _waiting(log: Log, partition: Partition, sent: int, end: int) -> bool:
    return sent < end and any(True for _ in log.read(partition, sent, end))
