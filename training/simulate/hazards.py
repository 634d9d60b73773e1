"""The chances of a visit: lost, how, and whether the person comes back; each from what the log shows at that moment."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from training.simulate.people import DAY, HOUR, Bools, Floats, Ints, People, Tables
from training.simulate.presets import Twists, World
from training.simulate.voices import pull as voiced

EARLY, LATE, UNCALLED, REACHED, UNREACHED, NONE_BOOKED = range(6)
"""Ways of losing a visit, in the order of `World.kind_logits`; the last is to leave a session with nothing booked."""
RECENT: Final = 60 * DAY
"""How long feedback, a wish or a hand-over counts (as in keepwell.scoring.features)."""
BACK_WITHIN: Final = 28 * DAY
"""Whoever comes back books within this time of the last sign, so that no stop is declared of one who stayed (30 days)."""
SOON: Final = 0.2 * DAY
"""Earliest rebooking."""
SOON_SHARE: Final = 0.35
"""Share rebooked within a day; ours."""
LATER_MEAN: Final = 12 * DAY
"""Mean further wait of the others; ours."""
SHORTEST_NOTICE: Final = 26 * HOUR
"""Of a cancellation in good time, of a move, and of one by the clinic."""
LONGEST_NOTICE: Final = 96 * HOUR
LATE_NOTICE: Final = (1 * HOUR, 20 * HOUR)


CERTAIN: Final = 2.5
"""A sum beyond which the complementary log-log adds nothing: one in 200 000 is left, where more would be lost to rounding."""


class Chances(NamedTuple):
    """Of one booked visit. Those of `lost` (columns: five ways), `clinic` and `attended` sum to 1."""

    lost: Floats
    clinic: Floats
    attended: Floats
    away: Floats
    """Logit of not coming back for each way of losing it, without the clinician's effect."""


def sigmoid(x: Floats) -> Floats:
    # Not `scipy.special.expit`: it differs in the last bit now and then, and with it would who stays and who leaves.
    return 1.0 / (1.0 + np.exp(-x))


def link(x: Floats, world: World) -> Floats:
    """The chance that a sum of effects stands for, in the world's own link."""
    return -np.expm1(-np.exp(np.minimum(x, CERTAIN))) if world.cloglog else sigmoid(x)


def strain(people: People, world: World, tables: Tables, at: Floats) -> Floats:
    """What pulls a person away, on the logit scale: intake, alliance, progress, silence, continuity."""
    p = world.process
    fall = people.fall.mean(axis=1)
    total = people.intake.copy()
    total += p.level * np.where(people.ratings > 0, np.clip((world.alliance_mean - people.rated) / 1.2, -1.1, 3.0), 0.0)
    total += p.fall * np.clip(fall, -1.0, 3.0) + p.bond_fall * np.clip(people.fall[:, 2], -1.0, 4.0)
    total -= p.gain * np.clip(tables.gain(people), -1.5, 2.0)
    total += p.skip * np.minimum(people.skips, 4)
    total += p.homework * np.where(people.reviews > 0, 0.6 - people.homework, 0.0)
    total += p.negative * recent(people.negative_at, at) + p.wish * recent(people.wish_at, at)
    total += np.array((0.0, p.withdrawal, p.confrontation))[people.noted]
    total += p.repaired * people.repair
    total += p.handover * recent(people.handover_at, at)
    total += p.late * np.minimum(people.late, 20.0) / 10
    total += p.missed_share * (np.minimum(people.missed / np.maximum(people.missed + people.sessions, 1), 0.5) - 0.1)
    total += p.row * np.minimum(people.row, 3) + p.clinic_cancelled * np.minimum(people.clinic_cancelled, 3)
    if world.homework_falling:
        total += world.homework_falling * np.minimum(people.falling, 3)
    if world.signals:
        total += voiced(people, world, at)
    if world.twists is not None:
        total += _twisted(people, world, world.twists, tables)
    return total


def _twisted(people: People, world: World, twists: Twists, tables: Tables) -> Floats:
    """What thresholds and interactions add to the plain sum."""
    p = world.process
    fall = people.fall.mean(axis=1)
    total = p.fall * (np.clip(fall - twists.fall_from, 0.0, 3.0) - np.clip(fall, -1.0, 3.0))
    total += twists.fall_early * np.clip(fall, 0.0, 3.0) * (people.sessions <= 3)
    total += twists.row_fallen * np.minimum(people.row, 3) * (fall >= 1)
    total += twists.gain_recovered * np.clip(tables.gain(people), 0.0, 2.0) * tables.recovered(people)
    low = np.where(people.ratings > 0, np.clip((world.alliance_mean - people.rated) / 1.2, -1.1, 3.0), 0.0)
    return np.asarray(total + twists.level_late * low * (np.minimum(people.sessions, 12) / 4 - 1), dtype=np.float64)


def season(at: Floats, world: World) -> Floats | float:
    """What the hour, the weekday and the time of the year of a visit add to the logit of losing it."""
    found = world.seasons
    if found is None:
        return 0.0
    day = np.floor(at / DAY)
    hour, turn = at % DAY / HOUR, 2 * np.pi * ((day + 1) % 365.25) / 365.25
    weekday = np.array((*found.weekdays, 0.0, 0.0))[(day % 7).astype(np.int64)]
    year = found.winter * np.cos(turn) + found.spring * np.sin(turn)
    return np.asarray(weekday + found.early * (hour < 10) + found.late * (hour >= 17) + year, dtype=np.float64)


def chances(people: People, world: World, tables: Tables) -> Chances:
    """Of the visit that each person has booked."""
    weeks = np.maximum((people.starts - people.since) / (7 * DAY), 0.15)
    pull = strain(people, world, tables, people.starts)
    pull += world.intake.week_waited * np.where(people.sessions == 0, np.minimum(weeks, 6) - world.wait_mean / 7, 0.0)
    base = np.where(people.sessions == 0, world.lost_first, world.lost)
    lost = link(base + world.on_lost * pull + world.lead * np.log(weeks) + season(people.starts, world), world)
    early, late, missed = world.kinds
    uncalled, reached = missed * (1 - world.called), missed * world.called * world.reached
    split = np.array((early, late, uncalled, reached, missed - uncalled - reached))
    away = _away(people, world, pull)
    return Chances(
        lost=lost[:, None] * split * (1 - world.clinic_cancels),
        clinic=np.full(len(people), world.clinic_cancels),
        attended=(1 - lost) * (1 - world.clinic_cancels),
        away=away[:, None] + np.array(world.kind_logits[:NONE_BOOKED]),
    )


def none_booked(people: People, world: World, tables: Tables) -> tuple[Floats, Floats]:
    """At the end of a session: the chance that nothing is booked, and then the logit of not coming back."""
    pull = strain(people, world, tables, people.last)
    away = _away(people, world, pull) + world.kind_logits[NONE_BOOKED]
    return link(world.none_booked + world.on_lost * pull, world), away


def recent(moment: Floats, at: Floats) -> Bools:
    return np.asarray(at - moment <= RECENT)  # False where the moment is NaN


def _away(people: People, world: World, pull: Floats) -> Floats:
    early = np.array((*world.early, 0.0))
    base = world.stay_away + early[np.minimum(people.sessions, len(world.early))]
    base = np.where(people.sessions == 0, world.stay_away_first, base)
    given_up = world.given_up * np.maximum(people.row - 2, 0)
    return np.asarray(base + given_up + world.on_stay_away * pull, dtype=np.float64)


# ── waiting and notice ──────────────────────────────────────────────────────────────────────────────────


def back_after(rng: np.random.Generator, cap: Floats, waited: Floats | float = 0.0) -> Floats:
    """Minutes from the loss until a person who comes back has booked, given that it was not within the `waited` ones; 0 (at
    once) where there is no time to wait."""
    u = 1 - _patience(np.asarray(waited)) * (1 - rng.random(len(cap)))
    soon = SOON + (DAY - SOON) * u / SOON_SHARE
    later = DAY - LATER_MEAN * np.log(np.maximum((1 - u) / (1 - SOON_SHARE), 1e-12))
    return np.where(cap <= SOON, 0.0, np.rint(np.minimum(np.where(u < SOON_SHARE, soon, later), cap)))


def still_waiting(elapsed: Floats, cap: Floats) -> Floats:
    """Chance that a person who comes back has not booked after so many minutes: what `back_after` draws."""
    return np.where(elapsed >= np.where(cap <= SOON, 0.0, cap), 0.0, _patience(elapsed))


def _patience(elapsed: Floats) -> Floats:
    soon = 1 - SOON_SHARE * np.clip((elapsed - SOON) / (DAY - SOON), 0.0, 1.0)
    later = (1 - SOON_SHARE) * np.exp(-np.maximum(elapsed - DAY, 0.0) / LATER_MEAN)
    return np.where(elapsed < DAY, soon, later)


def longest_notice(people: People) -> Floats:
    """Of the booked visit, so that it falls after the booking."""
    return np.minimum(LONGEST_NOTICE, 0.9 * (people.starts - people.since))


def not_yet(left: Floats, longest: Floats) -> tuple[Floats, Floats]:
    """Chance that no notice was given yet, `left` minutes before the start: of a cancellation in good time, of a late one."""
    good = np.clip((left - SHORTEST_NOTICE) / (longest - SHORTEST_NOTICE), 0.0, 1.0)
    late = np.clip((left - LATE_NOTICE[0]) / (LATE_NOTICE[1] - LATE_NOTICE[0]), 0.0, 1.0)
    return good, late


def notice(rng: np.random.Generator, ways: Ints, longest: Floats) -> Floats:
    """Minutes before the start at which a visit is called off, in good time or late."""
    u = rng.random(len(ways))
    good = SHORTEST_NOTICE + u * (longest - SHORTEST_NOTICE)
    late = LATE_NOTICE[0] + u * (LATE_NOTICE[1] - LATE_NOTICE[0])
    return np.rint(np.where(ways == LATE, late, good))
