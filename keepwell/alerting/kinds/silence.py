"""`silence`: somebody is absent, and is not likely to come back without being asked; or comes, and leaves questionnaires out.

How likely that is has been learnt: at each look the risk is that of somebody with this rhythm, in this calendar, absent for
so long. Most people who miss one visit come to the next, and of them nothing is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from keepwell.alerting.kinds.kind import Grounds, Holding, LastingKind
from keepwell.alerting.policy import OpenAlert, Policy, Situation
from keepwell.alerting.signals import absent_since
from keepwell.care.course import Course
from keepwell.care.endings import DAY
from keepwell.contract.say import Said, counted, render, said
from keepwell.contract.words import ResolvedBecause
from keepwell.scoring.features.feature import ago as ago_of
from keepwell.scoring.reasons import Ground

LOOKS_DAYS: Final = (2, 4, 7, 10, 14, 18, 22, 26)
"""Days into an absence at which it is looked at anew, where nothing happens; ours. A stop is declared after 30 (CONTRACT
section 3)."""
NEVER: Final = -(1 << 62)


class SilenceAlert(LastingKind):
    """Raised at or above the line for absence, and when a stop is near at that of those who still come; over once somebody is
    back or has a session booked. Of somebody who comes and leaves out one questionnaire after the other it is raised where
    the risk is raised too."""

    name = "silence"

    def holds(self, policy: Policy, now: Situation) -> Holding:
        found = now.signals
        if found.absent_since is None and found.skipping_since is None:
            return "over"
        line = policy.absent if found.absent_since is not None else policy.strain
        if found.last_call:
            line = min(line, policy.line)
        return "holds" if now.risk is not None and now.risk >= line else "between"

    def over_because(self, alert: OpenAlert, now: Situation) -> ResolvedBecause | None:
        return "returned"

    def news(self, now: Situation) -> int | None:
        return now.signals.absent_since  # what is left out waits its turn

    def joins(self, policy: Policy, now: Situation) -> int | None:
        """Below the line for absence it is told where nobody was told of the client, and else joins what is open."""
        below = now.risk is not None and now.risk < policy.absent
        return NEVER if now.signals.absent_since is not None and below else None

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
        return Grounds(tuple(map(render, silent_because(course, now))), ("missed", "skipped", "outreach", "heard"))


KIND: Final = SilenceAlert()


def silent_because(course: Course, now: int) -> list[Said]:
    """What nobody has heard, in plain words, at most three; the first says what the absence is."""
    found = []
    began = absent_since(course, now)
    since = ago_of(0 if began is None else (now - began) // DAY)
    missed = course.last_lost == "missed"
    if course.lost_at is not None and missed:
        found.append(said("The last visit was missed {ago}, and nothing has been booked since", ago=since))
    elif course.lost_at is not None:
        found.append(said("The last visit was cancelled {ago}, and nothing has been booked since", ago=since))
    elif course.kept_at is not None and missed:
        found.append(said("The last visit was missed {ago}, and the next one stands as booked before", ago=since))
    elif course.kept_at is not None:
        found.append(said("The last visit was cancelled {ago}, and the next one stands as booked before", ago=since))
    elif began is not None and course.last_session is not None:
        found.append(said("No session is booked; the last one was {ago}", ago=since))
    elif began is not None:
        found.append(said("No first session is booked"))
    if course.unanswered:
        found.append(
            counted(
                course.unanswered,
                "The last contact has had no answer yet",
                "The last {count} contacts have had no answer yet",
            )
        )
    if course.skips_in_a_row > 1:
        found.append(
            counted(
                course.skips_in_a_row,
                "The last questionnaire was left out",
                "The last {count} questionnaires were left out",
            )
        )
    return found
