"""Accepted events as a log that rows are made of."""

from __future__ import annotations

from collections.abc import Sequence

from keepwell.contract.events import AnyEvent
from keepwell.streams.log import Message
from keepwell.streams.memory import MemoryLog
from keepwell.streams.topics import Topics
from tests.episodes import recorded
from training.dataset import FromLog

TOPICS = Topics()


def as_log(*partitions_of: Sequence[AnyEvent]) -> FromLog:
    """A log with these accepted events in its partitions."""
    log = MemoryLog()
    log.create_topics(TOPICS.all(len(partitions_of)))
    for number, events in enumerate(partitions_of):
        log.append([Message(TOPICS.episodes, r.key, r.value, partition=number) for r in recorded(events)])
    return FromLog(log, TOPICS)
