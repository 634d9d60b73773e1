"""Comparing what a log holds of scores and alerts with what a replay of its accepted events gives, byte for byte."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from keepwell.streams.log import Log, Message, Partition, Record
from keepwell.streams.standing import standing
from keepwell.streams.topics import Topics, partitions_of

Place = tuple[str, bytes]
"""Topic and key of outputs."""


class Verdict(NamedTuple):
    """How many records were compared, and the first difference in words; None where there is none."""

    compared: int
    difference: str | None


class Verifier:
    """Collects what a replay produced, then looks at every score, alert and shadow score that the log still holds.

    A compacted topic may have dropped older records, never the newest of a key: so each record that stands must be one that
    the replay produced, to the byte and once, and the newest produced of each key must stand. What was produced before a
    deletion must stand no more.
    """

    def __init__(self, log: Log, topics: Topics) -> None:
        self._log = log
        self._topics = (topics.scores, topics.alerts, topics.shadow_scores)
        self._sums: dict[Place, dict[str, bytes]] = {}
        """What was produced under a key since its last deletion, in order."""

    def produced(self, messages: Sequence[Message]) -> None:
        """Takes what the replay produced, in order."""
        for message in messages:
            if message.topic not in self._topics or message.key is None:
                continue
            place = message.topic, message.key
            if message.value is None:
                self._sums.pop(place, None)
            else:
                self._sums.setdefault(place, {})[_name(message.value)] = _sum(message.value)

    def verdict(self) -> Verdict:
        """Reads the log and says what differs first: by topic, partition and offset."""
        compared = 0
        seen: set[tuple[Place, str]] = set()
        for topic in self._topics:
            for number in range(self._partitions(topic)):
                for record in standing(self._log, Partition(topic, number)):
                    compared += 1
                    difference = self._compare(topic, record, seen)
                    if difference:
                        return Verdict(compared, f"{topic}[{number}]@{record.offset}: {difference}")
        for place, sums in self._sums.items():
            newest = next(reversed(sums))
            if (place, newest) not in seen:
                return Verdict(compared, f"{place[0]}: the newest record of a key is missing: {newest}")
        return Verdict(compared, None)

    def _partitions(self, topic: str) -> int:
        """A log from before there were shadows has no topic for them, and that is no difference."""
        if any(place[0] == topic for place in self._sums):
            return self._log.partitions(topic)
        return partitions_of(self._log, topic) or 0

    def _compare(self, topic: str, record: Record, seen: set[tuple[Place, str]]) -> str | None:
        place, value = (topic, record.key or b""), record.value or b""
        name = _name(value)
        if (place, name) in seen:
            return f"stands there a second time: {name}"
        seen.add((place, name))
        produced = self._sums.get(place, {}).get(name)
        if produced is None:
            return f"the replay has no such record: {name}"
        return None if produced == _sum(value) else f"differs from the replay: {name}"


def _name(value: bytes) -> str:
    """What tells an output from others of its key."""
    told = msgspec.json.decode(value)
    if "alert_id" in told:
        return f"{told['alert_id']} {told['status']}"
    return f"{told.get('trigger_source')} {told.get('trigger')}"


def _sum(value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=8).digest()
