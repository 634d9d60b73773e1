"""What happens in a session: alliance, ruptures, repairs, measures, homework, feedback, all drawn from what the log shows."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from training.simulate.hazards import sigmoid
from training.simulate.people import DAY, Bools, Floats, Ints, People, Tables
from training.simulate.presets import World
from training.simulate.voices import Voiced, speak

LENGTH: Final = 50.0
"""Minutes."""
NOT_OFFERED, SKIPPED, DONE, NOT_DUE = range(4)
PILLARS_AT_FAULT: Final = (0.25, 0.6)
"""Cumulated: goals, tasks, else bond; ours."""
GAINS: Final = np.array((0.75, 0.46, 0.37, 0.33, 0.31, 0.29))
"""How much a rating teaches of the person's level, by the number before it: the steady gains of the local-level filter of
keepwell.care.alliance with its priors."""
CARRIED: Final = 0.55
"""Share of a fall that is carried to the next rating unless it is repaired; ours."""
GROWTH: Final = 0.3
"""How far a rating lies above the expected one where nothing weighs on it: the alliance grows towards its ceiling; ours."""
WAI_POINT: Final = 1.6
"""Points of a subscale of the WAI-SR (4 to 20) to one of the ten that ratings have here."""
STRAINED: Final = 0.8
"""A fall (points of 10, mean of the pillars) from which on people skip, answer late and criticise more; ours."""


class Said(NamedTuple):
    """What a session leaves in the log, a row a person; columns of `ratings`: goals, tasks, bond."""

    outcome: Ints
    alliance: Ints
    ratings: Floats
    kind: Ints
    """Of a noted rupture: 0 none, 1 withdrawal, 2 confrontation."""
    pillar: Ints
    repair: Ints
    """-1, 0, 1, or 9 where none was attempted."""
    reviewed: Bools
    assigned: Bools
    sentiment: Ints
    """-1, 0, 1, or 9 where no feedback was given."""
    wishes: Bools
    voiced: Voiced | None
    """More, in drawn worlds."""


def session(people: People, world: World, tables: Tables, rng: np.random.Generator) -> Said:
    """Lets the booked visit take place and changes the people by it."""
    n = len(people)
    at = people.starts
    strained = (people.fall.mean(axis=1) > STRAINED) | (people.noted > 0)
    hit = rng.random(n) < world.rupture * (1 + strained)
    open_one = np.where(hit, np.where(rng.random(n) < world.confrontations, 2, 1), 0)
    draw = rng.random(n)
    pillar = np.where(draw < PILLARS_AT_FAULT[0], 0, np.where(draw < PILLARS_AT_FAULT[1], 1, 2))

    outcome = _measure(people, world, tables, rng, strained)
    people.sessions += 1
    people.row[:] = 0
    people.last = at + LENGTH
    people.sign = people.last.copy()
    people.lost_at[:] = np.nan
    repair = _repair(people, world, rng, strained)
    people.late = np.rint(np.minimum(rng.exponential(2.5, n) * (1 + 0.9 * (strained | hit)), 40))
    alliance, ratings = _rate(
        people, world, rng, strained=strained, rupture=open_one, pillar=pillar, repaired=repair == 1
    )
    kind = _note(people, rng, open_one)
    reviewed, assigned = _homework(people, world, rng, hit)
    voiced = None
    if world.voices is None:
        sentiment, wishes = _feedback(people, rng, hit | strained)
    else:
        sentiment, voiced = speak(
            people, world.voices, rng, upset=hit | strained, at_fault=pillar, notes_after=world.notes_after
        )
        wishes = voiced.wish >= 0
    return Said(outcome, alliance, ratings, kind, pillar, repair, reviewed, assigned, sentiment, wishes, voiced)


def _offered(skip: Floats, world: World, rng: np.random.Generator, due: Bools) -> Ints:
    u = rng.random(len(skip))
    status = np.where(u < world.not_offered, NOT_OFFERED, np.where(rng.random(len(skip)) < skip, SKIPPED, DONE))
    return np.where(due, status, NOT_DUE)


def _due(session: Ints, plan: tuple[int, int]) -> Bools:
    """Whether a questionnaire is due at a session: the first one and every how many after are planned."""
    first, every = plan
    return (session >= first) & ((session - first) % every == 0) if every else np.zeros(len(session), bool)


def _count_skips(people: People, status: Ints) -> None:
    people.skips = np.where(status == DONE, 0, people.skips + (status == SKIPPED))


def _measure(people: People, world: World, tables: Tables, rng: np.random.Generator, strained: Bools) -> Ints:
    """The outcome instrument, before the session: a first score, then steps that are larger early and smaller in strain."""
    n = len(people)
    lean = 0.7 * (people.skips > 0) + 0.6 * strained + 0.5 * (people.row > 0)
    skip = sigmoid(world.skipping - 0.3 + world.skip_on_strain * lean)
    status = _offered(skip, world, rng, _due(people.sessions + 1, world.outcome_plan))
    kind = people.outcome
    change, better = tables.change[kind], tables.better[kind]
    first = tables.cutoff[kind] - better * change * rng.normal(1.2, 1.1, n)
    step = np.where(people.sessions < 3, world.early_step, world.late_step) - 0.15 * strained
    step = step + 0.12 * np.clip(tables.gain(people), -1, 1) * (people.sessions < 6)
    new = np.where(people.measured == 0, first, people.score + better * change * (step + rng.normal(0, 0.42, n)))
    unit = tables.unit[kind]
    new = np.clip(np.rint(new / unit) * unit, tables.low[kind], tables.high[kind])
    done = status == DONE
    people.first_score = np.where(done & (people.measured == 0), new, people.first_score)
    people.score = np.where(done, new, people.score)
    people.measured += done
    _count_skips(people, status)
    return status


def _repair(people: People, world: World, rng: np.random.Generator, strained: Bools) -> Ints:
    n = len(people)
    usual = 0.0 if world.voices is None else world.voices.repair
    tried = rng.random(n) < np.where(people.noted > 0, 0.5, np.where(strained, 0.25, usual))
    draw = rng.random(n)
    went = np.where(draw < 0.6, 1, np.where(draw < 0.9, 0, -1))
    people.repair = np.where(tried, went, people.repair)
    people.noted = np.where(tried & (went == 1), 0, people.noted)
    return np.where(tried, went, 9)


def _rate(
    people: People,
    world: World,
    rng: np.random.Generator,
    *,
    strained: Bools,
    rupture: Ints,
    pillar: Ints,
    repaired: Bools,
) -> tuple[Ints, Floats]:
    """The alliance instrument, after the session: near the person's own course, capped at its ceiling."""
    n = len(people)
    carried = np.clip(people.fall, 0.0, 4.0) * np.where(repaired, 0.1, CARRIED)[:, None]
    shock = np.where(rupture > 0, rng.uniform(1.5, 4.0, n), 0.0)[:, None] * np.where(
        np.arange(3) == pillar[:, None], 1.0, 0.35
    )
    strange = 0.6 * (people.starts - people.handover_at <= 21 * DAY)[:, None] * np.array((0.3, 0.3, 1.0))
    common = rng.normal(0, np.where(people.ratings == 0, 1.0, 0.3), n)[:, None]
    mean = people.level + GROWTH - carried - shock - strange
    a_point = WAI_POINT if world.alliance == "WAI-SR" else 10.0
    drawn = mean + common + rng.normal(0, 0.45, (n, 3))
    rating = np.clip(np.rint(a_point * drawn) / a_point, 0.0, 10.0)
    lean = 0.7 * (people.skips > 0) + 0.6 * strained + 1.3 * (rupture == 1)
    skip = sigmoid(world.skipping + world.skip_on_strain * lean)
    status = _offered(skip, world, rng, _due(people.sessions, world.alliance_plan))
    done = status == DONE
    fall = people.level - rating
    teach = GAINS[np.minimum(people.ratings, len(GAINS) - 1)][:, None]
    people.fall = np.where(done[:, None], fall, people.fall)
    people.level = np.where(done[:, None], people.level - teach * fall, people.level)
    people.rated = np.where(done, rating.mean(axis=1), people.rated)
    people.ratings += done
    _count_skips(people, status)
    return status, rating


def _note(people: People, rng: np.random.Generator, rupture: Ints) -> Ints:
    """Ruptures that somebody notices; confrontations more often. Unrepaired ones are forgotten after five sessions."""
    noticed = (rupture > 0) & (rng.random(len(people)) < np.where(rupture == 2, 0.6, 0.35))
    people.noted_age = np.where(noticed, 0, people.noted_age + 1)
    people.noted = np.where(noticed, rupture, np.where(people.noted_age > 5, 0, people.noted))
    return np.where(noticed, rupture, 0)


def _homework(people: People, world: World, rng: np.random.Generator, hit: Bools) -> tuple[Bools, Bools]:
    n = len(people)
    reviewed = people.due & (rng.random(n) < 0.85)
    usual = np.where(people.reviews > 0, people.homework_mean, 0.65)
    done = np.clip(np.rint(4 * (usual + rng.normal(0, 0.28, n) - 0.25 * hit)) / 4, 0.0, 1.0)
    fell = reviewed & (people.reviews > 0) & (done < people.homework)
    people.falling = np.where(reviewed, np.where(fell, people.falling + 1, 0), people.falling)
    people.reviews += reviewed
    people.homework = np.where(reviewed, done, people.homework)
    mean = people.homework_mean + (done - people.homework_mean) / np.maximum(people.reviews, 1)
    people.homework_mean = np.where(reviewed, mean, people.homework_mean)
    assigned = rng.random(n) < world.homework_share
    people.due = (people.due & ~reviewed) | assigned
    return reviewed, assigned


def _feedback(people: People, rng: np.random.Generator, upset: Bools) -> tuple[Ints, Bools]:
    n = len(people)
    given = rng.random(n) < np.where(upset, 0.2, 0.08)
    draw = rng.random(n)
    negative = np.where(upset, 0.6, 0.1)
    sentiment = np.where(draw < negative, -1, np.where(draw < negative + 0.3, 0, 1))
    wishes = given & (sentiment == -1) & (rng.random(n) < 0.4)
    people.negative_at = np.where(given & (sentiment == -1), people.last + 8, people.negative_at)
    people.wish_at = np.where(wishes, people.last + 8, np.where(given & (sentiment == 1), np.nan, people.wish_at))
    return np.where(given, sentiment, 9), wishes
