"""Judges every entrant in every world, each world by itself and several at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from joblib import Parallel, delayed

from training.evaluate.cells import too_few
from training.evaluate.metrics import Vector
from training.evaluate.moments import AFTER_MISSED, BOOKING, LANDMARK_SESSIONS, POOLED, Mask, after_session
from training.evaluate.worlds.entrants import Entrant, Releases, risks_of
from training.evaluate.worlds.world import JudgedWorld, Place, world_of
from training.fit.measures import auroc, calibration, ece
from training.fit.refuse import NotFitted

KINDS: Final = (POOLED, BOOKING, *map(after_session, LANDMARK_SESSIONS), AFTER_MISSED)
"""The kinds of moment that are looked at; the first of them is every moment of which the truth was told, as in `oracle`."""


LEAST_ROWS: Final = 50
"""Moments of a kind below which a world has no figures there; ours."""


class OfTruth(NamedTuple):
    """One kind of moment in one world: rows, stops that happened, and the AUROC of both truths."""

    rows: int
    positive: int
    unknown: float
    known: float


class Figures(NamedTuple):
    """What one entrant is worth at one kind of moment in one world; NaN where there is no figure.

    AUROC, slope, intercept and ECE are those to be expected: each moment counts as a stop by its true risk, and as none by
    the rest. What happened is one draw of that, and the chance in it is larger than most differences that are looked for:
    between two fits, four to seven times the standard error. `auroc_observed` and `ece_observed` are of what happened.
    """

    auroc: float
    slope: float
    intercept: float
    ece: float
    auroc_observed: float
    ece_observed: float


NO_FIGURES: Final = Figures(*[np.nan] * 6)


class OfWorld(NamedTuple):
    """All figures of one world, by kind of moment; and why an entrant could not be fitted, by its name."""

    seed: int
    episodes: int
    truth: Mapping[str, OfTruth]
    figures: Mapping[str, Mapping[str, Figures]]
    refused: Mapping[str, str]


class Setting(NamedTuple):
    """What is judged where. `keep` is a folder in which worlds are kept."""

    place: Place
    seeds: Sequence[int]
    entrants: Sequence[Entrant]
    releases: Releases
    keep: Path | None = None
    jobs: int = 1


def judge(setting: Setting) -> list[OfWorld]:
    """The figures of each world, in the order of the seeds; the same whatever `jobs`."""
    found: list[OfWorld] = Parallel(n_jobs=setting.jobs)(
        delayed(_in_world)(setting.place, seed, setting.entrants, setting.releases, setting.keep)
        for seed in setting.seeds
    )
    return found


def _in_world(
    place: Place, seed: int, entrants: Sequence[Entrant], releases: Releases, keep: Path | None
) -> OfWorld:  # fmt: skip
    return of_world(world_of(place, seed, keep), entrants, releases)


def of_world(world: JudgedWorld, entrants: Sequence[Entrant], releases: Releases) -> OfWorld:
    """The figures of one world. Who begins from a release and cannot be fitted is the release as it is."""
    rows = {kind: _rows(world, kind) for kind in KINDS}
    target, known, unknown = (world.moments[name].to_numpy(np.float64) for name in ("target", "known", "unknown"))
    figures: dict[str, dict[str, Figures]] = {}
    refused: dict[str, str] = {}
    for entrant in entrants:
        try:
            risk = risks_of(entrant, world, releases)
        except NotFitted as why:
            refused[entrant.name] = str(why)
            if entrant.start is None:
                figures[entrant.name] = dict.fromkeys(KINDS, NO_FIGURES)
                continue
            as_it_is = Entrant(name=entrant.name, title="", how="as it is", start=entrant.start)
            risk = risks_of(as_it_is, world, releases)
        figures[entrant.name] = {kind: _figures(target[some], known[some], risk[some]) for kind, some in rows.items()}
    return OfWorld(
        seed=world.seed,
        episodes=world.local.about.counts.episodes,
        truth={kind: _truth(target[some], unknown[some], known[some]) for kind, some in rows.items()},
        figures=figures,
        refused=refused,
    )


def _rows(world: JudgedWorld, kind: str) -> Mask:
    return np.asarray((world.moments["landmark"] == kind) | (kind == POOLED), dtype=np.bool_)


def _truth(target: Vector, unknown: Vector, known: Vector) -> OfTruth:
    there = len(target) >= LEAST_ROWS
    areas = [expected_auroc(known, risk) if there else np.nan for risk in (unknown, known)]
    return OfTruth(len(target), int(target.sum()), *areas)


def _figures(target: Vector, known: Vector, risk: Vector) -> Figures:
    if len(target) < LEAST_ROWS:
        return NO_FIGURES
    slope, intercept = calibration(known, risk)
    happened = auroc(target, risk) if too_few(target) is None else np.nan
    return Figures(expected_auroc(known, risk), slope, intercept, ece(known, risk), happened, ece(target, risk))


def expected_auroc(chance: Vector, risk: Vector) -> float:
    """The AUROC of `risk` to be expected where each row is positive with a `chance` of its own: over all pairs of two rows,
    each weighed by the chance that the one is positive and the other is not. Ties count half.

    With chances of 0 and 1 it is the AUROC:

    >>> expected_auroc(np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.1, 0.2, 0.3, 0.4]))
    0.75
    """
    order = np.argsort(risk, kind="stable")
    ordered, positive = risk[order], chance[order]
    below = np.r_[0.0, np.cumsum(1 - positive)]
    halves = (below[np.searchsorted(ordered, ordered)] + below[np.searchsorted(ordered, ordered, side="right")]) / 2
    itself = float(np.sum(positive * (1 - positive)))
    pairs = float(positive.sum() * (1 - positive).sum()) - itself
    return (float(np.sum(positive * halves)) - itself / 2) / pairs
