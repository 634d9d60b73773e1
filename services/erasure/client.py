"""What a log holds of a client: found by what the predictor would find, and in the keys of every topic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

from keepwell.care.episode import MAX_ENTRIES
from keepwell.contract.events import AnyEvent, EpisodeOpened, decode_accepted
from keepwell.contract.keys import episode_of
from keepwell.streams.log import Log, Partition, Record
from keepwell.streams.standing import standing
from keepwell.streams.topics import Topics

_OPENED: Final = str(EpisodeOpened.__struct_config__.tag).encode()


class Client(NamedTuple):
    """A client of a clinic, by pseudonym."""

    clinic: str
    name: str


class ClientRecords(NamedTuple):
    """What a partition of `episode-events` holds of a client: the episodes, and the keys of their records, openings last."""

    episodes: frozenset[bytes]
    keys: list[bytes]


def find(log: Log, partition: Partition, client: Client, before: bytes | None = None) -> ClientRecords | None:
    """What stands of a client before the record of the key `before`; None where that record does not stand any more.

    An episode is the client's where an opening that the predictor took named the client, even one corrected later.
    Openings come last, so that a log that has lost some of these records still tells whose the others are.
    """
    maybe = set()
    end: int | None = None
    for record in standing(log, partition):
        if record.key == before:
            end = record.offset
            break
        if _OPENED in (record.value or b"") and _names(record, client):
            maybe.add(episode_of(record.key or b""))
    if before is not None and end is None:
        return None
    told: dict[bytes, list[Record]] = {key: [] for key in maybe}
    for record in standing(log, partition, 0, end) if maybe else ():
        if (episode := episode_of(record.key or b"")) in told:
            told[episode].append(record)
    episodes = frozenset(key for key, records in told.items() if any(_taken(records, client)))
    first: list[bytes] = []
    last: list[bytes] = []
    for episode in sorted(episodes):
        for record in told[episode]:
            (last if _OPENED in (record.value or b"") else first).append(record.key or b"")
    return ClientRecords(episodes, first + last)


def by_key(log: Log, topic: str, episodes: Iterable[bytes]) -> list[Record]:
    """The records of these episodes that stand in a topic which Keepwell writes."""
    wanted = frozenset(episodes)
    return [
        record
        for number in range(log.partitions(topic))
        for record in standing(log, Partition(topic, number))
        if episode_of(record.key or b"") in wanted
    ]


def written(topics: Topics) -> tuple[str, ...]:
    """The topics that hold what Keepwell made of a client's events; those with the events themselves come last, as what is a
    client's is found there."""
    return topics.scores, topics.shadow_scores, topics.alerts, topics.state, topics.episodes


def _taken(records: Iterable[Record], client: Client) -> Iterator[bool]:
    """For each event that the predictor took of an episode, whether it is an opening that names the client."""
    seen: set[tuple[str, str]] = set()
    for record in records:
        event = _event(record)
        if event is None or (event.source, event.id) in seen or len(seen) >= MAX_ENTRIES:
            continue
        seen.add((event.source, event.id))
        yield isinstance(event, EpisodeOpened) and event.data.client_id == client.name


def _names(record: Record, client: Client) -> bool:
    event = _event(record)
    return isinstance(event, EpisodeOpened) and Client(event.clinic, event.data.client_id) == client


def _event(record: Record) -> AnyEvent | None:
    try:
        return decode_accepted(record.value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
