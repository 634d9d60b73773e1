"""Rules and lines as streams of alerts, on moments few enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest

from keepwell.contract.events import Attended, Missed
from tests.episodes import booked, measured, on, opened, story, weekly
from tests.strategies import moment
from training.dataset import InMemory, build
from training.dataset.sources import gather
from training.evaluate.alert_streams import (
    Ranked,
    absences,
    as_many,
    half_each,
    over_line,
    quieted,
    reach_of,
    reachable,
    reaching,
    rule_streams,
    session_ends,
)
from training.evaluate.alerts import Ground, ground_of
from training.evaluate.definitions import outcomes
from training.evaluate.replays import AlertMoment
from training.evaluate.rules import MISSED_TWICE, SRS_FALL, SRS_LOW, SRS_OPENFIT

DAY = 86_400_000_000
A, B = "north/ep-1", "north/ep-2"


def days(stream: list[AlertMoment]) -> list[tuple[str, float]]:
    return [(alert.episode[-1], (alert.at - on(0)) / DAY) for alert in stream]


def test_a_rule_of_ratings_raises_at_the_ratings_at_which_it_holds() -> None:
    events = story(
        (0, opened()), *weekly(4), (7.01, measured("SRS", 35)), (14.01, measured("SRS", 37.5)),
        (21.01, measured("SRS", 36.5)), (28.01, measured("SRS", 35.9)),
    )  # fmt: skip
    found = rule_streams(build(InMemory(events)).frame, events)
    assert [day for _, day in days(found[SRS_LOW.name])] == pytest.approx([7.01, 28.01])
    assert [day for _, day in days(found[SRS_FALL.name])] == pytest.approx([21.01])
    assert [day for _, day in days(found[SRS_OPENFIT.name])] == pytest.approx([7.01, 21.01, 28.01])
    assert found[MISSED_TWICE.name] == []


def test_two_missed_visits_raise_at_the_second_and_each_further_one() -> None:
    missed = [
        part
        for n, day in enumerate((14, 21, 28))
        for part in ((day - 1, booked(f"v{n}", day)), (day, Missed(appointment_id=f"v{n}")))
    ]
    events = story((0, opened()), (7, Attended()), *missed)
    found = rule_streams(build(InMemory(events)).frame, events)
    assert [day for _, day in days(found[MISSED_TWICE.name])] == [21, 28]


def test_a_quiet_time_is_of_an_episode() -> None:
    told = [AlertMoment(A, "x", on(day)) for day in (0, 20.9, 21, 30, 42)] + [AlertMoment(B, "x", on(1))]
    assert days(quieted(told)) == [("1", 0), ("1", 21), ("1", 42), ("2", 1)]


RANKED = Ranked([A, A, A, B, B], [on(7), on(14), on(28), on(7), on(14)], np.array([0.1, 0.2, 0.15, 0.3, 0.05]))


def test_a_line_takes_the_moments_at_or_above_it() -> None:
    assert days(over_line(RANKED, 0.15, quiet=False)) == [("1", 14), ("1", 28), ("2", 7)]
    assert days(over_line(RANKED, 0.15, quiet=True)) == [("1", 14), ("2", 7)]


def test_half_of_as_many_are_of_those_who_are_absent() -> None:
    absent = Ranked([A, A, B], [on(15), on(36), on(40)], np.array([0.5, 0.4, 0.45]))
    assert days(half_each(RANKED, absent, 4, quiet=False)) == [("1", 14), ("2", 7), ("1", 15), ("2", 40)]
    assert days(half_each(RANKED, absent, 4, quiet=True)) == [("1", 14), ("2", 7), ("2", 40)], "day 15 is too soon"
    assert days(half_each(RANKED, absent, 3, quiet=False)) == [("1", 14), ("2", 7), ("1", 15)]


def test_absences_are_the_rows_of_those_of_whom_a_visit_was_lost_or_nothing_is_booked() -> None:
    visits = (
        (0, booked("u", 7)),
        (7, Attended(appointment_id="u")),
        (7, booked("v", 14)),
        (14, Missed(appointment_id="v")),
    )
    dataset = build(InMemory(story((0, opened()), *visits)))
    found = absences(dataset, np.arange(len(dataset.frame), dtype=np.float64))
    assert found.at and min(found.at) == on(14) and set(found.episode) == {A}
    assert list(found.risk) == [row for row, at in enumerate(dataset.frame["as_of"].astype("int64")) if at >= on(14)]


def test_as_many_are_those_of_highest_risk() -> None:
    assert days(as_many(RANKED, 2, quiet=False)) == [("1", 14), ("2", 7)]
    assert len(as_many(RANKED, 99, quiet=False)) == 5
    # Lower lines: the third moment falls into the quiet time; the fourth moves the first of A to day 7, so day 28 is free.
    assert days(as_many(RANKED, 2, quiet=True)) == [("1", 14), ("2", 7)]
    assert days(as_many(RANKED, 3, quiet=True)) == [("1", 7), ("1", 28), ("2", 7)]


@pytest.fixture(scope="module")
def ground() -> Ground:
    """A comes until day 28, B until day 14; both stop."""
    events = [
        *story((0, opened()), *weekly(4)),
        *story((0, opened(client_id="p-2")), *weekly(2), subject="ep-2", source="/north/b"),
    ]
    now = moment(400 * DAY)
    return ground_of(build(InMemory(events), as_of=now), outcomes(gather(InMemory(events), (), now, {})), on(400))


def test_a_line_reaches_as_many_stops_with_as_few_alerts_as_it_can(ground: Ground) -> None:
    assert reachable(RANKED, ground) == 2
    one, both = (reaching(RANKED, ground, count, quiet=False) for count in (1, 2))
    assert one is not None and both is not None
    assert days(one) == [("2", 7)]
    assert days(both) == [("1", 14), ("2", 7)]
    assert reaching(RANKED, ground, 3, quiet=False) is None
    assert reaching(RANKED, ground, 0, quiet=False) is None


def test_reach_is_counted_by_the_first_alert_of_a_spell(ground: Ground) -> None:
    assert reach_of(over_line(RANKED, 0.15, quiet=False), ground) == (2, 2)
    assert reach_of([AlertMoment(A, "x", on(28)), AlertMoment(B, "x", on(20))], ground) == (1, 0)


def test_there_is_one_moment_after_every_session() -> None:
    events = story((0, opened()), *weekly(3), (7.01, measured("SRS", 35)), (10, measured("SRS", 35)))
    dataset = build(InMemory(events))
    found = session_ends(dataset, np.arange(len(dataset.frame), dtype=np.float64))
    assert [(at - on(0)) / DAY for at in found.at] == pytest.approx([7.01, 14, 21])
    assert dataset.frame["as_of"].astype("int64").to_numpy()[found.risk.astype(int)].tolist() == list(found.at)
