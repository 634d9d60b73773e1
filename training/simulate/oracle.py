"""The true risk at a moment: the generator lived on many times from there, with and without knowing the clinician's effect.

At every visit the chance of stopping there is known exactly, so a roll-out adds it up and goes on with those who did not
stop (Rao-Blackwell): a few dozen roll-outs are enough. The effect of a clinician nobody knows is integrated over seven
nodes, whose weights carry what the episode's own log, and no other episode, says of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from training.simulate import course
from training.simulate.course import GOES_ON, Roster, away_by_node
from training.simulate.hazards import (
    EARLY,
    LATE,
    Chances,
    back_after,
    chances,
    longest_notice,
    none_booked,
    not_yet,
    sigmoid,
    still_waiting,
)
from training.simulate.people import DAY, PRIOR, Bools, Floats, Ints, People, Tables
from training.simulate.presets import World
from training.simulate.session import session

HORIZONS: Final = np.array((14.0, 30.0, 60.0))
"""Days, as keepwell.scorecard."""
ROLLOUTS: Final = 32
CHUNK: Final = 40_000
"""Roll-outs lived at a time, so that their arrays stay in the processor's cache."""
ALL_LOST: Final = 1e-4
"""A roll-out is given up when so little of it has not stopped."""


class Risks(NamedTuple):
    """Row a moment; columns of the first two: the horizons. `missed` is NaN where no visit is booked."""

    known: Floats
    unknown: Floats
    missed: Floats


def risks(
    people: People, at: Floats, world: World, tables: Tables, roster: Roster, rng: np.random.Generator,
    rollouts: int = ROLLOUTS,
) -> Risks:  # fmt: skip
    """True risks of people as they stand at the moments `at` (minutes), by so many roll-outs each."""
    step = max(1, CHUNK // rollouts)
    found = []
    for begin in range(0, len(people), step):
        rows = np.arange(begin, min(begin + step, len(people)))
        copies = np.repeat(rows, rollouts)
        tally = _Rollout(people.take(copies), at[copies], world, tables, roster, rng).run()
        shape = (len(rows), rollouts)
        known, unknown = (sums.reshape(*shape, -1).mean(axis=1) for sums in (tally.known, tally.unknown))
        lost, decided = tally.next_lost.reshape(shape).sum(axis=1), tally.next_decided.reshape(shape).sum(axis=1)
        with np.errstate(invalid="ignore"):
            found.append(Risks(known, unknown, lost / decided))
    return Risks(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


@dataclass
class _Rollout:
    """People lived on from `at`. `row` says which sum each of those still alive adds to."""

    people: People
    at: Floats
    world: World
    tables: Tables
    roster: Roster
    rng: np.random.Generator

    def run(self) -> _Rollout:
        n = len(self.people)
        self.row = np.arange(n)
        self.known = np.zeros((n, len(HORIZONS)))
        self.unknown = np.zeros((n, len(HORIZONS)))
        self.next_lost = np.zeros(n)
        self.next_decided = np.zeros(n)
        self.left = np.ones(n)
        """Share of the roll-out that has not stopped, the clinician's effect known."""
        self.nodes = self.people.weights.copy()
        """The same by node, times the node's weight."""
        fresh = self._wait_on()
        self._visit(~fresh)
        while len(self.people):
            self._visit(np.zeros(len(self.people), bool))
        return self

    # ── one visit ───────────────────────────────────────────────────────────────────────────────────────

    def _visit(self, begun: Bools) -> None:
        """Moved or not, lost or attended. `begun`: the visit was booked before `at`, and no notice has come since."""
        people, rng = self.people, self.rng
        longest = longest_notice(people)
        left = people.starts - self.at
        found = chances(people, self.world, self.tables)
        good, late = (np.where(begun, share, 1.0) for share in not_yet(left, longest))
        unmoved = _unseen(found, good, late)
        move = self.world.moved * ~people.moved
        weight = (1 - move) * (unmoved.lost.sum(axis=1) + unmoved.clinic + unmoved.attended)
        moved, _ = course.move(people, self.world, rng, move * good / (move * good + weight))
        found = _either(moved, chances(people, self.world, self.tables), unmoved)
        if begun.any():
            rows = self.row[begun]
            self.next_decided[rows] = found.attended[begun] + found.lost[begun][:, LATE:].sum(axis=1)
            self.next_lost[rows] = found.lost[begun][:, LATE:].sum(axis=1)

        away = sigmoid(found.away + people.effect[:, None])
        nodes = away_by_node(found.away, self.world)
        stop = (found.lost * away).sum(axis=1)
        self._stop(stop, np.einsum("mk,mkj->mj", found.lost, nodes))
        bounds = np.cumsum(
            np.concatenate([found.attended[:, None], found.clinic[:, None], found.lost * (1 - away)], 1), 1
        )
        way = (rng.random(len(people))[:, None] * bounds[:, -1:] >= bounds[:, :-1]).sum(axis=1) - 2
        lost = np.flatnonzero(way >= 0)
        self.left *= 1 - stop
        self.nodes *= (1 - stop)[:, None]
        chosen = way[lost]
        self.nodes[lost] *= (1 - nodes[lost, chosen]) / (1 - away[lost, chosen])[:, None]

        self._lose(lost, chosen, found.away[lost, chosen])
        cancelled = np.flatnonzero(way == -1)
        sub = people.take(cancelled)
        course.clinic_cancels(sub, rng)
        people.put(cancelled, sub)
        self._attend(np.flatnonzero(way == -2))

    def _lose(self, rows: Ints, ways: Ints, logit: Floats) -> None:
        sub = self.people.take(rows)
        course.lose(sub, ways, logit, self.rng)
        course.come_back(sub, sub.lost_at + back_after(self.rng, sub.cap), self.rng)
        self.people.put(rows, sub)

    def _attend(self, rows: Ints) -> None:
        """A session, and what follows it, for some; those who are past the longest horizon or have ended are left out."""
        world, rng = self.world, self.rng
        sub = self.people.take(rows)
        session(sub, world, self.tables, rng)
        goes_on = course.ending(sub, world, self.tables, rng) == GOES_ON
        changed = course.hand_over(sub, world, self.roster, rng)
        nodes = self.nodes[rows]
        self.nodes[rows] = np.where(changed[:, None], nodes.sum(axis=1, keepdims=True) * PRIOR, nodes)
        self.people.put(rows, sub)
        alive = np.ones(len(self.people), bool)
        alive[rows] = goes_on & (sub.last < self.at[rows] + HORIZONS[-1] * DAY)
        alive &= self.left > ALL_LOST
        attended = np.zeros(len(self.people), bool)
        attended[rows] = True
        self._keep(np.flatnonzero(alive))
        self._book(np.flatnonzero(attended[alive]))

    def _book(self, rows: Ints) -> None:
        sub = self.people.take(rows)
        none, logit = none_booked(sub, self.world, self.tables)
        away = sigmoid(logit + sub.effect)
        nodes = away_by_node(logit, self.world)
        stop = np.zeros(len(self.people))
        stop[rows] = none * away
        by_node = np.zeros_like(self.nodes)
        by_node[rows] = none[:, None] * nodes
        self._stop(stop, by_node)
        unbooked = self.rng.random(len(rows)) < none * (1 - away) / (1 - none * away)
        self.left *= 1 - stop
        self.nodes *= (1 - stop)[:, None]
        self.nodes[rows[unbooked]] *= ((1 - nodes) / (1 - away)[:, None])[unbooked]
        course.book_next(sub, self.rng)
        waiting = sub.take(unbooked)
        course.leave_unbooked(waiting, logit[unbooked])
        course.come_back(waiting, waiting.lost_at + back_after(self.rng, waiting.cap), self.rng)
        sub.put(unbooked, waiting)
        self.people.put(rows, sub)

    # ── the moment itself ───────────────────────────────────────────────────────────────────────────────

    def _wait_on(self) -> Bools:
        """Those with nothing booked at `at`: how likely they are gone already, the longer the likelier. Returns who."""
        waiting = ~np.isnan(self.people.lost_at)
        rows = np.flatnonzero(waiting)
        sub = self.people.take(rows)
        elapsed = self.at[rows] - sub.lost_at
        patience = still_waiting(elapsed, sub.cap)
        away, nodes = sigmoid(sub.lost_logit + sub.effect), away_by_node(sub.lost_logit, self.world)
        seen = nodes + (1 - nodes) * patience[:, None]
        weights = self.nodes[rows] * seen
        self.nodes[rows] = weights / weights.sum(axis=1, keepdims=True)
        gone = np.zeros(len(self.people))
        gone[rows] = away / (away + (1 - away) * patience)
        by_node = np.zeros_like(self.nodes)
        by_node[rows] = nodes / seen
        self._stop(gone, by_node)
        self.left *= 1 - gone
        self.nodes *= 1 - by_node
        course.come_back(sub, sub.lost_at + back_after(self.rng, sub.cap, elapsed), self.rng)
        self.people.put(rows, sub)
        return waiting

    def _stop(self, chance: Floats, by_node: Floats) -> None:
        """Adds the chance of stopping here to each horizon that the last session lies before."""
        within = ~(self.people.last[:, None] >= self.at[:, None] + HORIZONS * DAY)
        self.known[self.row] += within * (self.left * chance)[:, None]
        self.unknown[self.row] += within * (self.nodes * by_node).sum(axis=1)[:, None]

    def _keep(self, rows: Ints) -> None:
        self.people = self.people.take(rows)
        self.at, self.row, self.left, self.nodes = self.at[rows], self.row[rows], self.left[rows], self.nodes[rows]


def _unseen(found: Chances, good: Floats, late: Floats) -> Chances:
    """Chances together with that of no notice so far; they sum to less than 1."""
    lost = found.lost.copy()
    lost[:, EARLY] *= good
    lost[:, LATE] *= late
    return found._replace(lost=lost, clinic=found.clinic * good)


def _either(rows: Bools, moved: Chances, unmoved: Chances) -> Chances:
    """The chances of those whose visit was moved, and of the others, each summing to 1 again."""
    total = (unmoved.lost.sum(axis=1) + unmoved.clinic + unmoved.attended)[:, None]
    return Chances(
        lost=np.where(rows[:, None], moved.lost, unmoved.lost / total),
        clinic=np.where(rows, moved.clinic, unmoved.clinic / total[:, 0]),
        attended=np.where(rows, moved.attended, unmoved.attended / total[:, 0]),
        away=np.where(rows[:, None], moved.away, unmoved.away),
    )
