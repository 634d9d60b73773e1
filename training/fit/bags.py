"""Bags: an additive model a fold of clients and output, stopped and judged on the clients it did not see, then averaged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from keepwell.scoring.scorecard import OUTPUTS
from training.dataset.split import folds
from training.fit.bins import Bins, Codes, Matrix
from training.fit.learners import LearningRows, Recipe, Tuning, boost, regress
from training.fit.sample import Coded, Ints, Mask, Sample
from training.fit.steps import Steps, mean, steps_of

Vector = NDArray[np.float64]

FOLDS: Final = 4
MOST_ROWS: Final = 80_000
"""Rows a single fit reads; of more, so many are drawn, stops first. On simulated clinics, 100 000 of two million were worth
.001 of AUROC more, in half as much time again. The bags draw apart, so together they read more."""
MOST_HELD: Final = 20_000
"""Rows by which a fit is stopped."""


class Bagged(NamedTuple):
    """Of the outputs that were asked for, in their order; `raw`: log-odds of every row, from the bag that did not see its
    client, by `OUTPUTS`, NaN at others."""

    estimators: tuple[tuple[Any, ...], ...]
    steps: tuple[Steps, ...]
    raw: Matrix
    seen: tuple[int, ...]
    """Rows read by each output's bags, on average."""
    calmed: tuple[float, ...]
    """By output, the variance of one bag's log-odds over that of the mean of all: what averaging took away was noise, so the
    mean deserves a slope so much steeper than the single bags' by which it is calibrated."""


def bag(coded: Coded, recipe: Recipe, settings: Tuning, outputs: Sequence[int]) -> Bagged:
    """Fits the bags of outputs."""
    sample, bins, codes = coded
    splits = list(folds(sample.frame, k=FOLDS, seed=recipe.seed))
    tasks = [
        (
            rows_of(coded, split.train, output, settings.power, recipe._replace(seed=recipe.seed + fold)),
            held_of(coded, split.test, output, recipe._replace(seed=recipe.seed + fold)),
        )
        for output in outputs
        for fold, split in enumerate(splits)
    ]
    found = Parallel(n_jobs=recipe.jobs)(delayed(learn)(bins, rows, held, recipe, settings) for rows, held in tasks)
    raw = np.full((len(codes), len(OUTPUTS)), np.nan)
    some = codes[:: max(1, len(codes) // MOST_ROWS)]
    estimators, steps, seen, calmed = [], [], [], []
    for place, output in enumerate(outputs):
        mine = found[place * FOLDS : (place + 1) * FOLDS]
        parts = [steps_of(estimator, bins) for estimator in mine]
        for part, split in zip(parts, splits, strict=True):
            raw[split.test, output] = part.logits(codes[split.test])
        estimators.append(tuple(mine))
        steps.append(mean(parts))
        single = float(np.mean([part.logits(some).var() for part in parts]))
        together = float(steps[-1].logits(some).var())
        calmed.append(single / together if together > 0 else 1.0)
        seen.append(int(np.mean([len(rows.target) for rows, _ in tasks[place * FOLDS : (place + 1) * FOLDS]])))
    return Bagged(tuple(estimators), tuple(steps), raw, tuple(seen), tuple(calmed))


def learn(bins: Bins, rows: LearningRows, held: LearningRows, recipe: Recipe, settings: Tuning) -> Any:
    """One fitted additive estimator. It takes one core: the fits are many, and threads that wait for each other on small
    pieces cost more than they give."""
    with threadpool_limits(limits=1):
        if recipe.learner == "logistic":
            return regress(bins, rows, settings.shrinkage)
        return boost(bins, rows, held, settings, recipe.seed)


def rows_of(
    coded: Coded, where: Mask, output: int, power: float, recipe: Recipe, *, most: int = MOST_ROWS
) -> LearningRows:
    """The rows to learn from on a side of a split: those whose target counts, at most `most` of them, with their weights.

    Of more rows, the rarer class is drawn first, up to half, and weights restore the balance: what is learnt of stopping is
    learnt from those who stop (case-control sampling; King & Zeng 2001, Polit Anal 9:137).
    """
    sample = coded.sample
    places = _counting(sample, where, output, recipe)
    share = np.ones(len(places))
    if len(places) > most:
        rng = np.random.default_rng(recipe.seed)
        positive = sample.targets[places, output] == 1
        rare, common = sorted((np.flatnonzero(positive), np.flatnonzero(~positive)), key=len)
        few = min(len(rare), most // 2)
        drawn = [(rng.choice(rare, few, replace=False), few / len(rare)),
                 (rng.choice(common, most - few, replace=False), (most - few) / len(common))]  # fmt: skip
        kept = np.concatenate([rows for rows, _ in drawn])
        share = np.concatenate([np.full(len(rows), part) for rows, part in drawn])
        order = np.argsort(kept)
        share = share[order] * (len(places) / most)  # a mean weight of 1
        places = places[kept[order]]
    weight = weights(sample.client[places], power) * np.where(sample.treated[places], recipe.treated, 1.0) / share
    return LearningRows(coded.codes[places], sample.targets[places, output], weight)


def held_of(coded: Coded, where: Mask, output: int, recipe: Recipe, *, most: int = MOST_HELD) -> LearningRows:
    """The rows to stop and judge by on a side of a split, as they come: drawn alike, and each of weight 1."""
    places = _counting(coded.sample, where, output, recipe)
    if len(places) > most:
        places = np.sort(np.random.default_rng(recipe.seed).choice(places, most, replace=False))
    return LearningRows(coded.codes[places], coded.sample.targets[places, output], np.ones(len(places)))


def _counting(sample: Sample, where: Mask, output: int, recipe: Recipe) -> Ints:
    """The places of rows whose target counts and that may be learnt from."""
    return np.flatnonzero(where & sample.known(output) & ((recipe.treated > 0) | ~sample.treated))


def weights(client: Ints, power: float) -> Vector:
    """1 / n ** power for n rows of a client, with a mean of 1."""
    if not len(client):
        return np.empty(0)
    _, inverse, counts = np.unique(client, return_inverse=True, return_counts=True)
    raw = counts[inverse].astype(np.float64) ** -power
    found: Vector = raw / raw.mean()
    return found


def importance(steps: Sequence[Steps], codes: Codes) -> Vector:
    """By feature, the largest standard deviation that its points have over the rows, in any output."""
    return np.array(
        [max(float(one.points[column][codes[:, column]].std()) for one in steps) for column in range(codes.shape[1])]
    )
