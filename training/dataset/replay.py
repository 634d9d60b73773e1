"""One episode replayed through the live fold and the live features: its rows, and what became of each from the whole log.

Nothing is computed here that runs live too: the fold is `keepwell.care.episode.Live`, the features are
`keepwell.scoring.features`, the moments of silence are `keepwell.alerting.decide.timers`, the targets
are `keepwell.care.endings`.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Sequence
from functools import partial
from itertools import chain
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keepwell.alerting.signals import signals_of
from keepwell.care.endings import DAY, next_visits_missed, spell_of, target
from keepwell.care.episode import Episode, Live
from keepwell.care.history import (
    AlertAnswer,
    AnyEntry,
    Attendance,
    Booking,
    Cancellation,
    Miss,
    Move,
    Repair,
    effective,
)
from keepwell.care.instruments import Instruments
from keepwell.contract.events import (
    AlertActioned,
    AnyEvent,
    EpisodeOpened,
    EventRetracted,
    RepairAttempted,
    decode_accepted,
)
from keepwell.contract.words import HORIZONS
from keepwell.scoring.features import FEATURES
from keepwell.scoring.gaps import GAP_KINDS, named_gaps
from keepwell.scoring.scorecard import OUTPUTS
from training.dataset.landmarks import EVENT_KINDS, RANK, silences
from training.dataset.table import NONE, SIGNAL_COLUMNS

TREATED_DAYS: Final = 30
"""How long an alert or an act counts as recent in the columns `alerted` and `acted`: the headline's horizon."""
ACTS: Final = frozenset(
    ("repair_planned", "outreach_planned", "approach_changed", "transfer_offered", "ending_planned")
)
"""Answers to an alert that announce an act; the others only say that the alert was seen."""

_READS: Final = [feature.read for feature in FEATURES]
_GAP_BITS: Final = {kind: 1 << place for place, kind in enumerate(GAP_KINDS)}
_VISITS: Final = frozenset((Booking, Move, Cancellation, Miss, Attendance))
_NOTHING: Final = np.empty(0, dtype=np.int64)


class Ticks(NamedTuple):
    """The ticks of the clock that episodes of one stream saw: their places in its order, and their moments (µs), both
    increasing."""

    places: NDArray[np.int64] = _NOTHING
    moments: NDArray[np.int64] = _NOTHING


class Told(NamedTuple):
    """All that was told of an episode, in order of arrival: places in its stream, and events as accepted."""

    key: str
    places: Sequence[int]
    events: Sequence[bytes]
    shown: Sequence[int] = ()
    """When an alert about it was shown (µs), sorted."""


class Rows(NamedTuple):
    """What episodes gave. Arrays of a row each but `outcome` to `fairness`, which have an item an episode."""

    as_of: NDArray[np.int64]
    kind: NDArray[np.int8]
    session: NDArray[np.int32]
    clinician: list[str | None]
    alerted: NDArray[np.bool_]
    acted: NDArray[np.bool_]
    gaps: NDArray[np.uint8]
    """Bit i is set where the score had the gap `GAP_KINDS[i]`."""
    features: NDArray[np.float64]
    signals: NDArray[np.int64]
    """By `keepwell.alerting.signals.Signals`; `NONE` where there is none."""
    targets: NDArray[np.float64]
    """By `OUTPUTS`; NaN where undetermined."""
    ending: list[str | None]
    episodes: list[str]
    clients: list[str]
    opened_at: list[int]
    lengths: list[int]
    """Rows of each episode."""
    fairness: list[dict[str, str]]
    digests: list[bytes]
    """Of each event taken; repetitions are not taken."""


class Replayer:
    """Replays episodes. `now` (µs) is until when outcomes are known."""

    def __init__(self, instruments: Instruments, now: int) -> None:
        self._instruments = instruments
        self._now = now

    def replay(self, chunk: Sequence[Told], ticks: Ticks) -> Rows:
        """The rows of episodes of one stream, in their order."""
        out = _Collected()
        places, moments = ticks.places.tolist(), ticks.moments.tolist()
        for told in chunk:
            self._episode(told, places, moments, out)
        return out.rows()

    def _episode(self, told: Told, ticks: list[int], moments: list[int], out: _Collected) -> None:
        live = Live(Episode(told.key), partial(self._instruments.get, told.key.partition("/")[0]))
        walk = _Walk(live, told.shown)
        fairness: dict[str, dict[str, str]] = {}
        seen = 0
        for place, payload in zip(told.places, told.events, strict=True):
            before, seen = seen, bisect_left(ticks, place, seen)
            if before < seen and live.episode.history:
                self._silence(walk, moments, before, seen)
            event = decode_accepted(payload)
            if live.fold(event) != "taken":
                continue
            walk.take(event, moments[seen - 1] if seen else 0)
            if isinstance(event, EpisodeOpened):
                fairness[f"{event.source}#{event.id}"] = event.data.fairness or {}
            out.digests.append(hashlib.sha256(payload).digest())
        if live.episode.history:
            self._silence(walk, moments, seen, len(moments))
            out.close(walk, max(self._now, live.episode.latest), fairness)

    def _silence(self, walk: _Walk, moments: list[int], first: int, end: int) -> None:
        """Looks at the episode where something falls due at the ticks from `first` to before `end`."""
        for due, kind in silences(walk.live):
            found = bisect_left(moments, due, max(first - 1, 0), end)
            if first <= found < end:
                walk.look(moments[found], kind)


class _Row(NamedTuple):
    as_of: int
    kind: str
    session: int
    clinician: str | None
    alerted: bool
    acted: bool
    gaps: int
    values: list[float | None]
    signals: list[int]


class _Walk:
    """One episode on the way: the rows so far. There is one row a moment, of what was known after all that fell on it."""

    def __init__(self, live: Live, shown: Sequence[int]) -> None:
        self.live = live
        self.rows: list[_Row] = []
        self._clinic = live.episode.key.partition("/")[0]
        self._shown = shown
        self._answers: list[AlertAnswer | Repair] = []

    def take(self, event: AnyEvent, tick: int) -> None:
        """Looks at the episode after an event that was folded in; `tick` is the newest tick before it."""
        if isinstance(event, AlertActioned | RepairAttempted | EventRetracted) or event.corrects is not None:
            held = effective(self.live.episode.history)
            self._answers = [entry for entry in held if isinstance(entry, AlertAnswer | Repair)]
        kind = EVENT_KINDS.get(type(event))
        if kind is not None:
            self.look(tick, kind)
        elif self.rows and self.rows[-1].as_of == self._now(tick):
            # No row of its own, but what was known at this moment has changed.
            self.look(tick, self.rows[-1].kind)

    def look(self, tick: int, kind: str) -> None:
        """Adds the row of now, or puts it in the place of one at the same moment. Only who is at risk has rows."""
        now = self._now(tick)
        if self.rows and self.rows[-1].as_of == now:
            kind = min(kind, self.rows.pop().kind, key=RANK.__getitem__)
        course = self.live.course
        if course.standing.state_at(now) != "open":
            return
        acted = any(_is_act(entry) and _recent(entry.at, now) for entry in self._answers)
        answered = any(type(entry) is AlertAnswer and _recent(entry.at, now) for entry in self._answers)
        alerted = answered or any(_recent(at, now) for at in self._shown)
        clinician = None if course.clinician is None else f"{self._clinic}/{course.clinician}"
        values = [read(course, now) for read in _READS]
        gaps = 0
        for gap, _ in named_gaps(course, now):
            gaps |= _GAP_BITS[gap]
        signals = [NONE if value is None else int(value) for value in signals_of(course, now)]
        self.rows.append(_Row(now, kind, course.sessions, clinician, alerted, acted, gaps, values, signals))

    def _now(self, tick: int) -> int:
        return max(self.live.episode.latest, tick)


class _Collected:
    """The rows of a chunk."""

    def __init__(self) -> None:
        self.digests: list[bytes] = []
        self._walks: list[_Walk] = []
        self._targets: list[list[float | None]] = []
        self._endings: list[str | None] = []
        self._clients: list[str] = []
        self._opened: list[int] = []
        self._fairness: list[dict[str, str]] = []

    def close(self, walk: _Walk, now: int, fairness: dict[str, dict[str, str]]) -> None:
        """Takes an episode of which all is known, until `now`."""
        live = walk.live
        opening = live.course.opening
        clinic = live.episode.key.partition("/")[0]
        # An episode without an opening is a client of its own: better than one great client of all of them.
        self._clients.append(f"{clinic}/{opening.client}" if opening is not None else f"{live.episode.key}#unknown")
        self._opened.append(opening.at if opening is not None else live.episode.history[0].at)
        self._fairness.append(
            fairness[live.episode.reference((opening.source, opening.id))] if opening is not None else {}
        )
        self._walks.append(walk)
        spells = live.course.standing.spells_at(now)
        visits = [entry for entry in effective(live.episode.history) if type(entry) in _VISITS]
        moments = [row.as_of for row in walk.rows]
        for t, missed in zip(moments, next_visits_missed(visits, moments), strict=True):
            spell = spell_of(spells, t)
            targets: list[float | None] = [target(spells, t, days) for days in HORIZONS.values()]
            self._targets.append([*targets, missed if spell is not None else None])
            self._endings.append(spell.ending if spell is not None else None)

    def rows(self) -> Rows:
        """The rows taken so far."""
        rows = [row for walk in self._walks for row in walk.rows]
        return Rows(
            as_of=np.array([row.as_of for row in rows], dtype=np.int64),
            kind=np.array([RANK[row.kind] for row in rows], dtype=np.int8),
            session=np.array([row.session for row in rows], dtype=np.int32),
            clinician=[row.clinician for row in rows],
            alerted=np.array([row.alerted for row in rows], dtype=np.bool_),
            acted=np.array([row.acted for row in rows], dtype=np.bool_),
            gaps=np.array([row.gaps for row in rows], dtype=np.uint8),
            features=_table([row.values for row in rows], len(FEATURES)),
            signals=np.array([row.signals for row in rows], dtype=np.int64).reshape(len(rows), len(SIGNAL_COLUMNS)),
            targets=_table(self._targets, len(OUTPUTS)),
            ending=self._endings,
            episodes=[walk.live.episode.key for walk in self._walks],
            clients=self._clients,
            opened_at=self._opened,
            lengths=[len(walk.rows) for walk in self._walks],
            fairness=self._fairness,
            digests=self.digests,
        )


def _table(rows: Sequence[Sequence[float | None]], width: int) -> NDArray[np.float64]:
    """Rows as a matrix; None becomes NaN."""
    return np.fromiter(chain.from_iterable(rows), np.float64, len(rows) * width).reshape(len(rows), width)


def _recent(at: int, now: int) -> bool:
    return now - TREATED_DAYS * DAY < at <= now


def _is_act(entry: AnyEntry) -> bool:
    return type(entry) is Repair or (type(entry) is AlertAnswer and entry.action in ACTS)
