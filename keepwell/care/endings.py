"""When a person has stopped: premature termination `unilateral-stop@1` and its targets, as CONTRACT section 3 defines them.

One sweep in time order serves live scores, `keepwell score` and training. Between two events the only thing that can happen
is that a stop becomes declared, so the sweep settles that before it takes the next event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final, Literal

from keepwell.care.history import AnyEntry, Attendance, Booking, Cancellation, End, Measure, Miss, Move, Opening
from keepwell.care.instruments import Instrument
from keepwell.contract.words import SESSION_PURPOSES

DEFINITION: Final = "unilateral-stop@1"
DAY: Final = 86_400_000_000
"""Microseconds a day."""
WINDOW: Final = 30 * DAY
"""W: how long after the last sign a stop is declared when no session is pending."""
RECORDING_TIME: Final = 3 * DAY
"""How long after its start a visit without a record still counts as pending; after that it is unrecorded."""
LATE_NOTICE: Final = DAY
"""A cancellation by the client with less notice counts as a visit missed in `next-visit-missed@1`."""

State = Literal["open", "stopped", "ended"]
Status = Literal["booked", "attended", "missed", "cancelled"]


@dataclass(slots=True)
class Visit:
    """An appointment as known now. `starts` is None where its booking was never received."""

    starts: int | None
    purpose: str
    status: Status = "booked"

    @property
    def is_session(self) -> bool:
        return self.purpose in SESSION_PURPOSES


@dataclass(slots=True)
class Spell:
    """A stretch of care that can end once. `ending` is None while the outcome is undetermined."""

    start: int
    last_attended: int | None = None
    closed_at: int | None = None
    ending: str | None = None

    @property
    def stopped(self) -> bool:
        """Whether it ended in a stop, as dropout or as improved leaver."""
        return self.ending in ("dropout", "improved_leaver")


@dataclass(slots=True)
class OutcomeCourse:
    """First and last client-rated total of one outcome instrument."""

    instrument: Instrument
    first: float
    last: float

    @property
    def improved(self) -> bool:
        """Reliably better than at first, and past the cut-off."""
        return self.instrument.reliably_improved(self.first, self.last) and self.instrument.past_cutoff(self.last)


@dataclass(slots=True)
class Standing:
    """Where the sweep stands: the spells so far, the visits, the last sign and the outcome measures."""

    spells: list[Spell] = field(default_factory=list)
    visits: dict[str, Visit] = field(default_factory=dict)
    pending: dict[str, int] = field(default_factory=dict)
    """Start of each session that is booked and neither attended, missed nor cancelled."""
    booked: dict[str, int] = field(default_factory=dict)
    """The same of visits of any purpose."""
    last_sign: int | None = None
    opened: bool = False
    swept_to: int = 0
    outcomes: dict[str, OutcomeCourse] = field(default_factory=dict)
    last_outcome: OutcomeCourse | None = None
    declared: int | None = None
    """When a stop will be, or was, declared if nothing else happens; None without an open spell."""

    def take(self, entry: AnyEntry, instrument: Instrument | None = None) -> None:
        """Takes the next effective entry in time order; `instrument` is that of a measure, where it is known."""
        self._settle(entry.at)
        self.swept_to = entry.at
        if not self.spells:
            self.spells.append(Spell(entry.at))
        take = _TAKES.get(type(entry))
        if take is not None:
            take(self, entry, instrument)
        self.declared = self._declared()

    def is_session(self, entry: Attendance) -> bool:
        """Whether an attended visit is a session: by its own purpose, else as booked, else treatment."""
        visit = self.visits.get(entry.appointment) if entry.appointment is not None else None
        return (entry.purpose or (visit.purpose if visit else "treatment")) in SESSION_PURPOSES

    def _declared(self) -> int | None:
        if self.last_sign is None or not self.spells or self.spells[-1].closed_at is not None:
            return None
        moment = max(self.last_sign + WINDOW, self.swept_to)
        for starts in self.pending.values():
            moment = max(moment, starts + RECORDING_TIME + 1)
        return moment

    def spells_at(self, now: int) -> list[Spell]:
        """The spells as determined at `now`, which must not lie before the last entry taken."""
        declared = self.declared
        if declared is None or declared > now:
            return self.spells
        return [*self.spells[:-1], self._stopped(self.spells[-1], declared)]

    def state_at(self, now: int) -> State:
        """Whether the episode is open, a stop is declared, or it ended another way, at `now`."""
        if not self.spells:
            return "open"
        spell = self.spells[-1]
        if spell.closed_at is None:
            declared = self.declared
            return "open" if declared is None or declared > now else "stopped"
        return "stopped" if spell.stopped else "ended"

    def _settle(self, before: int) -> None:
        declared = self.declared
        if declared is not None and declared < before:
            self.spells[-1] = self._stopped(self.spells[-1], declared)

    def _stopped(self, spell: Spell, at: int) -> Spell:
        improved = self.last_outcome is not None and self.last_outcome.improved
        return replace(spell, closed_at=at, ending="improved_leaver" if improved else "dropout")

    def _sign(self, at: int) -> None:
        self.last_sign = at if self.last_sign is None else max(self.last_sign, at)

    def _open(self, entry: Opening, _: Instrument | None) -> None:
        if not self.opened:
            self.opened = True
            self._sign(entry.at)

    def _book(self, entry: Booking, _: Instrument | None) -> None:
        self._await(entry.appointment, entry.starts, entry.purpose)

    def _move(self, entry: Move, _: Instrument | None) -> None:
        visit = self.visits.get(entry.appointment)
        self._await(entry.appointment, entry.starts, visit.purpose if visit else "treatment")

    def _cancel(self, entry: Cancellation, _: Instrument | None) -> None:
        self._decide(entry.appointment, "cancelled")

    def _miss(self, entry: Miss, _: Instrument | None) -> None:
        if self._decide(entry.appointment, "missed").is_session:
            self._sign(entry.at)

    def _await(self, name: str, starts: int, purpose: str) -> None:
        visit = self.visits[name] = Visit(starts, purpose)
        self.booked[name] = starts
        if visit.is_session:
            self.pending[name] = starts
        else:
            self.pending.pop(name, None)

    def _decide(self, name: str, status: Status) -> Visit:
        visit = self.visits.get(name)
        if visit is None:
            visit = self.visits[name] = Visit(None, "treatment")
        visit.status = status
        self.pending.pop(name, None)
        self.booked.pop(name, None)
        return visit

    def _attend(self, entry: Attendance, _: Instrument | None) -> None:
        if entry.appointment is not None:
            self._decide(entry.appointment, "attended")
        if not self.is_session(entry):
            return
        self._sign(entry.at)
        spell = self.spells[-1]
        if spell.closed_at is None:
            spell.last_attended = entry.at
        elif spell.stopped:
            self.spells.append(Spell(entry.at, entry.at))

    def _measure(self, entry: Measure, instrument: Instrument | None) -> None:
        if instrument is None or instrument.kind != "outcome" or entry.rater != "client":
            return
        total = instrument.readable(entry.scores).get("total")
        if total is None:
            return
        course = self.outcomes.get(instrument.name)
        if course is None:
            course = self.outcomes[instrument.name] = OutcomeCourse(instrument, total, total)
        course.last = total
        self.last_outcome = course

    def _end(self, entry: End, _: Instrument | None) -> None:
        spell = self.spells[-1]
        if spell.closed_at is not None:
            return
        if entry.reason == "client_stopped" and not entry.mutual:
            self.spells[-1] = self._stopped(spell, entry.at)
        else:
            spell.closed_at = entry.at
            spell.ending = "other" if entry.reason == "client_stopped" else entry.reason


_TAKES: Final[dict[type, Callable[[Standing, Any, Instrument | None], None]]] = {
    Opening: Standing._open,
    Booking: Standing._book,
    Move: Standing._move,
    Cancellation: Standing._cancel,
    Miss: Standing._miss,
    Attendance: Standing._attend,
    Measure: Standing._measure,
    End: Standing._end,
}
"""What each kind of entry does to a standing; the others do nothing."""


def spell_of(spells: Sequence[Spell], t: int) -> Spell | None:
    """The spell that the moment `t` lies in; None before the first, after the last, and between a stop and a return."""
    for spell in spells:
        if spell.start <= t and (spell.closed_at is None or t < spell.closed_at):
            return spell
    return None


def target(spells: Sequence[Spell], t: int, horizon: int) -> int | None:
    """The target at `t` with a horizon in days: 1 stopped within it, 0 not, None undetermined or not at risk.

    >>> stopped = Spell(0, last_attended=20 * DAY, closed_at=50 * DAY, ending="dropout")
    >>> target([stopped], 10 * DAY, 14), target([stopped], 10 * DAY, 7), target([stopped], 60 * DAY, 14)
    (1, 0, None)
    """
    spell = spell_of(spells, t)
    if spell is None:
        return None
    end = t + horizon * DAY
    if spell.last_attended is not None and spell.last_attended >= end:
        return 0
    if spell.ending is None:
        return None
    return 1 if spell.stopped else 0


def next_visit_missed(entries: Sequence[AnyEntry], t: int) -> int | None:
    """`next-visit-missed@1` of effective entries in time order: 1 missed, 0 attended, None undetermined.

    The visit is the earliest to start after `t` of those that were booked at `t`; what becomes of it first decides.
    """
    return next_visits_missed(entries, [t])[0]


def next_visits_missed(entries: Sequence[AnyEntry], moments: Iterable[int]) -> list[int | None]:
    """`next_visit_missed` at each of several moments, which must not decrease, in one sweep."""
    booked: dict[str, int] = {}
    taken = 0
    found = []
    for t in moments:
        while taken < len(entries) and entries[taken].at <= t:
            entry = entries[taken]
            taken += 1
            if isinstance(entry, Booking | Move):
                booked[entry.appointment] = entry.starts
            elif isinstance(entry, Cancellation | Miss | Attendance) and entry.appointment is not None:
                booked.pop(entry.appointment, None)
        ahead = [(starts, name) for name, starts in booked.items() if starts > t]
        found.append(_missed(entries, taken, *min(ahead)) if ahead else None)
    return found


def _missed(entries: Sequence[AnyEntry], first: int, starts: int, name: str) -> int | None:
    """Whether a booked visit is missed, by the entries from `first` on."""
    for entry in islice(entries, first, None):
        if getattr(entry, "appointment", None) != name:
            continue
        match entry:
            case Booking() | Move():
                starts = entry.starts
            case Miss():
                return 1
            case Attendance():
                return 0
            case Cancellation():
                return 1 if entry.initiator == "client" and starts - entry.at < LATE_NOTICE else None
            case _:
                pass
    return None
