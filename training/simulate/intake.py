"""Who comes to the clinics: openings over two years, what is known of people then, and the clinicians who take them."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist
from typing import Final, NamedTuple, get_args

import numpy as np

from keepwell.contract.words import Modality
from training.simulate.calendars import workday
from training.simulate.course import Roster, come_back
from training.simulate.people import DAY, HOUR, Bools, Floats, Ints, People
from training.simulate.presets import World

OPENING_DAYS: Final = 730
"""Openings are spread evenly over two years."""
CLINICIANS: Final = 8
"""A clinic."""
A_CLINICIAN: Final = 60
"""Episodes a clinician over the two years; about five open at a time."""
_MODALITIES: Final[Mapping[str, Modality]] = {name: name for name in get_args(Modality)}
FAIRNESS: Final[Mapping[str, Mapping[str, float]]] = {
    "age_band": {"18-24": 0.18, "25-44": 0.44, "45-64": 0.3, "65+": 0.08},
    "gender": {"female": 0.63, "male": 0.34, "other": 0.03},
    "ethnicity": {"majority": 0.78, "minority": 0.22},
    "language": {"local": 0.88, "other": 0.12},
    "deprivation": {"least": 0.35, "middle": 0.35, "most": 0.3},
}
"""Shares, ours. No chance anywhere reads them, except at the opening of a world with `fair_pathways`."""


class Arrivals(NamedTuple):
    """What the openings tell; an element an episode."""

    opened: Floats
    client: Ints
    previous: Ints
    referral: list[str]
    modality: list[Modality]
    met: Bools
    fairness: list[dict[str, str]]


def roster(world: World, episodes: int, rng: np.random.Generator) -> Roster:
    """Clinicians whose effects are spread as evenly as a normal distribution allows, so that a small world is no outlier."""
    clinics = max(3, round(episodes / (CLINICIANS * A_CLINICIAN)))
    clinic = np.repeat(world.clinic_sd * normal(clinics, rng), CLINICIANS)
    return Roster(clinic + world.clinician_sd * normal(clinics * CLINICIANS, rng), CLINICIANS)


def normal(n: int, rng: np.random.Generator) -> Floats:
    """The quantiles of a standard normal distribution, shuffled, with SD 1; `n` is 2 or more."""
    found = np.array([NormalDist().inv_cdf((rank + 0.5) / n) for rank in range(n)])
    return np.asarray(rng.permutation(found / found.std()), dtype=np.float64)


def arrive(world: World, staff: Roster, episodes: int, rng: np.random.Generator) -> tuple[People, Arrivals]:
    """The people at their openings, each with a first visit booked."""
    n = episodes
    day = rng.integers(0, OPENING_DAYS - 14, n)
    opened = np.sort(np.rint(workday(DAY * day + HOUR * rng.uniform(8, 17, n))))
    fairness = {name: _choose(shares, n, rng) for name, shares in FAIRNESS.items()}
    far = world.fair_pathways * (fairness["deprivation"] == "most")
    foreign = world.fair_pathways * (fairness["language"] == "other")
    referral = _choose(world.referral, n, rng)
    modality = np.where(far & (rng.random(n) < 0.25), "phone", _choose(world.modality, n, rng))
    met = rng.random(n) >= world.unmet + 0.2 * foreign
    clinic = rng.integers(0, len(staff.effects) // staff.a_clinic, n)
    client, previous = _clients(clinic, opened, rng)
    wait = 2 + rng.exponential(world.wait_mean * (1 + 0.6 * far))
    clinician = staff.someone(clinic, rng)
    i = world.intake
    strain = (
        i.preference_unmet * (~met - world.unmet)
        + i.previous * np.minimum(previous, 3)
        + i.mandated * np.isin(referral, ("court", "employer"))
        + i.remote * (np.isin(modality, ("video", "phone")) - 0.3)
        + i.group * (modality == "group")
    )
    planned = np.rint(np.clip(rng.normal(world.planned_mean, world.planned_sd, n), 4, 30))
    nan, zero = np.full(n, np.nan), np.zeros(n, np.int64)
    people = People(
        id=np.arange(n), clinic=clinic, clinician=clinician, effect=staff.effects[clinician],
         intake=strain, planned=np.where(rng.random(n) < world.planned_known, planned, np.nan),
        outcome=clinic % len(world.outcomes), rhythm=np.where(rng.random(n) < world.fortnightly, *world.rhythm[::-1]),
        starts=nan.copy(), since=nan.copy(), moved=np.zeros(n, bool), lost_at=nan.copy(), hour=nan.copy(),
        lost_logit=nan.copy(), cap=nan.copy(), last=nan.copy(), sign=opened.copy(), sessions=zero.copy(),
        missed=zero.copy(), row=zero.copy(), lost=np.zeros(n, bool),
        clinic_cancelled=zero.copy(), ratings=zero.copy(), level=np.full((n, 3), world.alliance_mean),
        fall=np.zeros((n, 3)), rated=nan.copy(), repair=zero.copy(), noted=zero.copy(), noted_age=zero.copy(),
        measured=zero.copy(), first_score=nan.copy(), score=nan.copy(), skips=zero.copy(), reviews=zero.copy(),
        homework=np.zeros(n), homework_mean=np.zeros(n), due=np.zeros(n, bool), late=np.zeros(n), negative_at=nan.copy(),
        wish_at=nan.copy(), handover_at=nan.copy(), falling=zero.copy(),
        signals=np.full((n, len(world.signals)), np.nan),
    )  # fmt: skip
    come_back(people, opened + 1, rng)
    people.starts = np.floor(
        people.starts / DAY + np.minimum(wait, world.longest_wait) - 2
    ) * DAY + HOUR * rng.integers(8, 18, n)
    names = list(fairness)
    rows = zip(*(fairness[name].tolist() for name in names), strict=True)
    told = [dict(zip(names, row, strict=True)) for row in rows]
    return people, Arrivals(
        opened, client, previous, referral.tolist(), [_MODALITIES[name] for name in modality.tolist()], met, told
    )


def _choose(shares: Mapping[str, float], n: int, rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
    weights = np.array(list(shares.values()))
    return np.array(list(shares))[rng.choice(len(weights), n, p=weights / weights.sum())]


def _clients(clinic: Ints, opened: Floats, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Who is whom: some episodes are a second one of a client of the clinic, a year or more after the first opened."""
    client = np.arange(len(clinic))
    previous = rng.choice(4, len(clinic), p=(0.62, 0.24, 0.1, 0.04))
    again = np.flatnonzero((previous > 0) & (opened > 400 * DAY) & (rng.random(len(clinic)) < 0.4))
    taken: set[int] = set()
    for row in again.tolist():
        earlier = int(rng.integers(0, max(1, np.searchsorted(opened, opened[row] - 365 * DAY))))
        if clinic[earlier] == clinic[row] and client[earlier] == earlier and earlier not in taken:
            client[row] = earlier
            taken.add(earlier)
    return client, previous
