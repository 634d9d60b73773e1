"""When to alert: a line with hysteresis, refractory time, snooze, and five kinds, so that few alerts come and each counts.

`decide` is a function of the policy, what was alerted before (`Memory`), and the situation now. It never throttles safety.
"""

from __future__ import annotations

import hashlib
from base64 import b32encode
from math import isfinite
from typing import Final, Literal, NamedTuple

import msgspec

from keepwell.care.course import Course
from keepwell.care.endings import DAY, RECORDING_TIME, State
from keepwell.contract.outputs import AlertKind, AlertStatus, ResolvedBecause

QUIET_ANSWERS: Final = frozenset(("dismissed", "snoozed"))
"""Answers after which an alert is not escalated."""
MOST_WITHHELD: Final = 0.2
"""No policy withholds `risk` alerts of a greater share of episodes; ours."""
_DRAW: Final = b"keepwell withheld risk alerts"
"""Key of the hold-out's draw, so that no other draw by the name of an episode goes with it. It is no secret."""
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
        if self.withhold is not None and not 0 < self.withhold <= MOST_WITHHELD:
            raise ValueError(f"policy: withhold must lie above 0 and not above {MOST_WITHHELD}")


class OpenAlert(msgspec.Struct, array_like=True, frozen=True):
    """An alert that was raised and not yet resolved."""

    id: str
    kind: AlertKind
    raised_at: int
    escalated: bool = False


class Memory(msgspec.Struct, array_like=True, frozen=True):
    """What the policy remembers of an episode: the open alerts, and when one of each kind was last resolved (µs)."""

    open: tuple[OpenAlert, ...] = ()
    resolved: dict[str, int] = {}


class Situation(NamedTuple):
    """What a decision rests on. `risk` is the 30-day risk, None where the episode is not open. `safety`: the event that is
    being taken endorses a safety item."""

    episode: str
    trigger: str
    model: str
    now: int
    state: State
    risk: float | None
    course: Course
    safety: bool


class Decision(NamedTuple):
    """One thing to tell: an alert raised, escalated or resolved."""

    id: str
    kind: AlertKind
    status: AlertStatus
    why: ResolvedBecause | None = None


Verdict = Literal["holds", "over", "between"]


def decide(policy: Policy, memory: Memory, now: Situation) -> tuple[list[Decision], Memory]:
    """What to tell about this situation, and what to remember. The same input gives the same decisions and ids."""
    told: list[Decision] = []
    kept: list[OpenAlert] = []
    resolved = dict(memory.resolved)
    again: set[str] = set()
    for alert in memory.open:
        why = _resolved(policy, alert, now)
        if why is not None:
            told.append(Decision(alert.id, alert.kind, "resolved", why))
            if why == "snoozed_out":
                again.add(alert.kind)
            else:
                resolved[alert.kind] = now.now
            continue
        if not alert.escalated and _escalates(policy, alert, now):
            told.append(Decision(alert.id, alert.kind, "escalated"))
            alert = OpenAlert(alert.id, alert.kind, alert.raised_at, escalated=True)  # noqa: PLW2901  # the alert goes on, changed
        kept.append(alert)
    for kind in ("risk", "rupture", "silence", "ending"):
        if _holds(policy, kind, now) != "holds" or any(_covers(alert, kind, now) for alert in kept):
            continue
        if kind not in again and kind in resolved and now.now - resolved[kind] < policy.refractory_days * DAY:
            continue
        if kind == "risk" and kind not in again and withheld(policy.withhold, now.episode):
            continue
        alert = OpenAlert(alert_id(now.episode, kind, now.trigger, now.model), kind, now.now)
        kept.append(alert)
        told.append(Decision(alert.id, kind, "raised"))
    if now.safety:
        told.append(Decision(alert_id(now.episode, "safety", now.trigger, now.model), "safety", "raised"))
    return told, Memory(tuple(kept), resolved)


def alert_id(episode: str, kind: str, trigger: str, model: str) -> str:
    """The id of an alert: a function of what raised it.

    >>> alert_id("north/ep-17", "risk", "/north/booking#ev-9911", "sha256:00")
    'al-nvnkpt6fogjfuiiwkrphwf5v'
    """
    digest = hashlib.sha256("\n".join((episode, kind, trigger, model)).encode()).digest()
    return "al-" + b32encode(digest[:15]).decode().lower()


def withheld(share: float | None, episode: str) -> bool:
    """Whether an episode is in a hold-out of this share: a draw by its key alone, so the same in every process, replay and
    release. Who is in a smaller one is in a greater one too.

    >>> [n for n in range(20) if withheld(0.2, f"north/ep-{n}")]
    [11, 12, 17]
    """
    if share is None:
        return False
    drawn = hashlib.blake2b(episode.encode(), key=_DRAW, digest_size=8).digest()
    return int.from_bytes(drawn, "big") < share * 2**64


def snoozes(memory: Memory, course: Course) -> list[int]:
    """The moments (µs) at which the snoozes of open alerts run out."""
    return [course.snoozed_until[alert.id] for alert in memory.open if alert.id in course.snoozed_until]


def _covers(alert: OpenAlert, kind: AlertKind, now: Situation) -> bool:
    """Whether an open alert tells of the condition already; one of an earlier rupture does not tell of a new one."""
    if alert.kind != kind:
        return False
    return kind != "rupture" or alert.raised_at >= now.course.alliance.ruptures[-1].opened_at


def _resolved(policy: Policy, alert: OpenAlert, now: Situation) -> ResolvedBecause | None:
    if now.state != "open":
        return "ended"
    until = now.course.snoozed_until.get(alert.id)
    if until is not None and now.now >= until:
        return "snoozed_out"
    if _holds(policy, alert.kind, now) != "over":
        return None
    if alert.kind == "rupture" and not now.course.alliance.ruptures:
        return "risk_fell"  # what was reported was taken back: there is no rupture, and nothing was repaired
    return {"risk": "risk_fell", "rupture": "repaired", "silence": "returned", "ending": None}[alert.kind]


def _escalates(policy: Policy, alert: OpenAlert, now: Situation) -> bool:
    if now.course.answers.get(alert.id) in QUIET_ANSWERS:
        return False
    return alert.kind == "risk" and now.risk is not None and now.risk >= policy.escalate


def _holds(policy: Policy, kind: AlertKind, now: Situation) -> Verdict:
    """Whether the condition of a kind holds, is over, or lies between the line and its release."""
    if now.state != "open" or now.risk is None:
        return "over"
    if kind == "risk":
        return "holds" if now.risk >= policy.line else "over" if now.risk < policy.release else "between"
    if kind == "rupture":
        ruptures = now.course.alliance.ruptures
        if not ruptures or ruptures[-1].repaired:
            return "over"
        return "holds" if ruptures[-1].closed_at is None else "between"
    if kind == "silence":
        return "holds" if silence(policy, now.course, now.now) else "over"
    return "holds" if ending(policy, now.course) else "between"


def silence(policy: Policy, course: Course, now: int) -> list[str]:
    """Why the episode counts as silent, in plain words; empty where it does not."""
    found = []
    if course.lost_at is not None and now - course.lost_at >= policy.unrebooked_days * DAY:
        found.append("A visit was lost and nothing has been booked since")
    sign = course.standing.last_sign
    pending = any(starts + RECORDING_TIME >= now for starts in course.standing.pending.values())
    if sign is not None and now - sign >= policy.unbooked_days * DAY and not pending:
        found.append(f"No session is booked, and the last sign lies {(now - sign) // DAY} days back")
    if course.skips_in_a_row >= policy.skips:
        found.append(f"{course.skips_in_a_row} questionnaires in a row were skipped")
    if course.unanswered >= policy.unanswered:
        found.append(f"{course.unanswered} contacts have had no answer")
    return found


def ending(policy: Policy, course: Course) -> list[str]:
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


def timing(policy: Policy) -> tuple[float, ...]:
    """What of a policy `timers` rests on: where it is equal, so are the due moments."""
    return policy.unbooked_days, policy.unrebooked_days


def timers(policy: Policy, memory: Memory, course: Course, now: int) -> list[tuple[int, str]]:
    """The moments (µs) at which an open episode changes without any event, each with its name; none before the newest entry.

    `visit-unrecorded`, `nothing-booked`, `not-rebooked`, `stop-declared`, `snooze-over`.
    """
    standing = course.standing
    if standing.state_at(now) != "open":
        return []
    found = [(starts + RECORDING_TIME + 1, "visit-unrecorded") for starts in standing.pending.values()]
    declared = standing.declared
    if declared is not None:
        found.append((declared, "stop-declared"))
    if standing.last_sign is not None:
        unrecorded = (starts + RECORDING_TIME + 1 for starts in standing.pending.values())
        alone = max([standing.last_sign + round(policy.unbooked_days * DAY), *unrecorded])
        found.append((alone, "nothing-booked"))
    if course.lost_at is not None:
        found.append((course.lost_at + round(policy.unrebooked_days * DAY), "not-rebooked"))
    found.extend((until, "snooze-over") for until in snoozes(memory, course))
    return sorted(set(found))
