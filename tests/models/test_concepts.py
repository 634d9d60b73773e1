"""Every concept of the contract counts in the shipped release: alone in a quiet course, each moves the risk the way theory
says, by at least what is declared (`training/simulate/drawn.toml`)."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from math import log
from pathlib import Path
from typing import Any, Final, get_args

import pytest

import training.simulate
from keepwell.contract import events as ev
from keepwell.contract.words import PILLARS, Pillar, WantedChange
from keepwell.scoring.scorecard import HEADLINE
from models.release import default
from tests.episodes import Happening, booked, lived, measured, on, opened, srs, story

CONCEPTS: Final[Mapping[str, Mapping[str, Any]]] = tomllib.loads(
    (Path(training.simulate.__file__).parent / "drawn.toml").read_text(encoding="utf-8")
)["concepts"]
SCORER: Final = default().scorer
SESSIONS: Final = 5
END: Final = 7 * SESSIONS
"""Day of the last session; the risk is asked half an hour after what was told then."""
LATER: Final = END + 0.04
Told = Sequence[Happening]


def quiet(
    *, homework: Sequence[float] = (0.75,) * SESSIONS, last: ev.Measured | None = None, late: float = 0.0, **facts: Any
) -> list[Happening]:
    """Five weekly sessions that go well, the next one booked."""
    found: list[Happening] = [
        (0, opened(**{"preference_met": True, "referral": "self"} | facts)),
        (0.01, booked("a-1", 7)),
    ]
    for number in range(1, SESSIONS + 1):
        day = 7 * number
        minutes = late if number == SESSIONS else 0.0
        found += [
            (day - 0.002, measured("ORS", 22 + number)),
            (day - 0.001, booked(f"a-{number + 1}", day + 7)),
            (day, ev.Attended(appointment_id=f"a-{number}", minutes_late=minutes, duration_minutes=50)),
            (day + 0.002, last if number == SESSIONS and last is not None else srs(9.0, 9.0, 9.0, 9.0)),
            (day + 0.003, ev.HomeworkReview(completion=homework[number - 1])),
            (day + 0.004, ev.HomeworkAssignment()),
        ]
    return found


def log_odds(told: Told, day: float = LATER) -> float:
    live = lived(story(*told))
    risk = SCORER.score(live.course, on(day), "north").risks[HEADLINE]
    return log(risk / (1 - risk))


def with_(*happenings: Happening) -> list[Happening]:
    return [*quiet(), *happenings]


def said(data: Any, day: float = END + 0.006) -> Happening:
    return day, data


def feedback(pillar: Pillar, sentiment: Any = "negative", wants: WantedChange = "none") -> Happening:
    return said(ev.Feedback(pillar=pillar, sentiment=sentiment, wants_change=wants))


def moved_by_clinic(*, twice: bool) -> list[Happening]:
    moves = [said(ev.Rescheduled(appointment_id="a-6", starts_at=booked("a", END + 9).starts_at, initiator="clinic"))]
    again = ev.Rescheduled(appointment_id="a-6", starts_at=booked("a", END + 11).starts_at, initiator="clinic")
    return [*moves, *([said(again, END + 0.008)] if twice else [])]


def cancelled_by_clinic() -> list[Happening]:
    """A visit besides the weekly ones, called off by the clinic some days before the last session."""
    off = ev.Cancelled(appointment_id="b-1", initiator="clinic", reason="illness")
    return [(END - 6, booked("b-1", END - 2)), (END - 5, off)]


WISHED: Final = feedback("tasks", "negative", "clinician")
CHANGED: Final = said(ev.ClinicianChange(clinician_id="c-2", reason="client_request"), END + 0.01)
UNANSWERED, ANSWERED = (
    ev.Contact(direction="outbound", channel="phone", purpose="outreach", reached=reached) for reached in (False, True)
)

CASES: Final[Mapping[str, Callable[[], list[tuple[Told, Told]]]]] = {
    # What is told, and what it is compared with; each at the same moment.
    "negative_feedback": lambda: [(with_(feedback(pillar)), quiet()) for pillar in PILLARS],
    "positive_feedback": lambda: [(with_(feedback("bond", "positive")), quiet())],
    "wish_approach": lambda: [(with_(feedback("tasks", "neutral", "approach")), quiet())],
    "wish_clinician": lambda: [(with_(feedback("bond", "neutral", "clinician")), quiet())],
    "wish_format": lambda: [(with_(feedback("logistics", "neutral", "format")), quiet())],
    "wish_met": lambda: [(with_(WISHED, CHANGED), with_(WISHED))],
    "complaint": lambda: [
        (with_(said(ev.Contact(direction="inbound", channel="phone", purpose="complaint"))), quiet())
    ],
    "reply": lambda: [(with_(said(ev.Contact(direction="inbound", channel="email", purpose="reply"))), quiet())],
    "cancelled_by_clinic": lambda: [(with_(*cancelled_by_clinic()), quiet())],
    "moved_by_clinic": lambda: [(with_(*moved_by_clinic(twice=twice)), quiet()) for twice in (False, True)],
    "stand_in": lambda: [(stood_in(), quiet())],
    "changed_by_clinic": lambda: [
        (with_(said(ev.ClinicianChange(clinician_id="c-2", reason=reason))), quiet()) for reason in ("absence", "service")
    ],
    "changed_by_request": lambda: [(with_(CHANGED), quiet())],
    "late_cancellation": lambda: [(called_off(0.5), called_off(3.0))],
    "homework_undone": lambda: [(quiet(homework=(0.75, 0.75, 0.75, 0.75, 0.0)), quiet(homework=(0.75,) * 4 + (1.0,)))],
    "homework_falling": lambda: [
        (quiet(homework=(1.0, 1.0, 0.75, 0.5, 0.25)), quiet(homework=(1.0, 1.0, 1.0, 1.0, 1.0)))
    ],
    "preference_unmet": lambda: [(quiet(preference_met=False)[:2], quiet()[:2])],
    "withdrawal": lambda: [(with_(said(ev.RuptureNote(kind="withdrawal"))), quiet())],
    "confrontation": lambda: [(with_(said(ev.RuptureNote(kind="confrontation"))), quiet())],
    "repair_better": lambda: [(with_(said(ev.RepairAttempt(outcome="better"))), quiet())],
    "repair_worse": lambda: [(with_(said(ev.RepairAttempt(outcome="worse"))), quiet())],
    "skipped": lambda: [(skipped(), quiet())],
    "arrived_late": lambda: [(quiet(late=15.0), quiet())],
    "missed": lambda: [(missed(), came())],
    "alliance_fell": lambda: [(quiet(last=srs(6.0, 6.0, 6.0, 6.0)), quiet())],
    "unanswered_outreach": lambda: [(with_(*gone(), (END + 7.1, UNANSWERED)), with_(*gone(), (END + 7.1, ANSWERED)))],
}  # fmt: skip
WHEN: Final = {
    "preference_unmet": 0.02, "missed": END + 7.05, "late_cancellation": END + 6.9, "unanswered_outreach": END + 7.2,
}  # fmt: skip
"""Day of the moment, where it is not just after the last session."""


def stood_in() -> list[Happening]:
    return [
        (day, ev.Attended(appointment_id="a-5", minutes_late=0.0, duration_minutes=50, clinician_id="c-9"))
        if isinstance(data, ev.Attended) and data.appointment_id == "a-5"
        else (day, data)
        for day, data in quiet()
    ]


def called_off(before: float) -> list[Happening]:
    """The next visit called off by the client so many days before."""
    off = ev.Cancelled(appointment_id="a-6", initiator="client", reason="work")
    return with_((END + 7 - before, off))


def skipped() -> list[Happening]:
    """The last two questionnaires about the alliance declined."""
    late = (7 * (SESSIONS - 1) + 0.002, 7 * SESSIONS + 0.002)
    return [(day, ev.Skipped(instrument="SRS", reason="declined") if day in late else data) for day, data in quiet()]


def missed() -> list[Happening]:
    return with_((END + 7.01, ev.Missed(appointment_id="a-6", reason="no_show")), (END + 7.02, booked("a-7", END + 14)))


def came() -> list[Happening]:
    return with_((END + 7, ev.Attended(appointment_id="a-6")), (END + 7.01, booked("a-7", END + 14)))


def gone() -> list[Happening]:
    return [(END + 7.01, ev.Missed(appointment_id="a-6", reason="no_show"))]


def test_every_concept_that_is_declared_is_tried() -> None:
    assert set(CASES) == set(CONCEPTS)


@pytest.mark.parametrize("concept", sorted(CASES))
def test_a_concept_counts_as_theory_says_and_by_at_least_what_is_declared(concept: str) -> None:
    declared = CONCEPTS[concept]
    sign = {"raises": 1, "lowers": -1}[declared["direction"]]
    for told, beside in CASES[concept]():
        day = WHEN.get(concept, LATER)
        moved = sign * (log_odds(told, day) - log_odds(beside, day))
        assert moved >= declared["least"], (concept, told[-1])


def test_every_wish_of_the_contract_is_among_them() -> None:
    assert {f"wish_{wish}" for wish in get_args(WantedChange) if wish != "none"} < set(CASES)
