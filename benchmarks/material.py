"""What the measurements work on: events of a made-up clinic as records of a log, and episodes in mid-course."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import cycle, islice

from keepwell.contract.events import Event, encode
from keepwell.contract.keys import record_key
from keepwell.streams.log import Log, Message, Partition, Record, partition_for
from keepwell.streams.topics import PARTITIONS, Topics
from keepwell.testing.made_up import made_up_clinic
from services.ingest.step import ORIGIN
from services.predictor.bootstrap import processor
from services.predictor.step import PredictorProcessor
from services.predictor.store import PARTITION_KEY

SEED = 1
START = datetime(2024, 1, 1, tzinfo=UTC)
EVENTS_PER_EPISODE = 40
"""About what the made-up clinic tells of an episode within a year."""
CHUNK = 2000
"""Messages that one append takes: on Kafka one transaction."""


def events(count: int) -> list[Event]:
    """The first `count` events, in order of time, of a year of a clinic that has about as many. The same each time."""
    found: list[Event] = []
    size = count // EVENTS_PER_EPISODE + 10
    while len(found) < count:
        found = list(islice(made_up_clinic(size, SEED, START, 365), count))
        size += size // 2
    return found


def accepted(happened: Iterable[Event], topic: str) -> list[Message]:
    """Events as ingest writes them to `episode-events`, origin header included."""
    return [
        Message(
            topic,
            record_key(event, 0, number),
            encode(event),
            ((ORIGIN, b"session-events/0/%d" % number),),
            partition_for(event.key.encode(), PARTITIONS),
        )
        for number, event in enumerate(happened)
    ]


def by_partition(messages: Iterable[Message]) -> dict[int, list[Record]]:
    """Messages as the records of the default number of partitions."""
    found: dict[int, list[Record]] = {}
    for topic, key, value, headers, number in messages:
        assert number is not None
        records = found.setdefault(number, [])
        records.append(Record(Partition(topic, number), len(records), key, value, headers))
    return found


def append(log: Log, messages: Sequence[Message]) -> None:
    """Writes messages in chunks."""
    for start in range(0, len(messages), CHUNK):
        log.append(messages[start : start + CHUNK])


def predictor(topics: Topics) -> PredictorProcessor:
    """The predictor without memory, with the shipped release."""
    return processor(topics)


def open_episodes(count: int) -> Iterator[tuple[bytes, bytes]]:
    """So many episodes in mid-course as the changelog holds them: key and payload.

    They are those open at the end of a made-up half year, repeated under other keys; each payload is an object of its own.
    """
    half_year = list(made_up_clinic(min(count, 400), SEED, START, 180))
    worker, states = predictor(Topics()), dict[bytes, bytes]()
    for number, records in by_partition(accepted(half_year, Topics().episodes)).items():
        for key, payload in worker.step(number, records).state.items():
            store = worker.stores[number]
            held = store.get(key) if payload is not None and key != PARTITION_KEY else None
            if held is not None and payload is not None and held.live.course.standing.state_at(_END) == "open":
                states[key] = payload
    for number, payload in enumerate(islice(cycle(states.values()), count)):
        yield b"north/episode-%d" % number, bytes(bytearray(payload))


_END = round((START.timestamp() + 180 * 86_400) * 1_000_000)
