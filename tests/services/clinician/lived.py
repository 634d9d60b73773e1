"""A made-up clinic as its log holds it: accepted events with ticks, and what the predictor made of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa

from keepwell.contract.control import tick
from keepwell.contract.events import Event, encode, micros
from keepwell.streams.log import Partition, Record, partition_for
from keepwell.streams.topics import Topics
from keepwell.testing.made_up import made_up_clinic
from services.clinician.projector import AlertsProjection, EventsProjection, Projection, ScoresProjection
from services.clinician.tables import READ_MODEL
from services.predictor.bootstrap import processor

START = datetime(2026, 1, 5, tzinfo=UTC)
DAYS = 90
PARTITIONS = 2
TOPICS = Topics()


class Lived(NamedTuple):
    """Records of each topic by partition, in order."""

    events: dict[Partition, list[Record]]
    scores: dict[Partition, list[Record]]
    alerts: dict[Partition, list[Record]]


def lived(episodes: int = 12, more: Sequence[Event] = ()) -> Lived:
    """The log of a clinic; `more` are events of every partition that come at its end."""
    told: dict[int, list[Event]] = defaultdict(list)
    for event in made_up_clinic(episodes, 5, START, DAYS):
        told[partition_for(event.key.encode(), PARTITIONS)].append(event)
    worker = processor(TOPICS)
    found = Lived({}, {}, {})
    for number in range(PARTITIONS):
        ticks: list[Event] = [tick(START + timedelta(days=day)) for day in range(1, DAYS + 1, 3)]
        flow = sorted([*told[number], *ticks], key=lambda event: event.time) + list(more)
        source = Partition(TOPICS.episodes, number)
        records = [
            Record(source, offset, event.key.encode(), encode(event), (), micros(event.time) // 1000)
            for offset, event in enumerate(flow)
        ]
        found.events[source] = records
        for message in worker.step(number, records).messages:
            for topic, out in ((TOPICS.scores, found.scores), (TOPICS.alerts, found.alerts)):
                if message.topic == topic and message.value is not None:
                    held = out.setdefault(Partition(topic, number), [])
                    held.append(Record(Partition(topic, number), len(held), message.key, message.value))
    return found


def batches(records: Sequence[Record], size: int) -> Iterator[Sequence[Record]]:
    for start in range(0, len(records), size):
        yield records[start : start + size]


def follow(projection: Projection, log: dict[Partition, list[Record]], size: int) -> None:
    """Hands over everything from where the projection stands, a batch at a time; all of it must be taken."""
    for partition, records in log.items():
        for batch in batches([one for one in records if one.offset >= projection.position(partition)], size):
            assert projection.handle(partition, batch).done == len(batch)


def project(engine: sa.Engine, log: Lived, size: int = 100) -> None:
    """Follows all three topics to their ends."""
    follow(EventsProjection(engine), log.events, size)
    follow(ScoresProjection(engine, lambda _: True), log.scores, size)
    follow(AlertsProjection(engine, lambda _: True), log.alerts, size)


def content(engine: sa.Engine) -> dict[str, list[tuple[object, ...]]]:
    """Every row of the read model, by table, in the order of its keys."""
    found = {}
    with engine.connect() as connection:
        for table in READ_MODEL:
            rows = connection.execute(sa.select(table).order_by(*table.primary_key.columns)).all()
            found[table.name] = [tuple(row) for row in rows]
    return found
