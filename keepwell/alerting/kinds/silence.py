"""`silence`: nothing is heard: a lost visit that is not rebooked, nothing booked, questionnaires skipped, no answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from keepwell.alerting.kinds.kind import MOST_GROUNDS, Grounds, Holding, LastingKind
from keepwell.alerting.policy import Policy, Situation
from keepwell.care.course import Course
from keepwell.care.endings import DAY
from keepwell.contract.words import ResolvedBecause
from keepwell.scoring.scorecard import Part


class SilenceAlert(LastingKind):
    """Holds as long as there is anything that `silent_because` names."""

    name = "silence"

    def holds(self, policy: Policy, now: Situation) -> Holding:
        return "holds" if silent_because(policy, now.course, now.now) else "over"

    def over_because(self, now: Situation) -> ResolvedBecause | None:
        return "returned"

    def timers(self, policy: Policy, course: Course) -> Iterable[tuple[int, str]]:
        sign = course.standing.last_sign
        if sign is not None:
            alone = sign + round(policy.unbooked_days * DAY)
            yield course.visits.none_pending_from(alone), "nothing-booked"
        if course.lost_at is not None:
            yield course.lost_at + round(policy.unrebooked_days * DAY), "not-rebooked"

    def grounds(self, policy: Policy, course: Course, now: int, raising: Sequence[Part]) -> Grounds:
        words = tuple(silent_because(policy, course, now)[:MOST_GROUNDS])
        return Grounds(words, ("missed", "skipped", "outreach", "heard"))


KIND: Final = SilenceAlert()


def silent_because(policy: Policy, course: Course, now: int) -> list[str]:
    """Why the episode counts as silent, in plain words; empty where it does not."""
    found = []
    if course.lost_at is not None and now - course.lost_at >= policy.unrebooked_days * DAY:
        found.append("A visit was lost and nothing has been booked since")
    sign = course.standing.last_sign
    if sign is not None and now - sign >= policy.unbooked_days * DAY and not course.visits.pending_at(now):
        found.append(f"No session is booked, and the last sign lies {(now - sign) // DAY} days back")
    if course.skips_in_a_row >= policy.skips:
        found.append(f"{course.skips_in_a_row} questionnaires in a row were skipped")
    if course.unanswered >= policy.unanswered:
        found.append(f"{course.unanswered} contacts have had no answer")
    return found
