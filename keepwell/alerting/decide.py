"""When to alert: a line with hysteresis, refractory time, snooze, and five kinds, so that few alerts come and each counts.

`decide` is a function of the policy, what was alerted before (`Memory`), and the situation now. It never throttles safety.
"""

from __future__ import annotations

import hashlib
from base64 import b32encode
from typing import Final, NamedTuple

from keepwell.alerting.kinds import LASTING, LastingKind
from keepwell.alerting.policy import Memory, OpenAlert, Policy, Situation
from keepwell.care.course import Course
from keepwell.care.endings import DAY
from keepwell.contract.words import AlertKind, AlertStatus, ResolvedBecause

QUIET_ANSWERS: Final = frozenset(("dismissed", "snoozed"))
"""Answers after which an alert is not escalated."""
_DRAW: Final = b"keepwell withheld risk alerts"
"""Key of the hold-out's draw, so that no other draw by the name of an episode goes with it. It is no secret."""
_LASTING: Final = {kind.name: kind for kind in LASTING}


class Decision(NamedTuple):
    """One thing to tell: an alert raised, escalated or resolved."""

    id: str
    kind: AlertKind
    status: AlertStatus
    why: ResolvedBecause | None = None


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
    if now.state == "open":
        for kind in LASTING:
            if kind.holds(policy, now) != "holds" or _told_of(kind, kept, now):
                continue
            name = kind.name
            if name not in again and name in resolved and now.now - resolved[name] < policy.refractory_days * DAY:
                continue
            if kind.withheld and name not in again and withheld(policy.withhold, now.episode):
                continue
            alert = OpenAlert(alert_id(now.episode, name, now.trigger, now.model), name, now.now)
            kept.append(alert)
            told.append(Decision(alert.id, name, "raised"))
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
    found = [(at, "visit-unrecorded") for at in course.visits.unrecorded_from()]
    declared = standing.declared
    if declared is not None:
        found.append((declared, "stop-declared"))
    for kind in LASTING:
        found.extend(kind.timers(policy, course))
    found.extend((until, "snooze-over") for until in snoozes(memory, course))
    return sorted(set(found))


def _resolved(policy: Policy, alert: OpenAlert, now: Situation) -> ResolvedBecause | None:
    if now.state != "open":
        return "ended"
    until = now.course.snoozed_until.get(alert.id)
    if until is not None and now.now >= until:
        return "snoozed_out"
    kind = _LASTING[alert.kind]
    return kind.over_because(now) if kind.holds(policy, now) == "over" else None


def _escalates(policy: Policy, alert: OpenAlert, now: Situation) -> bool:
    return now.course.answers.get(alert.id) not in QUIET_ANSWERS and _LASTING[alert.kind].escalates(policy, now)


def _told_of(kind: LastingKind, alerts: list[OpenAlert], now: Situation) -> bool:
    return any(alert.kind == kind.name and kind.covers(alert, now) for alert in alerts)
