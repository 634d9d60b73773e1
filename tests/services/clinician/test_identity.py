"""Databases beside one log: each gets all of it, and processes on one share the work."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path

import msgspec
import sqlalchemy as sa

from keepwell.contract.events import EpisodeOpened, Opened, encode
from keepwell.streams.log import Message, Partition, Record
from keepwell.streams.memory import MemoryLog
from keepwell.streams.open import open_log
from keepwell.streams.sqlite.log import SqliteLog
from keepwell.streams.worker.follow import Follower
from services.clinician.bootstrap import make
from services.clinician.database import open_engine
from services.clinician.identity import identity_of, looked_up
from services.clinician.projector import AlertsProjection, EventsProjection, ScoresProjection
from services.clinician.schema import downgrade, migrate
from services.clinician.settings import ClinicianSettings
from services.clinician.tables import episodes
from tests.services.clinician.databases import every_database
from tests.services.clinician.lived import PARTITIONS, TOPICS, Lived, content, lived, project
from tests.waiting import at_work, until


@contextmanager
def running(log: str, database: str, instance: str) -> Iterator[None]:
    """The service over a log of its own hands, as a process has it."""
    opened = open_log(log)
    service = make(ClinicianSettings(log=log, database=database, instance=instance), opened)
    with closing(opened), service.beside, at_work(service.work.run):
        yield


def known_to(database: str) -> set[str]:
    engine = open_engine(database)
    with engine.connect() as connection:
        found = set(connection.execute(sa.select(episodes.c.key)).scalars())
    engine.dispose()
    return found


def opening(number: int) -> EpisodeOpened:
    return EpisodeOpened(
        specversion="1.0", id=f"e-{number}", source="/north/notes", subject=f"ep-{number}",
        time=datetime(2026, 3, 2, tzinfo=UTC), data=Opened(client_id=f"p-{number}", clinician_id="c-1"),
    )  # fmt: skip


def test_two_databases_both_get_everything_and_two_processes_on_one_share_it(tmp_path: Path) -> None:
    url, partitions = f"sqlite:///{tmp_path}/log.db", 4
    one, other = (f"sqlite:///{tmp_path}/{name}.db" for name in ("one", "other"))
    log = SqliteLog(tmp_path / "log.db")
    log.create_topics(TOPICS.all(partitions))

    def members(database: str) -> list[str]:
        return log.members(f"keepwell-clinician-{looked_up(ClinicianSettings(database=database))}", TOPICS.episodes)

    with ExitStack() as processes:
        for database, instance in ((one, "a"), (other, "a"), (one, "b")):
            processes.enter_context(running(url, database, instance))
        until(lambda: (members(one), members(other)) == (["a", "b"], ["a"]))
        told = [opening(number) for number in range(8)]
        log.append(
            [Message(TOPICS.episodes, e.key.encode(), encode(e), partition=n % partitions) for n, e in enumerate(told)]
        )
        until(lambda: known_to(one) == known_to(other) == {event.key for event in told})
    log.close()


@every_database
def test_a_database_keeps_its_id_and_no_other_has_it(opened: sa.Engine, database: str, tmp_path: Path) -> None:
    settings = ClinicianSettings(database=database)
    assert looked_up(settings) is None
    migrate(opened)
    given = identity_of(opened)
    migrate(opened)
    assert given == identity_of(opened) == looked_up(settings)
    another = open_engine(f"sqlite:///{tmp_path}/another.db")
    migrate(another)
    assert identity_of(another) != given
    another.dispose()


def test_a_look_for_the_id_makes_no_file(tmp_path: Path) -> None:
    assert looked_up(ClinicianSettings(database=f"sqlite:///{tmp_path}/none.db")) is None
    assert list(tmp_path.iterdir()) == []


def beginning(told: Lived) -> Lived:
    """A part of a log: half of its events, and what was made of their episodes up to the first of another."""
    events = {place: records[: len(records) // 2] for place, records in told.events.items()}
    known = {record.key for records in events.values() for record in records}

    def some(outputs: dict[Partition, list[Record]]) -> dict[Partition, list[Record]]:
        return {place: list(takewhile(lambda one: subject_of(one) in known, out)) for place, out in outputs.items()}

    return Lived(events, some(told.scores), some(told.alerts))


def subject_of(output: Record) -> bytes:
    return str(msgspec.json.decode(output.value or b"")["episode"]).encode()


def append(log: MemoryLog, told: Lived) -> None:
    """What the log does not hold yet."""
    for place, records in (item for part in told for item in part.items()):
        _, end = log.bounds(place)
        log.append([Message(place.topic, one.key, one.value, partition=place.number) for one in records[end:]])


def follow_as(suffix: str, engine: sa.Engine, log: MemoryLog) -> None:
    """Follows to the end of the log in groups whose names go on so."""
    for group, topic, handler in (
        (TOPICS.clinician_group, TOPICS.episodes, EventsProjection(engine)),
        (TOPICS.clinician_scores_group, TOPICS.scores, ScoresProjection(engine, lambda _: True)),
        (TOPICS.clinician_alerts_group, TOPICS.alerts, AlertsProjection(engine, lambda _: True)),
    ):
        Follower(log, handler, group=group + suffix, topic=topic, instance="one").drain(threading.Event())


@every_database
def test_a_database_that_was_followed_into_before_it_had_an_id_goes_on_where_it_was(
    opened: sa.Engine, tmp_path: Path
) -> None:
    migrate(opened)
    told, log = lived(6), MemoryLog()
    log.create_topics(TOPICS.all(PARTITIONS))
    append(log, beginning(told))
    follow_as("", opened, log)
    held = content(opened)
    before = {table: len(rows) for table, rows in held.items()}
    assert all(before[table] for table in ("events", "scores", "alerts"))
    downgrade(opened, "0008")
    migrate(opened)
    assert content(opened) == held
    append(log, told)
    follow_as(f"-{identity_of(opened)}", opened, log)
    at_once = open_engine(f"sqlite:///{tmp_path}/at-once.db")
    migrate(at_once)
    project(at_once, told)
    assert content(opened) == content(at_once)
    assert all(len(rows) > before[table] for table, rows in content(opened).items() if table in ("events", "scores"))
    at_once.dispose()
