"""Which rows of the landmark table are moments at which somebody decides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pandas as pd
import pytest

from keepwell.care.moments import MOMENTS
from keepwell.contract.events import Attended, Missed
from keepwell.testing.made_up import made_up_clinic
from tests.episodes import Happening, booked, measured, opened, story
from training.dataset import InMemory, build
from training.dataset.landmarks import AFTER_MISS, EVENT_KINDS, TIMER_KINDS, moments_of

START = datetime(2026, 1, 5, 9, tzinfo=UTC)


class Row(NamedTuple):
    """A row of a table: hours since the start, why there is a row, sessions so far, visits lost since the last."""

    hours: float
    kind: str
    session: int = 0
    lost: int = 0
    episode: str = "north/1"


def told(*rows: Row) -> list[str | None]:
    """The moment of each row."""
    frame = pd.DataFrame({
        "episode": pd.Categorical([row.episode for row in rows]),
        "as_of": pd.to_datetime([START + timedelta(hours=row.hours) for row in rows]),
        "kind": pd.Categorical([row.kind for row in rows]),
        "session": [row.session for row in rows],
        "lost_in_a_row": [float(row.lost) for row in rows],
    })  # fmt: skip
    return [None if pd.isna(one) else str(one) for one in moments_of(frame)]


def test_every_booking_before_the_first_session_is_one_and_later_ones_are_not() -> None:
    found = told(Row(0, "opened"), Row(1, "booked"), Row(5, "booked"), Row(170, "session", 1), Row(172, "booked", 1))
    assert found == [None, "booking", "booking", "session", None]


def test_where_nothing_is_booked_before_the_first_session_the_opening_stands_for_it() -> None:
    found = told(Row(0, "opened"), Row(170, "session", 1), Row(171.5, "booked", 1))
    assert found == ["booking", "session", None]


def test_an_opening_of_one_episode_does_not_hang_on_the_bookings_of_another() -> None:
    found = told(
        Row(0, "opened"), Row(9, "session", 1), Row(0, "opened", episode="north/2"), Row(1, "booked", episode="north/2")
    )
    assert found == ["booking", "session", None, "booking"]


@pytest.mark.parametrize(("last", "place"), [(1.0, 3), (1.001, 2)])
def test_after_a_session_it_is_the_last_row_within_the_hour(last: float, place: int) -> None:
    rows = [Row(0, "session", 1), Row(0.1, "measured", 1), Row(0.5, "booked", 1), Row(last, "feedback", 1)]
    expected: list[str | None] = [None] * 4
    expected[place] = "session"
    assert told(*rows, Row(30, "contact", 1)) == [*expected, None]


def test_a_second_session_within_the_hour_has_a_moment_of_its_own() -> None:
    assert told(Row(0, "session", 1), Row(0.5, "session", 2)) == ["session", "session"]


def test_a_lost_visit_is_one_where_it_counts_as_lost() -> None:
    found = told(
        Row(0, "missed", 2, 1), Row(1, "cancelled", 2, 2), Row(2, "rescheduled", 2, 2), Row(3, "cancelled", 2, 0)
    )
    assert found == ["lost", "lost", None, None]  # a visit that the clinic called off is not lost


@pytest.mark.parametrize("kind", [*TIMER_KINDS.values(), AFTER_MISS])
def test_a_silence_is_one(kind: str) -> None:
    assert told(Row(0, kind, 2, 1)) == ["silence"]


@pytest.mark.parametrize(
    "kind", sorted(set(EVENT_KINDS.values()) - {"booked", "opened", "session", "missed", "cancelled"})
)
def test_what_is_told_between_two_sessions_is_none(kind: str) -> None:
    assert told(Row(0, "session", 1), Row(30, kind, 1)) == ["session", None]


def test_a_story_has_its_moments_in_the_table() -> None:
    happenings: list[Happening] = [
        (0, opened()), (0.1, booked("a-1", 7)), (7, Attended(appointment_id="a-1")), (7.01, measured("SRS", 38)),
        (7.02, booked("a-2", 14)), (9, measured("ORS", 20)), (14.1, Missed(appointment_id="a-2")),
    ]  # fmt: skip
    frame = build(InMemory(story(*happenings)), as_of=START + timedelta(days=40)).frame
    found = frame[frame["moment"].notna()]
    assert list(found["moment"].astype(str))[:3] == ["booking", "session", "lost"]
    assert set(found["moment"].astype(str)[3:]) == {"silence"}
    assert list(found["kind"])[:3] == ["booked", "booked", "missed"] and "measured" not in set(found["kind"])


def test_every_kind_of_moment_is_among_those_of_a_clinic() -> None:
    frame = build(InMemory(made_up_clinic(40, 3, datetime(2023, 1, 2, tzinfo=UTC), 300))).frame
    assert set(frame["moment"].dropna()) == set(MOMENTS)
    ends = frame[frame["moment"] == "session"]
    assert not ends.duplicated(["episode", "session"]).any()
    attended = frame[(frame["kind"] == "session") & (frame["session"] > 0)]
    assert len(ends) == len(attended.drop_duplicates(["episode", "session"]))
