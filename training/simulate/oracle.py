"""The true risk at a moment: the generator lived on many times from there, with and without knowing the clinician's effect.

At every visit the chance of stopping there is known exactly, so a roll-out adds it up and goes on with those who did not
stop (Rao-Blackwell): a few dozen roll-outs are enough. The effect of a clinician nobody knows is integrated over seven
nodes, whose weights carry what the episode's own log, and no other episode, says of it. Whoever does not know the clinician
does not know either how the clinic keeps its calendar, beyond what that log says (`habits`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from joblib import Parallel, delayed

from keepwell.contract import words
from training.simulate import course
from training.simulate.course import GOES_ON, Roster, away_by_node
from training.simulate.habits import readings
from training.simulate.hazards import (
    EARLY,
    LATE,
    NONE_BOOKED,
    UNCALLED,
    Chances,
    back_after,
    chances,
    link,
    longest_notice,
    none_booked,
    not_yet,
    still_waiting,
)
from training.simulate.landmarks import Landmarks
from training.simulate.people import DAY, PRIOR, Bools, Floats, Ints, People, Tables
from training.simulate.presets import World
from training.simulate.session import session
from training.simulate.standing import comes_to, next_kept, shown_until

HORIZONS: Final = np.array([float(days) for days in words.HORIZONS.values()])
"""Days, as keepwell.scoring.scorecard."""
ROLLOUTS: Final = 64
"""Leaves a Monte-Carlo error of about .15 on the logit of a risk."""
CHUNK: Final = 20_000
"""Roll-outs lived at a time, so that their arrays stay in the processor's cache."""
ALL_LOST: Final = 1e-4
"""A roll-out is given up when so little of it has not stopped."""

NONE_LEFT: Final = 1e-12
"""The same where the clinic cancels visit after visit: else who is as good as gone would be lived on for years."""


class Risks(NamedTuple):
    """Row a moment; columns of the first two: the horizons. `missed` is NaN where no visit is booked."""

    known: Floats
    unknown: Floats
    missed: Floats


@dataclass(frozen=True)
class Oracle:
    """Knows a world as its generator does."""

    world: World
    tables: Tables
    roster: Roster

    def risks(self, marks: Landmarks, seed: np.random.SeedSequence, rollouts: int = ROLLOUTS, jobs: int = 1) -> Risks:
        """True risks at landmarks by so many roll-outs each, whatever the number of jobs."""
        found = self._risks(marks, seed, rollouts, jobs)
        own, others = np.ones(len(marks)), np.zeros_like(found.unknown)
        for rows, otherwise, chance in readings(marks, self.world, self.tables):
            own[rows] -= chance
            others[rows] += chance[:, None] * self._risks(otherwise, seed, rollouts, jobs).unknown
        return found._replace(unknown=own[:, None] * found.unknown + others)

    def _risks(self, marks: Landmarks, seed: np.random.SeedSequence, rollouts: int, jobs: int) -> Risks:
        step = max(1, CHUNK // rollouts)
        parts = [np.arange(begin, min(begin + step, len(marks))) for begin in range(0, len(marks), step)]
        # Numpy works on large arrays without the interpreter's lock, so threads do.
        found = Parallel(n_jobs=jobs, prefer="threads")(
            delayed(self._some)(marks.take(rows), np.random.default_rng(child), rollouts)
            for rows, child in zip(parts, seed.spawn(len(parts)), strict=True)
        )
        return Risks(*(np.concatenate(columns) for columns in zip(*found, strict=True)))

    def _some(self, marks: Landmarks, rng: np.random.Generator, rollouts: int) -> Risks:
        tally = _Rollout(self, marks.take(np.repeat(np.arange(len(marks)), rollouts)), rng)
        tally.run()
        shape = (len(marks), rollouts)
        known, unknown = (sums.reshape(*shape, -1).mean(axis=1) for sums in (tally.known, tally.unknown))
        lost, decided = tally.next_lost.reshape(shape).sum(axis=1), tally.next_decided.reshape(shape).sum(axis=1)
        return Risks(known, unknown, np.divide(lost, decided, out=np.full(len(marks), np.nan), where=decided > 0))


@dataclass
class _Paths:
    """People being lived on from `at`. `row` says which sum each adds to."""

    people: People
    at: Floats
    row: Ints
    left: Floats
    """Share that has not stopped, the clinician's effect known."""
    nodes: Floats
    """The same by node, times the node's weight."""

    def __len__(self) -> int:
        return len(self.row)

    def take(self, rows: Ints) -> _Paths:
        return _Paths(self.people.take(rows), self.at[rows], self.row[rows], self.left[rows], self.nodes[rows])

    @staticmethod
    def joined(parts: Sequence[_Paths]) -> _Paths:
        return _Paths(
            People.joined([part.people for part in parts]),
            *(np.concatenate([getattr(part, name) for part in parts]) for name in ("at", "row", "left", "nodes")),
        )


class _Rollout:
    """Lives every landmark on to its longest horizon, and adds up the chances of stopping on the way."""

    def __init__(self, oracle: Oracle, marks: Landmarks, rng: np.random.Generator) -> None:
        n = len(marks)
        self._world, self._tables, self._roster, self._rng = oracle.world, oracle.tables, oracle.roster, rng
        self._start = _Paths(marks.people, marks.at, np.arange(n), np.ones(n), marks.weights)
        self.known = np.zeros((n, len(HORIZONS)))
        self.unknown = np.zeros((n, len(HORIZONS)))
        self.next_lost = np.zeros(n)
        self.next_decided = np.zeros(n)

    def run(self) -> None:
        unentered = self._enter(self._start)
        waiting, comes = self._wait_on(self._start)
        paths = self._visit(self._start, ~waiting & ~unentered, np.where(unentered, 0.0, comes))
        while len(paths):
            paths = self._visit(paths, np.zeros(len(paths), bool), np.zeros(len(paths)))

    # ── one visit ───────────────────────────────────────────────────────────────────────────────────────

    def _visit(self, paths: _Paths, begun: Bools, comes: Floats) -> _Paths:
        """Moved or not, lost or attended. `begun`: the visit was booked before `at`, and no notice has come since. `comes`:
        the chance that it is the one which was booked at `at`."""
        rng = self._rng
        found = self._chances(paths, begun)
        if comes.any():
            # What is never recorded is never determined.
            counted = [way for way in range(LATE, NONE_BOOKED) if way != UNCALLED or not self._world.unrecorded]
            lost = found.lost[:, counted].sum(axis=1)
            self.next_lost[paths.row] += comes * lost
            self.next_decided[paths.row] += comes * (found.attended + lost)
        away = link(found.away + paths.people.effect[:, None], self._world)
        nodes = away_by_node(found.away, self._world)
        stop = (found.lost * away).sum(axis=1)
        self._stop(paths, stop, np.einsum("mk,mkj->mj", found.lost, nodes))
        ways = [found.attended[:, None], found.clinic[:, None], found.lost * (1 - away)]
        bounds = np.cumsum(np.concatenate(ways, axis=1), axis=1)
        way = (rng.random(len(paths))[:, None] * bounds[:, -1:] >= bounds[:, :-1]).sum(axis=1) - 2
        rows, chosen = np.flatnonzero(way >= 0), way[way >= 0]
        paths.nodes[rows] *= (1 - nodes[rows, chosen]) / (1 - away[rows, chosen])[:, None]

        lost = paths.take(rows)
        course.lose(lost.people, self._world, chosen, found.away[rows, chosen], rng)
        self._come_back(lost.people)
        cancelled = paths.take(np.flatnonzero((way == -1) & (paths.left > NONE_LEFT)))
        course.clinic_cancels(cancelled.people, self._world, rng)
        attended = self._attend(paths.take(np.flatnonzero(way == -2)))
        return _Paths.joined([lost.take(np.flatnonzero(lost.left > ALL_LOST)), cancelled, attended])

    def _chances(self, paths: _Paths, begun: Bools) -> Chances:
        """Of each visit, after some were moved; `begun`: given that no notice has come up to `at`."""
        people, world = paths.people, self._world
        unmoved = chances(people, world, self._tables)
        move: Floats = world.moved * (~people.moved).astype(np.float64)
        if begun.any():
            good, late = (np.where(begun, p, 1.0) for p in not_yet(people.starts - paths.at, longest_notice(people)))
            unmoved, seen = _unseen(unmoved, good, late)
            move = move * good / (move * good + (1 - move) * seen)
        moved, _ = course.move(people, world, self._rng, move)
        rows = np.flatnonzero(moved)
        for column, after in zip(unmoved, chances(people.take(rows), world, self._tables), strict=True):
            column[rows] = after
        return unmoved

    def _attend(self, paths: _Paths) -> _Paths:
        """A session and what follows it. Those who have ended, or are past the longest horizon, are left out."""
        world, rng, people = self._world, self._rng, paths.people
        session(people, world, self._tables, rng)
        goes_on = course.ending(people, world, self._tables, rng) == GOES_ON
        changed = np.flatnonzero(course.hand_over(people, world, self._roster, rng))
        paths.nodes[changed] = paths.nodes[changed].sum(axis=1, keepdims=True) * PRIOR
        goes_on &= (people.last < paths.at + HORIZONS[-1] * DAY) & (paths.left > ALL_LOST)
        paths = paths.take(np.flatnonzero(goes_on))
        self._book(paths)
        return paths

    def _book(self, paths: _Paths) -> None:
        people = paths.people
        none, logit = none_booked(people, self._world, self._tables)
        away, nodes = link(logit + people.effect, self._world), away_by_node(logit, self._world)
        self._stop(paths, none * away, none[:, None] * nodes)
        rows = np.flatnonzero(self._rng.random(len(paths)) < none * (1 - away) / (1 - none * away))
        paths.nodes[rows] *= (1 - nodes[rows]) / (1 - away[rows])[:, None]
        course.book_next(people, self._world, self._rng)
        unbooked = people.take(rows)
        course.leave_unbooked(unbooked, self._world, logit[rows])
        self._come_back(unbooked)
        people.put(rows, unbooked)

    def _come_back(self, people: People) -> None:
        course.come_back(people, people.lost_at + back_after(self._rng, people.cap), self._rng)

    def _stop(self, paths: _Paths, chance: Floats, by_node: Floats) -> None:
        """Adds the chance of stopping here to each horizon that the last session lies before, and goes on without it."""
        within = ~(paths.people.last[:, None] >= paths.at[:, None] + HORIZONS * DAY)
        self.known[paths.row] += within * (paths.left * chance)[:, None]
        self.unknown[paths.row] += within * (paths.nodes * by_node).sum(axis=1)[:, None]
        paths.left *= 1 - chance
        paths.nodes *= (1 - chance)[:, None]

    def _enter(self, paths: _Paths) -> Bools:
        """Books the next visit of those whose clinic has not entered yet whether there is one. Returns who."""
        unentered = np.asarray(paths.people.starts < paths.at)  # the session that has just been held
        rows = np.flatnonzero(unentered)
        some = paths.take(rows)
        self._book(some)
        paths.people.put(rows, some.people)
        paths.left[rows], paths.nodes[rows] = some.left, some.nodes
        return unentered

    # ── the moment itself ───────────────────────────────────────────────────────────────────────────────

    def _wait_on(self, paths: _Paths) -> tuple[Bools, Floats]:
        """Those who have lost a visit, or booked none, and are not back at `at`: how likely they are gone already, the longer
        the likelier. Returns who, and of everybody the chance of coming to the visit that is booked at `at`."""
        waiting = ~np.isnan(paths.people.lost_at)
        rows = np.flatnonzero(waiting)
        some = paths.take(rows)
        elapsed = shown_until(some.people, some.at) - some.people.lost_at
        patience = still_waiting(elapsed, some.people.cap)
        away = link(some.people.lost_logit + some.people.effect, self._world)
        nodes = away_by_node(some.people.lost_logit, self._world)
        seen = nodes + (1 - nodes) * patience[:, None]
        some.nodes *= seen
        some.nodes /= some.nodes.sum(axis=1, keepdims=True)
        gone, gone_by_node = away / (away + (1 - away) * patience), nodes / seen
        staying = some.nodes * (1 - gone_by_node)
        self._stop(some, gone, gone_by_node)
        kept = next_kept(some.people, some.at)
        back_at = some.people.lost_at + back_after(self._rng, some.people.cap, elapsed)
        to_it = np.where((kept > 0) & (comes_to(some.people, back_at) == kept), 1 - gone, 0.0)
        certain = np.where(kept > 0, 1 - to_it, 0.0)
        self.next_lost[some.row] += certain
        self.next_decided[some.row] += certain
        course.come_back(some.people, back_at, self._rng)
        paths.people.put(rows, some.people)
        paths.left[rows], paths.nodes[rows] = some.left, staying
        comes = np.ones(len(paths))
        comes[rows] = to_it
        return waiting, comes


def _unseen(found: Chances, good: Floats, late: Floats) -> tuple[Chances, Floats]:
    """Chances given no notice so far, and the chance of none; `good`, `late`: as `not_yet` tells."""
    lost = found.lost.copy()
    lost[:, EARLY] *= good
    lost[:, LATE] *= late
    seen = lost.sum(axis=1) + found.clinic * good + found.attended
    return Chances(lost / seen[:, None], found.clinic * good / seen, found.attended / seen, found.away), seen
