"""The steps of a course of therapy that the log and the oracle share: a visit moved, lost or attended, the next one, an end.

The generator lives them once and tells them as events; the oracle lives them many times from a copy. Nothing else decides
what happens to a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from training.simulate.calendars import workday
from training.simulate.hazards import (
    BACK_WITHIN,
    EARLY,
    LATE,
    REACHED,
    UNCALLED,
    UNREACHED,
    link,
    longest_notice,
    notice,
)
from training.simulate.people import DAY, HOUR, NODES, Bools, Floats, Ints, People, Tables
from training.simulate.presets import World
from training.simulate.standing import MISSED_AFTER, comes_to, hours, keeps, let_pass, passed_by
from training.simulate.voices import (
    CANCELLED_BY_CLINIC,
    CHANGED_BY_CLINIC,
    CHANGED_BY_REQUEST,
    HANDOVER_AT,
    LATE_CANCELLATION,
    MET,
    MOVED_BY_CLINIC,
    WISH,
    WISHES,
    remember,
    wishes,
)

MISSED: Final = (UNCALLED, REACHED, UNREACHED)
GOES_ON, PLANNED, IMPROVED, TRANSFERRED, ADMINISTRATIVE, MUTUAL, DECEASED = range(7)
"""How a session can end an episode."""
PLANNED_CHANCE: Final = 0.8
"""Of ending once the planned number is reached; ours."""
UNPLANNED_CHANCE: Final = 0.07
"""Of a planned end a session from the sixth on where no number was planned; ours."""
IMPROVED_CHANCE: Final = 0.1
"""Of ending early as improved, a session from the fourth on once recovered; ours."""
AFTER: Final = 15.0
"""Minutes after a session until all that it leaves in the log is there, but for notes that a world enters later."""


@dataclass(frozen=True)
class Roster:
    """The clinicians of all clinics, those of a clinic side by side."""

    effects: Floats
    a_clinic: int

    def someone(self, clinic: Ints, rng: np.random.Generator) -> Ints:
        return np.asarray(clinic * self.a_clinic + rng.integers(0, self.a_clinic, len(clinic)))


def spread(world: World) -> float:
    """SD of what comes with a clinician, the clinic's part included."""
    return float(np.hypot(world.clinician_sd, world.clinic_sd))


def away_by_node(logit: Floats, world: World) -> Floats:
    """Chance of not coming back for each of `NODES`, on a new last axis."""
    if world.cloglog:
        return link(logit[..., None] + spread(world) * NODES, world)
    odds = np.exp(-logit)[..., None] * np.exp(-spread(world) * NODES)
    return np.asarray(1 / (1 + odds), dtype=np.float64)


# ── the visit ───────────────────────────────────────────────────────────────────────────────────────────


def move(people: People, world: World, rng: np.random.Generator, chance: Floats | None = None) -> tuple[Bools, Floats]:
    """Clients move some visits, each at most once. Returns who did, and when."""
    n = len(people)
    share = world.moved * ~people.moved if chance is None else chance
    moved = rng.random(n) < share
    at = people.starts - notice(rng, np.full(n, EARLY), longest_notice(people))
    people.starts = np.where(moved, workday(people.starts + DAY * rng.integers(1, 7, n)), people.starts)
    people.since = np.where(moved, at, people.since)
    people.moved = people.moved | moved
    return moved, at


def lose(people: People, world: World, ways: Ints, logit: Floats, rng: np.random.Generator) -> None:
    """The booked visit is lost in one of the five ways; `logit` is that of not coming back."""
    missed, recorded = np.isin(ways, MISSED), is_recorded(ways, world)
    called_off = people.starts - notice(rng, ways, longest_notice(people))
    people.lost_at = np.where(missed, missed_at(people.starts, world), called_off)
    people.sign = np.where(recorded, people.lost_at, people.sign)
    people.missed += recorded
    people.row += recorded | ~missed
    people.lost = people.lost | (people.sessions > 0)
    remember(people, LATE_CANCELLATION, ways == LATE, called_off)
    people.hour = np.where(keeps(people, world), people.starts, np.nan)
    _wait(people, logit)


def is_recorded(ways: Ints, world: World) -> Bools:
    """Which visits are missed and recorded so."""
    return np.isin(ways, MISSED[1:] if world.unrecorded else MISSED)


def missed_at(starts: Floats, world: World) -> Floats:
    """When a visit that is missed is recorded so."""
    return starts + MISSED_AFTER if world.missed_at is None else np.floor(starts / DAY) * DAY + HOUR * world.missed_at


def after(world: World) -> float:
    """Minutes after a session until all that it leaves in the log is there."""
    return AFTER + world.notes_after


def leave_unbooked(people: People, world: World, logit: Floats) -> None:
    """A session ends with nothing booked."""
    people.lost_at = people.last + after(world) - 1
    _wait(people, logit)


def _wait(people: People, logit: Floats) -> None:
    people.lost_logit = logit
    people.cap = np.maximum(people.sign + BACK_WITHIN - people.lost_at, 0.0)
    people.starts = np.full(len(people), np.nan)


def come_back(people: People, at: Floats, rng: np.random.Generator) -> None:
    """They decide to come back at the moment `at`: to an hour that was kept for them, else they book again."""
    number = comes_to(people, at)
    kept, passed = hours(people), passed_by(people, number)
    let_pass(people, passed)
    at = np.maximum(at, np.where(passed > 0, people.sign, -np.inf))
    day = np.floor(at / DAY) + rng.integers(3, 9, len(people))
    booked = workday(DAY * day + HOUR * rng.integers(8, 18, len(people)))
    rows = np.arange(len(people))
    people.starts = np.where(number > 0, kept[rows, number], booked)
    people.since = np.where(number > 0, kept[rows, np.maximum(number - 1, 0)], at)
    people.moved = np.zeros(len(people), bool)
    people.lost_at = np.full(len(people), np.nan)


def clinic_cancels(people: People, world: World, rng: np.random.Generator) -> tuple[Bools, Floats]:
    """The clinic puts the visit off to the same hour a week later. Returns whether by moving it, and when."""
    n = len(people)
    moves = np.zeros(n, bool) if world.voices is None else rng.random(n) < world.voices.moved_by_clinic
    at = people.starts - notice(rng, np.full(n, EARLY), longest_notice(people))
    people.clinic_cancelled += 1
    remember(people, MOVED_BY_CLINIC, moves, at)
    remember(people, CANCELLED_BY_CLINIC, ~moves, at + 1)
    people.starts = workday(people.starts + 7 * DAY)
    people.since = at
    people.moved = np.zeros(n, bool)
    return moves, at


# ── after a session ─────────────────────────────────────────────────────────────────────────────────────


def ending(people: People, world: World, tables: Tables, rng: np.random.Generator) -> Ints:
    """Whether, and how, the session was the last by intent."""
    n = len(people)
    planned = np.where(
        np.isnan(people.planned),
        UNPLANNED_CHANCE * (people.sessions >= 6),
        PLANNED_CHANCE * (people.sessions >= people.planned),
    )
    improved = IMPROVED_CHANCE * (tables.recovered(people) & (people.sessions >= 4))
    bounds = np.cumsum(np.stack([planned, improved * (1 - planned)], axis=1), axis=1)
    others = (1 - bounds[:, 1])[:, None] * np.cumsum(world.other_endings)
    draw = rng.random(n)[:, None]
    passed = (draw >= np.concatenate([bounds, bounds[:, 1:] + others], axis=1)).sum(axis=1)
    return np.where(passed == bounds.shape[1] + others.shape[1], GOES_ON, passed + 1)


def hand_over(people: People, world: World, roster: Roster, rng: np.random.Generator) -> Bools:
    """Another clinician takes over from some; nothing is known of the new one's effect."""
    n = len(people)
    chance = world.handover_chance * (1 + 2 * ~np.isnan(people.wish_at))
    wanted = np.zeros(n, bool)
    if world.voices is not None:
        wanted = wishes(people, WISHES.index("clinician"))
        # Who has just asked is answered the next time.
        wanted &= people.signals[:, WISH + WISHES.index("clinician")] < people.last
        chance = np.where(wanted, world.voices.met, chance)
    changed = rng.random(n) < chance
    new = roster.someone(people.clinic, rng)
    changed &= new != people.clinician
    people.clinician = np.where(changed, new, people.clinician)
    people.effect = np.where(changed, roster.effects[people.clinician], people.effect)
    at = people.last + world.notes_after + HANDOVER_AT
    people.handover_at = np.where(changed, at, people.handover_at)
    if world.voices is not None:
        people.signals[changed, WISH + WISHES.index("clinician")] = np.nan
        for signal, rows in ((CHANGED_BY_REQUEST, wanted), (MET, wanted), (CHANGED_BY_CLINIC, ~wanted)):
            remember(people, signal, changed & rows, at)
    return changed


def book_next(people: People, world: World, rng: np.random.Generator) -> None:
    """The next visit is booked before the client leaves, mostly at the usual interval: told before the session itself is, but
    where the clinic enters it late, so that elsewhere a session recorded with nothing booked is one that somebody left so."""
    n = len(people)
    draw = rng.random(n)
    later, off = np.cumsum(world.off_rhythm)
    days = people.rhythm + np.where(draw < later, 7.0, np.where(draw < off, rng.integers(-3, 4, n), 0.0))
    people.since = people.last - 1
    people.starts = workday(_past_gap(people.starts + DAY * days, world))
    people.moved = np.zeros(n, bool)


def _past_gap(at: Floats, world: World) -> Floats:
    """The same hour on the first day after the clinic's summer, where it falls in it."""
    if world.gap is None:
        return at
    year = (np.floor(at / DAY) + 1) % 365.25
    first, last = world.gap
    return at + DAY * np.where((year >= first) & (year <= last), np.ceil(last - year) + 1, 0.0)
