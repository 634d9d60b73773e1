"""When a person has stopped: premature termination `unilateral-stop@1` and its targets, as CONTRACT section 3 defines them.

One sweep in time order serves live scores, `keepwell score` and training. Between two events the only thing that can happen
is that a stop becomes declared, so the sweep settles that before it takes the next event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from keepwell.care.history import AnyEntry, Attendance, Booking, Cancellation, End, Measure, Miss, Move, Opening
from keepwell.care.instruments import Instrument
from keepwell.care.visits import LATE_NOTICE, Change, Visit, Visits
from keepwell.contract.words import State

DEFINITION: Final = "unilateral-stop@1"
DAY: Final = 86_400_000_000
"""Microseconds a day."""
WINDOW: Final = 30 * DAY
"""W: how long after the last sign a stop is declared when no session is pending."""


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
class Sweep:
    """One sweep over the entries, and where it stands: spells, visits, the last sign and the outcome measures."""

    spells: list[Spell] = field(default_factory=list)
    visits: Visits = field(default_factory=Visits)
    last_sign: int | None = None
    opened_at: int | None = None
    walked_in_at: int | None = None
    """When a session of no appointment was last attended."""
    swept_to: int = 0
    outcomes: dict[str, OutcomeCourse] = field(default_factory=dict)
    last_outcome: OutcomeCourse | None = None
    declared: int | None = None
    """When a stop will be, or was, declared if nothing else happens; None without an open spell."""

    def take(self, entry: AnyEntry, instrument: Instrument | None = None) -> Change:
        """Takes the next effective entry in time order; `instrument` is that of a measure, where it is known. Returns what
        it does to the visits."""
        self._settle(entry.at)
        self.swept_to = entry.at
        if not self.spells:
            self.spells.append(Spell(entry.at))
        change: Change = "taken"
        if type(entry) in _OF_VISITS:
            change = self.visits.take(entry)
            if change == "undone":
                self._look_back()
        take = _TAKES.get(type(entry))
        if take is not None and change != "ignored":
            take(self, entry, instrument)
        self.declared = self._declared()
        return change

    def _declared(self) -> int | None:
        if self.last_sign is None or not self.spells or self.spells[-1].closed_at is not None:
            return None
        return self.visits.none_pending_from(max(self.last_sign + WINDOW, self.swept_to))

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

    def _look_back(self) -> None:
        """An outcome that held holds no more: finds the last sign, and the last session of the open spell, among those that
        do. What was declared stands."""
        visits = self.visits.by_id.values()
        self.last_sign = _latest([self.opened_at, self.walked_in_at, *[visit.sign_at for visit in visits]])
        spell = self.spells[-1]
        if spell.closed_at is None:
            attended = [self.walked_in_at, *[visit.attended_at for visit in visits]]
            spell.last_attended = _latest([at for at in attended if at is not None and at >= spell.start])

    def _open(self, entry: Opening, _: Instrument | None) -> None:
        if self.opened_at is None:
            self.opened_at = entry.at
            self._sign(entry.at)

    def _miss(self, entry: Miss, _: Instrument | None) -> None:
        if self.visits.by_id[entry.appointment].is_session:
            self._sign(entry.at)

    def _attend(self, entry: Attendance, _: Instrument | None) -> None:
        if not self.visits.is_session(entry):
            return
        if entry.appointment is None:
            self.walked_in_at = entry.at
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


_TAKES: Final[dict[type, Callable[[Sweep, Any, Instrument | None], None]]] = {
    Opening: Sweep._open,
    Miss: Sweep._miss,
    Attendance: Sweep._attend,
    Measure: Sweep._measure,
    End: Sweep._end,
}
"""What each kind of entry does to a standing beside the visits; the others do nothing."""

_OF_VISITS: Final = frozenset((Booking, Move, Cancellation, Miss, Attendance))


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

    The visit is the earliest to start after `t` of those that were booked at `t`; its outcome is the one that holds at the
    end of the entries.
    """
    return next_visits_missed(entries, [t])[0]


def next_visits_missed(entries: Sequence[AnyEntry], moments: Iterable[int]) -> list[int | None]:
    """`next_visit_missed` at each of several moments, which must not decrease, in one sweep."""
    outcomes = Visits()
    for entry in entries:
        outcomes.take(entry)
    known = Visits()
    taken = 0
    found = []
    for t in moments:
        while taken < len(entries) and entries[taken].at <= t:
            known.take(entries[taken])
            taken += 1
        name = known.next_named(t)
        found.append(_missed(outcomes.by_id[name]) if name is not None else None)
    return found


def _missed(visit: Visit) -> int | None:
    """Whether a visit was missed, or cancelled late by the client; None where it is not determined."""
    outcome = visit.outcome
    match outcome.entry if outcome is not None else None:
        case Miss():
            return 1
        case Attendance():
            return 0
        case Cancellation(initiator="client") as entry if visit.starts is not None:
            return 1 if visit.starts - entry.at < LATE_NOTICE else None
        case _:
            return None


def _latest(moments: Iterable[int | None]) -> int | None:
    return max((at for at in moments if at is not None), default=None)
