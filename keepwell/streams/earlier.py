"""A log of the version before: how it is told from one of this version, and how its events come into one.

All events of an episode had one key in `episode-events`, which was not compacted. Turning compaction on there would
leave one event of each episode, so such a log is refused, and its events are copied to topics under another prefix.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from itertools import islice
from typing import Final

import msgspec

from keepwell.contract.events import CONTROL_TYPES, AnyEvent, ClientErased, decode_accepted
from keepwell.contract.keys import ERASURE, record_key
from keepwell.streams.log import Doubt, Log, LogError, Message, Partition, Record, Topic

_CHUNK: Final = 500


def check(log: Log, episodes: str) -> None:
    """Raises `LogError` where `episode-events`, of this full name, is one of the version before.

    Its clean-up tells; where that cannot be seen, or was changed by hand, the oldest key does.
    """
    try:
        log.create_topics([Topic(episodes, log.partitions(episodes), "compact")])
    except Doubt:
        raise
    except LogError as error:
        raise LogError(f"{error}: {_advice(episodes)}") from error
    if _has_old_key(log, episodes):
        raise LogError(f"{episodes}: {_advice(episodes)}")


def _advice(episodes: str) -> str:
    prefix = shlex.quote(episodes.removesuffix("episode-events"))
    return (
        "an earlier version made this topic, in which all events of an episode have one key. Do not set its clean-up, which "
        "would delete them. Copy it with all services stopped: keepwell topics --topic-prefix NEW. --copy-from "
        f"{prefix}, or to another file with --copy-log (operate.md, From a log of an earlier version)"
    )


def _has_old_key(log: Log, episodes: str) -> bool:
    for number in range(log.partitions(episodes)):
        for record in log.read(Partition(episodes, number)):
            if record.value is not None:
                return b"#" not in (record.key or b"")
    return False


def copy(old: Log, source: str, log: Log, target: str) -> int:
    """Copies the events of the `episode-events` of one log to one that is empty, partition by partition in their order.

    Each gets a key of its own, marked so that no event accepted later can have it. What was written twice is copied once, as
    it counted once; what nobody can read is left. Returns how many were copied. Raises `LogError` where the target has
    records or another number of partitions.
    """
    count = old.partitions(source)
    if log.partitions(target) != count:
        raise LogError(
            f"{target} must have {count} partitions as {source} has: make its topics with --partitions {count}"
        )
    if any(begin < end for begin, end in (log.bounds(Partition(target, number)) for number in range(count))):
        raise LogError(f"{target} holds records already: choose a prefix that nobody uses")
    copied = 0
    for number in range(count):
        messages = _messages(old.read(Partition(source, number)), target, number)
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
