"""How far ingest came, by what it wrote: for a group whose offsets are lost.

Ingest keeps no state, and Kafka forgets the offsets of a group that was away for a week. Taking events in again would write
second records under their keys, and bring back what was erased.
"""

from __future__ import annotations

import re
from typing import Final

from keepwell.streams.log import Log, Partition
from keepwell.streams.topics import Topics
from keepwell.streams.worker.dead_letters import refused

_PLACE: Final = re.compile(rb"#(\d+)\.(\d+)$")


class Taken:
    """Tells the highest offset of a partition of `session-events` that was taken or refused. Reads the log at most once."""

    def __init__(self, log: Log, topics: Topics) -> None:
        self._log = log
        self._topics = topics
        self._found: dict[int, int] | None = None

    def __call__(self, partition: Partition) -> int | None:
        """None where the log tells of none, as at the very beginning."""
        if self._log.bounds(partition)[1] == 0:
            return None
        if self._found is None:
            self._found = self._read()
        return self._found.get(partition.number)

    def _read(self) -> dict[int, int]:
        found: dict[int, int] = {}
        for number in range(self._log.partitions(self._topics.episodes)):
            for record in self._log.read(Partition(self._topics.episodes, number)):
                if place := _PLACE.search(record.key or b""):
                    source, offset = map(int, place.groups())
                    found[source] = max(offset, found.get(source, offset))
        for source, offset in refused(self._log, self._topics.dead_letters, self._topics.sessions):
            found[source] = max(offset, found.get(source, offset))
        return found
