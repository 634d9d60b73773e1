"""When to alert: a line for each situation, a quiet time over all kinds, snooze, and what is news is told at once.

`decide` is a function of the policy, what was alerted before (`Memory`), and the situation now. It never throttles safety.
"""

from __future__ import annotations

import hashlib
from base64 import b32encode
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from keepwell.alerting.kinds import LASTING, LastingKind
from keepwell.alerting.policy import CatchUp, Memory, OpenAlert, Policy, Situation
from keepwell.alerting.signals import matters_of
from keepwell.care.course import Course
from keepwell.care.endings import DAY
from keepwell.contract.words import AlertKind, AlertStatus, ResolvedBecause

QUIET_MICROS: Final = 90_000_000
"""How long no event of a history may have come before what holds is told: more than the 60 seconds between two ticks, so
that a history which is still being sent at a tick is not told of in its middle; ours."""
ENDORSED_DAYS: Final = 30
"""A safety item that came as history is told at its end where it was endorsed at most so long ago; ours."""
QUIET_ANSWERS: Final = frozenset(("dismissed", "snoozed"))
"""Answers that put an alert aside: it is not escalated, and nothing joins it."""
SETTLED: Final = frozenset(("repaired", "returned", "risk_fell"))
"""Why an alert is resolved whose matter is settled: neither put off nor cut short by the end of the course."""
CAUGHT_UP: Final = "caught-up"
"""Name of the timer at which a history has come to its end."""
_HOUR: Final = 3_600_000_000
_DRAW: Final = b"keepwell withheld risk alerts"
"""Key of the hold-out's draw, so that no other draw by the name of an episode goes with it. It is no secret."""
_LASTING: Final = {kind.name: kind for kind in LASTING}
ORDER: Final = tuple(_LASTING[name] for name in ("rupture", "ending", "silence", "risk"))
"""In which lasting kinds are asked at one moment: what somebody said, then what happened, then what a risk says."""


class Decision(NamedTuple):
    """One thing to tell: an alert raised, escalated or resolved."""

    id: str
    kind: AlertKind
    status: AlertStatus
    why: ResolvedBecause | None = None


def decide(policy: Policy, memory: Memory, now: Situation) -> tuple[list[Decision], Memory]:
    """What to tell about this situation, and what to remember. The same input gives the same decisions and ids.

    What an episode's alerts tell of is one matter: what joins it is told at once only where something new happened, else when
    a quiet time is over. While the history of an episode comes in, nothing is told but a safety item that is no history. At
    its end one lasting kind is told, the first that holds; the others count as told with it, so that they are told after the
    refractory time, where they still hold.
    """
    catch_up = memory.catch_up
    if now.history_at is not None:
        catch_up = _put_off(catch_up, now.history_at, now.endorsed)
    if catch_up is not None and not now.caught_up:
        told = [_raised("safety", now)] if now.endorsed is not None and now.history_at is None else []
        return told, msgspec.structs.replace(memory, catch_up=catch_up)
    now = _heard(memory, now)
    told, kept, again = _followed(policy, memory, now)
    resolved = memory.resolved
    over: dict[str, int] = {one.kind: now.now for one in told if one.status == "resolved" and one.kind not in again}
    if over:
        resolved = {**resolved, **over}
    raised, count = memory.raised, memory.count
    settled = any(one.why in SETTLED for one in told)
    if now.state == "open":
        for kind in ORDER:
            name = kind.name
            if kind.holds(policy, now) != "holds" or _told_of(policy, kind, kept, now):
                continue
            if name not in again and not _is_time(policy, kind, now, raised, resolved):
                continue
            if count >= policy.most or (kind.withheld and name not in again and withheld(policy.withhold, now.episode)):
                continue
            if catch_up is not None and any(decision.status == "raised" for decision in told):
                resolved, raised = {**resolved, name: now.now}, {**raised, name: now.now}
                continue
            one = _raised(name, now)
            kept.append(OpenAlert(one.id, name, now.now, news=kind.news(now) is not None))
            told.append(one)
            raised, count = {**raised, name: now.now}, count + 1
    if now.endorsed is not None or (catch_up is not None and _endorsed(catch_up, now)):
        told.append(_raised("safety", now))
    return told, Memory(
        open=tuple(kept), raised=raised, resolved=resolved, count=count, heard=matters_of(now.course),
        unsettled=(0 if settled else memory.unsettled) + count - memory.count,
    )  # fmt: skip


def _followed(policy: Policy, memory: Memory, now: Situation) -> tuple[list[Decision], list[OpenAlert], set[str]]:
    """What is told of the alerts that are open; those that stay so; and the kinds whose rest is over, which are told again
    where they still hold."""
    told: list[Decision] = []
    kept: list[OpenAlert] = []
    again: set[str] = set()
    for alert in memory.open:
        why = _resolved(policy, alert, now)
        if why is not None:
            told.append(Decision(alert.id, alert.kind, "resolved", why))
            if why == "snoozed_out":
                again.add(alert.kind)
            continue
        if not alert.escalated and _escalates(policy, alert, now):
            told.append(Decision(alert.id, alert.kind, "escalated"))
            alert = msgspec.structs.replace(alert, told_at=now.now, escalated=True)  # noqa: PLW2901  # the alert goes on, changed
        kept.append(alert)
    return told, kept, again


def _is_time(
    policy: Policy, kind: LastingKind, now: Situation, raised: Mapping[str, int], resolved: Mapping[str, int]
) -> bool:
    """Whether a kind that holds may be told now: something happened that it has not told of, or all was quiet long enough."""
    news = kind.news(now)
    if news is not None and news > max(raised.get(kind.name, -1), 0):
        return True
    if raised and now.now - max(raised.values()) < policy.quiet_days * DAY:
        return False
    return kind.name not in resolved or now.now - resolved[kind.name] >= policy.refractory_days * DAY


def is_history(policy: Policy, at: int, tick: int) -> bool:
    """Whether an event of the moment `at` (µs) is history when it is taken after the tick of the moment `tick`."""
    return tick - at > policy.catch_up_hours * _HOUR


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


def timers(memory: Memory, course: Course, now: int) -> list[tuple[int, str]]:
    """The moments (µs) at which an open episode changes without any event, each with its name; none before the newest entry.

    `visit-unrecorded`, `nothing-booked`, `not-rebooked`, `stop-declared`, `snooze-over`; and of any episode `caught-up`.
    """
    standing = course.standing
    caught_up = [(max(memory.catch_up.quiet_at, now), CAUGHT_UP)] if memory.catch_up is not None else []
    if standing.state_at(now) != "open":
        return caught_up
    found = caught_up + [(at, "visit-unrecorded") for at in course.visits.unrecorded_from()]
    declared = standing.declared
    if declared is not None:
        found.append((declared, "stop-declared"))
    for kind in LASTING:
        found.extend((at, name) for at, name in kind.timers(course) if at > now)
    found.extend((until, "snooze-over") for until in snoozes(memory, course))
    return sorted(set(found))


def _raised(kind: AlertKind, now: Situation) -> Decision:
    return Decision(alert_id(now.episode, kind, now.trigger, now.model), kind, "raised")


def _put_off(before: CatchUp | None, tick: int, endorsed: int | None) -> CatchUp:
    """Waits on, from the tick at which one more event of the history was taken."""
    known = [at for at in (before.endorsed if before is not None else None, endorsed) if at is not None]
    return CatchUp(tick + QUIET_MICROS, max(known, default=None))


def _endorsed(catch_up: CatchUp, now: Situation) -> bool:
    """Whether a safety item of the history stands: not long ago, the newest answer to it, and not told of already."""
    if catch_up.endorsed is None:
        return False
    return any(at <= catch_up.endorsed and now.now - at <= ENDORSED_DAYS * DAY for at in now.course.endorsed.values())


def _resolved(policy: Policy, alert: OpenAlert, now: Situation) -> ResolvedBecause | None:
    if now.state != "open":
        return "ended"
    until = now.course.snoozed_until.get(alert.id)
    if until is not None and now.now >= until:
        return "snoozed_out"
    kind = _LASTING[alert.kind]
    return kind.over_because(alert, now) if kind.holds(policy, now) == "over" else None


def _escalates(policy: Policy, alert: OpenAlert, now: Situation) -> bool:
    return now.course.answers.get(alert.id) not in QUIET_ANSWERS and _LASTING[alert.kind].escalates(policy, alert, now)


def _told_of(policy: Policy, kind: LastingKind, alerts: list[OpenAlert], now: Situation) -> bool:
    """Whether an open alert tells of what holds already, or can be told once more to do so. Of what happened since, one that
    was dismissed says nothing, and one that was escalated cannot where each news is a matter of its own. Some of what holds
    joins what was told of the client and not put aside: it is the same talk."""
    news = kind.news(now)

    def tells(alert: OpenAlert) -> bool:
        over = now.course.answers.get(alert.id) == "dismissed" or (alert.escalated and kind.each_news)
        return not over or news is None or news <= alert.told_at

    if any(alert.kind == kind.name and tells(alert) for alert in alerts):
        return True
    since = kind.joins(policy, now)
    return since is not None and any(
        alert.told_at > since and now.course.answers.get(alert.id) not in QUIET_ANSWERS for alert in alerts
    )


def _heard(memory: Memory, now: Situation) -> Situation:
    """The situation in which what came late is as new as it is to the reader: voiced when it is first heard of."""
    new = set(matters_of(now.course)).difference(memory.heard)
    wishes = new.intersection(now.course.wishes.values())
    found = now.signals
    if wishes and found.wished_at is not None:
        found = found._replace(wished_at=max(found.wished_at, now.now))
    if new - wishes and found.voiced_at is not None:
        found = found._replace(voiced_at=max(found.voiced_at, now.now))
    return now._replace(signals=found)
