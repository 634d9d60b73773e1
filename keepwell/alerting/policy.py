"""What decisions about alerts rest on: the lines of a release, what was alerted before, and the situation now."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from keepwell.alerting.signals import Signals
from keepwell.care.course import Course
from keepwell.contract.words import AlertKind, State

MOST_WITHHELD: Final = 0.2
"""No policy withholds `risk` alerts of a greater share of episodes; ours."""
LONGEST_DAYS: Final = 3650
"""No waiting time of a policy is longer, so that every due moment is one."""


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The lines of a release. Risks are at 30 days. Days are whole periods of 24 h.

    Three situations have a line each: somebody still comes, and a talk in the next session is possible; somebody is absent,
    and may come back without being asked; a fall of the ratings, which is told where the risk is raised as well. What is
    voiced is told whatever the risk.
    """

    line: float
    """Still coming: a `risk` alert is raised at or above this risk."""
    release: float
    """It is resolved below this one, which lies under the line, so that a risk at the line does not flicker."""
    escalate: float
    """It is escalated, once, at or above this one."""
    absent: float
    """Absent: a `silence` alert is raised at or above this risk."""
    strain: float
    """A `rupture` alert of a fall that is not great is raised at or above this risk."""
    quiet_days: float = 7
    """After an alert of a client none follows for so long, unless something new happened."""
    refractory_days: float = 21
    """After an alert of a kind was resolved, none of that kind is raised for so long, unless something new happened."""
    most: int = 8
    """Alerts of an episode at most, safety apart."""
    catch_up_hours: float = 48
    """An event that lies longer back than this when it is taken is history: it is scored, and what holds is told once, when
    the history has come to its end. What lies less far back is told at once."""
    withhold: float | None = None
    """Hold-out: of this share of episodes no `risk` alert is raised (`withheld`). None: of none. What is voiced, absence and
    safety are told of everybody."""

    def __post_init__(self) -> None:
        if not 0 < self.release < self.line < self.escalate < 1:
            raise ValueError("policy: 0 < release < line < escalate < 1 must hold")
        if not (0 < self.absent < 1 and 0 <= self.strain < 1):
            raise ValueError("policy: absent must lie between 0 and 1, strain from 0 to below 1")
        if not 0 < self.quiet_days <= LONGEST_DAYS:
            raise ValueError(f"policy: quiet_days must lie above 0 and not above {LONGEST_DAYS}")
        if not 0 <= self.refractory_days <= LONGEST_DAYS:
            raise ValueError(f"policy: refractory_days must lie between 0 and {LONGEST_DAYS}")
        if self.most < 1:
            raise ValueError("policy: most must be at least 1")
        if not 0 < self.catch_up_hours <= LONGEST_DAYS * 24:
            raise ValueError(f"policy: catch_up_hours must lie above 0 and not above {LONGEST_DAYS * 24}")
        if self.withhold is not None and not 0 < self.withhold <= MOST_WITHHELD:
            raise ValueError(f"policy: withhold must lie above 0 and not above {MOST_WITHHELD}")


class OpenAlert(msgspec.Struct, array_like=True, frozen=True):
    """An alert that was raised and not yet resolved. `told_at`: when it was last told (µs), raised or escalated; `news`: it
    was raised because something happened, not by a risk alone."""

    id: str
    kind: AlertKind
    told_at: int
    escalated: bool = False
    news: bool = False


class CatchUp(msgspec.Struct, array_like=True, frozen=True):
    """History of an episode is coming in. What holds is told at the first tick from `quiet_at` (µs) on; each further event
    of the history puts it off. `endorsed`: when the newest safety item of the history was endorsed (µs)."""

    quiet_at: int
    endorsed: int | None = None


class Memory(msgspec.Struct, array_like=True, frozen=True):
    """What the policy remembers of an episode: the open alerts; when one of each kind was last raised, and last
    resolved (µs); how many were raised, safety apart; whether it waits for the end of a history; and which of the open
    matters it has heard of (`matters_of`). `unsettled`: how many were raised since a matter was last settled."""

    open: tuple[OpenAlert, ...] = ()
    raised: dict[str, int] = {}
    resolved: dict[str, int] = {}
    count: int = 0
    catch_up: CatchUp | None = None
    heard: tuple[int, ...] = ()
    unsettled: int = 0


class Situation(NamedTuple):
    """What a decision rests on. `risk` is the 30-day risk, None where the episode is not open."""

    episode: str
    trigger: str
    model: str
    now: int
    state: State
    risk: float | None
    course: Course
    """For what was answered to alerts, and endorsed; the rest is in `signals`."""
    signals: Signals
    endorsed: int | None = None
    """When the safety item was endorsed (µs), where the event that is being taken does so and holds."""
    history_at: int | None = None
    """The newest tick (µs), where the event that is being taken is history then."""
    caught_up: bool = False
    """A history has come to its end: what holds is told now."""
