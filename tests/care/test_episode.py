"""The fold: whatever the order of arrival, repetition, correction or retraction, one history and one course."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from keepwell.alerting.assess import Trigger
from keepwell.care.course import Course, course_of
from keepwell.care.endings import DAY
from keepwell.care.episode import MAX_ENTRIES, Episode, Live, episode_from
from keepwell.care.history import RANK, effective, entry_of, order
from keepwell.contract.events import AnyEvent, Attended, Missed, Retracted, micros
from tests.episodes import INTERPRET, assessor_of_all, booked, lived, opened, srs, story
from tests.strategies import episode_logs, make


@st.composite
def arrivals(draw: DrawFn) -> tuple[list[AnyEvent], list[AnyEvent]]:
    """A log, and the same events in another order of arrival with some of them again."""
    events = draw(episode_logs())
    again = draw(st.lists(st.sampled_from(events), max_size=5))
    return events, draw(st.permutations(events + again))


def differences(one: Course, other: Course) -> dict[str, tuple[Any, Any]]:
    """The fields in which two courses differ."""
    names = [field.name for field in fields(Course)]
    return {n: (getattr(one, n), getattr(other, n)) for n in names if getattr(one, n) != getattr(other, n)}


@settings(deadline=None, max_examples=150)
@given(arrivals())
def test_invariant_4_every_order_of_arrival_and_any_repetition_gives_one_history_and_course(
    logs: tuple[list[AnyEvent], list[AnyEvent]],
) -> None:
    one, other = lived(logs[0]), lived(logs[1])
    assert one.episode == other.episode
    assert differences(one.course, other.course) == {}


@settings(deadline=None, max_examples=75)
@given(arrivals(), st.sampled_from((0, 1, 3 * DAY, 8 * DAY, 45 * DAY)))
def test_invariant_4_every_order_of_arrival_and_any_repetition_gives_one_score(
    logs: tuple[list[AnyEvent], list[AnyEvent]], later: int
) -> None:
    assessor = assessor_of_all()
    one, other = (lived(log) for log in logs)
    now = one.episode.latest + later
    assert assessor.score(one, now, Trigger("any")) == assessor.score(other, now, Trigger("any"))


@settings(deadline=None, max_examples=100)
@given(arrivals())
def test_a_history_made_in_one_go_is_that_of_folding_event_by_event(
    logs: tuple[list[AnyEvent], list[AnyEvent]],
) -> None:
    assert episode_from(logs[1][0].key, logs[1]) == lived(logs[1]).episode


@settings(deadline=None, max_examples=100)
@given(episode_logs())
def test_the_fast_path_is_the_course_rebuilt_from_the_history_after_every_event(events: list[AnyEvent]) -> None:
    live = Live(Episode(events[0].key), INTERPRET)
    for event in events:
        live.fold(event)
        assert differences(live.course, course_of(effective(live.episode.history), INTERPRET)) == {}


@settings(deadline=None, max_examples=75)
@given(episode_logs(), st.integers(0, 40))
def test_an_episode_read_back_from_its_bytes_goes_on_as_if_it_had_stayed_in_memory(
    events: list[AnyEvent], cut: int
) -> None:
    first, rest = events[: cut + 1], events[cut + 1 :]
    stayed = lived(first)
    stored = msgspec.msgpack.encode(stayed.episode)
    back = Live(msgspec.msgpack.decode(stored, type=Episode), INTERPRET)
    assert [stayed.fold(event) for event in rest] == [back.fold(event) for event in rest]
    assert stayed.episode == back.episode
    assert differences(stayed.course, back.course) == {}


@settings(deadline=None, max_examples=75)
@given(episode_logs())
def test_a_history_is_sorted_and_holds_each_identity_once(events: list[AnyEvent]) -> None:
    episode = lived(events).episode
    places = [order(entry) for entry in episode.history]
    assert places == sorted(places)
    assert episode.sources == sorted({event.source for event in events})
    named = [(episode.sources[entry.source], entry.id) for entry in episode.history]
    assert sorted(named) == sorted({(event.source, event.id) for event in events})


@settings(deadline=None, max_examples=75)
@given(episode_logs())
@example(story((0, opened())))
def test_an_event_is_taken_once_and_repeated_ever_after(events: list[AnyEvent]) -> None:
    live = Live(Episode(events[0].key), INTERPRET)
    seen = set()
    for event in events:
        identity = (event.source, event.id)
        assert live.fold(event) == ("repeated" if identity in seen else "taken")
        seen.add(identity)
    assert live.episode.latest == max(micros(event.time) for event in events)


@settings(deadline=None, max_examples=75)
@given(episode_logs())
def test_an_episode_holds_exactly_what_is_in_force(events: list[AnyEvent]) -> None:
    live = lived(events)
    sources = live.episode.sources
    in_force = {(sources[entry.source], entry.id) for entry in effective(live.episode.history)}
    for event in events:
        assert live.holds(event.source, event.id) == ((event.source, event.id) in in_force)


def test_a_retraction_takes_its_event_back_whichever_of_the_two_arrives_first() -> None:
    missed = make(Missed(appointment_id="a-1"), 8 * DAY, "e-9")
    never = make(Retracted(event_id="e-9"), 9 * DAY, "e-10")
    told = story((0, opened()), (1, booked("a-1", 8)))
    for arrival in ([*told, missed, never], [never, missed, *told], [missed, *told, never]):
        live = lived(arrival)
        assert live.course.missed == 0
        assert not live.holds("/north/booking", "e-9")


def test_a_correction_replaces_its_event_whichever_of_the_two_arrives_first() -> None:
    missed = make(Missed(appointment_id="a-1"), 8 * DAY, "e-9")
    attended = make(Attended(appointment_id="a-1"), 8 * DAY, "e-10", corrects="e-9")
    told = story((0, opened()), (1, booked("a-1", 8)))
    for arrival in ([*told, missed, attended], [attended, missed, *told]):
        course = lived(arrival).course
        assert (course.missed, course.sessions) == (0, 1)


def test_a_retracted_correction_gives_the_first_word_back() -> None:
    told = story((0, opened()), (1, booked("a-1", 8)), (8, Missed(appointment_id="a-1")))
    attended = make(Attended(appointment_id="a-1"), 8 * DAY, "e-10", corrects="e-2")
    never = make(Retracted(event_id="e-10"), 9 * DAY, "e-11")
    for arrival in ([*told, attended, never], [never, attended, *told]):
        course = lived(arrival).course
        assert (course.missed, course.sessions) == (1, 0)


def test_of_two_corrections_of_one_event_the_later_holds() -> None:
    told = story((0, opened()), (8, Missed(appointment_id="a-1")))
    first = make(Attended(minutes_late=1), 8 * DAY, "c-1", corrects="e-1")
    second = make(Attended(minutes_late=2), 8 * DAY, "c-2", corrects="e-1")
    for arrival in ([*told, first, second], [*told, second, first]):
        course = lived(arrival).course
        assert (course.sessions, course.lateness.last) == (1, 2)


def test_a_retraction_reaches_only_events_of_its_own_source() -> None:
    told = story((0, opened()), (1, booked("a-1", 8)), (8, Missed(appointment_id="a-1")))
    other = make(Retracted(event_id="e-2"), 9 * DAY, "e-2", source="/north/ehr")
    assert lived([*told, other]).course.missed == 1


def test_a_source_that_sorts_before_the_known_ones_changes_nothing_of_theirs() -> None:
    told = story((0, opened()), (7, Attended()), (7, srs(9, 9, 9, 9)), source="/north/z")
    early = make(Attended(), 14 * DAY, "e-0", source="/north/a")
    live = lived([*told, early])
    assert live.episode.sources == ["/north/a", "/north/z"]
    assert live.episode.reference(live.course.refs["alliance"]) == "/north/z#e-2"
    assert live.episode.reference(live.course.refs["attended"]) == "/north/a#e-0"
    assert differences(live.course, lived([early, *told]).course) == {}


def test_a_full_episode_takes_no_more_and_says_so() -> None:
    live = lived(story((0, opened()), *((n / 24, Attended()) for n in range(1, MAX_ENTRIES))))
    before = list(live.episode.history)
    assert len(before) == MAX_ENTRIES
    assert live.fold(make(Attended(), 9000 * DAY, "one too many", source="/north/a")) == "full"
    assert live.fold(make(Attended(), 0, "e-1")) == "repeated"
    assert live.episode.history == before
    assert live.episode.sources == ["/north/booking"]


@given(episode_logs())
def test_the_rank_of_an_event_is_that_of_its_entry(events: list[AnyEvent]) -> None:
    assert [entry_of(event, 0).rank for event in events] == [RANK[type(event)] for event in events]
