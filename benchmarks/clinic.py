"""A clinic as large as is asked for: a made-up one lived through, and repeated under other names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from benchmarks.material import SEED
from keepwell.contract.control import tick
from keepwell.contract.events import Actioned, AlertActioned, Event, encode, micros
from keepwell.contract.keys import record_key
from keepwell.contract.outputs import Alert
from keepwell.streams.log import Partition, Record, partition_for
from keepwell.streams.topics import Topics
from keepwell.testing.made_up import CLINIC, made_up_clinic
from services.clinician.database import open_engine
from services.clinician.projector import AlertsProjection, EventsProjection, Projection, ScoresProjection
from services.clinician.schema import migrate
from services.clinician.summaries import SummingUp
from services.clinician.tables import READ_MODEL, episodes, positions
from services.predictor.bootstrap import processor

DAYS = 90
"""How long the clinic has been at work."""
CLINICIANS = 12
"""Of the made-up clinic."""
ANSWERED = 0.6
"""Share of alerts that somebody answered, some hours after they were raised."""
OPEN = 0.75
"""Share of the made-up clinic's episodes that are open at its end."""
PARTITIONS = 2
TOPICS = Topics()
_NAMED = re.compile(rb'("(?:subject|episode|alert_id|clinician_id|client_id)":"[^"]+)"')
Lived = Mapping[str, Mapping[Partition, Sequence[Record]]]
"""Records by topic and partition, in order."""


class Size(NamedTuple):
    """How large a clinic really is."""

    clinicians: int
    open_episodes: int
    events: int
    scores: int
    alerts: int


def lived(count: int, now: datetime) -> Lived:
    """Events, scores and alerts of a made-up clinic that ends now, with a tick each day and answers to its alerts."""
    start = now - timedelta(days=DAYS)
    told = list(made_up_clinic(count, SEED, start, DAYS))
    return _through(told + list(_answers(_through(told, start)[TOPICS.alerts].values())), start)


def _through(told: Iterable[Event], start: datetime) -> Lived:
    """The same through the predictor."""
    by_number: dict[int, list[Event]] = defaultdict(list)
    for event in told:
        by_number[partition_for(event.key.encode(), PARTITIONS)].append(event)
    worker, ticks = processor(TOPICS), [tick(start + timedelta(days=day)) for day in range(1, DAYS + 1)]
    found: dict[str, dict[Partition, list[Record]]] = {TOPICS.episodes: {}, TOPICS.scores: {}, TOPICS.alerts: {}}
    for number in range(PARTITIONS):
        source = Partition(TOPICS.episodes, number)
        flow = sorted([*by_number[number], *ticks], key=lambda event: event.time)
        found[TOPICS.episodes][source] = [
            Record(source, offset, record_key(event, number, offset), encode(event), (), micros(event.time) // 1000)
            for offset, event in enumerate(flow)
        ]
        for message in worker.step(number, found[TOPICS.episodes][source]).messages:
            if message.topic in (TOPICS.scores, TOPICS.alerts) and message.value is not None:
                into = Partition(message.topic, number)
                held = found[message.topic].setdefault(into, [])
                held.append(Record(into, len(held), message.key, message.value))
    return found


def _answers(alerts: Iterable[Sequence[Record]]) -> Iterator[Event]:
    rng, number = Random(SEED), 0
    for record in (one for records in alerts for one in records):
        alert = msgspec.json.decode(record.value or b"", type=Alert)
        if alert.status != "raised" or rng.random() > ANSWERED:
            continue
        number += 1
        at = datetime.fromisoformat(alert.at) + timedelta(hours=rng.randint(1, 40))
        dismissed = rng.random() < 0.2
        yield AlertActioned(
            specversion="1.0", id=f"kw-{number}", source=f"/{CLINIC}/keepwell", subject=alert.episode.partition("/")[2],
            time=at, data=Actioned(
                alert_id=alert.alert_id, action="dismissed" if dismissed else "acknowledged", by="u-1", via="page",
                reason="data_wrong" if dismissed else None,
            ),
        )  # fmt: skip


def fill(database: str, clinicians: int, open_episodes: int, now: datetime | None = None) -> Size:
    """Fills an empty database with a clinic of about so many clinicians and episodes that are open, and those that ended
    in the last months. No position is kept, as no log holds all of it.

    One made-up clinic goes through the real projector; its rows are then repeated under other names of clients, clinicians
    and alerts, as the projector would have written them, and every open episode is summed up, as it is while a clinic is at
    work.
    """
    copies = max(1, round(clinicians / CLINICIANS))
    wanted = max(1, round(open_episodes / copies))
    engine = open_engine(database)
    migrate(engine)
    # Of the made-up clinic's episodes about so many are open at the end.
    project(engine, lived(round(wanted / OPEN), now or datetime.now(UTC)))
    with engine.begin() as connection:
        connection.execute(sa.update(positions).values(next_offset=0))
        tables = [table for table in READ_MODEL if table is not positions]
        rows = {table: [dict(row) for row in connection.execute(sa.select(table)).mappings()] for table in tables}
        for copy in range(1, copies):
            for table in tables:
                if rows[table]:
                    connection.execute(sa.insert(table), [_renamed(row, copy) for row in rows[table]])
    sum_up(engine)
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("ANALYZE"))
    with engine.connect() as connection:
        count = sa.func.count
        size = Size(
            connection.execute(sa.select(count(sa.distinct(episodes.c.clinician)))).scalar() or 0,
            connection.execute(sa.select(count()).where(episodes.c.state == "open")).scalar() or 0,
            *(connection.execute(sa.select(count()).select_from(table)).scalar() or 0 for table in READ_MODEL
              if table.name in ("events", "scores", "alerts")),
        )  # fmt: skip
    engine.dispose()
    return size


def sum_up(engine: sa.Engine) -> int:
    """Sums up every open episode, and returns how many there are."""
    summing, count = SummingUp(engine), 0
    while looked := summing.turn():
        count += looked
    return count


def project(engine: sa.Engine, clinic: Lived, batch: int = 500) -> None:
    """Follows a lived clinic to its end, batch by batch."""
    for topic, projection in projections(engine):
        for partition, records in clinic[topic].items():
            for begin in range(0, len(records), batch):
                projection.handle(partition, records[begin : begin + batch])


def projections(engine: sa.Engine) -> list[tuple[str, Projection]]:
    """What follows each topic. Of the clients that were erased meanwhile no score and no alert stands any more."""
    return [
        (TOPICS.episodes, EventsProjection(engine)),
        (TOPICS.scores, ScoresProjection(engine, lambda _: False)),
        (TOPICS.alerts, AlertsProjection(engine, lambda _: False)),
    ]


def _renamed(row: Mapping[str, Any], copy: int) -> dict[str, Any]:
    """A row of another client of another clinician: `ep-7` becomes `ep-7x3`, wherever it stands."""
    found = dict(row)
    for column in ("key", "episode", "id", "alert", "clinician", "client"):
        if found.get(column) is not None:
            found[column] = f"{found[column]}x{copy}"
    if "offset" in found:
        found["offset"] += copy * 10_000_000
    if "value" in found:
        found["value"] = _NAMED.sub(rb'\1x%d"' % copy, found["value"])
    return found
