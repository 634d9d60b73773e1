"""From what is known of an episode to what is said of it: likelihood, a rating in its own scale, an answer, what to try."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Final

from keepwell.alerting.playbook import PLAYBOOK, PlaybookEntry
from keepwell.contract.events import rfc3339
from keepwell.contract.outputs import Alert, Reason, Suggestion
from keepwell.contract.say import Said, counted, said
from keepwell.contract.words import Action, AlertKind, DismissReason
from keepwell.scoring.reasons import OTHER
from services.clinician.sentences import meaning
from services.clinician.views import Answer, AnsweredAlert, CaseloadItem, Measure, ScoreAt

FEWEST: Final = 5
"""Clients on a list from which on a place on it says something; below, counts and shares mislead."""
ABOUT_THE_SAME: Final = 0.02
"""A move of the 30-day risk that is not told as one; ours."""
SAME_STEP: Final = 0.005
"""A move below which two scores with the same reasons are one line; ours."""
MOST_STEPS: Final = 40
"""Lines of the table of scores, the newest; ours."""
MUCH: Final = 0.5
"""Log-odds from which on a reason does much; ours."""
SOME: Final = 0.2
"""Log-odds from which on it does something; ours."""
LAST: Final = 3
"""Values that stand beside the course line."""
MOST_RAISING: Final = 3
"""Reasons of a risk that are told with it; as many as an alert has."""
LONGEST: Final = timedelta(days=30)
"""The end of the longest snooze."""
SNOOZES: Final = (7, 14, 28)
"""Days until which a matter can be put off; ours."""
CYCLES: Final = 2
"""Snoozes after which a card says something else."""
UNDO: Final = timedelta(seconds=10)
"""How long the list shows that an answer can be taken back (CONTRACT section 5)."""
UNDO_LATER: Final = timedelta(days=1)
"""How long it can be, from the client's page (CONTRACT section 5)."""

ANSWERS: Final[dict[AlertKind, tuple[Action, ...]]] = {
    "risk": ("acknowledged", "repair_planned", "outreach_planned", "approach_changed"),
    "rupture": ("acknowledged", "repair_planned", "approach_changed", "transfer_offered"),
    "silence": ("acknowledged", "outreach_planned", "ending_planned"),
    "safety": ("acknowledged", "outreach_planned"),
    "ending": ("acknowledged", "ending_planned", "approach_changed", "transfer_offered"),
}
"""Answers of one click, those that fit the kind of alert; ours."""
DISMISSALS: Final[tuple[DismissReason, ...]] = (
    "already_talked", "ended_well", "client_chose_to_stop", "not_applicable", "wrong_moment", "disagree",
)  # fmt: skip
"""Why an alert does not apply. That it is wrong is a click of its own."""
OF_THE_PLAYBOOK: Final[dict[str, PlaybookEntry]] = {entry.id: entry for entry in PLAYBOOK}


def parsed(moment: str) -> datetime:
    """The time of a view."""
    return datetime.fromisoformat(moment)


def likelihood(risk: float, risks: Sequence[float], calibrated: bool) -> Said:
    """How likely a stop within 30 days is: of ten where the release is calibrated, else the place among `risks`.

    `risks` are the 30-day risks of the list on which the episode stands, its own among them, the least first.
    """
    if calibrated:
        return frequency(risk)
    if len(risks) < FEWEST:
        return said("too few clients on your list to compare")
    below = bisect_left(risks, risk)
    alike = max(bisect_right(risks, risk) - below, 1)
    place = (below + alike / 2) / max(len(risks), below + alike)
    if place <= 0.1:
        return said("among the lowest of your list")
    for edge, words in (
        (0.9, said("among the highest of your list")),
        (0.6, said("higher than most of your list")),
        (0.4, said("about the middle of your list")),
    ):
        if place >= edge:
            return words
    return said("lower than most of your list")


def frequency(risk: float) -> Said:
    """A calibrated risk as so many of ten."""
    stop = round(risk * 10)
    if stop < 1:
        return said("fewer than 1 of 10 like this stop within 30 days; more than 9 stay")
    if stop > 9:
        return said("more than 9 of 10 like this stop within 30 days; fewer than 1 stays")
    return said("{stop} of 10 like this stop within 30 days; {stay} stay", stop=stop, stay=10 - stop)


def moved(change: float) -> Said:
    """How the risk moved."""
    if abs(change) < ABOUT_THE_SAME:
        return said("about as likely as before")
    return said("more likely than before") if change > 0 else said("less likely than before")


def weight(points: float) -> Said:
    """What a reason does, in words."""
    if abs(points) >= MUCH:
        return said("makes a stop much more likely") if points > 0 else said("makes a stop much less likely")
    if abs(points) >= SOME:
        return said("makes a stop more likely") if points > 0 else said("makes a stop less likely")
    return said("makes a stop a little more likely") if points > 0 else said("makes a stop a little less likely")


def newest(measure: Measure) -> Said | None:
    """The newest rating in its own scale, and how it compares with what is usual for this person; None without a rating."""
    if not measure.points:
        return None
    value = measure.points[-1].value
    told = said(
        "{instrument} {value} of {high}", instrument=measure.label, value=float(value), high=float(measure.high)
    )
    if measure.usual is None:
        return told
    low, high = measure.usual
    if low <= value <= high:
        return said("{rating}, as usual for this person", rating=told)
    apart = value - (low + high) / 2
    off = max(round(abs(apart)), 1)
    if apart < 0:
        return counted(
            off,
            "{rating}, {count} point below what is usual for this person",
            "{rating}, {count} points below what is usual for this person",
            rating=told,
        )
    return counted(
        off,
        "{rating}, {count} point above what is usual for this person",
        "{rating}, {count} points above what is usual for this person",
        rating=told,
    )


def given(answer: Answer) -> Said:
    """What was answered, or done to repair."""
    if answer.kind == "answer":
        return meaning("action", answer.action)
    if answer.outcome is None or answer.outcome == "unknown":
        return said("tried to repair it")
    return said("tried to repair it: {outcome}", outcome=meaning("repair_outcome", answer.outcome))


def holding(answered: AnsweredAlert) -> Answer | None:
    """The newest answer that was not taken back."""
    return next((one for one in sorted(answered.answers, key=_at, reverse=True) if not one.retracted), None)


def cards(alerts: Sequence[AnsweredAlert]) -> list[tuple[AnsweredAlert, tuple[AnsweredAlert, ...]]]:
    """Alerts as cards, each with those that stand in it besides: all of safety are one."""
    safety = tuple(one for one in alerts if one.alert.kind == "safety")
    found = [(safety[0], safety[1:])] if safety else []
    return found + [(one, ()) for one in alerts if one.alert.kind != "safety"]


def raising(item: CaseloadItem) -> tuple[Reason, ...]:
    """What raises the risk most by the newest score."""
    return tuple(one for one in item.reasons if one.points > 0 and one.feature != OTHER)[:MOST_RAISING]


def ideas(alerts: Sequence[AnsweredAlert]) -> list[tuple[Alert, tuple[Suggestion, ...]]]:
    """What open alerts suggest, each suggestion once, with the first alert that has it."""
    seen: set[str] = set()
    found = []
    for answered in alerts:
        fresh = tuple(one for one in answered.alert.suggestions if one.id not in seen)
        seen |= {one.id for one in fresh}
        if fresh:
            found.append((answered.alert, fresh))
    return found


def put_off_often(answered: AnsweredAlert) -> bool:
    """Whether a matter was put off so often that another step is due."""
    return sum(one.action == "snoozed" and not one.retracted for one in answered.answers) >= CYCLES


def snoozes(item: CaseloadItem, now: datetime, zone: tzinfo) -> tuple[str | None, tuple[str, ...]]:
    """Until when a matter can be put off: the day after the next session, None without one in time; and days from now.

    All are at the start of the clinic's day.
    """
    here = now.astimezone(zone)
    ends = tuple(rfc3339(_micros(morning(here, days))) for days in SNOOZES)
    if item.next_visit is None:
        return None, ends
    after = morning(parsed(item.next_visit.starts_at).astimezone(zone), 1)
    return (rfc3339(_micros(after)) if morning(here, 0) < after < morning(here, LONGEST.days) else None), ends


def morning(here: datetime, days: int) -> datetime:
    """The start of the day so many days on."""
    return (here + timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)


def condensed(scores: Sequence[ScoreAt]) -> tuple[tuple[ScoreAt, float | None], ...]:
    """Scores in which something changed, each with how the 30-day risk moved since the one before; the newest first."""
    found: list[tuple[ScoreAt, float | None]] = []
    before: ScoreAt | None = None
    for score in sorted(scores, key=lambda one: one.as_of):
        if score.risk is None:
            continue
        change = None if before is None or before.risk is None else score.risk.d30 - before.risk.d30
        same = before is not None and [one.text for one in before.reasons] == [one.text for one in score.reasons]
        if change is not None and same and abs(change) < SAME_STEP:
            continue
        found.append((score, change))
        before = score
    return tuple(found[::-1][:MOST_STEPS])


def _micros(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


def _at(answer: Answer) -> str:
    return answer.at
