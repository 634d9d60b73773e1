"""What validation decides: trees, shrinkage, the weight of a client with many rows, and which features are worth their place.

Validation is forward in time: on clients who came after a moment, by models of the others' rows from well before it
(`training.dataset.split.by_time`). Where the data are too short for that, on clients held out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from keepwell.scoring.scorecard import HEADLINE
from training.dataset.split import Split, by_time, folds
from training.fit.bags import held_of, importance, learn, rows_of
from training.fit.bins import Bins
from training.fit.calibrate import calibrate
from training.fit.learners import Learner, LearningRows, Recipe, Tuning
from training.fit.logit import expit
from training.fit.measures import auroc, log_loss
from training.fit.sample import Coded, Sample
from training.fit.steps import Steps, steps_of

SHARES: Final = (0.55, 0.75)
"""After these shares of the clients, by when they came, validation looks ahead."""
LEAST_EVENTS: Final = 40
"""Positive rows' clients that each side of a split must have to be of use."""
MOST_ROWS: Final = 40_000
"""Rows a fit reads while choosing."""
LEAST_POINTS: Final = 0.01
"""A feature whose points vary by less (standard deviation, log-odds) in every output is left out."""

TREES: Final = (
    Tuning(leaves=4, least_rows=50, shrinkage=10),
    Tuning(leaves=3, least_rows=200, shrinkage=50),
    Tuning(leaves=8, least_rows=50, shrinkage=10),
)
"""Candidates, from middling to sparing to generous."""
POWERS: Final = (0.0, 0.5, 1.0)
"""Candidate weights of a row: 1, 1 / sqrt(n), 1 / n for n rows of its client."""
RIDGES: Final = (3.0, 30.0)
"""Candidate penalties of logistic regression."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What one candidate came to on validation data."""

    learner: Learner
    leaves: int
    least_rows: int
    shrinkage: float
    power: float
    log_loss: float
    auroc: float


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What was chosen, how it was validated, and all that was tried."""

    learner: Learner
    validated: str
    features: tuple[str, ...]
    trials: tuple[Trial, ...]
    leaves: int
    least_rows: int
    shrinkage: float
    power: float

    @property
    def settings(self) -> Tuning:
        """The chosen settings as learners take them."""
        return Tuning(self.leaves, self.least_rows, self.shrinkage, power=self.power)


class _Compared(NamedTuple):
    """The best of some candidates; its steps, one of each split; what each candidate came to."""

    settings: Tuning
    steps: list[Steps]
    trials: list[Trial]


def choose(coded: Coded, recipe: Recipe) -> Choice:
    """Chooses by log loss at the headline: first the trees (or the ridge), then the weight of clients with many rows."""
    how, splits = splits_of(coded.sample, recipe.seed)
    first = _compare(coded, recipe, _sizes(recipe.learner), splits)
    powers = [first.settings._replace(power=power) for power in POWERS if power != first.settings.power]
    second = _compare(coded, recipe, powers, splits)
    trials = (*first.trials, *second.trials)
    chosen, steps, _ = min((first, second), key=lambda found: min(trial.log_loss for trial in found.trials))
    worth, features = importance(steps, coded.codes), coded.bins.features
    kept = tuple(name for name, size in zip(features, worth, strict=True) if size >= LEAST_POINTS)
    return Choice(
        learner=recipe.learner, validated=how, features=kept or features, trials=trials, leaves=chosen.leaves,
        least_rows=chosen.least_rows, shrinkage=chosen.shrinkage, power=chosen.power,
    )  # fmt: skip


def choose_size(coded: Coded, recipe: Recipe, power: float) -> Tuning:
    """Chooses the trees (or the ridge) alone, the weight of clients with many rows being decided."""
    sizes = [settings._replace(power=power) for settings in _sizes(recipe.learner)]
    return _compare(coded, recipe, sizes, splits_of(coded.sample, recipe.seed)[1]).settings


def _sizes(learner: Learner) -> tuple[Tuning, ...]:
    return TREES if learner == "boosting" else tuple(Tuning(shrinkage=ridge) for ridge in RIDGES)


def _compare(coded: Coded, recipe: Recipe, candidates: Sequence[Tuning], splits: list[Split]) -> _Compared:
    tasks = [(settings, split) for settings in candidates for split in splits]
    found = Parallel(n_jobs=recipe.jobs)(
        delayed(_try)(coded.bins, *_pair(coded, split, settings, recipe), recipe, settings) for settings, split in tasks
    )
    trials: list[Trial] = []
    for n, settings in enumerate(candidates):
        mine = found[n * len(splits) : (n + 1) * len(splits)]
        loss, area = (float(np.mean([one[i] for one in mine])) for i in (1, 2))
        trials.append(
            Trial(
                learner=recipe.learner, leaves=settings.leaves, least_rows=settings.least_rows,
                shrinkage=settings.shrinkage, power=settings.power, log_loss=loss, auroc=area,
            )
        )  # fmt: skip
    best = min(range(len(trials)), key=lambda n: trials[n].log_loss)
    steps = [one[0] for one in found[best * len(splits) : (best + 1) * len(splits)]]
    return _Compared(candidates[best], steps, trials)


def splits_of(sample: Sample, seed: int) -> tuple[str, list[Split]]:
    """Splits to validate on, and in words what they are."""
    first = sample.frame.groupby("client", observed=True)["opened_at"].min()
    found = [by_time(sample.frame, moment) for moment in pd.to_datetime(first.quantile(SHARES)).dt.to_pydatetime()]
    useful = [split for split in found if _useful(sample, split)]
    if useful:
        return "forward in time, on new clients", useful
    held = list(folds(sample.frame, k=3, seed=seed))[:2]  # of those at hand: who draws lowest may be held out already
    return "on clients held out; the data are too short for validation forward in time", held


def _useful(sample: Sample, split: Split) -> bool:
    stops = sample.targets[:, HEADLINE] == 1
    stays = sample.targets[:, HEADLINE] == 0
    return all(
        len(np.unique(sample.client[side & which])) >= LEAST_EVENTS
        for side in (split.train, split.test)
        for which in (stops, stays)
    )


def _pair(coded: Coded, split: Split, settings: Tuning, recipe: Recipe) -> tuple[LearningRows, LearningRows]:
    rows = rows_of(coded, split.train, HEADLINE, settings.power, recipe, most=MOST_ROWS)
    return rows, held_of(coded, split.test, HEADLINE, recipe)


def _try(
    bins: Bins, rows: LearningRows, held: LearningRows, recipe: Recipe, settings: Tuning
) -> tuple[Steps, float, float]:
    """The steps of one candidate, with its log loss, calibrated as the release will be, and AUROC on held-out rows."""
    steps = steps_of(learn(bins, rows, held, recipe, settings), bins)
    raw = steps.logits(held.codes)
    alike = np.zeros(len(raw), dtype=np.int64)
    risk = expit(calibrate(raw, held.target, alike).of(raw, alike))
    return steps, log_loss(held.target, risk), auroc(held.target, risk)
