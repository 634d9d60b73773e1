"""Every condition of the playbook, true and not: each in a story in which it is the question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pytest

from keepwell.alerting.conditions import CONDITIONS, Condition, conditions_of
from keepwell.contract.events import (
    Attended,
    Cancelled,
    ClinicianChange,
    Contact,
    Feedback,
    HomeworkReview,
    Missed,
    RepairAttempt,
    RuptureNote,
    Skipped,
)
from tests.episodes import Happening, booked, lived, measured, on, opened, srs, story, weekly

OPEN: Final[list[Happening]] = [(0, opened())]
SOON: Final[Happening] = (0.1, booked("soon", 300))
LOST: Final[list[Happening]] = [*OPEN, (0, booked("a", 8))]
TRIED: Final[list[Happening]] = [(1, RuptureNote(kind="withdrawal")), (2, RepairAttempt(outcome="same"))]

Story = tuple[Sequence[Happening], float]
TRUE_AND_NOT: Final[Mapping[Condition, tuple[Story, Story]]] = {
    "absent": (([*LOST, (8, Missed(appointment_id="a"))], 9), ([*OPEN, SOON], 9)),
    "before_first": (([*OPEN], 1), (weekly(1), 8)),
    "booked": (([*OPEN, SOON], 1), ([*OPEN], 1)),
    "cancelled": (
        ([*LOST, (4, Cancelled(appointment_id="a", initiator="client"))], 5),
        ([*LOST, (4, Cancelled(appointment_id="a", initiator="clinic"))], 5),
    ),
    "clinic_break": (
        ([*OPEN, (1, ClinicianChange(clinician_id="c-2", reason="absence"))], 2),
        ([*OPEN, (1, ClinicianChange(clinician_id="c-2", reason="client_request"))], 2),
    ),
    "clinician_changed": (
        ([*OPEN, (1, ClinicianChange(clinician_id="c-2"))], 60), ([*OPEN, (1, ClinicianChange(clinician_id="c-2"))], 62),
    ),
    "complaint": (
        ([*OPEN, (1, Contact(direction="inbound", purpose="complaint"))], 2),
        ([*OPEN, (1, Contact(direction="inbound", purpose="reply"))], 2),
    ),
    "confrontation": (([(1, RuptureNote(kind="confrontation"))], 2), ([(1, RuptureNote(kind="withdrawal"))], 2)),
    "fallen": (
        ([*((7.0 * n, srs(9, 9, 9, 9)) for n in range(1, 6)), (42, srs(9, 9, 2, 9))], 42),
        ([(1, RuptureNote(kind="withdrawal"))], 2),
    ),
    "first_sessions": ((weekly(3), 22), (weekly(4), 29)),
    "homework": (([(1, HomeworkReview(completion=0.5))], 2), (OPEN, 2)),
    "homework_less": (
        ([(day, HomeworkReview(completion=done)) for day, done in ((1, 1.0), (2, 0.6), (3, 0.3))], 4),
        ([(day, HomeworkReview(completion=done)) for day, done in ((1, 1.0), (2, 0.6), (3, 0.4))], 4),
    ),
    "later": ((weekly(11), 78), (weekly(10), 71)),
    "measured": (([(1, measured("PHQ-9", 9)), (2, measured("PHQ-9", 8))], 3), ([(1, measured("PHQ-9", 9))], 3)),
    "missed": (
        ([*LOST, (8, Missed(appointment_id="a"))], 9), ([*LOST, (7, Cancelled(appointment_id="a", initiator="client"))], 9),
    ),
    "perfect": (
        ([(7.0 * n, srs(10, 10, 10, 10)) for n in range(1, 4)], 22), ([(7.0 * n, srs(10, 10, 10, 10)) for n in (1, 2)], 22),
    ),
    "rated": (([(1, srs(9, 9, 9, 9))], 2), ([(1, measured("PHQ-9", 9))], 2)),
    "remote": (([(0, opened(modality="video"))], 1), ([(0, opened(modality="in_person"))], 1)),
    "repeated": (([*TRIED, (3, RepairAttempt(outcome="worse"))], 4), (TRIED, 4)),
    "skipped": (
        ([(1, Skipped(instrument="SRS")), (2, Skipped(instrument="SRS"))], 3), ([(1, Skipped(instrument="SRS"))], 3),
    ),
    "stalled": (
        ([(0, measured("PHQ-9", 18)), *weekly(12), (84, measured("PHQ-9", 18))], 84),
        ([(0, measured("PHQ-9", 18)), *weekly(12), (84, measured("PHQ-9", 9))], 84),
    ),
    "unanswered": (
        ([(1, Contact(direction="outbound", purpose="outreach"))], 2),
        ([(1, Contact(direction="outbound", purpose="outreach")), (2, Contact(direction="inbound"))], 3),
    ),
    "voiced": (
        ([(1, Feedback(pillar="pace", sentiment="negative"))], 2), ([(1, Feedback(pillar="pace", sentiment="neutral"))], 2),
    ),
    "waited": (([*OPEN, SOON], 15), ([*OPEN, SOON], 14)),
    "wishes_change": (
        ([(1, Feedback(pillar="tasks", sentiment="neutral", wants_change="format"))], 2),
        ([(1, Feedback(pillar="tasks", sentiment="neutral", wants_change="clinician"))], 2),
    ),
    "wishes_clinician": (
        ([(1, Feedback(pillar="tasks", sentiment="neutral", wants_change="clinician"))], 2),
        ([(1, Feedback(pillar="tasks", sentiment="neutral", wants_change="approach"))], 2),
    ),
    "withdrawal": (([(1, RuptureNote(kind="withdrawal"))], 2), ([(1, RuptureNote(kind="confrontation"))], 2)),
}  # fmt: skip


def found(one: Story) -> frozenset[Condition]:
    happenings, day = one
    return conditions_of(lived(story(*happenings)).course, on(day))


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_condition_is_true_where_it_is_and_not_beside_it(name: Condition) -> None:
    true, beside = TRUE_AND_NOT[name]
    assert name in found(true)
    assert name not in found(beside)


def test_what_was_told_twice_before_is_told_again_and_again() -> None:
    course = lived(story((0, opened()), (1, Attended()))).course
    assert ["repeated" in conditions_of(course, on(2), told) for told in (0, 1, 2)] == [False, False, True]
