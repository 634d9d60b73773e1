"""Comparing what a log holds of scores and alerts with what a replay of its accepted events gives, byte for byte."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from keepwell.streams.log import Log, Message, Partition, Record
from keepwell.streams.topics import Topics, partitions_of

Name = tuple[str, bytes, str]
"""An output: its topic, its key, and what tells it from others of that key."""


class Verdict(NamedTuple):
    """How many records were compared, and the first difference in words; None where there is none."""

    compared: int
    difference: str | None


class Verifier:
    """Collects what a replay produced, then looks at every score, alert and shadow score that the log still holds.

    A compacted topic may have dropped older records, never the newest of a key: so each record held must be one that the
    replay produced, to the byte and once, and the newest produced of each key must be held.
    """

    def __init__(self, log: Log, topics: Topics) -> None:
        self._log = log
        self._topics = (topics.scores, topics.alerts, topics.shadow_scores)
        self._sums: dict[Name, bytes] = {}
        self._newest: dict[tuple[str, bytes], Name | None] = {}

    def produced(self, messages: Sequence[Message]) -> None:
        """Takes what the replay produced, in order."""
        for message in messages:
            if message.topic not in self._topics or message.key is None:
                continue
            if message.value is None:
                self._newest[message.topic, message.key] = None
                continue
            name = _name(message.topic, message.key, message.value)
            self._sums[name] = _sum(message.value)
            self._newest[message.topic, message.key] = name

    def verdict(self) -> Verdict:
        """Reads the log and says what differs first: by topic, partition and offset."""
        compared = 0
        seen: set[Name] = set()
        for topic in self._topics:
            for number in range(self._partitions(topic)):
                for record in self._log.read(Partition(topic, number)):
                    if record.key is None or record.value is None:
                        continue
                    compared += 1
                    difference = self._compare(topic, record, seen)
                    if difference:
                        return Verdict(compared, f"{topic}[{number}]@{record.offset}: {difference}")
        for (topic, _), name in self._newest.items():
            if name is not None and name not in seen:
                return Verdict(compared, f"{topic}: the newest record of a key is missing: {name[2]}")
        return Verdict(compared, None)

    def _partitions(self, topic: str) -> int:
        """A log from before there were shadows has no topic for them, and that is no difference."""
        if any(name[0] == topic for name in self._newest):
            return self._log.partitions(topic)
        return partitions_of(self._log, topic) or 0

    def _compare(self, topic: str, record: Record, seen: set[Name]) -> str | None:
        key, value = record.key or b"", record.value or b""
        name = _name(topic, key, value)
        if name in seen:
            return f"stands there a second time: {name[2]}"
        seen.add(name)
        if name not in self._sums:
            return None if self._newest.get((topic, key), name) is None else f"the replay has no such record: {name[2]}"
        return None if self._sums[name] == _sum(value) else f"differs from the replay: {name[2]}"


def _name(topic: str, key: bytes, value: bytes) -> Name:
    told = msgspec.json.decode(value)
    if "alert_id" in told:
        return topic, key, f"{told['alert_id']} {told['status']}"
    return topic, key, f"{told.get('trigger_source')} {told.get('trigger')}"


def _sum(value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=8).digest()
