"""`rupture`: a rupture of the alliance opened and is not repaired."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keepwell.alerting.kinds.kind import MOST_GROUNDS, Grounds, Holding, LastingKind
from keepwell.alerting.kinds.risk import strongest_grounds, strongest_pillar
from keepwell.alerting.policy import OpenAlert, Policy, Situation
from keepwell.care.course import Course
from keepwell.contract.words import ResolvedBecause
from keepwell.scoring.reasons import words_of
from keepwell.scoring.scorecard import Part


class RuptureAlert(LastingKind):
    """Holds while the newest rupture is open, and is over once it is repaired; between where it passed without repair."""

    name = "rupture"

    def holds(self, policy: Policy, now: Situation) -> Holding:
        ruptures = now.course.alliance.ruptures
        if not ruptures or ruptures[-1].repaired:
            return "over"
        return "holds" if ruptures[-1].closed_at is None else "between"

    def over_because(self, now: Situation) -> ResolvedBecause | None:
        # What was reported was taken back: there is no rupture, and nothing was repaired.
        return "repaired" if now.course.alliance.ruptures else "risk_fell"

    def covers(self, alert: OpenAlert, now: Situation) -> bool:
        # An alert of an earlier rupture does not tell of a new one.
        return alert.raised_at >= now.course.alliance.ruptures[-1].opened_at

    def grounds(self, policy: Policy, course: Course, now: int, raising: Sequence[Part]) -> Grounds:
        if not course.alliance.ruptures:  # it was taken back
            return strongest_grounds(raising)
        latest = course.alliance.ruptures[-1]
        how = "was reported" if latest.evidence == "reported" else "shows in the alliance ratings"
        rest = (words_of(part) for part in raising[:MOST_GROUNDS] if part.feature.topic == "alliance")
        words = (f"A {latest.kind} rupture of the alliance {how}", *rest)
        return Grounds(words[:MOST_GROUNDS], ("rupture", "alliance"))

    def pillar(self, course: Course, raising: Sequence[Part]) -> str | None:
        ruptures = course.alliance.ruptures
        return ruptures[-1].pillar if ruptures else strongest_pillar(course, raising)

    def rupture(self, course: Course) -> str | None:
        ruptures = course.alliance.ruptures
        return ruptures[-1].kind if ruptures else None


KIND: Final = RuptureAlert()
