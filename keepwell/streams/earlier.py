"""A log of the version before: how it is told from one of this version, and how its events come into one.

All events of an episode had one key in `episode-events`, which was not compacted. Turning compaction on there would
leave one event of each episode, so such a log is refused, and its events are copied to topics under another prefix.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

import msgspec

from keepwell.contract.events import CONTROL_TYPES, AnyEvent, ClientErased, decode_accepted
from keepwell.contract.keys import ERASURE, record_key
from keepwell.streams.log import Doubt, Log, LogError, Message, Partition, Record, Topic

_CHUNK: Final = 500


def check(log: Log, episodes: Topic) -> None:
    """Raises `LogError` where `episode-events` is one of the version before; `episodes` is what it should be."""
    try:
        log.create_topics([episodes])
    except Doubt:
        raise
    except LogError as error:
        raise LogError(
            f"{error}: an earlier version made this topic, in which all events of an episode have one key. Do not set its "
            "clean-up, which would delete them. Copy it: keepwell topics --topic-prefix NEW. --copy-from OLD."
        ) from error


def copy(log: Log, source: str, target: str) -> int:
    """Copies the events of one `episode-events` to another that is empty, partition by partition in their order.

    Each gets a key of its own, marked so that no event accepted later can have it. What was written twice is copied once, as
    it counted once; what nobody can read is left. Returns how many were copied. Raises `LogError` where the target has
    records or another number of partitions.
    """
    count = log.partitions(source)
    if log.partitions(target) != count:
        raise LogError(
            f"{target} must have {count} partitions as {source} has: make its topics with --partitions {count}"
        )
    if any(begin < end for begin, end in (log.bounds(Partition(target, number)) for number in range(count))):
        raise LogError(f"{target} holds records already: choose a prefix that nobody uses")
    copied = 0
    for number in range(count):
        messages = _messages(log.read(Partition(source, number)), target, number)
        while chunk := list(islice(messages, _CHUNK)):
            log.append(chunk)
            copied += len(chunk)
    return copied


def _messages(records: Iterator[Record], target: str, number: int) -> Iterator[Message]:
    seen: set[bytes] = set()
    for record in records:
        try:
            event = decode_accepted(record.value or b"")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        key = _key(event, record)
        if key not in seen:
            seen.add(key)
            yield Message(target, key, record.value, record.headers, number)


def _key(event: AnyEvent, record: Record) -> bytes:
    if event.type in CONTROL_TYPES:
        return record_key(event, 0, 0)
    place = f"before-{record.partition.number}.{record.offset}".encode()
    return ERASURE + place if isinstance(event, ClientErased) else event.key.encode() + b"#" + place
