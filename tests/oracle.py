"""A second, slow and literal reading of the contract on visits and stopping, to hold the fast one in `keepwell.care` against.

Every question is answered from the whole list of events by trying every moment at which the answer could change. Nothing
here is shared with the code under test but the types and the facts of the instruments. Times are microseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, get_args

from keepwell.care.instruments import KNOWN
from keepwell.contract.events import (
    AnyEvent,
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentMissed,
    AppointmentRescheduled,
    EpisodeEnded,
    EpisodeOpened,
    EventRetracted,
    HomeworkAssigned,
    HomeworkReviewed,
    MeasureCompleted,
    SessionAttended,
    micros,
)
from keepwell.contract.words import SESSION_PURPOSES

HOUR = 3_600_000_000
DAY = 24 * HOUR
W = 30 * DAY
UNRECORDED_AFTER = 3 * DAY

State = Literal["open", "stopped", "ended"]
STOPS = ("dropout", "improved_leaver")
RANK = {cls: rank for rank, cls in enumerate(get_args(AnyEvent))}
# Old homework is reviewed before new is assigned.
RANK[HomeworkAssigned], RANK[HomeworkReviewed] = RANK[HomeworkReviewed], RANK[HomeworkAssigned]

Start = AppointmentBooked | AppointmentRescheduled
Outcome = AppointmentCancelled | AppointmentMissed | SessionAttended
Visit = Start | Outcome


class Spell(NamedTuple):
    """A run of care up to a stop or another ending; `closed_at` and `ending` are None while it is undetermined.

    `ending` is `dropout` or `improved_leaver` where a stop was declared, else the reason of the other ending.
    """

    start: int
    last_attended: int | None
    closed_at: int | None
    ending: str | None


# ── which events count ──────────────────────────────────────────────────────────────────────────────────


def effective(events: Iterable[AnyEvent]) -> list[AnyEvent]:
    """The events of one episode that count, in order: once each, without the replaced and the retracted ones."""
    once: dict[tuple[str, str], AnyEvent] = {}
    for event in events:
        once.setdefault((event.source, event.id), event)
    ordered = sorted(once.values(), key=_order)
    replaced: set[tuple[str, str]] = set()
    for _ in range(2):
        standing = [event for event in ordered if not _retracted(event, ordered, replaced)]
        replacing = [
            event
            for event in standing
            if event.corrects is not None and event.corrects != event.id and not _outdone(event, standing)
        ]
        lost = {
            (event.source, event.id)
            for event in replacing
            if any(
                (other.source, other.corrects) == (event.source, event.corrects) and _order(other) > _order(event)
                for other in replacing
            )
        }
        followers = {(e.source, e.id) for e in replacing if (e.source, e.corrects) in lost}
        replaced = {(e.source, e.corrects or "") for e in replacing} | lost | followers
    return [event for event in standing if (event.source, event.id) not in replaced]


def _outdone(event: AnyEvent, events: Sequence[AnyEvent]) -> bool:
    """Whether the event it corrects is a later one that corrects it."""
    return any(
        (other.source, other.id) == (event.source, event.corrects)
        and other.corrects == event.id
        and _order(other) > _order(event)
        for other in events
    )


def _order(event: AnyEvent) -> tuple[int, int, str, str]:
    return micros(event.time), RANK[type(event)], event.source, event.id


def _retracted(event: AnyEvent, events: Sequence[AnyEvent], replaced: set[tuple[str, str]]) -> bool:
    return any(
        isinstance(other, EventRetracted)
        and other.source == event.source
        and other.data.event_id == event.id
        and (other.source, other.id) not in replaced
        and (not isinstance(event, EventRetracted) or _order(other) > _order(event))
        and not _retracted(other, events, replaced)
        for other in events
    )


# ── what was known at a moment ──────────────────────────────────────────────────────────────────────────


def _until(events: Iterable[AnyEvent], at: int) -> list[AnyEvent]:
    return [event for event in events if micros(event.time) <= at]


def _visits(events: Iterable[AnyEvent], appointment: str) -> list[Visit]:
    return [event for event in events if isinstance(event, Visit) and event.data.appointment_id == appointment]


def _appointments(events: Iterable[AnyEvent]) -> set[str]:
    return {event.data.appointment_id for event in events if isinstance(event, Visit) and event.data.appointment_id}


def _booked_purpose(events: Iterable[AnyEvent], appointment: str | None) -> str:
    purposes = [e.data.purpose for e in events if isinstance(e, AppointmentBooked)
                and e.data.appointment_id == appointment]  # fmt: skip
    return purposes[-1] if purposes else "treatment"


def _is_session(events: Sequence[AnyEvent], visit: SessionAttended | AppointmentMissed) -> bool:
    own = visit.data.purpose if isinstance(visit, SessionAttended) else None
    known = events[: events.index(visit)]
    return (own or _booked_purpose(known, visit.data.appointment_id)) in SESSION_PURPOSES


def _outcome(visits: Sequence[Visit]) -> Outcome | None:
    """The one outcome of an appointment by all that was recorded of it: of those that no later start has undone, attended
    outweighs the others, whichever was recorded first; else the later one holds."""
    left = [
        visit
        for place, visit in enumerate(visits)
        if isinstance(visit, Outcome)
        and not any(_undoes(visits[:later], visits[later], visit) for later in range(place + 1, len(visits)))
    ]
    attended = [visit for visit in left if isinstance(visit, SessionAttended)]
    return (attended or left or [None])[-1]


def _undoes(before: Sequence[Visit], start: Visit, outcome: Outcome) -> bool:
    """Whether it is a start that lies after the outcome: a new one by rescheduling, or booked with another than before."""
    if not isinstance(start, Start) or start.data.starts_at <= outcome.time:
        return False
    known = {visit.data.starts_at for visit in before if isinstance(visit, Start)}
    another = bool(known) and start.data.starts_at not in known  # the first is the booking of the visit that took place
    return isinstance(start, AppointmentRescheduled) or another


def _holds(events: Sequence[AnyEvent], visit: SessionAttended | AppointmentMissed) -> bool:
    appointment = visit.data.appointment_id
    return appointment is None or _outcome(_visits(events, appointment)) is visit


def _came(events: Sequence[AnyEvent]) -> list[int]:
    """When a session was attended, as it was recorded then."""
    return [micros(e.time) for e in events if isinstance(e, SessionAttended) and _is_session(events, e)]


def _attended(events: Sequence[AnyEvent]) -> list[int]:
    """When a session was attended, by what holds now."""
    attended = [e for e in events if isinstance(e, SessionAttended) and _holds(events, e)]
    return [micros(e.time) for e in attended if _is_session(events, e)]


def _missed(events: Sequence[AnyEvent]) -> list[int]:
    missed = [e for e in events if isinstance(e, AppointmentMissed) and _holds(events, e)]
    return [micros(e.time) for e in missed if _is_session(events, e)]


def _start(visits: Sequence[Visit]) -> int | None:
    """The start of an appointment: the last one that was set while no outcome held."""
    starts = [
        visit.data.starts_at
        for place, visit in enumerate(visits)
        if isinstance(visit, Start) and _outcome(visits[: place + 1]) is None
    ]
    return micros(starts[-1]) if starts else None


def _booked_start(events: Iterable[AnyEvent], appointment: str) -> int | None:
    """When the appointment is to start, if by these events it is booked and has no outcome."""
    visits = _visits(events, appointment)
    return _start(visits) if _outcome(visits) is None else None


def _pending(events: Sequence[AnyEvent], at: int) -> bool:
    for appointment in _appointments(events):
        start = _booked_start(events, appointment)
        session = _booked_purpose(events, appointment) in SESSION_PURPOSES
        if start is not None and session and at <= start + UNRECORDED_AFTER:
            return True
    return False


def _last_sign(events: Sequence[AnyEvent]) -> int | None:
    openings = [micros(e.time) for e in events if isinstance(e, EpisodeOpened)][:1]
    return max(openings + _attended(events) + _missed(events), default=None)


def _overdue(events: Sequence[AnyEvent], at: int) -> bool:
    """Whether, by what had happened at `at`, the last sign lies W back and no session is pending."""
    known = _until(events, at)
    sign = _last_sign(known)
    return sign is not None and at >= sign + W and not _pending(known, at)


# ── spells ──────────────────────────────────────────────────────────────────────────────────────────────


def spells(events: Sequence[AnyEvent], now: int) -> list[Spell]:
    """The spells of an episode by its effective events that happened up to `now`."""
    known = _until(events, now)
    found: list[Spell] = []
    start = next((micros(event.time) for event in known if not isinstance(event, EventRetracted)), None)
    while start is not None:
        closed_at, ending = _close(known, start, now)
        # What was declared stands: once it is, no outcome that is undone later changes what was known then.
        attended = [t for t in _attended(_until(known, now if closed_at is None else closed_at)) if start <= t]
        found.append(Spell(start, max(attended, default=None), closed_at, ending))
        returns = [t for t in _came(known) if closed_at is not None and ending in STOPS and t > closed_at]
        start = min(returns, default=None)
    return found


def _close(events: Sequence[AnyEvent], start: int, now: int) -> tuple[int | None, str | None]:
    """When and how the spell that began at `start` closes; (None, None) if it has not by `now`."""
    for moment in _moments(events, start, now):
        for event in events:
            if isinstance(event, EpisodeEnded) and micros(event.time) == moment:
                if event.data.reason != "client_stopped":
                    return moment, event.data.reason
                return moment, "other" if event.data.mutual else _stop(events, moment)
        if _overdue(events, moment):
            return moment, _stop(events, moment)
    return None, None


def _moments(events: Sequence[AnyEvent], start: int, now: int) -> list[int]:
    """Every moment from `start` to `now` at which a spell could close, and those beside it."""
    times = {micros(event.time) for event in events}
    starts = {micros(e.data.starts_at) for e in events if isinstance(e, AppointmentBooked | AppointmentRescheduled)}
    candidates = times | {t + W for t in times} | {s + UNRECORDED_AFTER for s in starts}
    beside = {moment + step for moment in candidates for step in (-1, 0, 1)}
    return sorted(moment for moment in beside if start <= moment <= now)


def _stop(events: Sequence[AnyEvent], moment: int) -> str:
    totals: dict[str, list[float]] = {}
    latest = None
    for event in _until(events, moment):
        if isinstance(event, MeasureCompleted) and event.data.rater == "client":
            name = next((name for name in KNOWN if _bare(name) == _bare(event.data.instrument)), None)
            total = _total(name, event.data.scores)
            if name is not None and KNOWN[name].kind == "outcome" and total is not None:
                totals.setdefault(name, []).append(total)
                latest = name
    if latest is None:
        return "dropout"
    first, last, instrument = totals[latest][0], totals[latest][-1], KNOWN[latest]
    improved = instrument.reliably_improved(first, last) and instrument.past_cutoff(last)
    return "improved_leaver" if improved else "dropout"


def _bare(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _total(name: str | None, scores: Mapping[str, float]) -> float | None:
    given = {scale.casefold(): score for scale, score in scores.items()}
    items = ("individual", "interpersonal", "social", "overall")
    if name == "ORS" and "total" not in given and all(item in given for item in items):
        return sum(given[item] for item in items)
    return given.get("total")


# ── states and targets ──────────────────────────────────────────────────────────────────────────────────


def state(events: Sequence[AnyEvent], at: int) -> State:
    """The state of the episode at `at`, by what had happened then; `open` before anything has."""
    so_far = spells(events, at)
    if not so_far or so_far[-1].closed_at is None:
        return "open"
    return "stopped" if so_far[-1].ending in STOPS else "ended"


def target(events: Sequence[AnyEvent], t: int, horizon_days: int, now: int) -> int | None:
    """Premature termination within the horizon after `t`, as far as determined at `now`."""
    end = t + horizon_days * DAY
    for spell in spells(events, now):
        if spell.start <= t and (spell.closed_at is None or t < spell.closed_at):
            if spell.ending in STOPS and (spell.last_attended is None or spell.last_attended < end):
                return 1
            if spell.last_attended is not None and spell.last_attended >= end:
                return 0
            if spell.ending is not None and spell.ending not in STOPS:
                return 0
    return None


def next_visit_missed(events: Sequence[AnyEvent], t: int, now: int) -> int | None:
    """Whether the next visit booked at `t` was missed or called off late by the client, as far as known at `now`."""
    if state(events, t) != "open":
        return None
    known = _until(events, t)
    starts = {appointment: _booked_start(known, appointment) for appointment in _appointments(known)}
    ahead = sorted((start, appointment) for appointment, start in starts.items() if start is not None and start > t)
    if not ahead:
        return None
    visits = _visits(_until(events, now), ahead[0][1])
    outcome = _outcome(visits)
    return None if outcome is None else _missed_or_late(outcome, _start(visits[: visits.index(outcome)]))


def _missed_or_late(outcome: Outcome, start: int | None) -> int | None:
    if isinstance(outcome, AppointmentMissed):
        return 1
    if isinstance(outcome, SessionAttended):
        return 0
    late = start is not None and start - micros(outcome.time) < DAY
    return 1 if outcome.data.initiator == "client" and late else None
