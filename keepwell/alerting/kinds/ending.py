"""`ending`: doing well, or a stalled course: worth talking about an ending, another approach or a warm transfer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keepwell.alerting.kinds.kind import MOST_GROUNDS, Grounds, Holding, LastingKind
from keepwell.alerting.policy import Policy, Situation
from keepwell.care.course import Course
from keepwell.contract.words import ResolvedBecause
from keepwell.scoring.scorecard import Part


class EndingAlert(LastingKind):
    """Told once: the condition is never over, but for the end of the episode."""

    name = "ending"

    def holds(self, policy: Policy, now: Situation) -> Holding:
        return "holds" if ending_because(policy, now.course) else "between"

    def over_because(self, now: Situation) -> ResolvedBecause | None:
        return None

    def grounds(self, policy: Policy, course: Course, now: int, raising: Sequence[Part]) -> Grounds:
        return Grounds(tuple(ending_because(policy, course)[:MOST_GROUNDS]), ("outcome",))


KIND: Final = EndingAlert()


def ending_because(policy: Policy, course: Course) -> list[str]:
    """Why talking about an ending, another approach or a transfer may be worth it now; empty where it is not."""
    progress = course.outcome
    if progress is None or progress.count < 2 or course.sessions < policy.ending_sessions:
        return []
    gain = progress.instrument.gain(progress.first, progress.last) / progress.instrument.reliable_change
    if gain >= 1 and progress.instrument.past_cutoff(progress.last):
        return ["Reliably better than at the start, and past the cut-off"]
    if course.sessions >= 2 * policy.ending_sessions and gain < policy.stalled_gain:
        return [f"{course.sessions} sessions, and the measure stands about where it began"]
    return []
