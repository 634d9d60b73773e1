"""The courses of therapy of all people, lived once: told as events, with a copy of the state kept at every landmark."""

from __future__ import annotations

from typing import Final

import numpy as np

from training.simulate import course
from training.simulate.calendars import enters_late
from training.simulate.course import GOES_ON, Roster, after, away_by_node, is_recorded
from training.simulate.hazards import NONE_BOOKED, back_after, chances, link, none_booked
from training.simulate.intake import OPENING_DAYS, Arrivals
from training.simulate.landmarks import Landmarks
from training.simulate.people import DAY, PRIOR, Bools, Floats, Ints, People, Tables
from training.simulate.presets import World
from training.simulate.session import LENGTH, session
from training.simulate.standing import comes_to, last_sign, shown_at
from training.simulate.tell import Teller

CUT: Final = (OPENING_DAYS + 30) * DAY
"""When the log ends, in minutes: whoever is in therapy then is undetermined."""
AT_SESSIONS: Final = (1, 2, 3, 5, 8)
AFTER_MISS: Final = 10 * DAY
DECLARED_AFTER: Final = 30 * DAY
BEFORE_INTAKE: Final = 10.0
"""Minutes before a visit from which it counts as begun: the questionnaire is filled in."""


class Lives:
    """Lives people from their openings to their endings or the cut."""

    def __init__(
        self, people: People, arrivals: Arrivals, world: World, *, tables: Tables, staff: Roster, teller: Teller,
        rng: np.random.Generator,
    ) -> None:  # fmt: skip
        self._all, self._world, self._tables, self._staff, self._tell, self._rng = (
            people,
            world,
            tables,
            staff,
            teller,
            rng,
        )
        n = len(people)
        self._due = np.full(n, np.nan)
        """Ten days after a missed visit, until that landmark is taken."""
        self._away = np.zeros(n, bool)
        """Stopped before; a session would begin a new spell."""
        self.stopped = np.zeros(n, bool)
        """Whether somebody ever stopped."""
        self._weights = np.tile(PRIOR, (n, 1))
        """As `Landmarks.weights`."""
        self._kept: list[Landmarks] = []
        teller.opened(people, arrivals)
        self._keep(people, arrivals.opened + 2, np.ones(n, bool))

    def run(self, visits: int | None = None) -> Landmarks:
        """Returns the landmarks. `visits`: lives no more of them."""
        active = np.arange(len(self._all))
        while len(active) and visits != 0:
            visits = None if visits is None else visits - 1
            people = self._all.take(active)
            goes_on = self._visit(people)
            self._all.put(active, people)
            active = active[goes_on & (people.since < CUT)]
        return Landmarks.joined(self._kept)

    def _visit(self, people: People) -> Bools:
        """One booked visit of everyone. Returns who has another one booked."""
        world, rng = self._world, self._rng
        before = people.take(slice(None))
        moved, moved_at = course.move(people, world, rng)
        self._passed(before, moved, moved_at)
        self._tell.moved(people, moved, moved_at)

        found = chances(people, world, self._tables)
        bounds = np.cumsum(np.concatenate([found.attended[:, None], found.clinic[:, None], found.lost], axis=1), axis=1)
        way = (rng.random(len(people))[:, None] >= bounds[:, :-1]).sum(axis=1) - 2
        goes_on: Bools = np.ones(len(people), bool)
        lost, cancelled, attended = (np.flatnonzero(which) for which in (way >= 0, way == -1, way == -2))
        goes_on[lost] = self._lose(people, lost, way[lost], found.away[lost, way[lost]])
        self._cancel(people, cancelled)
        goes_on[attended] = self._attend(people, attended)
        return goes_on

    def _lose(self, people: People, rows: Ints, ways: Ints, logit: Floats) -> Bools:
        before, sub = people.take(rows), people.take(rows)
        course.lose(sub, self._world, ways, logit, self._rng)
        self._passed(before, np.ones(len(rows), bool), sub.lost_at)
        missed = is_recorded(ways, self._world) & ~self._away[sub.id] & np.isnan(self._due[sub.id])
        self._due[sub.id[missed]] = sub.lost_at[missed] + AFTER_MISS
        goes_on = self._wait(sub, ways)
        people.put(rows, sub)
        return goes_on

    def _cancel(self, people: People, rows: Ints) -> None:
        before, sub = people.take(rows), people.take(rows)
        moves, at = course.clinic_cancels(sub, self._world, self._rng)
        self._passed(before, np.ones(len(rows), bool), at)
        self._tell.clinic_cancelled(sub, moves, at)
        people.put(rows, sub)

    def _attend(self, people: People, rows: Ints) -> Bools:
        world, rng = self._world, self._rng
        sub = people.take(rows)
        self._passed(sub, np.ones(len(rows), bool), sub.starts - BEFORE_INTAKE)
        during = self._due[sub.id] < sub.starts + LENGTH + after(world) + 10
        self._due[sub.id[during]] = np.nan
        self._away[sub.id] = False
        said = session(sub, world, self._tables, rng)
        self._tell.attended(sub, said)
        ending = course.ending(sub, world, self._tables, rng)
        self._tell.ended(sub, ending)
        goes_on: Bools = ending == GOES_ON
        changed = course.hand_over(sub, world, self._staff, rng) & goes_on
        self._tell.handed_over(sub, changed)
        self._weights[sub.id[changed]] = PRIOR
        kept = goes_on & np.isin(sub.sessions, AT_SESSIONS)
        late = enters_late(sub, world)
        self._keep(sub, sub.last + after(world), kept & late)
        none, logit = none_booked(sub, world, self._tables)
        unbooked = goes_on & (rng.random(len(rows)) < none)
        course.book_next(sub, world, rng)
        self._tell.booked(sub, goes_on & ~unbooked)
        some = np.flatnonzero(unbooked)
        waiting = sub.take(some)
        course.leave_unbooked(waiting, world, logit[some])
        sub.put(some, waiting)
        self._keep(sub, sub.last + after(world), kept & ~late)
        goes_on[some] = self._wait(waiting, np.full(len(some), NONE_BOOKED))
        sub.put(some, waiting)
        people.put(rows, sub)
        return goes_on

    def _wait(self, people: People, ways: Ints) -> Bools:
        """Those who have lost a visit, or booked none, come back or stop; of these some return much later. Returns who has a
        visit to come to."""
        rng = self._rng
        gone = rng.random(len(people)) < link(people.lost_logit + people.effect, self._world)
        back_at = people.lost_at + back_after(rng, people.cap)
        closed = np.maximum(last_sign(people) + DECLARED_AFTER, people.lost_at)
        again = gone & ~self._away[people.id] & (rng.random(len(people)) < self._world.returning)
        shut = gone & ~again & ~self._away[people.id] & (rng.random(len(people)) < self._world.closed)
        return_at = np.rint(closed + 3 * DAY + rng.exponential(25 * DAY, len(people)))
        goes_on = again | ~(self._away[people.id] | gone)
        decided = np.where(gone | ~goes_on, return_at, back_at)
        number = comes_to(people, decided)
        self._passed(people, ~self._away[people.id], np.where(gone, closed, shown_at(people, number, decided)))
        self._tell.waited(people, ways, np.where(gone, np.inf, back_at), shut)
        self._tell.kept(people, number)
        self._away[people.id] |= gone
        self.stopped[people.id] |= gone
        away = away_by_node(people.lost_logit, self._world)
        weights = self._weights[people.id] * np.where(gone[:, None], away, 1 - away)
        self._weights[people.id] = weights / weights.sum(axis=1, keepdims=True)
        course.come_back(people, decided, rng)
        self._tell.rebooked(people, ways, goes_on & (number == 0), again)
        return np.asarray(goes_on, dtype=np.bool_)

    # ── landmarks ───────────────────────────────────────────────────────────────────────────────────────

    def _passed(self, people: People, rows: Bools, until: Floats) -> None:
        """Takes the landmark ten days after a missed visit of those for whom it lies before `until`."""
        due = self._due[people.id]
        reached = rows & (due < until) & ~self._away[people.id]
        self._keep(people, due, reached)
        self._due[people.id[reached]] = np.nan

    def _keep(self, people: People, at: Floats, rows: Bools) -> None:
        if rows.any():
            self._kept.append(Landmarks(people.take(rows), at[rows], self._weights[people.id[rows]]))
