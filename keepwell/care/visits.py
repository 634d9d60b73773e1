"""The visits of an episode: one outcome an appointment, and the one place that says what is pending and what unrecorded.

The rules are those of CONTRACT sections 1 (one appointment, one outcome) and 3 (pending, unrecorded). Times are µs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from keepwell.care.history import AnyEntry, Attendance, Booking, Cancellation, Miss, Move
from keepwell.contract.words import SESSION_PURPOSES

_DAY: Final = 86_400_000_000
RECORDING_TIME: Final = 3 * _DAY
"""How long after its start a session without a record still counts as pending; after that it is unrecorded."""
LATE_NOTICE: Final = _DAY
"""A cancellation by the client with less notice counts as a visit missed in `next-visit-missed@1`."""

Change = Literal["taken", "ignored", "undone"]
"""What an entry does to the visits. `ignored`: nothing, as the outcome of its appointment outweighs it, or it books what is
booked or past already; `undone`: an outcome that held before holds no more."""


class VisitOutcome(NamedTuple):
    """What was recorded of a visit. `session`: as what was known of its purpose then, it is a session."""

    entry: Cancellation | Miss | Attendance
    session: bool


@dataclass(slots=True)
class Visit:
    """An appointment as known now. `starts` is None where its booking was never received."""

    purpose: str = "treatment"
    starts: int | None = None
    given: tuple[int, ...] = ()
    """Every start that was ever recorded: by these a booking that is sent again is known."""
    outcomes: tuple[VisitOutcome, ...] = ()
    """Those recorded that no later start has undone."""

    @property
    def is_session(self) -> bool:
        return self.purpose in SESSION_PURPOSES

    @property
    def outcome(self) -> VisitOutcome | None:
        """The one that holds: attended outweighs the others, else the one recorded last."""
        for outcome in reversed(self.outcomes):
            if type(outcome.entry) is Attendance:
                return outcome
        return self.outcomes[-1] if self.outcomes else None

    @property
    def sign_at(self) -> int | None:
        """When it was attended or missed, where that is what holds and it was a session."""
        outcome = self.outcome
        if outcome is None or not outcome.session or type(outcome.entry) is Cancellation:
            return None
        return outcome.entry.at

    @property
    def attended_at(self) -> int | None:
        """When it was attended, where that is what holds and it was a session."""
        outcome = self.outcome
        return outcome.entry.at if outcome and outcome.session and type(outcome.entry) is Attendance else None


@dataclass(slots=True)
class Visits:
    """The appointments of an episode, by the entries taken so far."""

    by_id: dict[str, Visit] = field(default_factory=dict)
    void: set[tuple[int, str]] = field(default_factory=set)
    """Source index and id of the outcomes that were recorded and do not hold."""
    _sessions: dict[str, int] = field(default_factory=dict)
    """Start of each session that is booked and of which no outcome holds."""
    _others: dict[str, int] = field(default_factory=dict)
    """The same of visits of other purposes."""

    # ── what is asked ───────────────────────────────────────────────────────────────────────────────────────────

    def pending_at(self, now: int) -> bool:
        """Whether a session is pending: booked, without an outcome, and its start at most `RECORDING_TIME` back."""
        return any(starts + RECORDING_TIME >= now for starts in self._sessions.values())

    def unrecorded_at(self, now: int) -> int:
        """Sessions that were to start longer back than that, and have no outcome."""
        return sum(starts + RECORDING_TIME < now for starts in self._sessions.values())

    def unrecorded_from(self) -> list[int]:
        """The moments at which the booked sessions count as unrecorded, if nothing is recorded of them."""
        return [starts + RECORDING_TIME + 1 for starts in self._sessions.values()]

    def none_pending_from(self, earliest: int) -> int:
        """The first moment, not before `earliest`, from which on no session is pending, if nothing more happens."""
        for starts in self._sessions.values():
            earliest = max(earliest, starts + RECORDING_TIME + 1)
        return earliest

    def next_session(self, now: int) -> int | None:
        """Start of the next session that is booked; None where none is."""
        return _next(self._sessions.values(), now)

    def booked_after(self, now: int) -> int:
        """How many sessions are booked that start later."""
        return len([starts for starts in self._sessions.values() if starts > now])

    def next_visit(self, now: int) -> int | None:
        """Start of the next visit of any purpose that is booked; None where none is."""
        starts = [*self._sessions.values(), *self._others.values()]
        return _next(starts, now)

    def starts(self) -> tuple[int, ...]:
        """Starts of the visits of any purpose that are booked and of which no outcome holds, the first first."""
        return tuple(sorted([*self._sessions.values(), *self._others.values()]))

    def next_named(self, now: int) -> str | None:
        """The appointment of the next visit of any purpose; of several at one moment, the first by its id."""
        ahead = [
            (starts, name)
            for booked in (self._sessions, self._others)
            for name, starts in booked.items()
            if starts > now
        ]
        return min(ahead)[1] if ahead else None

    def is_session(self, entry: Attendance) -> bool:
        """Whether an attended visit is a session: by its own purpose, else as booked, else treatment."""
        visit = self.by_id.get(entry.appointment) if entry.appointment is not None else None
        return (entry.purpose or (visit.purpose if visit else "treatment")) in SESSION_PURPOSES

    # ── what happens ────────────────────────────────────────────────────────────────────────────────────────────

    def take(self, entry: AnyEntry) -> Change:
        """Takes the next effective entry in time order."""
        match entry:
            case Booking() | Move():
                return self._book(entry)
            case Cancellation() | Miss() | Attendance() if entry.appointment is not None:
                return self._decide(entry.appointment, entry)
            case _:
                return "taken"

    def _book(self, entry: Booking | Move) -> Change:
        """A start is set. Outcomes that it lies after are undone, unless it is a booking of what was booked before, or the
        first one, of a visit that was recorded before its booking was."""
        visit = self._visit(entry.appointment)
        another = type(entry) is Move or (bool(visit.given) and entry.starts not in visit.given)
        if type(entry) is Booking:
            visit.purpose = entry.purpose
        if entry.starts not in visit.given:
            visit.given = (*visit.given, entry.starts)
        held = visit.outcome
        if held is None:
            again = type(entry) is Booking and entry.starts == visit.starts
            self._await(entry.appointment, visit, entry.starts)
            return "ignored" if again else "taken"
        if another:
            visit.outcomes = tuple(outcome for outcome in visit.outcomes if outcome.entry.at >= entry.starts)
        if not visit.outcomes:
            self._await(entry.appointment, visit, entry.starts)
        return self._changed(held, visit.outcome)

    def _decide(self, name: str, entry: Cancellation | Miss | Attendance) -> Change:
        """What became of a visit is recorded."""
        visit = self._visit(name)
        held = visit.outcome
        session = self.is_session(entry) if type(entry) is Attendance else visit.is_session
        visit.outcomes = (*visit.outcomes, VisitOutcome(entry, session))
        if held is None:
            self._sessions.pop(name, None)
            self._others.pop(name, None)
            return "taken"
        change = self._changed(held, visit.outcome)
        if change == "ignored":
            self.void.add((entry.source, entry.id))
        return change

    def _changed(self, held: VisitOutcome, holds: VisitOutcome | None) -> Change:
        if holds is held:
            return "ignored"
        self.void.add((held.entry.source, held.entry.id))
        if holds is not None:
            self.void.discard((holds.entry.source, holds.entry.id))
        return "undone"

    def _visit(self, name: str) -> Visit:
        visit = self.by_id.get(name)
        if visit is None:
            visit = self.by_id[name] = Visit()
        return visit

    def _await(self, name: str, visit: Visit, starts: int) -> None:
        visit.starts = starts
        self._sessions.pop(name, None)
        self._others.pop(name, None)
        (self._sessions if visit.is_session else self._others)[name] = starts


def in_force(entries: Sequence[AnyEntry]) -> list[AnyEntry]:
    """Effective entries in time order without the outcomes of visits that do not hold."""
    visits = Visits()
    for entry in entries:
        visits.take(entry)
    return [entry for entry in entries if (entry.source, entry.id) not in visits.void] if visits.void else list(entries)


def _next(starts: Iterable[int], now: int) -> int | None:
    found: int | None = None
    for start in starts:
        if start > now and (found is None or start < found):
            found = start
    return found
