"""Wherever the clinician's side dies, or its database goes: no answer is lost, none counts twice, the read model is the same.

Every step of a run is a seam: each statement, and before and after each commit and each call of the log. A run is broken off
at each of them in turn, and taken up by whoever comes next, as a supervisor or a client that asks again would.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any, Final

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy import event

from keepwell.contract.control import tick
from keepwell.contract.events import (
    Actioned,
    AlertActioned,
    AppointmentBooked,
    Booked,
    EpisodeOpened,
    Event,
    EventRetracted,
    Opened,
    decode_accepted,
    encode,
    micros,
)
from keepwell.streams.log import Message, Partition, Record
from keepwell.streams.memory import MemoryLog
from keepwell.streams.worker.assignment import Pace
from keepwell.streams.worker.follow import Follower
from services.clinician.answers import Answers, Asking, Given
from services.clinician.people.tables import audit
from services.clinician.people.who import User
from services.clinician.projector import AlertsProjection, EventsProjection, Projection, ScoresProjection, empty
from services.clinician.schema import migrate
from services.clinician.sent import sent
from services.clinician.tables import alerts, events
from services.clinician.views import Viewer
from tests.services.clinician.lived import DAYS, START, TOPICS, Lived, content, follow, lived, project

NOW: Final = START + timedelta(days=DAYS)
ONE: Final = User(
    id="u-1",
    name="one",
    clinic="north",
    role="supervisor",
    clinician_id=None,
    must_change=False,
    created_at=0,
    removed_at=None,
)
SEES: Final = Viewer(user="u-1", role="supervisor", clinic="north", clinician_id=None)
TRIES: Final = 50
"""Broken off once, a run gets through long before."""
TURNS: Final = 2_000
"""Of a loop: a run takes some thirty, and one that waits for the database a few hundred."""
AT_ONCE: Final = 12
"""Records of a poll: small, so that there are many seams."""


class Crash(BaseException):
    """The process died: nothing is closed, nobody is told."""


class Seams:
    """Breaks a run off at its `at`-th step, once, and counts the steps."""

    def __init__(self, error: Callable[[], BaseException], at: int = 0) -> None:
        self.steps = 0
        self.kills = isinstance(error(), Crash)
        self._error = error
        self._at = at

    def __call__(self, *_: object) -> None:
        self.steps += 1
        if self.steps == self._at:
            raise self._error()

    @contextmanager
    def of(self, engine: sa.Engine) -> Iterator[None]:
        """Makes a step of each statement of a database, and two of each commit: before and after it."""
        commit = engine.dialect.do_commit

        def commits(connection: Any) -> None:
            self()
            commit(connection)
            self()

        event.listen(engine, "before_cursor_execute", self.__call__)
        engine.dialect.do_commit = commits  # type: ignore[assignment, method-assign]  # there is no event of what comes after it
        try:
            yield
        finally:
            engine.dialect.do_commit = commit  # type: ignore[method-assign]
            event.remove(engine, "before_cursor_execute", self.__call__)


def gone() -> BaseException:
    """What is raised once the database has gone away."""
    return sa.exc.OperationalError("", {}, Exception())


endings = pytest.mark.parametrize("error", [Crash, gone], ids=["dies", "database-gone"])


@pytest.fixture(scope="module")
def told() -> Lived:
    return lived(8)


@pytest.fixture
def engine(opened: sa.Engine) -> sa.Engine:
    migrate(opened)
    return opened


class Clock:
    """Time that goes on by itself, a tenth of a second a look."""

    def __init__(self) -> None:
        self._looks = count()

    def __call__(self) -> float:
        return next(self._looks) / 10


class Clinic:
    """A lived clinic, and a client that answers its alerts until somebody says that it is done."""

    def __init__(self, engine: sa.Engine, told: Lived) -> None:
        project(engine, told, 1_000)
        self.engine = engine
        self.log = MemoryLog()
        self.log.create_topics(TOPICS.all(2))
        self._told = told
        self._came = Counter({place: len(records) for place, records in told.events.items()})
        with engine.connect() as connection:
            self.alert = connection.execute(sa.select(alerts.c.id).order_by(alerts.c.id)).scalars().first() or ""
        assert self.alert

    def run(self, seams: Seams, key: str, ask: Callable[[Answers, Asking], Given]) -> Given:
        """Asks until there is an answer, then hands over until nothing waits; each breach is a new process."""
        asking, given, late = Asking(ONE, SEES, key), None, NOW + timedelta(minutes=1)
        self.log.faults = seams if seams.kills else None
        with seams.of(self.engine):
            for _ in range(TRIES):
                try:
                    given = given or ask(Answers(self.engine, self.log, TOPICS.sessions, lambda: NOW), asking)
                    if Answers(self.engine, self.log, TOPICS.sessions, lambda: late).hand_over() == 0:
                        self.log.faults = None
                        return given
                except (Crash, sa.exc.OperationalError):
                    continue
        raise AssertionError("did not get through")

    def handed(self) -> list[Event]:
        """What the log was given since last asked."""
        found: list[Event] = []
        for number in range(2):
            place = Partition(TOPICS.sessions, number)
            _, end = self.log.bounds(place)
            for record in self.log.read(place, self._came[place], end):
                found.append(decode_accepted(record.value or b""))
            self._came[place] = end
        return found

    def comes_back(self, handed: list[Event]) -> None:
        """Accepted as often as it was handed over, all of it is followed."""
        projection, place = EventsProjection(self.engine), Partition(TOPICS.episodes, 0)
        records = []
        for one in handed:
            records.append(Record(place, self._came[place], one.key.encode(), encode(one)))
            self._came[place] += 1
        assert projection.handle(place, records).done == len(records)


def answers(clinic: Clinic) -> Callable[[Answers, Asking], Given]:
    data = Actioned(alert_id=clinic.alert, action="repair_planned", by="u-1", via="api")
    return lambda one, asking: one.answer(asking, clinic.alert, data)


@endings
def test_an_answer_is_in_the_log_under_one_id_wherever_it_breaks_off(
    engine: sa.Engine, told: Lived, error: Callable[[], BaseException]
) -> None:
    clinic = Clinic(engine, told)
    quiet = Seams(error)
    clinic.run(quiet, "quiet", answers(clinic))
    clinic.comes_back(clinic.handed())
    assert quiet.steps > 10, "the run has seams to break at"
    repeated = 0
    for at in range(1, quiet.steps + 1):
        given = clinic.run(Seams(error, at), f"at {at}", answers(clinic))
        handed = clinic.handed()
        assert {one.id for one in handed} == {given.event_id}, f"step {at}: one answer, whatever became of it"
        assert all(isinstance(one, AlertActioned) for one in handed)
        repeated += len(handed) > 1
        clinic.comes_back(handed)
        with engine.connect() as connection:
            [row] = connection.execute(sa.select(sent).filter_by(idempotency=f"at {at}"))
            assert row.event_id == given.event_id and row.handed_at is not None, f"step {at}"
            written = sa.select(sa.func.count()).select_from(audit).where(audit.c.object == given.event_id)
            assert connection.execute(written).scalar() == 1, f"step {at}: it stands in the audit once"
            came = [decode_accepted(one).id for one in connection.execute(sa.select(events.c.value)).scalars()]
            assert came.count(given.event_id) == 1, f"step {at}: it is settled once"
    assert repeated, "somewhere the log took it, and nobody noted that"


def test_whoever_is_told_that_it_failed_has_given_no_answer(engine: sa.Engine, told: Lived) -> None:
    clinic = Clinic(engine, told)
    one = Answers(engine, clinic.log, TOPICS.sessions, lambda: NOW)
    quiet = Seams(gone)
    with quiet.of(engine):
        answers(clinic)(one, Asking(ONE, SEES))
    kept, unsure = 1, 0
    for at in range(1, quiet.steps + 1):
        given = 0
        with Seams(gone, at).of(engine), suppress(sa.exc.OperationalError):
            answers(clinic)(one, Asking(ONE, SEES))
            given = 1
        with engine.connect() as connection:
            found = connection.execute(sa.select(sa.func.count()).select_from(sent)).scalar() or 0
        assert found - kept >= given, f"step {at}"
        unsure += found - kept - given
        kept = found
    assert unsure == 1, "only where the database commits, and goes before it says so: for that there is Idempotency-Key"


@endings
def test_an_answer_is_taken_back_once_wherever_it_breaks_off(
    engine: sa.Engine, told: Lived, error: Callable[[], BaseException]
) -> None:
    clinic = Clinic(engine, told)

    def given(at: int) -> str:
        found = clinic.run(Seams(error), f"given {at}", answers(clinic)).event_id
        clinic.handed()
        return found

    def back(event_id: str) -> Callable[[Answers, Asking], Given]:
        return lambda one, asking: one.take_back(asking, event_id)

    quiet = Seams(error)
    clinic.run(quiet, "quiet", back(given(0)))
    clinic.handed()
    for at in range(1, quiet.steps + 1):
        event_id = given(at)
        taken = clinic.run(Seams(error, at), "", back(event_id))
        handed = clinic.handed()
        assert {one.id for one in handed} == {taken.event_id}, f"step {at}"
        assert all(isinstance(one, EventRetracted) and one.data.event_id == event_id for one in handed)


@endings
def test_the_read_model_is_the_same_wherever_following_breaks_off(
    engine: sa.Engine, told: Lived, error: Callable[[], BaseException]
) -> None:
    few = cut(told, 24)
    follow_all(engine, few, Seams(error))
    whole = content(engine)
    assert whole["scores"] and whole["alerts"]
    empty(engine)
    quiet = Seams(error)
    follow_all(engine, few, quiet)
    for at in range(1, quiet.steps + 1):
        empty(engine)
        follow_all(engine, few, Seams(error, at))
        assert content(engine) == whole, f"step {at}"


def test_when_the_next_visit_is_does_not_depend_on_how_the_log_was_cut(engine: sa.Engine) -> None:
    head: dict[str, Any] = {"specversion": "1.0", "source": "/north/booking", "subject": "ep-1", "time": NOW}
    first, second = NOW + timedelta(days=1), NOW + timedelta(days=9)
    flow: list[Event] = [
        EpisodeOpened(**head, id="e-1", data=Opened(client_id="p-1", clinician_id="c-1")),
        AppointmentBooked(**head, id="e-2", data=Booked(appointment_id="a-1", starts_at=first)),
        AppointmentBooked(**head, id="e-3", data=Booked(appointment_id="a-2", starts_at=second)),
        tick(first + timedelta(days=1)),
    ]
    place = Partition(TOPICS.episodes, 0)
    log = {place: [Record(place, n, one.key.encode(), encode(one)) for n, one in enumerate(flow)]}
    found = []
    for size in (1, len(flow)):
        empty(engine)
        follow(EventsProjection(engine), log, size)
        found.append(content(engine))
    assert found[0] == found[1]
    assert micros(first) in found[0]["episodes"][0]


def cut(told: Lived, most: int) -> Lived:
    """The first of a partition of a log: events, and some of what was made of their episodes."""
    first = {place: records[:most] for place, records in told.events.items() if place.number == 0}
    known = {record.key for records in first.values() for record in records}

    def some(outputs: dict[Partition, list[Record]]) -> dict[Partition, list[Record]]:
        named = {place: [one for one in records if episode_of(one) in known] for place, records in outputs.items()}
        return {place: records[:20] for place, records in named.items() if place.number == 0}

    return Lived(first, some(told.scores), some(told.alerts))


def episode_of(output: Record) -> bytes:
    """The key of the episode that a score or an alert is about."""
    return str(msgspec.json.decode(output.value or b"")["episode"]).encode()


def follow_all(engine: sa.Engine, told: Lived, seams: Seams) -> None:
    """Follows a log to its end over the loop that a process runs; each breach is a new process."""
    log = MemoryLog()
    log.create_topics(TOPICS.all(1))
    for records in (records for part in told for records in part.values()):
        place = records[0].partition
        log.append([Message(place.topic, one.key, one.value, partition=place.number) for one in records])
    kinds: list[tuple[str, str, Callable[[], Projection]]] = [
        (TOPICS.clinician_group, TOPICS.episodes, partial(EventsProjection, engine)),
        (TOPICS.clinician_scores_group, TOPICS.scores, partial(ScoresProjection, engine, lambda _: True)),
        (TOPICS.clinician_alerts_group, TOPICS.alerts, partial(AlertsProjection, engine, lambda _: True)),
    ]
    log.faults = seams if seams.kills else None  # what a log that fails does to the loop is shown with the loop
    with seams.of(engine):
        for group, topic, make in kinds:
            for _ in range(TRIES):
                pace = Pace(poll=0.0, records=AT_ONCE)
                one = Follower(log, make(), group=group, topic=topic, instance="one", clock=Clock(), pace=pace)
                with suppress(Crash):
                    turns = count()
                    while not is_followed(log, group, topic):
                        one.turn(0.0)
                        assert next(turns) < TURNS, "it does not get on"
                    break
            else:
                raise AssertionError("did not get through")


def is_followed(log: MemoryLog, group: str, topic: str) -> bool:
    """Whether a group has committed all that a topic holds; looking is no step of the run."""
    faults, log.faults = log.faults, None
    done = log.committed(group, topic)
    end = log.bounds(Partition(topic, 0))[1]
    log.faults = faults
    return done.get(Partition(topic, 0), 0) >= end
