"""The declared features: their values told by stories, and words that fit every value a feature can take."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from importlib import import_module
from math import cos, pi, sin
from pkgutil import iter_modules
from typing import Any, Final, get_args

import pytest
from hypothesis import given, settings

from keepwell.care.course import Course
from keepwell.care.endings import DAY
from keepwell.care.history import Opening
from keepwell.care.moments import STAGES
from keepwell.contract.events import (
    Actioned,
    AnyEvent,
    Attended,
    Cancelled,
    ClinicianChange,
    Contact,
    Feedback,
    HomeworkAssignment,
    HomeworkReview,
    Measured,
    Missed,
    RepairAttempt,
    Rescheduled,
    RuptureNote,
    Skipped,
)
from keepwell.contract.say import render
from keepwell.contract.words import Pillar, Unit
from keepwell.scoring import features
from keepwell.scoring.features import BY_NAME, FEATURES, Feature
from keepwell.scoring.gaps import gaps
from keepwell.scoring.reasons import said_of
from tests.episodes import INTERPRET, Happening, booked, lived, measured, on, opened, srs, story, value, weekly
from tests.strategies import episode_logs, moment
from training.fit.signs import SIGNS

PILLARS: Final = {
    "attendance", "alliance", "progress", "homework", "feedback", "silence", "context", *get_args(Pillar),
}  # fmt: skip
UNITS: Final = set(get_args(Unit))

# ── values ──────────────────────────────────────────────────────────────────────────────────────────────

Told = Sequence[Happening]
OPEN: Final[Happening] = (0, opened())


def missed(visit: str, day: float, reason: str = "no_show") -> Told:
    """A visit booked a week ahead and missed."""
    return [(day - 7, booked(visit, day)), (day, Missed(appointment_id=visit, reason=reason))]  # type: ignore[arg-type]  # a word of the contract


def called_off(visit: str, day: float, hours: float, initiator: str = "client") -> Told:
    """A visit booked a week ahead and cancelled some hours before its start."""
    gone = Cancelled(appointment_id=visit, initiator=initiator)  # type: ignore[arg-type]  # a word of the contract
    return [(day - 7, booked(visit, day)), (day - hours / 24, gone)]


def moved(visit: str, day: float, to: float, initiator: str = "client") -> Happening:
    new = moment(round(to * DAY))
    return day, Rescheduled(appointment_id=visit, starts_at=new, initiator=initiator)  # type: ignore[arg-type]  # a word of the contract


def came(visit: str, day: float, *then: Happening) -> Told:
    """A session booked six days ahead, and attended when it was to start or, if moved, where that ends."""
    at = max(
        [day, *((data.starts_at - moment(0)) / timedelta(days=1) for _, data in then if type(data) is Rescheduled)]
    )
    return [(day - 6, booked(visit, day)), *then, (at, Attended(appointment_id=visit))]


def changed(day: float, reason: str = "other") -> Happening:
    return day, ClinicianChange(clinician_id="c-2", reason=reason)  # type: ignore[arg-type]  # a word of the contract


def answered(day: float, action: str) -> Happening:
    return day, Actioned(alert_id="al-1", action=action, by="c-1")  # type: ignore[arg-type]  # a word of the contract


def homework(*done: float) -> Told:
    """Homework reviewed each week."""
    return [(7.0 * n, HomeworkReview(completion=share)) for n, share in enumerate(done, 1)]


def wai(day: float, total: float) -> Happening:
    return day, measured("WAI-SR", total)


def rate(day: float, rating: tuple[float, ...] = (9, 9, 9, 9)) -> Happening:
    return day, srs(*rating)


def feedback(day: float, pillar: str, sentiment: str, wants: str = "none") -> Happening:
    return day, Feedback(pillar=pillar, sentiment=sentiment, wants_change=wants)  # type: ignore[arg-type]  # a word of the contract


def outreach(
    day: float, reached: bool | None = None, direction: str = "outbound", purpose: str = "outreach"
) -> Happening:
    return day, Contact(direction=direction, purpose=purpose, reached=reached)  # type: ignore[arg-type]  # a word of the contract


def phq(day: float, total: float) -> Happening:
    return day, measured("PHQ-9", total)


def skipped(day: float, reason: str = "unknown", rater: str | None = None) -> Happening:
    return day, Skipped(instrument="PHQ-9", reason=reason, rater=rater)  # type: ignore[arg-type]  # a word of the contract


RUPTURE: Final = [OPEN, *[rate(7.0 * n) for n in range(1, 5)], rate(35, (9, 9, 4, 9))]
"""Four even ratings and a fall of the bond on day 35."""
EVEN: Final = (8.7, 8.7, 8.7, 8.7)
"""What is expected of somebody of whom nothing is known: ratings of it teach nothing."""
FALLEN: Final = [OPEN, *[rate(7.0 * n, EVEN) for n in range(1, 5)], rate(35, (8.7, 8.7, 4, 8.7))]
TALKED: Final = [
    rate(7, EVEN),
    (20, RuptureNote(kind="withdrawal", pillar="goals")),
    (21, RepairAttempt(outcome="better")),
]
REPORTED: Final = [OPEN, (7, RuptureNote(kind="confrontation", pillar="goals"))]

TABLE: Final[list[tuple[str, Told, float, float | None]]] = [
    # attendance
    ("missed", [OPEN], 1, 0),
    ("missed", [*missed("a", 8), *missed("b", 15)], 16, 2),
    ("missed_share", [OPEN], 1, None),
    ("missed_share", [*weekly(3), *missed("a", 29)], 30, 0.25),
    ("missed_share", missed("a", 8), 9, None),
    ("kept_share", [*weekly(1), *called_off("a", 15, 2, "clinic")], 16, None),
    ("kept_share", [*weekly(2), *missed("a", 22), *called_off("b", 29, 50)], 30, 0.5),
    ("lost_in_a_row", [*missed("a", 8), *called_off("b", 15, 50)], 16, 2),
    ("lost_in_a_row", [*missed("a", 8), (9, Attended())], 16, 0),
    ("lost_in_a_row", [*called_off("b", 15, 50, "clinic")], 16, 0),
    ("last_visit_missed", [*weekly(1), *missed("a", 15)], 16, 1),
    ("last_visit_missed", [*missed("a", 8), *called_off("b", 15, 50)], 16, 0),
    ("last_visit_missed", [*missed("a", 8), (9, Attended())], 16, 0),
    ("last_visit_cancelled_late", called_off("a", 8, 23.9), 8, 1),
    ("last_visit_cancelled_late", called_off("a", 8, 24), 8, 0),
    ("late_cancelled", [*called_off("a", 8, 2), *called_off("b", 15, 48)], 16, 1),
    ("late_cancelled", called_off("a", 8, 2, "clinician"), 8, 0),
    ("client_cancelled", [*called_off("a", 8, 2), *called_off("b", 15, 48), *called_off("c", 22, 1, "clinic")], 23, 2),
    ("cancel_notice", [OPEN], 1, None),
    ("cancel_notice", called_off("a", 8, 36), 8, 36),
    ("cancel_notice", called_off("a", 8, -2), 9, 0),
    ("cancel_notice", [(1, Cancelled(appointment_id="x", initiator="client"))], 2, None),
    ("excused_share", [OPEN], 1, None),
    ("excused_share", missed("a", 8, "illness"), 9, None),
    ("excused_share", [*missed("a", 8, "illness"), *missed("b", 15)], 16, 0.5),
    ("client_moves", [(1, booked("a", 8)), moved("a", 2, 9), moved("a", 3, 10)], 4, 2),
    ("client_moves", [(1, booked("a", 8)), moved("a", 2, 9, "clinic")], 4, 0),
    ("last_push", [OPEN], 1, None),
    ("last_push", [(1, booked("a", 8)), moved("a", 2, 9)], 4, 7),
    ("awaiting_rebooking", [OPEN], 1, None),
    ("awaiting_rebooking", missed("a", 8), 12, 4),
    ("awaiting_rebooking", [*missed("a", 8), (9, booked("b", 15))], 12, None),
    ("awaiting_rebooking", [(0, booked("b", 15)), *missed("a", 8)], 12, None),
    ("awaiting_rebooking", [*missed("a", 8), moved("a", 10, 15)], 12, None),
    ("awaiting_kept_visit", missed("a", 8), 12, None),
    ("awaiting_kept_visit", [(0, booked("b", 15)), *missed("a", 8)], 12, 4),
    ("awaiting_kept_visit", [(0, booked("b", 15)), *missed("a", 8)], 16, None),
    ("awaiting_kept_visit", [(0, booked("b", 15)), *missed("a", 8), (9, booked("c", 22))], 12, None),
    ("awaiting_kept_visit", [(0, booked("b", 15)), *missed("a", 8), moved("b", 9, 16)], 12, None),
    ("awaiting_kept_visit", [(0, booked("b", 15)), *missed("a", 8), moved("b", 9, 16, "clinic")], 12, 4),
    ("awaiting_kept_visit", [(0, booked("b", 15)), *missed("a", 8), (15, Attended(appointment_id="b"))], 16, None),
    ("awaiting_kept_visit", [(0, booked("b", 15)), (0, booked("c", 22)), *missed("a", 8), (15, Attended())], 16, None),
    ("rebooking_delay", missed("a", 8), 12, None),
    ("rebooking_delay", [*missed("a", 8), (10.5, booked("b", 15))], 12, 2.5),
    ("days_since_session", [OPEN], 1, None),
    ("days_since_session", weekly(2), 16, 2),
    ("days_since_session", [*weekly(2), (15, Attended(purpose="administrative"))], 16, 2),
    ("rhythm", weekly(1), 8, None),
    ("rhythm", weekly(2), 15, 9 + 0.3 * (7 - 9)),
    ("rhythm", [(7, Attended()), (107, Attended())], 108, 9 + 0.3 * (42 - 9)),
    ("gap_in_rhythm", [OPEN], 1, None),
    ("gap_in_rhythm", weekly(1), 16, 1),
    ("interval_stretch", weekly(1), 8, None),
    ("interval_stretch", weekly(2), 15, 7 / 9),
    ("rhythm_spread", weekly(2), 15, None),
    ("rhythm_spread", weekly(4), 29, 0),
    ("rhythm_spread", [(7, Attended()), (14, Attended()), (28, Attended())], 29, 24.5**0.5 / 10.5),
    ("rhythm_spread", [(7, Attended()), (14, Attended()), (214, Attended())], 215, 612.5**0.5 / 24.5),
    ("weekday_changes", weekly(2), 15, None),
    ("weekday_changes", [*weekly(2), (16, Attended()), (30, Attended()), (36.6, Attended())], 37, 0.25),
    ("weekday_changes", [(7, Attended()), (14.4, Attended()), (20.6, Attended())], 21, 0.5),
    ("moved_share", came("a", 7), 8, None),
    ("moved_share", [*came("a", 7), *weekly(2, 14)], 29, None),
    ("moved_share", [*came("a", 7), *came("b", 14), *came("c", 21, moved("c", 15, 23))], 24, 1 / 3),
    ("moved_share", [*came("a", 7), *came("b", 14, moved("b", 10, 14.25))], 24, 0),
    ("sessions_lately", [OPEN], 8, None),
    ("sessions_lately", [OPEN, (1, Attended())], 2, 1),
    ("sessions_lately", [OPEN, *weekly(4)], 28, 1),
    ("sessions_lately", [OPEN, *weekly(4)], 63, 0.375),
    ("sessions_lately", [OPEN, *weekly(4)], 90, 0),
    ("early", weekly(1), 8, None),
    ("early", came("a", 7), 8, 0),
    ("early", [(1, booked("a", 30)), (7, Attended(appointment_id="a"))], 8, 23),
    ("early", [(1, booked("a", 7)), (9, Attended(appointment_id="a"))], 10, -2),
    ("early_usually", weekly(1), 8, None),
    ("early_usually", [*came("a", 7), (8, booked("b", 24)), (14, Attended(appointment_id="b"))], 15, 5),
    ("minutes_late", [(7, Attended())], 8, None),
    ("minutes_late", [(7, Attended(minutes_late=3)), (14, Attended(minutes_late=12)), (21, Attended())], 22, 12),
    ("later_than_usual", [(7, Attended(minutes_late=3))], 8, None),
    ("later_than_usual", [(7, Attended(minutes_late=0)), (14, Attended(minutes_late=10))], 15, 10),
    ("shorter_than_usual", [(7, Attended(duration_minutes=50)), (14, Attended(duration_minutes=30))], 15, 20),
    ("shorter_than_usual", [(7, Attended(duration_minutes=50))], 8, None),
    ("nothing_booked", [OPEN], 1, 1),
    ("nothing_booked", [(0, booked("a", 8))], 1, 0),
    ("nothing_booked", [(0, booked("a", 8))], 9, 1),
    ("nothing_booked", [(0, booked("a", 8, purpose="administrative"))], 1, 1),
    ("awaiting_booking", [OPEN], 1, None),
    ("awaiting_booking", weekly(2), 16, 2),
    ("awaiting_booking", [*weekly(2), (15, booked("b", 21))], 16, None),
    ("awaiting_booking", [*weekly(1), *missed("a", 8)], 12, None),
    ("usually_booked", weekly(1), 8, None),
    ("usually_booked", weekly(3), 22, 0),
    ("usually_booked", [(0, booked("a", 14)), *weekly(3)], 22, 0.5),
    ("usually_booked", [*weekly(3), (22, booked("a", 28))], 23, None),
    ("days_to_next_visit", [(0, booked("a", 8)), (0, booked("b", 4))], 1, 3),
    ("days_to_next_visit", [(0, booked("a", 8)), (2, Cancelled(appointment_id="a", initiator="clinic"))], 3, None),
    ("next_in_rhythm", [(0, booked("a", 8))], 1, None),
    ("next_in_rhythm", weekly(2), 15, None),
    ("next_in_rhythm", [*weekly(2), (14, booked("a", 22.4))], 14, 8.4 / 8.4),
    ("booked_ahead", [OPEN], 1, 0),
    ("booked_ahead", [(0, booked("a", 8)), (0, booked("b", 15)), (0, booked("c", 15, purpose="administrative"))], 1, 2),
    ("booked_ahead", [(0, booked("a", 8)), (0, booked("b", 15))], 8, 1),
    ("days_to_first_visit", [(0, booked("a", 8))], 2, 6),
    ("days_to_first_visit", [OPEN], 1, None),
    ("days_to_first_visit", [*weekly(1), (8, booked("b", 14))], 9, None),
    ("unrecorded", [(0, booked("a", 8))], 11, 0),
    ("unrecorded", [(0, booked("a", 8)), (0, booked("b", 7))], 11.5, 2),
    ("waiting", [OPEN, (3, booked("a", 8))], 5, 5),
    ("waiting", weekly(1), 8, None),
    # alliance
    ("alliance_level", [OPEN], 1, None),
    ("alliance_level", [rate(7, (10, 9, 8, 9))], 8, 9),
    ("alliance_level", [(7, measured("WAI-SR", goals=12, tasks=12, bond=12))], 8, 5),
    ("goals_level", [rate(7, (10, 9, 8, 9))], 8, 10),
    ("tasks_level", [rate(7, (10, 9, 8, 9))], 8, 9),
    ("bond_level", [rate(7, (10, 9, 8, 9))], 8, 8),
    ("bond_level", [(7, measured("WAI-SR", goals=12, tasks=12, bond=16))], 8, 7.5),
    ("alliance_drop", [rate(7, (8, 8, 8, 8))], 8, 0.7),
    ("goals_drop", [rate(7, (8, 9, 9, 9))], 8, 0.7),
    ("tasks_drop", [rate(7, (9, 8, 9, 9))], 8, 0.7),
    ("bond_drop", [rate(7, (9, 9, 8, 9))], 8, 0.7),
    ("bond_drop", [OPEN], 1, None),
    ("alliance_change", [rate(7)], 8, None),
    ("alliance_change", [rate(7), rate(14, (8, 8, 8, 8))], 15, -1),
    ("bond_change", [rate(7), rate(14, (9, 9, 10, 9))], 15, 1),
    *[
        (f"{scale}_{name}", told, 22, expected)
        for scale, low in {
            "alliance": (7, 7, 7, 7), "goals": (7, 9, 9, 9), "tasks": (9, 7, 9, 9), "bond": (9, 9, 7, 9),
        }.items()
        for name, told, expected in (
            ("since_first", [rate(7, low)], None),
            ("since_first", [rate(7), rate(14, (9.5, 9.5, 9.5, 9.5)), rate(21, low)], -2),
            ("from_mean", [rate(7, low)], None),
            ("from_mean", [rate(7), rate(14, (8, 8, 8, 8)), rate(21, low)], -1.5),
        )
    ],
    ("alliance_since_lowest", [rate(7)], 8, None),
    ("alliance_since_lowest", [rate(7, (6, 6, 6, 6)), rate(14), rate(21, (8, 8, 8, 8))], 22, 2),
    ("alliance_since_lowest", [rate(7, (8, 8, 8, 8)), rate(14), rate(21, (6, 6, 6, 6))], 22, -2),
    ("alliance_since_first", [rate(7), wai(8, 60), rate(14, (8, 8, 8, 8))], 15, -1),
    ("alliance_since_first", [rate(7), wai(8, 60), rate(14, (8, 8, 8, 8)), wai(15, 36)], 16, -5),
    ("alliance_lowest_level", [OPEN], 1, None),
    ("alliance_lowest_level", [rate(7, (6, 6, 6, 6)), rate(14)], 15, 6),
    ("alliance_spread", [rate(7), rate(14)], 15, None),
    ("alliance_spread", [rate(7), rate(14), rate(21)], 22, 0),
    ("alliance_spread", [rate(7), rate(14, (8, 8, 8, 8)), rate(21, (7, 7, 7, 7))], 22, 1),
    ("alliance_ratings", [OPEN], 1, 0),
    ("alliance_ratings", [rate(7), wai(7.2, 50), rate(14)], 15, 2),
    ("alliance_rated_share", [rate(7), *weekly(1)], 8, None),
    ("alliance_rated_share", [rate(7), *weekly(4), rate(28)], 29, 0.5),
    ("alliance_rated_share", [*weekly(2), rate(7), rate(10), rate(14)], 15, 1),
    ("days_since_alliance", [OPEN], 1, None),
    ("days_since_alliance", [rate(7), phq(8, 10)], 9, 2),
    ("alliance_since_repair", RUPTURE, 36, None),
    ("alliance_since_repair", FALLEN, 36, None),
    ("alliance_since_repair", [*FALLEN, rate(42, (8.7, 8.7, 8.2, 8.7))], 43, -0.5),
    ("alliance_since_repair", [*FALLEN, rate(42, (8.7, 8.7, 8.2, 8.7)), rate(49, (8.7, 8.7, 9.2, 8.7))], 50, 0),
    ("alliance_since_repair", TALKED, 22, None),
    ("alliance_since_repair", [*TALKED, rate(28, (9.7, 8.7, 8.7, 8.7))], 29, 1),
    ("steepest_fall", [OPEN], 1, None),
    ("steepest_fall", [rate(7, (8.7, 8.7, 6.0, 8.7))], 8, 2.7 / (1.2**2 + 0.7**2) ** 0.5),
    ("lowest_pillar_level", [rate(7, (10, 9, 8, 5))], 8, 8),
    ("lowest_pillar_level", [(7, measured("SRS", 36))], 8, None),
    ("below_cutoff", [OPEN], 1, None),
    ("below_cutoff", [rate(7)], 8, 0),
    ("below_cutoff", [rate(7, (9, 9, 8.9, 9.5))], 8, 1),
    ("rupture_open", [OPEN], 1, 0),
    ("rupture_open", RUPTURE, 36, 1),
    ("rupture_open", [*RUPTURE, rate(42)], 43, 0),
    ("rupture_withdrawal", RUPTURE, 36, 1),
    ("rupture_withdrawal", REPORTED, 36, 0),
    ("rupture_confrontation", REPORTED, 8, 1),
    ("rupture_reported", REPORTED, 8, 1),
    ("rupture_reported", RUPTURE, 36, 0),
    ("rupture_age", [OPEN], 1, None),
    ("rupture_age", RUPTURE, 38, 3),
    ("ruptures", RUPTURE, 36, 1),
    ("ruptures_repaired", RUPTURE, 36, None),
    ("ruptures_repaired", [*RUPTURE, rate(42)], 43, 1),
    ("rupture_repaired_recent", RUPTURE, 36, 0),
    ("rupture_repaired_recent", [*RUPTURE, rate(42)], 102, 1),
    ("rupture_repaired_recent", [*RUPTURE, rate(42)], 102.1, 0),
    ("ruptures_unrepaired", [*REPORTED, *weekly(6, 8)], 60, 1),
    ("last_repair", [OPEN], 1, None),
    ("last_repair", [(7, RepairAttempt())], 8, None),
    ("last_repair", [(7, RepairAttempt(outcome="worse"))], 8, -1),
    ("last_repair", [(7, RepairAttempt(outcome="worse")), (8, RepairAttempt(outcome="better"))], 9, 1),
    ("repair_better_recent", [(7, RepairAttempt(outcome="better")), (8, RepairAttempt())], 67, 1),
    ("repair_better_recent", [(7, RepairAttempt(outcome="better"))], 67.1, 0),
    ("repair_better_recent", [(7, RepairAttempt(outcome="better")), (8, RepairAttempt(outcome="same"))], 9, 0),
    ("repair_worse_recent", [(7, RepairAttempt(outcome="worse"))], 67, 1),
    ("repair_worse_recent", [(7, RepairAttempt(outcome="worse")), (8, RepairAttempt(outcome="better"))], 9, 0),
    ("perfect_run", [rate(7), rate(14, (10, 10, 10, 10)), rate(21, (10, 10, 10, 10))], 22, 2),
    ("sessions_since_alliance", [rate(5), *weekly(3)], 22, 3),
    ("sessions_since_alliance", [*weekly(3), rate(21)], 22, 0),
    # progress
    ("gain", [phq(0, 20)], 1, None),
    ("gain", [phq(0, 20), phq(7, 14)], 8, 1),
    ("gain", [(0, measured("ORS", 20)), (7, measured("ORS", 15))], 8, -1),
    ("gain", [(0, measured("OQ-45", 80)), (7, measured("OQ-45", 66))], 8, 1),
    ("gain", [phq(0, 20), (1, measured("GAD-7", 12)), (7, measured("GAD-7", 8)), (8, measured("X", 1))], 8, 1),
    ("gain", [phq(0, 20), (7, Measured(instrument="PHQ-9", scores={"total": 8}, rater="clinician"))], 8, None),
    ("reliably_improved", [phq(0, 20)], 1, None),
    ("reliably_improved", [phq(0, 20), phq(7, 14)], 8, 1),
    ("reliably_improved", [phq(0, 20), phq(7, 15)], 8, 0),
    ("deteriorated", [phq(0, 10), phq(7, 16)], 8, 1),
    ("deteriorated", [phq(0, 10), phq(7, 15)], 8, 0),
    ("early_gain", [phq(0, 20), *weekly(4), phq(29, 8)], 30, None),
    ("early_gain", [phq(0, 20), *weekly(3), phq(21, 17), (28, Attended()), phq(28, 8)], 30, 0.5),
    ("last_gain", [phq(0, 20)], 1, None),
    ("last_gain", [phq(0, 20), phq(7, 12), phq(14, 15)], 15, -0.5),
    ("lost_gain", [phq(0, 20)], 1, None),
    ("lost_gain", [phq(0, 20), phq(7, 8), phq(14, 14)], 15, 1),
    ("distance_to_cutoff", [OPEN], 1, None),
    ("distance_to_cutoff", [phq(0, 16)], 1, 1),
    ("distance_to_cutoff", [(0, measured("ORS", 30))], 1, -1),
    ("severity", [phq(0, 22), phq(7, 4)], 8, 2),
    ("severity", [OPEN], 1, None),
    ("sessions_since_outcome", [phq(0, 20), *weekly(2)], 15, 2),
    # homework
    ("homework_last", [OPEN], 1, None),
    ("homework_last", [(7, HomeworkReview(completion=1)), (14, HomeworkReview(completion=0.5))], 15, 0.5),
    ("homework_mean", [(7, HomeworkReview(completion=1)), (14, HomeworkReview(completion=0.5))], 15, 0.75),
    ("homework_mean", [OPEN], 1, None),
    ("homework_fall", [(7, HomeworkReview(completion=1))], 8, None),
    ("homework_fall", [(7, HomeworkReview(completion=1)), (14, HomeworkReview(completion=0.5))], 15, 0.5),
    ("homework_falling", homework(1), 8, None),
    ("homework_falling", homework(1, 0.8, 0.8, 0.5, 0.2), 40, 2),
    ("homework_falling", homework(1, 0.5, 0.6), 40, 0),
    ("homework_lately", homework(1, 0.5), 15, None),
    ("homework_lately", homework(1, 0.9, 0.5, 0.1), 40, 0.5),
    ("homework_unreviewed", [(1, HomeworkAssignment()), (2, HomeworkAssignment()), (7, HomeworkReview(completion=1))], 8, 1),
    # feedback and wishes
    *[
        (f"feedback_{pillar}", [feedback(7, pillar, "positive"), feedback(8, pillar, sentiment)], 9, expected)
        for pillar, sentiment, expected in (
            ("goals", "negative", -1.0), ("tasks", "neutral", 0.0), ("bond", "positive", 1.0), ("trust", "negative", -1.0),
            ("empathy", "neutral", 0.0), ("consistency", "positive", 1.0), ("culture", "negative", -1.0),
            ("pace", "neutral", 0.0), ("logistics", "positive", 1.0),
        )
    ],
    ("feedback_culture", [feedback(7, "trust", "negative")], 8, None),
    ("negative_feedback_recent", [feedback(7, "trust", "negative")], 67, 1),
    ("negative_feedback_recent", [feedback(7, "trust", "negative")], 67.1, 0),
    *[
        (f"negative_feedback_{pillar}", [feedback(7, pillar, "negative"), *later], day, expected)
        for pillar in get_args(Pillar)
        for later, day, expected in (
            ([], 67, 1), ([], 67.1, 0), ([feedback(8, pillar, "neutral")], 9, 0),
            ([feedback(8, "bond" if pillar == "trust" else "trust", "positive")], 9, 1),
        )
    ],
    ("negative_feedback_culture", [OPEN], 1, 0),
    ("positive_feedback_recent", [feedback(7, "trust", "positive"), feedback(8, "trust", "negative")], 67, 1),
    ("positive_feedback_recent", [feedback(7, "trust", "neutral")], 8, 0),
    ("voiced_recent", [OPEN, feedback(7, "trust", "positive"), outreach(7, direction="inbound", purpose="other")], 8, 0),
    ("voiced_recent", [feedback(7, "culture", "negative")], 67, 1),
    ("voiced_recent", [feedback(7, "tasks", "neutral", "approach")], 67.1, 0),
    ("voiced_recent", [outreach(7, direction="inbound", purpose="complaint")], 8, 1),
    ("days_since_voiced", [feedback(7, "trust", "positive")], 8, None),
    ("days_since_voiced", [feedback(7, "trust", "negative"), feedback(8, "trust", "positive")], 10, 3),
    ("wish_recent", [feedback(7, "bond", "negative")], 8, 0),
    *[("wish_recent", [feedback(7, "bond", "neutral", wish)], 67, 1) for wish in ("approach", "clinician", "format")],
    ("wish_recent", [feedback(7, "bond", "neutral", "format")], 67.1, 0),
    ("wish_recent", [feedback(7, "bond", "neutral", "clinician"), changed(8)], 9, 0),
    ("wish_recent", [feedback(7, "bond", "neutral", "clinician"), feedback(8, "tasks", "neutral", "approach"), changed(9)],
     10, 1),
    ("wish_recent", [feedback(7, "tasks", "neutral", "approach"), answered(8, "approach_changed")], 9, 0),
    ("wish_recent", [feedback(7, "tasks", "neutral", "format"), answered(8, "approach_changed")], 9, 1),
    ("wants_approach", [feedback(7, "tasks", "neutral", "approach")], 8, 1),
    ("wants_approach", [feedback(7, "tasks", "neutral", "approach"), feedback(8, "tasks", "positive")], 9, 0),
    ("wants_approach", [feedback(7, "tasks", "neutral", "approach")], 68, 0),
    ("wants_approach", [feedback(7, "tasks", "neutral", "approach"), feedback(8, "bond", "neutral", "format")], 9, 1),
    ("wants_clinician", [feedback(7, "bond", "negative", "clinician")], 8, 1),
    ("wants_clinician", [feedback(7, "bond", "negative", "clinician"), (8, ClinicianChange(clinician_id="c-2"))], 9, 0),
    ("wants_format", [feedback(7, "logistics", "negative", "format")], 8, 1),
    ("complaint_recent", [outreach(7, direction="inbound", purpose="complaint")], 8, 1),
    ("complaint_recent", [outreach(7, direction="inbound", purpose="other")], 8, 0),
    # silence
    ("days_since_heard", [OPEN], 5, 5),
    ("days_since_heard", [OPEN, outreach(3, direction="inbound", purpose="other")], 5, 2),
    ("days_since_heard", [*weekly(1), *missed("a", 14), outreach(15)], 17, 10),
    ("days_since_heard", [*weekly(1), feedback(9, "bond", "positive")], 17, 8),
    ("days_since_heard", [*weekly(1), feedback(9, "bond", "negative"), feedback(10, "bond", "neutral", "clinician")], 17, 10),
    ("days_since_heard", [*weekly(1), outreach(9, direction="inbound", purpose="complaint")], 17, 10),
    ("silence_in_rhythm", [OPEN], 18, 2),
    ("skips_in_a_row", [skipped(1), skipped(2), skipped(3, "not_offered"), skipped(4, rater="clinician")], 5, 2),
    ("skips_in_a_row", [skipped(1), skipped(2), phq(3, 10)], 5, 0),
    ("declined_share", [OPEN], 1, None),
    ("declined_share", [skipped(2, "declined")], 3, None),
    ("declined_share", [phq(1, 10), skipped(2, "declined"), skipped(3)], 5, 0.5),
    ("outreach_unanswered", [outreach(1), outreach(2, reached=False)], 3, 2),
    ("outreach_unanswered", [outreach(1), outreach(2, reached=True)], 3, 0),
    ("outreach_unanswered", [outreach(1, purpose="reminder")], 3, 0),
    ("outreach_unanswered", [outreach(1), outreach(2, direction="inbound", purpose="complaint")], 3, 0),
    ("outreach_answered", [OPEN, outreach(1, purpose="reminder")], 3, None),
    ("outreach_answered", [outreach(1, reached=True), outreach(2)], 3, 0),
    ("outreach_answered", [outreach(1), outreach(2, direction="inbound", purpose="reply")], 3, 1),
    ("reply_recent", [outreach(1, direction="inbound", purpose="other"), outreach(2, purpose="reply")], 3, 0),
    ("reply_recent", [outreach(1, direction="inbound", purpose="reply")], 61, 1),
    ("reply_recent", [outreach(1, direction="inbound", purpose="reply")], 61.1, 0),
    ("inbound_recent", [outreach(1, direction="inbound", purpose="other")], 61, 1),
    ("inbound_recent", [outreach(1, reached=True), outreach(2, direction="inbound", purpose="complaint")], 3, 0),
    # continuity
    ("clinician_changes", [OPEN, (7, ClinicianChange(clinician_id="c-2"))], 8, 1),
    ("clinician_change_recent", [OPEN, (7, ClinicianChange(clinician_id="c-2"))], 67, 1),
    ("clinician_change_recent", [OPEN, (7, ClinicianChange(clinician_id="c-2"))], 68, 0),
    ("clinician_change_wanted", [OPEN], 8, None),
    ("clinician_change_wanted", [OPEN, (7, ClinicianChange(clinician_id="c-2", reason="client_request"))], 8, 1),
    ("clinician_change_wanted", [OPEN, (7, ClinicianChange(clinician_id="c-2", reason="absence"))], 8, 0),
    ("stand_ins", [OPEN, (7, Attended(clinician_id="c-1")), (14, Attended(clinician_id="c-2"))], 15, 1),
    ("clinic_cancelled", [*called_off("a", 8, 9, "clinic"), *called_off("b", 8, 9, "clinician")], 9, 2),
    ("clinic_moves", [(1, booked("a", 8)), moved("a", 2, 9, "clinic"), moved("a", 3, 10, "clinician")], 5, 2),
    ("clinic_moves", [(1, booked("a", 8)), moved("a", 2, 9)], 5, 0),
    ("moved_twice_recent", [(1, booked("a", 8)), moved("a", 2, 9, "clinic"), moved("a", 3, 10)], 5, 0),
    ("moved_twice_recent", [(1, booked("a", 8)), (1, booked("b", 8)), moved("a", 2, 9, "clinic"),
                            moved("b", 3, 10, "clinic")], 5, 0),
    ("moved_twice_recent", [(1, booked("a", 8)), moved("a", 2, 9, "clinic"), moved("a", 3, 10, "clinician")], 63, 1),
    ("moved_twice_recent", [(1, booked("a", 8)), moved("a", 2, 9, "clinic"), moved("a", 3, 10, "clinician")], 63.1, 0),
    ("clinician_changed_absence", [OPEN, changed(7, "absence")], 67, 1),
    ("clinician_changed_absence", [OPEN, changed(7, "absence")], 67.1, 0),
    ("clinician_changed_absence", [OPEN, changed(7, "service")], 8, 0),
    *[
        ("breaks_recent", [OPEN, *told], day, expected)
        for told, day, expected in (
            (called_off("a", 8, 24, "clinic"), 67, 1), (called_off("a", 8, 24, "clinician"), 67.1, 0),
            (called_off("a", 8, 24), 9, 0), ([(1, booked("a", 8)), moved("a", 2, 9, "clinician")], 3, 1),
            ([(1, booked("a", 8)), moved("a", 2, 9)], 3, 0), ([(7, Attended(clinician_id="c-2"))], 8, 1),
            ([(7, Attended(clinician_id="c-1"))], 8, 0), ([changed(7)], 8, 1), ([changed(7, "client_request")], 8, 0),
            ([feedback(6, "bond", "neutral", "clinician"), changed(7)], 8, 0),
        )
    ],
    # context
    ("stage", [OPEN], 1, STAGES.index("before")),
    ("stage", weekly(2), 15, STAGES.index("session_2")),
    ("sessions", [OPEN, *weekly(3), (22, Attended(purpose="assessment"))], 23, 3),
    ("weeks", [OPEN], 14, 2),
    ("plan_done", [OPEN, *weekly(3)], 22, None),
    ("plan_done", [(0, opened(planned_sessions=12)), *weekly(3)], 22, 0.25),
    ("plan_left", [OPEN, *weekly(3)], 22, None),
    ("plan_left", [(0, opened(planned_sessions=12)), *weekly(3)], 22, 9),
    ("plan_left", [(0, opened(planned_sessions=2)), *weekly(3)], 22, -1),
    ("previous_episodes", [OPEN], 1, None),
    ("previous_episodes", [(0, opened(previous_episodes=2))], 1, 2),
    ("previous_episodes", weekly(1), 8, None),
    ("preference_met", [OPEN], 1, None),
    ("preference_met", [(0, opened(preference_met=False))], 1, 0),
    ("mandated", [OPEN], 1, None),
    ("mandated", [(0, opened(referral="court"))], 1, 1),
    ("mandated", [(0, opened(referral="self"))], 1, 0),
    *[
        (f"referred_{by}", [(0, opened(**facts))], 1, expected)
        for by, other in (("self", "court"), ("primary_care", "self"), ("specialist", "primary_care"))
        for facts, expected in (({}, None), ({"referral": by}, 1), ({"referral": other}, 0))
    ],
    ("days_waited", [OPEN], 1, None),
    ("days_waited", [OPEN, (1, booked("z", 5, purpose="assessment"))], 2, None),
    ("days_waited", [OPEN, (1, booked("a", 8.5)), (1, booked("b", 5))], 2, 8.5),
    ("days_waited", [OPEN, *came("a", 7), (14, booked("b", 21))], 15, 7),
    ("days_waited", [OPEN, (1, booked("a", 8)), moved("a", 2, 12)], 3, 12),
    ("days_waited", [OPEN, (1, booked("a", 8)), (3, Attended()), moved("a", 4, 12)], 5, 8),
    ("days_waited", [OPEN, *weekly(2)], 15, 7),
    ("days_waited", [(1, booked("a", 8)), (3, opened())], 4, 5),
    ("days_waited", [(1, booked("a", 8)), (9, opened())], 10, 0),
    ("hour_offered", [OPEN], 1, None),
    ("hour_offered", [OPEN, *came("a", 7.25), (14, booked("b", 21))], 15, (on(7.25) % DAY) / DAY * 24),
    ("hour_next", [OPEN], 1, None),
    ("hour_next", [OPEN, *came("a", 7), (14, booked("b", 21.25))], 15, (on(21.25) % DAY) / DAY * 24),
    ("weekday_next", [OPEN], 1, None),
    ("weekday_next", [(1, booked("a", 8))], 2, float(moment(8 * DAY).weekday())),
    ("remote", [OPEN], 1, None),
    ("remote", [(0, opened(modality="in_person")), (7, Attended(modality="video"))], 8, 1),
    ("remote", [(0, opened(modality="phone")), (1, booked("a", 8, modality="in_person"))], 2, 0),
    ("group", [(0, opened(modality="group"))], 1, 1),
    ("group", [OPEN], 1, None),
    ("returns", weekly(3), 80, 0),
    ("returns", [*weekly(3), (80, Attended())], 81, 1),
    ("season_sin", [OPEN], 0, sin(2 * pi * (on(0) / DAY % 365.2425) / 365.2425)),
    ("season_cos", [OPEN], 91, cos(2 * pi * (on(91) / DAY % 365.2425) / 365.2425)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "told", "day", "expected"), TABLE, ids=[f"{name}-{n}" for n, (name, *_) in enumerate(TABLE)]
)
def test_a_story_gives_the_value(name: str, told: Told, day: float, expected: float | None) -> None:
    assert value(name, told, day) == (None if expected is None else pytest.approx(expected))


def test_every_feature_has_a_story_with_a_value_and_those_that_can_be_missing_one_without() -> None:
    with_value = {name for name, _, _, expected in TABLE if expected is not None}
    assert set(BY_NAME) - with_value == set()
    without = {name for name, _, _, expected in TABLE if expected is None}
    assert without - {feature.name for feature in FEATURES if feature.missing} == set()


# ── declarations ────────────────────────────────────────────────────────────────────────────────────────


def test_there_are_at_least_fifty_features_each_with_a_name_of_its_own() -> None:
    assert len(FEATURES) >= 50
    assert len(BY_NAME) == len(FEATURES)


def test_every_feature_of_every_file_can_be_scored() -> None:
    files = [import_module(f"{features.__name__}.{file.name}") for file in iter_modules(features.__path__)]
    groups = [group for file in files for group in vars(file).values() if isinstance(group, tuple)]
    declared = [each for group in groups for each in group if isinstance(each, Feature)]
    assert len(declared) == len(FEATURES)
    assert set(declared) == set(FEATURES)


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_every_feature_says_its_pillar_unit_and_topic(feature: Feature) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", feature.name)
    assert feature.pillar in PILLARS
    assert feature.unit in UNITS
    assert feature.topic is None or feature.topic in TOPICS


TOPICS: Final = {
    "missed", "moved", "attended", "alliance", "rupture", "outcome", "homework", "feedback", "heard", "skipped",
    "outreach", "continuity",
}  # fmt: skip
EVERYTHING: Final[Told] = [
    OPEN, *weekly(1), *missed("a", 8), (8, booked("b", 15)), moved("b", 9, 16), *[rate(10.0 + n) for n in range(3)],
    (20, RuptureNote(kind="withdrawal")), phq(21, 10), (22, HomeworkReview(completion=1)),
    feedback(23, "bond", "neutral"), skipped(24), outreach(25), (26, ClinicianChange(clinician_id="c-2")),
]  # fmt: skip


def test_every_topic_finds_the_newest_event_that_bears_on_it() -> None:
    assert set(lived(story(*EVERYTHING)).course.refs) == TOPICS


# ── words ───────────────────────────────────────────────────────────────────────────────────────────────

SAMPLES: Final = {
    "share": (0.0, 0.01, 0.5, 1.0),
    "0/1": (0.0, 1.0),
    "-1/0/1": (-1.0, 0.0, 1.0),
    "-1 to 1": (-1.0, 0.3),
    "points of 10": (-9.9, -1.0, 0.0, 0.04, 1.0, 2.5, 10.0),
    "standard errors": (-3.0, 0.0, 1.0, 2.6),
    "reliable changes": (-2.0, -1.0, 0.0, 1.0, 1.3),
    "minutes": (-20.0, -1.0, 0.0, 1.0, 1.4, 12.0),
    "days": (0.0, 0.4, 0.6, 1.0, 1.4, 7.0, 100.0),
    "hours": (0.0, 0.6, 1.0, 1.4, 2.0, 40.0),
    "times the usual interval": (0.0, 0.5, 1.0, 3.2),
    "sessions a week": (0.0, 0.04, 0.125, 1.0, 7.0),
    "hour of the day": (0.0, 9.5, 16.999, 23.999),
    "day of the week": tuple(float(day) for day in range(7)),
    "stage": tuple(float(stage) for stage in range(len(STAGES))),
}
COUNTS: Final = (0.0, 1.0, 2.0, 21.0)

ONE_OF_MANY: Final = re.compile(
    r"(?<![\d.])1 (visits|hours|days|weeks|minutes|sessions|ruptures|contacts|questionnaires|changes|pieces|returns|"
    r"perfect alliance ratings|earlier episodes|visits have)\b"
)
MANY_OF_ONE: Final = re.compile(
    r"(?<![\d.])(0|[2-9]|\d{2,}) (visit|hour|day|week|minute|session|rupture|contact|questionnaire|change|homework|"
    r"return|perfect alliance rating|earlier episode|visit has)\b"
)
DIRECTIVE: Final = re.compile(
    r"\b(must|should|need(s|ed)? to|have to|has to|ought|please|call|contact the|make sure|ensure|consider|try|do not|"
    r"don't|urgent|immediately)\b",
    re.IGNORECASE,
)
BLAMING: Final = re.compile(
    r"\b(fail(ed|ure|s|ing)?|refus\w+|non-?complian\w+|non-?adheren\w+|resist\w+|unmotivated|difficult|poor|bad|lazy|"
    r"guilty|fault|neglect\w*|ignor\w+|no-show|dropped out|drop-?out|uncooperative|unreliable|excuse\w*|manipulat\w+|"
    r"hostile|patient)\b",
    re.IGNORECASE,
)


def texts(feature: Feature) -> list[str]:
    """What a feature says of its values."""
    samples = SAMPLES.get(feature.unit, COUNTS)
    plain = feature._replace(told=None)
    return [
        render(said_of(plain, sample, Course(INTERPRET)))
        for sample in samples
        if sample >= 0 or not feature.name.endswith(("_level", "_spread"))
    ]


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_words_fit_every_value(feature: Feature) -> None:
    for text in texts(feature):
        assert re.match(r"[A-Z0-9]", text), text
        assert not re.search(r"\b0 (?!of|times|to|on)|\.0\b", text), text
        assert not ONE_OF_MANY.search(text), text
        assert not MANY_OF_ONE.search(text), text
        assert not re.search(r"(?<!\w)-\d|\bnan\b|\bNone\b(?! of)|\{|\}|  |\.$", text), text
        assert len(text) < 120


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_no_words_direct_the_clinician_or_blame_the_client(feature: Feature) -> None:
    for text in [*texts(feature), *([render(feature.missing)] if feature.missing is not None else [])]:
        assert not DIRECTIVE.search(text), text
        assert not BLAMING.search(text), text


def test_opposite_values_read_as_opposites() -> None:
    for name in ("bond_drop", "bond_change", "steepest_fall", "gain", "last_gain", "early_gain", "distance_to_cutoff",
                 "severity", "later_than_usual", "shorter_than_usual", "homework_fall"):  # fmt: skip
        words = BY_NAME[name].words
        assert words(1.5) != words(-1.5)
    assert render(BY_NAME["bond_drop"].words(3.1)) == "The bond was rated lower than usual for this person"
    assert render(BY_NAME["bond_change"].words(-3.1)) == "The bond was rated lower than the time before"
    assert render(BY_NAME["distance_to_cutoff"].words(-1.5)) == "Past the cut-off"


@settings(deadline=None, max_examples=100)
@given(episode_logs())
def test_what_can_be_missing_has_words_for_it_and_what_is_there_is_a_number(events: list[AnyEvent]) -> None:
    live = lived(events)
    for feature in FEATURES:
        found = feature.read(live.course, live.episode.latest)
        if found is None:
            assert feature.missing is not None, feature.name
        else:
            assert isinstance(found, float)
            assert render(said_of(feature, found, live.course))


def test_a_feature_of_an_episode_of_which_nothing_holds_is_missing_with_words_or_a_number() -> None:
    course = Course(INTERPRET)
    for feature in FEATURES:
        assert feature.read(course, on(0)) is not None or feature.missing, feature.name


def test_features_cannot_see_fairness_attributes() -> None:
    assert not {"fairness", "service"} & set(Opening.__struct_fields__)
    told: list[dict[str, Any]] = [{}, {"fairness": {"gender": "x", "age_band": "y", "ethnicity": "z"}}]
    one, other = (lived(story((0, opened(**facts)), *weekly(2))).course for facts in told)
    assert [f.read(one, on(30)) for f in FEATURES] == [f.read(other, on(30)) for f in FEATURES]


# ── what is voiced ──────────────────────────────────────────────────────────────────────────────────────

VOICED: Final[dict[str, list[Happening]]] = {
    **{f"{pillar}, not well": [feedback(22, pillar, "negative")] for pillar in get_args(Pillar)},
    **{
        f"wants another {what}": [feedback(22, "bond", "neutral", what)] for what in ("approach", "clinician", "format")
    },
    "a complaint": [outreach(22, direction="inbound", purpose="complaint")],
    "all at once": [
        feedback(22, "trust", "negative", "clinician"),
        outreach(22, direction="inbound", purpose="complaint"),
    ],
}


def moved_against_theory(quiet: Told, voiced: Told, day: float) -> list[str]:
    """The features with a sign in theory that say less risk of a story than of the same one without what was voiced."""
    one, other = (lived(story(*told)).course for told in (quiet, [*quiet, *voiced]))
    found = []
    for name, (sign, _) in SIGNS.items():
        before, after = (BY_NAME[name].read(course, on(day)) for course in (one, other))
        if before is not None and after is not None and sign * after < sign * before:
            found.append(name)
    return found


@pytest.mark.parametrize("voiced", VOICED.values(), ids=VOICED)
@pytest.mark.parametrize("day", [22, 36, 90])
def test_by_no_feature_with_a_sign_in_theory_does_saying_what_is_wrong_lower_the_risk(voiced: Told, day: float) -> None:
    assert moved_against_theory([OPEN, *weekly(2), rate(14), (14, booked("b", 21))], voiced, day) == []
    assert moved_against_theory([OPEN, *weekly(2), *missed("b", 21), outreach(21.5)], voiced, day) == [
        "outreach_unanswered", "outreach_answered"
    ], "who answers with what is wrong has answered"  # fmt: skip


def test_a_new_fall_shows_against_the_lowest_even_when_the_instrument_changes() -> None:
    told = [rate(7), wai(8, 60), rate(14, (8, 8, 8, 8)), rate(21, (7, 7, 7, 7))]
    assert value("alliance_since_lowest", told, 22) == pytest.approx(-1)


# ── gaps ────────────────────────────────────────────────────────────────────────────────────────────────


def test_gaps_say_what_a_score_could_not_know() -> None:
    def told(happenings: Told, day: float) -> list[str]:
        return gaps(lived(story(*happenings)).course, on(day))

    assert told([OPEN], 1) == ["no alliance rating yet", "no outcome measure yet"]
    assert told([OPEN, rate(1), phq(1, 10)], 2) == []
    assert told([rate(1), phq(1, 10)], 2) == ["the opening of the episode was not received"]
    assert told([OPEN, rate(1), phq(1, 10), (0, booked("a", 3))], 6.5) == [
        "1 visit is recorded neither as attended nor as missed"
    ]
    assert told([OPEN, rate(1), phq(1, 10), (0, booked("a", 3)), (0, booked("b", 3))], 6.5) == [
        "2 visits are recorded neither as attended nor as missed"
    ]
    assert told([OPEN, rate(1), phq(1, 10), *weekly(3)], 22) == [
        "no alliance rating for 3 sessions", "no outcome measure for 3 sessions"
    ]  # fmt: skip
    assert told([OPEN, rate(1), phq(1, 10), (2, measured("MYOP-2", 7)), (3, measured("A-1", 7))], 4) == [
        "scores of A-1 are not interpreted: nobody registered it",
        "scores of MYOP-2 are not interpreted: nobody registered it",
    ]
