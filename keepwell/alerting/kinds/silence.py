"""`silence`: somebody is absent, and is not likely to come back without being asked; or comes, and leaves questionnaires out.

How likely that is has been learnt: at each look the risk is that of somebody with this rhythm, in this calendar, absent for
so long. Most people who miss one visit come to the next, and of them nothing is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from keepwell.alerting.kinds.kind import Grounds, Holding, LastingKind
from keepwell.alerting.policy import Policy, Situation
from keepwell.alerting.signals import absent_since
from keepwell.care.course import Course
from keepwell.care.endings import DAY
from keepwell.contract.words import ResolvedBecause
from keepwell.scoring.reasons import Ground

LOOKS_DAYS: Final = (2, 4, 7, 10, 14, 18, 22, 26)
"""Days into an absence at which it is looked at anew, where nothing happens; ours. A stop is declared after 30 (CONTRACT
section 3)."""


class SilenceAlert(LastingKind):
    """Raised at or above the line for absence, and over once somebody is back or has a session booked. Of somebody who comes
    and leaves out one questionnaire after the other it is raised where the risk is raised too."""

    name = "silence"

    def holds(self, policy: Policy, now: Situation) -> Holding:
        found = now.signals
        if found.absent_since is None and found.skipping_since is None:
            return "over"
        line = policy.absent if found.absent_since is not None else policy.strain
        return "holds" if now.risk is not None and now.risk >= line else "between"

    def over_because(self, now: Situation) -> ResolvedBecause | None:
        return "returned"

    def news(self, now: Situation) -> int | None:
        return now.signals.absent_since  # what is left out waits its turn

    def timers(self, course: Course) -> Iterable[tuple[int, str]]:
        sign = course.standing.last_sign
        if sign is not None:
            alone = course.visits.none_pending_from(sign)
            for days in LOOKS_DAYS:
                yield max(sign + days * DAY, alone), "nothing-booked"
        if course.lost_at is not None:
            for days in LOOKS_DAYS:
                yield course.lost_at + days * DAY, "not-rebooked"

    def grounds(self, course: Course, now: int, raising: Sequence[Ground]) -> Grounds:
        return Grounds(tuple(silent_because(course, now)), ("missed", "skipped", "outreach", "heard"))


KIND: Final = SilenceAlert()


def silent_because(course: Course, now: int) -> list[str]:
    """What nobody has heard, in plain words, at most three; the first says what the absence is."""
    found = []
    began = absent_since(course, now)
    days = 0 if began is None else (now - began) // DAY
    ago = "today" if days == 0 else "yesterday" if days == 1 else f"{days} days ago"
    if course.lost_at is not None or course.kept_at is not None:
        what = "missed" if course.last_lost == "missed" else "cancelled"
        since = (
            "nothing has been booked since" if course.lost_at is not None else "the next one stands as booked before"
        )
        found.append(f"The last visit was {what} {ago}, and {since}")
    elif began is not None and course.last_session is not None:
        found.append(f"No session is booked; the last one was {ago}")
    elif began is not None:
        found.append("No first session is booked")
    if course.unanswered:
        calls = "The last contact has" if course.unanswered == 1 else f"The last {course.unanswered} contacts have"
        found.append(f"{calls} had no answer yet")
    if course.skips_in_a_row > 1:
        found.append(f"The last {course.skips_in_a_row} questionnaires were left out")
    return found
