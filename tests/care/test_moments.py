"""The moments at which somebody decides, and where a person stands then."""

from __future__ import annotations

import pytest

from keepwell.care.endings import DAY
from keepwell.care.moments import MOMENTS, ON_THE_WAY_OUT, STAGES, UNBOOKED_AFTER, deciding, stage
from keepwell.contract.events import Attended, Cancelled, Missed
from keepwell.scoring.features import BY_NAME
from tests.episodes import Happening, booked, lived, on, opened, srs, story, weekly

BOOKED = (0.1, booked("a-1", 7))
"""The first visit, which is the first session of `came`."""


def came(sessions: int) -> list[Happening]:
    """So many weekly sessions, after each of which the next is booked."""
    visits = [(7.0 * n, (f"a-{n}", f"a-{n + 1}")) for n in range(1, sessions + 1)]
    told: list[Happening] = [(0, opened()), BOOKED]
    for day, (this, following) in visits:
        told += [(day, Attended(appointment_id=this)), (day + 0.01, booked(following, day + 7))]
    return told


def named(told: list[Happening], day: float) -> str:
    return STAGES[stage(lived(story(*told)).course, on(day))]


@pytest.mark.parametrize(
    ("told", "day", "name"),
    [
        ([(0, opened())], 0, "before"),
        ([(0, opened()), BOOKED], 1, "before"),
        ([(0, opened()), BOOKED, (7.1, Missed(appointment_id="a-1"))], 8, "lost_before"),
        (came(1), 8, "session_1"),
        (came(2), 15, "session_2"),
        (came(3), 22, "session_3_5"),
        (came(5), 36, "session_3_5"),
        (came(6), 43, "session_6"),
        ([*came(2), (20.5, Cancelled(appointment_id="a-3", initiator="client"))], 20.6, "lost"),
        ([*came(2), (21.1, Missed(appointment_id="a-3")), (21.2, booked("a-4", 28))], 22, "lost"),
        ([*came(2), (21.1, Missed(appointment_id="a-3")), (28, Attended())], 28.5, "session_3_5"),
        ([(0, opened()), *weekly(2)], 14.5, "session_2"),
        ([(0, opened()), *weekly(2)], 15.5, "unbooked"),
    ],
)
def test_where_a_person_stands(told: list[Happening], day: float, name: str) -> None:
    assert named(told, day) == name


def test_the_feature_stage_is_the_place_among_the_stages() -> None:
    live = lived(story(*came(2)))
    assert BY_NAME["stage"].read(live.course, on(15)) == STAGES.index("session_2")


def test_nothing_booked_counts_only_once_the_next_visit_could_have_been_entered() -> None:
    live = lived(story((0, opened()), *weekly(1)))
    assert STAGES[stage(live.course, on(7) + UNBOOKED_AFTER)] == "session_1"
    assert STAGES[stage(live.course, on(7) + UNBOOKED_AFTER + 1)] == "unbooked"


@pytest.mark.parametrize(
    ("told", "day"),
    [
        ([(0, opened()), BOOKED], 0.1),  # the first booking
        ([*came(2), (14.02, srs(9, 9, 9, 9))], 14.02),  # the end of a session, with its rating
        ([*came(2), (21.1, Missed(appointment_id="a-3"))], 21.1),
        ([*came(2), (21.1, Missed(appointment_id="a-3")), (21.2, booked("a-4", 28))], 24),  # rebooked, not yet back
        ([(0, opened()), *weekly(2)], 21),  # nothing booked
    ],
)
def test_somebody_decides_at_bookings_ends_of_sessions_lost_visits_and_silences(
    told: list[Happening], day: float
) -> None:
    assert deciding(lived(story(*told)).course, on(day))


def test_between_two_sessions_of_somebody_who_comes_nobody_decides() -> None:
    live = lived(story(*came(2)[:-1], (14.02, booked("a-3", 21))))
    assert deciding(live.course, on(14) + ON_THE_WAY_OUT)
    assert not deciding(live.course, on(14) + ON_THE_WAY_OUT + 1)
    assert not deciding(live.course, on(17)) and not deciding(live.course, on(20.9))


def test_an_hour_on_the_way_out_is_less_than_a_day_until_nothing_is_booked() -> None:
    assert ON_THE_WAY_OUT < UNBOOKED_AFTER <= DAY
    assert len(set(MOMENTS)) == len(MOMENTS) and len(set(STAGES)) == len(STAGES)


def test_while_a_session_waits_for_its_record_nobody_decides() -> None:
    told = [(0, opened()), (0.1, booked("a-1", 7)), (7, Attended(appointment_id="a-1")), (7.01, booked("a-2", 14))]
    course = lived(story(*told)).course
    assert STAGES[stage(course, on(14.5))] == "session_1" and not deciding(course, on(14.5))
    assert deciding(course, on(17.1))  # three days after its start it counts as not recorded
