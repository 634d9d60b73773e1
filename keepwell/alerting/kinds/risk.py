"""`risk`: somebody still comes, and the chance of a stop within 30 days crossed the line of the release's policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keepwell.alerting.kinds.kind import MOST_GROUNDS, Grounds, Holding, LastingKind
from keepwell.alerting.policy import OpenAlert, Policy, Situation
from keepwell.care.course import Course
from keepwell.care.endings import DAY
from keepwell.contract.say import render, said
from keepwell.contract.words import PILLARS, ResolvedBecause
from keepwell.scoring.reasons import Ground


class RiskAlert(LastingKind):
    """Raised at or above the line, at a moment at which somebody decides, while a talk in the next session is possible, and
    resolved below the release, so that a risk at the line does not flicker. An absence is `silence`'s to tell of, and a
    client of whom an alert was told lately is on the clinician's mind."""

    name = "risk"
    withheld = True

    def holds(self, policy: Policy, now: Situation) -> Holding:
        if now.risk is None:
            return "over"
        if now.signals.absent_since is not None or not now.signals.deciding:
            return "between"
        return "holds" if now.risk >= policy.line else "over" if now.risk < policy.release else "between"

    def over_because(self, alert: OpenAlert, now: Situation) -> ResolvedBecause | None:
        return "risk_fell"

    def joins(self, policy: Policy, now: Situation) -> int | None:
        return now.now - int(policy.refractory_days * DAY)  # the same talk, and not for ever

    def escalates(self, policy: Policy, alert: OpenAlert, now: Situation) -> bool:
        return self.holds(policy, now) == "holds" and now.risk is not None and now.risk >= policy.escalate

    def grounds(self, course: Course, now: int, raising: Sequence[Ground]) -> Grounds:
        return strongest_grounds(raising)

    def pillar(self, course: Course, raising: Sequence[Ground]) -> str | None:
        return strongest_pillar(course, raising)


KIND: Final = RiskAlert()
_EARLY: Final = said("Little is known of this client yet, and many who stop do so around the first sessions")
"""Where nothing that is known raises the risk by itself: early dropout is the most frequent (Swift & Greenberg 2012)."""


def strongest_grounds(raising: Sequence[Ground]) -> Grounds:
    """The reasons that raise the risk most, and the topics behind them. What is missing is never the first of them."""
    told = raising[:MOST_GROUNDS]
    words = [render(one.words) for one in told]
    if told and told[0].value is None:
        words = [render(_EARLY), *words][:MOST_GROUNDS]
    topics = tuple(one.feature.topic for one in told if one.feature.topic)
    return Grounds(tuple(words), topics)


def strongest_pillar(course: Course, raising: Sequence[Ground]) -> str | None:
    """The pillar that these reasons speak of most; of the alliance as a whole, the one in rupture or rated lowest."""
    latest = course.alliance.ruptures[-1] if course.alliance.ruptures else None
    weights: dict[str, float] = {}
    for one in raising[:MOST_GROUNDS]:
        pillar: str = one.feature.pillar
        if pillar == "alliance":
            pillar = latest.pillar if latest and latest.closed_at is None else course.alliance.lowest or pillar
        if pillar in PILLARS:
            weights[pillar] = weights.get(pillar, 0.0) + one.points
    return max(weights, key=lambda name: (weights[name], name)) if weights else None
