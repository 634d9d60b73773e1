"""Bags: an additive model a fold of clients and output, stopped and judged on the clients it did not see, then averaged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from keepwell.care.moments import MOMENTS
from keepwell.scoring.scorecard import OUTPUTS
from training.dataset.split import Split, folds
from training.fit.bins import Codes, Matrix
from training.fit.learners import LearningRows, Learnt, Recipe, Tuning, learn
from training.fit.sample import Coded, Ints, Mask, Sample
from training.fit.start import Start, at_nothing
from training.fit.steps import Steps, mean

Vector = NDArray[np.float64]

FOLDS: Final = 4
SOME_ROWS: Final = 60_000
"""Rows on which the bags are compared with their mean."""
MOST_HELD: Final = 20_000
"""Rows by which a fit is stopped."""


class Material(NamedTuple):
    """What bags learn from: rows as codes, where they begin, and what is usual at each row's clinic and with its clinician
    (rows by outputs, in the sums), which is no part of what is learnt."""

    coded: Coded
    start: Start
    usual: Matrix

    def only(self, features: Sequence[str]) -> Material:
        """The same with some of the features."""
        return self._replace(coded=self.coded.only(features))


def from_nothing(coded: Coded) -> Material:
    """Material that begins at nothing and knows of no clinic or clinician."""
    start = at_nothing(len(coded.codes))
    return Material(coded, start, np.zeros_like(start.sums))


class Bagged(NamedTuple):
    """Of the outputs that were asked for, in their order; `raw`: the sum of every row, the start's included and what is usual
    left out, from the bag that did not see its client, by `OUTPUTS`, NaN at others."""

    estimators: tuple[tuple[Learnt, ...], ...]
    steps: tuple[Steps, ...]
    raw: Matrix
    seen: tuple[int, ...]
    """Rows read by each output's bags, on average."""
    calmed: tuple[float, ...]
    """By output, the variance of one bag's log-odds over that of the mean of all: what averaging took away was noise, so the
    mean deserves a slope so much steeper than the single bags' by which it is calibrated."""


def bag(material: Material, recipe: Recipe, settings: Tuning, outputs: Sequence[int]) -> Bagged:
    """Fits the bags of outputs."""
    sample, bins, codes = material.coded
    splits = splits_of_bags(sample, recipe)
    tasks = [
        (
            rows_of(material, split.train, output, settings, recipe._replace(seed=recipe.seed + fold)),
            held_of(material, split.test, output, recipe._replace(seed=recipe.seed + fold)),
        )
        for output in outputs
        for fold, split in enumerate(splits)
    ]
    found = Parallel(n_jobs=recipe.jobs)(delayed(learn)(bins, rows, held, recipe, settings) for rows, held in tasks)
    raw = np.full((len(codes), len(OUTPUTS)), np.nan)
    some = np.arange(0, len(codes), max(1, len(codes) // SOME_ROWS))
    estimators, steps, seen, calmed = [], [], [], []
    for place, output in enumerate(outputs):
        mine = found[place * FOLDS : (place + 1) * FOLDS]
        parts = [learnt.steps(bins) for learnt in mine]
        sums = material.start.sums[:, output]
        for part, split in zip(parts, splits, strict=True):
            raw[split.test, output] = sums[split.test] + part.logits(codes[split.test])
        estimators.append(tuple(mine))
        steps.append(mean(parts))
        single = float(np.mean([(sums[some] + part.logits(codes[some])).var() for part in parts]))
        together = float((sums[some] + steps[-1].logits(codes[some])).var())
        calmed.append(single / together if together > 0 else 1.0)
        seen.append(int(np.mean([len(rows.target) for rows, _ in tasks[place * FOLDS : (place + 1) * FOLDS]])))
    return Bagged(tuple(estimators), tuple(steps), raw, tuple(seen), tuple(calmed))


def splits_of_bags(sample: Sample, recipe: Recipe) -> list[Split]:
    """The folds of clients, or of worlds, that bags hold out."""
    return list(folds(sample.frame, by=recipe.apart, k=FOLDS, seed=recipe.seed))


def rows_of(material: Material, where: Mask, output: int, settings: Tuning, recipe: Recipe) -> LearningRows:
    """The rows to learn from on a side of a split: those whose target counts, at most `recipe.most`, with their weights.

    Of more rows, the rarer class is drawn first, up to half, and weights restore the balance: what is learnt of stopping is
    learnt from those who stop (case-control sampling; King & Zeng 2001, Polit Anal 9:137).
    """
    sample = material.coded.sample
    places = _counting(sample, where if settings.others > 0 else where & sample.decisive, output, recipe)
    share, most = np.ones(len(places)), recipe.most
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
    weight = np.where(sample.treated[places], recipe.treated, 1.0) / share
    weight *= weights(sample.client[places], sample.moment[places], settings)
    return _rows(material, places, output, weight)


def held_of(material: Material, where: Mask, output: int, recipe: Recipe, *, most: int = MOST_HELD) -> LearningRows:
    """The rows to stop and judge by on a side of a split, at moments only, as they come: drawn alike, and of weight 1."""
    sample = material.coded.sample
    places = _counting(sample, where & sample.decisive, output, recipe)
    if len(places) > most:
        places = np.sort(np.random.default_rng(recipe.seed).choice(places, most, replace=False))
    return _rows(material, places, output, np.ones(len(places)))


def _rows(material: Material, places: Ints, output: int, weight: Vector) -> LearningRows:
    (sample, _, codes), start, usual = material
    return LearningRows(
        codes[places], sample.targets[places, output], weight,
        start.offset(sample.stage, places, output, usual), start.scale(sample.stage, places, output),
        sample.client[places],
    )  # fmt: skip


def _counting(sample: Sample, where: Mask, output: int, recipe: Recipe) -> Ints:
    """The places of rows whose target counts and that may be learnt from."""
    return np.flatnonzero(where & sample.known(output) & ((recipe.treated > 0) | ~sample.treated))


def weights(client: Ints, moment: Ints, settings: Tuning) -> Vector:
    """1 / n ** power for n rows of a client at moments of a kind, `others` times that at none; with a mean of 1."""
    if not len(client):
        return np.empty(0)
    _, inverse, counts = np.unique(client * (len(MOMENTS) + 1) + moment, return_inverse=True, return_counts=True)
    raw = counts[inverse].astype(np.float64) ** -settings.power
    raw = np.where(moment < 0, settings.others * raw, raw)
    found: Vector = raw / raw.mean()
    return found


def reach(steps: Sequence[Steps], codes: Codes) -> Vector:
    """By feature, the largest range that its points have over the rows, in any output: what is rare may still say much."""
    said = [np.unique(column) for column in codes.T]
    return np.array(
        [max(float(np.ptp(one.points[column][codes])) for one in steps) for column, codes in enumerate(said)]
    )
