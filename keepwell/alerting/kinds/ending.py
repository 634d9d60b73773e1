"""`ending`: doing well, a stalled course, or a wish for another way: worth talking about an ending, another approach or a
warm transfer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keepwell.alerting.kinds.kind import MOST_GROUNDS, Grounds, Holding, LastingKind
from keepwell.alerting.policy import OpenAlert, Policy, Situation
from keepwell.alerting.signals import doing_well, stalled
from keepwell.care.course import Course
from keepwell.contract.say import counted, render, said
from keepwell.contract.words import ResolvedBecause
from keepwell.scoring.reasons import Ground

WISHES: Final = {
    "approach": said("Would like another approach"),
    "clinician": said("Would like another clinician"),
    "format": said("Would like another format"),
}
"""What a wish is, in words, by `WantedChange`."""


class EndingAlert(LastingKind):
    """A wish is told at once, and is over once it is met or answered. That a talk is due is told once, after a session: where
    the planned end is near, or where the risk says that somebody may leave without it."""

    name = "ending"

    def holds(self, policy: Policy, now: Situation) -> Holding:
        found = now.signals
        if found.wished_at is not None:
            return "holds"
        if found.due and found.deciding and found.absent_since is None:
            raised = now.risk is not None and now.risk >= policy.strain
            return "holds" if raised or found.planned else "between"
        return "between" if found.due else "over"

    def over_because(self, alert: OpenAlert, now: Situation) -> ResolvedBecause | None:
        if now.signals.met:
            return "repaired"
        # A wish that was taken back, or not heard again for long, is over; a talk that was due stays so until it is had.
        return "risk_fell" if alert.news else None

    def news(self, now: Situation) -> int | None:
        return now.signals.wished_at

    def escalates(self, policy: Policy, alert: OpenAlert, now: Situation) -> bool:
        # A wish joins what is open, which is told once more; said again and again it is the same.
        return now.signals.wished_at is not None and now.signals.wished_at > alert.told_at

    def grounds(self, course: Course, now: int, raising: Sequence[Ground]) -> Grounds:
        words = [WISHES[what] for what, _ in sorted(course.wishes.items(), key=lambda one: -one[1])]
        if doing_well(course):
            words.append(said("Reliably better than at the start, and past the cut-off"))
        elif stalled(course):
            words.append(
                counted(
                    course.sessions,
                    "{count} session so far, and the measure stands about where it began",
                    "{count} sessions so far, and the measure stands about where it began",
                )
            )
        return Grounds(
            tuple(map(render, words[:MOST_GROUNDS])), ("feedback", "outcome") if course.wishes else ("outcome",)
        )


KIND: Final = EndingAlert()
