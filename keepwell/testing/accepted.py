"""Accepted events as ingest, the clock and the commands write them: for tests that begin at `episode-events`."""

from __future__ import annotations

from collections.abc import Iterable

from keepwell.contract.events import CONTROL_TYPES, ClientErased, Event, encode
from keepwell.contract.keys import record_key
from keepwell.streams.log import Message, partition_for


def accepted(events: Iterable[Event], topic: str, partitions: int, first: int = 0) -> list[Message]:
    """The messages of events that stood one after the other in partition 0 of `session-events`, from offset `first` on.

    Control events and erasures go to every partition.
    """
    messages: list[Message] = []
    for offset, event in enumerate(events, first):
        key, value = record_key(event, 0, offset), encode(event)
        everywhere = isinstance(event, ClientErased) or event.type in CONTROL_TYPES
        numbers = range(partitions) if everywhere else [partition_for(event.key.encode(), partitions)]
        messages += [Message(topic, key, value, (), number) for number in numbers]
    return messages
