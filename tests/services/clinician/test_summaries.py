"""A list of what was summed up tells what one does that folds every episode on the spot, whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
import pytest
import sqlalchemy as sa

import services.clinician.summaries
from keepwell.contract.events import (
    Actioned,
    AlertActioned,
    AnyEvent,
    AppointmentBooked,
    Attended,
    Booked,
    ClientErased,
    Erased,
    EventRetracted,
    InstrumentRegistered,
    MeasureCompleted,
    Measured,
    Registered,
    Retracted,
    SessionAttended,
    encode,
)
from keepwell.streams.log import Partition, Record
from services.clinician import queries
from services.clinician.counted import ask_again
from services.clinician.items import Summary, Told, summary_of
from services.clinician.projector import AlertsProjection, EventsProjection, ScoresProjection, empty
from services.clinician.summaries import SummingUp
from services.clinician.tables import alerts, episodes, summaries
from services.clinician.views import CaseloadItem, Viewer
from tests.services.clinician.lived import TOPICS
from tests.services.clinician.living import Whole, head, start, voiced
from tests.strategies import BASE

BOSS = Viewer(user="u-1", role="supervisor", clinic="north", clinician_id=None)


class Lists(NamedTuple):
    """A list of what was summed up, beside one for which everything is folded on the spot."""

    whole: Whole

    def look(self) -> list[CaseloadItem]:
        """What both tell; afterwards everything is summed up as it stands."""
        now = self.whole.clock[-1]
        with self.whole.engine.begin() as connection:
            found, _ = queries.caseload(connection, BOSS, now)
            connection.execute(sa.delete(summaries))
            anew, _ = queries.caseload(connection, BOSS, now)
        assert found == anew
        SummingUp(self.whole.engine).turn()
        assert self.held() == {item.episode for item in found}
        return found

    def held(self) -> set[str]:
        """The episodes of which a summary is held, good or not."""
        with self.whole.engine.connect() as connection:
            return set(connection.execute(sa.select(summaries.c.episode)).scalars())


@pytest.fixture
def lists(whole: Whole) -> Lists:
    return Lists(whole)


def test_whatever_happens_to_an_episode_the_kept_list_tells_of_it(lists: Lists) -> None:
    whole = lists.whole
    whole.live(start("ep-1"), start("ep-2"))
    seen = [lists.look()]
    rated = MeasureCompleted(**head("m-1", 2), data=Measured(instrument="OWN", scores={"total": 3}))
    own = Registered(
        name="OWN", kind="outcome", lowest=0.0, highest=10.0, higher_is_better=True, cutoff=5.0, reliable_change=2.0
    )
    booked = Booked(appointment_id="v-1", starts_at=BASE + timedelta(days=9))
    for one in (
        SessionAttended(**head("s-1", 1), data=Attended()), rated, AppointmentBooked(**head("b-1", 3), data=booked),
        InstrumentRegistered(**head("r-1", 4, "OWN"), data=own), voiced("f-1", 5), voiced("f-2", 6, "empathy"),
    ):  # fmt: skip
        whole.live(one)
        seen.append(lists.look())
    with whole.engine.connect() as connection:
        name = connection.execute(sa.select(alerts.c.id).limit(1)).scalar_one()
    whole.live(AlertActioned(**head("a-1", 7), data=Actioned(alert_id=name, action="acknowledged", by="u-1")))
    seen.append(lists.look())
    whole.live(EventRetracted(**head("x-1", 8), data=Retracted(event_id="a-1")))
    seen.append(lists.look())
    whole.live(ClientErased(**head("e-1", 9, "p-ep-1"), data=Erased(client_id="p-ep-1")))
    seen.append(lists.look())
    assert all(before != after for before, after in pairwise(seen)), "each was to be seen"
    assert [item.episode for item in seen[-1]] == ["north/ep-2"]
    whole.live(start("ep-1"), voiced("f-9", 10))
    assert len(lists.look()) == 2, "begun anew"


def test_an_answer_counts_while_it_is_on_its_way_and_once_it_is_back(lists: Lists) -> None:
    whole = lists.whole
    whole.live(start(), voiced("f-1", 2))
    [item] = lists.look()
    assert item.why == "voiced"
    name = item.alerts[0].alert.alert_id
    answer = whole.user().post(f"/alerts/{name}/answers", data={"action": "acknowledged"})
    assert answer.status_code < 400
    [item] = lists.look()
    assert [(one.action, one.settled) for one in item.alerts[0].answers] == [("acknowledged", False)]
    whole.come_back()
    [item] = lists.look()
    assert [(one.action, one.settled) for one in item.alerts[0].answers] == [("acknowledged", True)]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which episodes are folded from here on, in order."""
    found = list[str]()

    def note(one: Told) -> Summary:
        found.append(one.row.key)
        return summary_of(one)

    monkeypatch.setattr("services.clinician.summaries.summary_of", note)
    return found


def _look(whole: Whole) -> None:
    with whole.engine.connect() as connection:
        queries.caseload(connection, BOSS, whole.clock[-1])


def test_whoever_looks_folds_only_what_is_not_summed_up(whole: Whole, told: list[str]) -> None:
    whole.live(start("ep-1"), start("ep-2"))
    work = SummingUp(whole.engine)
    work.turn()
    assert told == ["north/ep-1", "north/ep-2"]
    _look(whole)
    assert told[2:] == []
    whole.live(voiced("f-1", 2, subject="ep-2"))
    _look(whole)
    assert told[2:] == ["north/ep-2"], "it is not summed up yet"
    work.changed({"north/ep-2"})
    work.turn()
    _look(whole)
    assert told[3:] == ["north/ep-2"], "and that was to sum it up"
    work.changed({"north/ep-1", "north/ep-2", "north/nobody"})
    work.turn()
    assert told[4:] == [], "nothing was new"


def test_every_projection_says_of_which_episodes_something_is_new(whole: Whole) -> None:
    found = list[set[str]]()
    whole.live(start("ep-1"), start("ep-2"))
    source, work = Partition(TOPICS.episodes, 0), EventsProjection(whole.engine, lambda keys: found.append(set(keys)))
    event = voiced("f-1", 2)
    records = [Record(source, 2, event.key.encode(), encode(event), (), 0)]
    assert work.handle(source, records).done == 1
    for message in whole.worker.step(0, records).messages:
        for topic, into in ((TOPICS.scores, ScoresProjection), (TOPICS.alerts, AlertsProjection)):
            if message.topic == topic:
                place, told = Partition(topic, 0), lambda keys: found.append(set(keys))
                record = Record(place, whole.places.get(topic, -1) + 1, message.key, message.value)
                assert into(whole.engine, lambda _: True, changed=told).handle(place, [record]).done == 1
    assert found == [{"north/ep-1"}] * 3, "by its event, its score, its alert"


def _at_once(monkeypatch: pytest.MonkeyPatch, name: str, meanwhile: Callable[[], None]) -> None:
    """Lets something happen once, before a function of the module that sums up."""
    todo = [meanwhile]
    real = getattr(services.clinician.summaries, name)

    def first(*given: Any) -> Any:
        while todo:
            todo.pop()()
        return real(*given)

    monkeypatch.setattr(services.clinician.summaries, name, first)


@pytest.mark.parametrize("when", ["_kept", "summary_of"])
def test_of_an_episode_that_went_on_or_was_erased_meanwhile_nothing_old_is_held(
    whole: Whole, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    whole.live(start("ep-1"), start("ep-2"), voiced("f-0", 1), start("ep-3"))
    erased = ClientErased(**head("e-1", 9, "p-ep-1"), data=Erased(client_id="p-ep-1"))
    _at_once(monkeypatch, when, lambda: whole.live(erased, start("ep-1"), voiced("f-1", 2, subject="ep-2")))
    SummingUp(whole.engine).turn()
    lists = Lists(whole)
    assert lists.held() == {"north/ep-3"}
    assert {item.episode: item.why for item in lists.look()} == {
        "north/ep-1": "quiet", "north/ep-2": "voiced", "north/ep-3": "quiet",
    }  # fmt: skip


def test_what_was_read_of_a_read_model_that_was_thrown_away_and_is_whole_again_does_not_count(
    whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[AnyEvent] = [start("ep-1"), SessionAttended(**head("s-1", 1), data=Attended())]
    source = Partition(TOPICS.episodes, 0)
    records = [Record(source, at, one.key.encode(), encode(one), (), 0) for at, one in enumerate(told)]

    def follow(some: Sequence[Record]) -> None:
        assert EventsProjection(whole.engine).handle(source, some).done == len(some)

    def half() -> None:
        empty(whole.engine)
        follow(records[:1])

    follow(records)
    _at_once(monkeypatch, "_kept", half)
    _at_once(monkeypatch, "summary_of", lambda: follow(records[1:]))
    SummingUp(whole.engine).turn()
    [item] = Lists(whole).look()
    assert item.sessions == 1


def test_what_cannot_be_read_is_folded(whole: Whole) -> None:
    whole.live(start("ep-1"), voiced("f-1", 2))
    SummingUp(whole.engine).turn()
    with whole.engine.begin() as connection:
        connection.execute(sa.update(summaries).values(value=b"[1]"))
    [item] = Lists(whole).look()
    assert item.why == "voiced"


def test_one_that_cannot_be_summed_up_keeps_no_other_from_it(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    whole.live(start("ep-1"), start("ep-2"))

    def odd(one: Told) -> Summary:
        if one.row.key == "north/ep-1":
            raise OverflowError
        return summary_of(one)

    monkeypatch.setattr("services.clinician.summaries.summary_of", odd)
    SummingUp(whole.engine).turn()
    assert Lists(whole).held() == {"north/ep-2"}


def test_ratings_beyond_all_measure_have_no_band(whole: Whole) -> None:
    own = Registered(
        name="OWN", kind="outcome", lowest=-1e200, highest=1e200, higher_is_better=True, cutoff=0.0, reliable_change=1.0
    )
    whole.live(start("ep-1"), InstrumentRegistered(**head("r-1", 1, "OWN"), data=own))
    for number, value in enumerate((1e200, -1e200, 1e200, 0.0, 1.0)):
        given = Measured(instrument="OWN", scores={"total": value})
        whole.live(MeasureCompleted(**head(f"m-{number}", 2 + number), data=given))
    [item] = Lists(whole).look()
    assert item.measure is not None and len(item.measure.points) == 5


def test_a_registration_has_its_clinic_summed_up_anew_and_no_other(whole: Whole, told: list[str]) -> None:
    south = msgspec.structs.replace(start("ep-9"), source="/south/booking")
    whole.live(start("ep-1"), south)
    work = SummingUp(whole.engine)
    work.turn()
    told.clear()
    own = Registered(
        name="OWN", kind="outcome", lowest=0.0, highest=10.0, higher_is_better=True, cutoff=5.0, reliable_change=2.0
    )
    event = InstrumentRegistered(**head("r-1", 4, "OWN"), data=own)
    source = Partition(TOPICS.episodes, 0)
    record = Record(source, 2, event.key.encode(), encode(event), (), 0)
    EventsProjection(whole.engine, work.changed).handle(source, [record])
    work.turn()
    assert told == ["north/ep-1"]
    _look(whole)
    work.changed({"south/ep-9"})
    work.turn()
    assert told == ["north/ep-1"], "whoever looks finds what was summed up beside another clinic's"


def test_a_round_finds_what_nobody_noted_and_whether_episodes_ask(
    whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole.live(start("ep-1"))
    work = SummingUp(whole.engine)
    work.turn()
    whole.live(voiced("f-1", 2))
    with whole.engine.begin() as connection:
        connection.execute(sa.update(episodes).values(asks=None))
    assert work.turn() == 0
    monkeypatch.setattr(services.clinician.summaries, "ROUND_SECONDS", 0.0)
    assert work.turn() == 1
    with whole.engine.connect() as connection:
        assert connection.execute(sa.select(episodes.c.asks)).scalar() == 1
        [marked] = connection.execute(sa.select(summaries.c.value)).scalars()
    assert b"voiced" in marked or b"rupture" in marked


def test_an_answer_of_another_episode_answers_nothing(whole: Whole) -> None:
    whole.live(start("ep-1"), start("ep-2"), voiced("f-1", 2))
    with whole.engine.connect() as connection:
        name = connection.execute(sa.select(alerts.c.id)).scalar_one()
    data = Actioned(alert_id=name, action="acknowledged", by="u-1")
    whole.live(AlertActioned(**head("a-1", 7, "ep-2"), data=data))
    with whole.engine.begin() as connection:
        ask_again(connection, ["north/ep-1", "north/ep-2"])
        asked = dict(connection.execute(sa.select(episodes.c.key, episodes.c.asks)).all())
    assert asked == {"north/ep-1": 1, "north/ep-2": None}


def test_a_turn_that_failed_is_made_up_for(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    whole.live(start("ep-1"))
    work = SummingUp(whole.engine)

    def away(*_: Any) -> dict[str, int]:
        raise sa.exc.OperationalError("", {}, OSError("away"))

    monkeypatch.setattr("services.clinician.summaries.locked", away)
    with pytest.raises(sa.exc.OperationalError):
        work.turn()
    monkeypatch.undo()
    work.turn()
    assert Lists(whole).held() == {"north/ep-1"}


def test_nothing_is_left_where_the_read_model_is_thrown_away(whole: Whole) -> None:
    whole.live(start("ep-1"))
    SummingUp(whole.engine).turn()
    assert Lists(whole).held() == {"north/ep-1"}
    empty(whole.engine)
    assert Lists(whole).held() == set()
