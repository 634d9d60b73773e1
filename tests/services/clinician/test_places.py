"""What came after a place in the log is read once, whatever was read at once, and by nobody who may not see it."""

from __future__ import annotations

from collections import Counter
from itertools import count, zip_longest

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from keepwell.contract.events import AlertActioned, EventRetracted, RepairAttempted, decode_accepted
from keepwell.streams.log import Partition, Record
from services.clinician.places import (
    News,
    NewsKind,
    Reached,
    WrongPlace,
    place_now,
    place_text,
    read_on,
    read_place,
    whose,
)
from services.clinician.projector import AlertsProjection, EventsProjection, ScoresProjection, empty
from services.clinician.schema import downgrade, migrate
from services.clinician.tables import episodes
from services.clinician.views import Viewer
from tests.services.clinician.lived import TOPICS, Lived, content, lived, project

Named = tuple[NewsKind, str, str]
KINDS: tuple[NewsKind, ...] = ("answer", "score", "alert")
ANSWERS = (AlertActioned, RepairAttempted, EventRetracted)
SUPERVISOR = Viewer(user="u-1", role="supervisor", clinic="north", clinician_id=None)


@pytest.fixture(scope="module")
def log() -> Lived:
    return lived(8)


@pytest.fixture
def engine(opened: sa.Engine) -> sa.Engine:
    migrate(opened)
    return opened


def clinician(name: str, *covers: str) -> Viewer:
    return Viewer(user="u-2", role="clinician", clinic="north", clinician_id=name, covers=frozenset(covers))


def named(news: list[News]) -> list[Named]:
    return [(one.kind, one.episode, one.name) for one in news]


def told(log: Lived) -> Counter[Named]:
    """What there is to be told of a log: each answer and score, and each alert once. Two scores may be of one moment."""
    found: Counter[Named] = Counter()
    for records in log.events.values():
        events = [decode_accepted(one.value) for one in records if one.value is not None]
        found.update(("answer", event.key, event.id) for event in events if isinstance(event, ANSWERS))
    scores = [msgspec.json.decode(one.value or b"") for records in log.scores.values() for one in records]
    alerts = [msgspec.json.decode(one.value or b"") for records in log.alerts.values() for one in records]
    found.update(("score", one["episode"], one["as_of"]) for one in scores)
    found.update({("alert", one["episode"], one["alert_id"]) for one in alerts})
    return found


def read(engine: sa.Engine, viewer: Viewer, begin: Reached, most: int = 1_000) -> tuple[list[News], Reached]:
    """All that is there from a place on, so many records at a time, and the place after it."""
    found: list[News] = []
    with engine.connect() as connection:
        end = place_now(connection, TOPICS)
        for _ in count():
            part = read_on(connection, viewer, begin, end, most)
            found, begin = found + part.news, part.reached
            if not part.more:
                break
    return found, begin


def owners(engine: sa.Engine) -> dict[str, str]:
    with engine.connect() as connection:
        return dict(connection.execute(sa.select(episodes.c.key, episodes.c.clinician)).all())


def test_everything_is_read_once_whatever_is_read_at_once(engine: sa.Engine, log: Lived) -> None:
    project(engine, log)
    for most in (1, 7, 1_000):
        found, end = read(engine, SUPERVISOR, {}, most)
        assert Counter(named(found)) == told(log)
        assert {kind for kind, _, _ in named(found)} == set(KINDS)
        assert read(engine, SUPERVISOR, end) == ([], end)
        assert end == {
            (kind, place.number): len(of[place]) for kind, of in zip(KINDS, log, strict=True) for place in of
        }


def test_who_goes_on_from_the_place_of_any_event_reads_what_came_after_it(engine: sa.Engine, log: Lived) -> None:
    project(engine, log)
    found, _ = read(engine, SUPERVISOR, {})
    for number in range(0, len(found), 9):
        after = read_place(place_text(found[number].reached))
        assert named(read(engine, SUPERVISOR, after)[0]) == named(found[number + 1 :])


def test_who_reads_while_the_log_is_followed_reads_everything_once(engine: sa.Engine, log: Lived) -> None:
    place: Reached = {}
    found: list[News] = []
    events, scores, alerts = (
        EventsProjection(engine), ScoresProjection(engine, lambda _: True), AlertsProjection(engine, lambda _: True)
    )  # fmt: skip
    for projection, of in ((events, log.events), (scores, log.scores), (alerts, log.alerts)):
        for parts in zip_longest(*(steps(records) for records in of.values())):
            for part in filter(None, parts):
                assert projection.handle(part[0].partition, part).done == len(part)
                news, place = read(engine, SUPERVISOR, place)
                found += news
    again = Counter(named(found)) - told(log)
    assert told(log) <= Counter(named(found))
    assert {kind for kind, _, _ in again} <= {"alert"}, "an alert is told again with a further record of it"
    assert sum(again.values()) < sum(map(len, log.alerts.values()))


def steps(records: list[Record]) -> list[list[Record]]:
    return [records[start : start + 11] for start in range(0, len(records), 11)]


def test_a_clinician_reads_of_their_own_and_covered_episodes_of_now_and_another_clinic_nothing(
    engine: sa.Engine, log: Lived
) -> None:
    project(engine, log)
    whole, of = named(read(engine, SUPERVISOR, {})[0]), owners(engine)
    names = sorted(set(of.values()))
    assert len(names) > 3
    for name, other in zip(names, names[1:] + names[:1], strict=True):
        found, _ = read(engine, clinician(name), {}, 5)
        assert named(found) == [one for one in whole if of[one[1]] == name]
        assert {one.clinician_id for one in found} <= {name}
        covered, _ = read(engine, clinician(name, other), {})
        assert named(covered) == [one for one in whole if of[one[1]] in (name, other)]
    strangers = (
        SUPERVISOR.__class__(user="u-3", role="supervisor", clinic="south", clinician_id=None),
        Viewer(user="u-4", role="clinician", clinic="south", clinician_id=names[0]),
        Viewer(user="u-5", role="administrator", clinic="north", clinician_id=None),
        Viewer(user="u-6", role="clinician", clinic="north", clinician_id=None),
    )
    for stranger in strangers:
        assert read(engine, stranger, {})[0] == []


def test_whose_names_the_clinicians_of_now_and_nobody_between_equal_places(engine: sa.Engine, log: Lived) -> None:
    project(engine, log)
    found, end = read(engine, SUPERVISOR, {})
    last = next(one for one in reversed(found) if one.kind == "score")
    place = max(place for place in end if place[0] == "score")
    with engine.connect() as connection:
        assert whose(connection, end, end) == set()
        everybody = whose(connection, {}, end)
        some = whose(connection, {**end, place: end[place] - 1}, end)
    assert everybody == {("north", name) for name in owners(engine).values()}
    assert some == {("north", last.clinician_id)}


def test_a_read_model_that_is_made_again_has_the_same_places(engine: sa.Engine, log: Lived) -> None:
    project(engine, log)
    found, end = read(engine, SUPERVISOR, {})
    empty(engine)
    assert read(engine, SUPERVISOR, end)[0] == []
    project(engine, log, 13)
    assert read(engine, SUPERVISOR, end)[0] == []
    assert named(read(engine, SUPERVISOR, {})[0]) == named(found)


def test_an_alert_is_told_again_at_the_place_of_its_newest_record(engine: sa.Engine, log: Lived) -> None:
    project(engine, log)
    _, end = read(engine, SUPERVISOR, {})
    place, records = next(iter(log.alerts.items()))
    raised = msgspec.json.decode(records[0].value or b"")
    resolved = msgspec.json.encode({**raised, "status": "resolved"})
    newest = Record(place, len(records), b"k", resolved)
    assert AlertsProjection(engine, lambda _: True).handle(place, [newest]).done == 1
    [told_again], last = read(engine, SUPERVISOR, end)
    assert named([told_again]) == [("alert", raised["episode"], raised["alert_id"])]
    assert told_again.reached == last == {**end, ("alert", place.number): len(records) + 1}
    followed = content(engine)
    empty(engine)
    project(engine, log._replace(alerts={**log.alerts, place: [*records, newest]}), 1_000)
    assert content(engine) == followed


def test_a_database_of_before_reads_its_alerts_again_and_keeps_the_rest(engine: sa.Engine, log: Lived) -> None:
    project(engine, log)
    whole = content(engine)
    downgrade(engine, "0003")
    kept = {("score", place.number): len(of) for place, of in log.scores.items()} | {
        ("answer", place.number): len(of) for place, of in log.events.items()
    }
    migrate(engine)
    with engine.connect() as connection:
        assert place_now(connection, TOPICS) == kept
    project(engine, log)
    assert content(engine) == whole


def test_another_topic_in_the_same_table_is_none_of_it(engine: sa.Engine, log: Lived) -> None:
    strange = {Partition("x." + one.topic, one.number): records for one, records in log.events.items()}
    for partition, records in strange.items():
        EventsProjection(engine).handle(partition, records)
    with engine.connect() as connection:
        assert place_now(connection, TOPICS) == {}


places = st.dictionaries(st.tuples(st.sampled_from(KINDS), st.integers(0, 40)), st.integers(0, 10**18 - 1), max_size=20)


@given(places)
def test_a_place_is_told_and_read_back(place: Reached) -> None:
    assert read_place(place_text(place)) == place


@pytest.mark.parametrize(
    "text", ["", "12", "an-sc", "an-sc-al-", "an1,2-sc-al", "an-1-sc-al", "sc-an-al", "an²-sc-al", f"an{10**18}-sc-al"]
)
def test_a_text_that_names_no_place_is_refused(text: str) -> None:
    with pytest.raises(WrongPlace):
        read_place(text)
