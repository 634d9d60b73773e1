"""What decisions about alerts rest on: the thresholds of a release, what was alerted before, and the situation now."""

from __future__ import annotations

from math import isfinite
from typing import Final, NamedTuple

import msgspec

from keepwell.care.course import Course
from keepwell.contract.words import AlertKind, State

MOST_WITHHELD: Final = 0.2
"""No policy withholds `risk` alerts of a greater share of episodes; ours."""
LONGEST_DAYS: Final = 3650
"""No waiting time of a policy is longer, so that every due moment is one."""


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The thresholds of a release. Risks are at 30 days. Days are whole periods of 24 h."""

    line: float
    """A `risk` alert is raised at or above this risk."""
    release: float
    """It is resolved below this one, which lies under the line, so that a risk at the line does not flicker."""
    escalate: float
    """It is escalated, once, at or above this one."""
    refractory_days: float
    """After an alert of a kind was resolved, none of that kind is raised for so long."""
    unbooked_days: float
    """Silence: days since the last sign with no session pending (`unilateral-stop@1`): one that is under way, or was until
    lately and may yet be recorded, is no silence."""
    unrebooked_days: float
    """Silence: days since a visit was missed or cancelled with nothing booked since."""
    skips: int
    """Silence: questionnaires skipped in a row."""
    unanswered: int
    """Silence: contacts unanswered in a row."""
    ending_sessions: int
    """Ending: sessions from which doing well, or a stalled course, is worth talking about."""
    stalled_gain: float
    """Ending: a gain below this (in reliable changes) after twice `ending_sessions` is a stalled course."""
    catch_up_hours: float = 48
    """An event that lies longer back than this when it is taken is history: it is scored, and what holds is told once, when
    the history has come to its end. What lies less far back is told at once. Not written where it is the default."""
    withhold: float | None = None
    """Hold-out: of this share of episodes no `risk` alert is raised (`withheld`). None, which is not written: of none."""

    def __post_init__(self) -> None:
        if not 0 < self.release < self.line < self.escalate < 1:
            raise ValueError("policy: 0 < release < line < escalate < 1 must hold")
        if not all(0 < days <= LONGEST_DAYS for days in (self.unbooked_days, self.unrebooked_days)):
            raise ValueError(f"policy: unbooked_days and unrebooked_days must lie above 0 and not above {LONGEST_DAYS}")
        if not 0 <= self.refractory_days <= LONGEST_DAYS:
            raise ValueError(f"policy: refractory_days must lie between 0 and {LONGEST_DAYS}")
        if min(self.skips, self.unanswered, self.ending_sessions) < 1:
            raise ValueError("policy: skips, unanswered and ending_sessions must be at least 1")
        if not isfinite(self.stalled_gain):
            raise ValueError("policy: stalled_gain must be a number")
        if not 0 < self.catch_up_hours <= LONGEST_DAYS * 24:
            raise ValueError(f"policy: catch_up_hours must lie above 0 and not above {LONGEST_DAYS * 24}")
        if self.withhold is not None and not 0 < self.withhold <= MOST_WITHHELD:
            raise ValueError(f"policy: withhold must lie above 0 and not above {MOST_WITHHELD}")


class OpenAlert(msgspec.Struct, array_like=True, frozen=True):
    """An alert that was raised and not yet resolved."""

    id: str
    kind: AlertKind
    raised_at: int
    escalated: bool = False


class CatchUp(msgspec.Struct, array_like=True, frozen=True):
    """History of an episode is coming in. What holds is told at the first tick from `quiet_at` (µs) on; each further event
    of the history puts it off. `endorsed`: when the newest safety item of the history was endorsed (µs)."""

    quiet_at: int
    endorsed: int | None = None


class Memory(msgspec.Struct, array_like=True, frozen=True):
    """What the policy remembers of an episode: the open alerts, when one of each kind was last resolved (µs), and whether it
    waits for the end of a history."""

    open: tuple[OpenAlert, ...] = ()
    resolved: dict[str, int] = {}
    catch_up: CatchUp | None = None


class Situation(NamedTuple):
    """What a decision rests on. `risk` is the 30-day risk, None where the episode is not open."""

    episode: str
    trigger: str
    model: str
    now: int
    state: State
    risk: float | None
    course: Course
    endorsed: int | None = None
    """When the safety item was endorsed (µs), where the event that is being taken does so and holds."""
    history_at: int | None = None
    """The newest tick (µs), where the event that is being taken is history then."""
    caught_up: bool = False
    """A history has come to its end: what holds is told now."""
