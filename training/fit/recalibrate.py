"""Recalibration: a release fitted to a new clinic with few data, by intercept and slope of each output, shrunk to none."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
import numpy as np

from keepwell.scorecard import OUTPUTS, Scorecard, Scorer
from training.dataset import Dataset
from training.fit.bins import Matrix
from training.fit.logit import Prior, clustering, fit
from training.fit.measures import Measures, measures
from training.fit.refuse import Refused
from training.fit.sample import Sample, sample_of

LEAST_STOPS: Final = 20
"""Episodes that stopped, below which not even the intercept is moved; ours."""
ENOUGH_STOPS: Final = 100
"""From so many on, shrinkage hardly matters; below, the command says that it does."""
PRIOR: Final = Prior(np.array([0.0, 1.0]), np.array([1.0, 0.2]))
"""Intercept and slope before any data. Clinics differ in base rate by about one in log-odds (20 to 35 % and more), in slope
by some tenths (Van Calster et al. 2019, BMC Med 17:230); the figures are ours."""
LEAST_SLOPE: Final = 0.1


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """What was moved in one output. `weight`: what a row was worth, as rows of a client are alike. `before` and `after` are
    measures on the same rows that were recalibrated to; None where only one class is known."""

    intercept: float
    slope: float
    weight: float
    before: Measures | None
    after: Measures | None


class Recalibrated(NamedTuple):
    """The scorecard with its new calibration, the shift of each output, and the number of episodes that stopped."""

    card: Scorecard
    shifts: dict[str, Shift]
    stops: int


def recalibrate(dataset: Dataset, scorer: Scorer) -> Recalibrated:
    """Recalibrates a scorecard. Raises `Refused` below `LEAST_STOPS`, saying how many there are and are needed."""
    sample = sample_of(dataset)
    stops = sample.stops()
    if stops < LEAST_STOPS:
        raise Refused(
            f"{stops} episodes stopped with a known outcome; at least {LEAST_STOPS} are needed to recalibrate, about "
            f"{ENOUGH_STOPS} to trust the slope. Use the release as it is, or wait for more data"
        )
    card = scorer.card
    table = dataset.matrix([term.feature for term in card.terms])
    pairs = np.asarray(card.calibration, dtype=np.float64)
    logits = pairs[:, 0] + pairs[:, 1] * scorer.logits(table)
    found = [_shift(sample, logits, output) for output in range(len(OUTPUTS))]
    calibration = tuple(
        (float(shift[0] + shift[1] * a), float(shift[1] * b)) for (shift, _), (a, b) in zip(found, pairs, strict=True)
    )
    moved = msgspec.structs.replace(card, calibration=calibration)
    before, after = scorer.risks(table), Scorer(moved).risks(table)
    shifts: dict[str, Shift] = {
        name: Shift(
            intercept=float(found[output][0][0]),
            slope=float(found[output][0][1]),
            weight=found[output][1],
            before=_measured(sample, before, output),
            after=_measured(sample, after, output),
        )
        for output, name in enumerate(OUTPUTS)
    }
    return Recalibrated(moved, shifts, stops)


def _shift(sample: Sample, logits: Matrix, output: int) -> tuple[np.ndarray, float]:
    """Intercept and slope of an output, and what a row weighed. Without rows nothing moves."""
    known = sample.known(output)
    target = sample.targets[known, output]
    design = np.column_stack([np.ones(len(target)), logits[known, output]])
    weight = 1 / clustering(design, target, PRIOR.mean, sample.client[known]) if len(target) else 1.0
    found = fit(design, target, PRIOR, weight)
    found[1] = max(found[1], LEAST_SLOPE)
    return found, weight


def _measured(sample: Sample, risks: Matrix, output: int) -> Measures | None:
    known = sample.known(output)
    target = sample.targets[known, output]
    if not len(target) or target.min() == target.max():
        return None
    return measures(target, risks[known, output])
