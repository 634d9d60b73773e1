"""What validation decides: how much is shrunk, what weighs, how much each learner counts, and whether clinics and clinicians
are told apart.

Validation is forward in time: on clients who came after a moment, by models of the others' rows from well before it
(`training.dataset.split.by_time`). Where the data are too short for that, on clients held out. It judges at the moments at
which somebody decides, all kinds together, each by the stops that rest on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Final, NamedTuple

import msgspec
import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from keepwell.scoring.scorecard import HEADLINE, STAGE
from training.dataset.split import Split, by_time, folds
from training.fit.bags import Material, held_of, reach, rows_of
from training.fit.bins import Bins, Vector
from training.fit.calibrate import calibrate
from training.fit.learners import Learner, LearningRows, Recipe, Tuning, learn
from training.fit.logit import expit
from training.fit.measures import auroc
from training.fit.measures import losses as log_losses
from training.fit.sample import Sample
from training.fit.signs import FAMILIES
from training.fit.steps import Steps, mixed

SHARES: Final = (0.55, 0.75)
"""After these shares of the clients, by when they came, validation looks ahead."""
LEAST_EVENTS: Final = 40
"""Positive rows' clients that each side of a split must have to be of use."""
AS_RELEASED: Final = 400.0
"""The ridge with which a fit that begins at a release goes on, by regression alone, where its clients are too few to say
otherwise: of those tried in four simulated worlds, others than those that judge, the best on 300 episodes (ours)."""
SURE: Final = 2.0
"""Standard errors by which another way must be better before it is taken instead; ours: twice the one of Breiman et al. 1984
(Classification and Regression Trees, section 3.4.3), as several are tried."""
PART: Final = 2
"""While choosing, a fit reads so many times fewer rows."""
LEAST_REACH: Final = 0.02
"""A feature whose points reach no further (log-odds, from the lowest to the highest) in any output is left out."""

NEEDED: Final = frozenset((STAGE, *FAMILIES))
"""Features that are never left out: the stage that risks are calibrated by, and what a family of rare signals has in common.
"""

TREES: Final = ((4, 50, 10.0), (3, 200, 50.0))
"""Candidate leaves, rows in each, and shrinkage of trees: middling and sparing."""
RIDGES: Final = (12.0, 40.0, 120.0, 400.0, 4000.0)
"""Candidate shrinkages of the regression: a feature's whole range is expected to be .3 in log-odds, or down to .016, which
leaves a start where it is."""
POWERS: Final = (0.0, 0.5)
"""Candidate weights of a row: 1, 1 / sqrt(n) for n rows of its client at moments of its kind."""
OTHERS: Final = (0.0, 0.3)
"""Candidate weights of rows at no moment."""
MIXES: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Candidate shares of boosting in the average."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What one candidate came to on validation data."""

    learner: Learner
    settings: Tuning
    log_loss: float
    auroc: float


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What was chosen, how it was validated, and all that was tried. `unlearnt`: the log loss of the start, calibrated."""

    learner: Learner
    validated: str
    features: tuple[str, ...]
    trials: tuple[Trial, ...]
    unlearnt: float
    settings: Tuning


class _Compared(NamedTuple):
    """A candidate, what it came to, its steps and raw log-odds on the held-out rows, one of each split, and the log loss of
    each of those rows."""

    settings: Tuning
    trial: Trial
    steps: list[Steps]
    raw: list[Vector]
    losses: list[Vector]


class _Tried(NamedTuple):
    steps: Steps
    raw: Vector


class _Validation(NamedTuple):
    """Where candidates are tried."""

    material: Material
    recipe: Recipe
    splits: list[Split]
    held: list[LearningRows]

    def judged(self, learner: Learner, settings: Tuning, tried: Sequence[_Tried]) -> _Compared:
        """The mean log loss and AUROC of one candidate."""
        raw = [one.raw for one in tried]
        losses = self.losses(raw)
        areas = [auroc(held.target, logits) for held, logits in zip(self.held, raw, strict=True)]
        trial = Trial(learner=learner, settings=settings, log_loss=_mean(losses), auroc=float(np.mean(areas)))
        return _Compared(settings, trial, [one.steps for one in tried], raw, losses)

    def losses(self, raw: Sequence[Vector]) -> list[Vector]:
        """The log loss of every held-out row of each split, its log-odds calibrated as a whole."""
        found = []
        for held, logits in zip(self.held, raw, strict=True):
            alike = np.zeros(len(logits), dtype=np.int64)
            found.append(log_losses(held.target, expit(calibrate(logits, held.target, alike).of(logits, alike))))
        return found

    def best(self, found: Sequence[_Compared], usual: _Compared) -> _Compared:
        """The candidate of least log loss; of a fit that begins at a release the usual one, unless it is better by more than
        `SURE` standard errors, those of clients and not of rows."""
        least = min((usual, *found), key=_loss)
        if self.material.start.card is None:
            return least
        gains = [
            np.bincount(held.client, worse - loss) / len(loss)
            for held, loss, worse in zip(self.held, least.losses, usual.losses, strict=True)
        ]
        error = sqrt(sum(float((gain**2).sum()) for gain in gains))
        return least if sum(float(gain.sum()) for gain in gains) > SURE * error else usual

    def mixed(self, boosted: _Compared, smooth: _Compared) -> list[_Compared]:
        """The averages of both learners."""
        found = []
        for share in MIXES:
            raw = [share * one + (1 - share) * other for one, other in zip(boosted.raw, smooth.raw, strict=True)]
            steps = [
                mixed([(share, one), (1 - share, other)])
                for one, other in zip(boosted.steps, smooth.steps, strict=True)
            ]
            settings = boosted.settings._replace(share=share)
            found.append(self.judged("both", settings, [_Tried(*pair) for pair in zip(steps, raw, strict=True)]))
        return found

    def compare(self, learner: Learner, candidates: Sequence[Tuning]) -> list[_Compared]:
        """Candidates of one learner."""
        recipe = self.recipe._replace(learner=learner, most=self.recipe.most // PART)
        tasks = [
            (rows_of(self.material, split.train, HEADLINE, settings, recipe), held, settings)
            for settings in candidates
            for split, held in zip(self.splits, self.held, strict=True)
        ]
        bins = self.material.coded.bins
        found = Parallel(n_jobs=recipe.jobs)(
            delayed(_try)(bins, rows, held, recipe, settings) for rows, held, settings in tasks
        )
        n = len(self.splits)
        return [
            self.judged(learner, settings, found[place * n : (place + 1) * n])
            for place, settings in enumerate(candidates)
        ]


def choose(material: Material, recipe: Recipe) -> Choice:
    """Chooses by log loss at the headline: the ridge, what rows weigh, the trees, and how much each learner counts. A fit
    that begins at a release goes on as `AS_RELEASED` but where its own clients say otherwise (`SURE`)."""
    how, splits = splits_of(material.coded.sample, recipe)
    held = [held_of(material, split.test, HEADLINE, recipe) for split in splits]
    trying = _Validation(material, recipe, splits, held)
    trials: list[Trial] = []

    def tried(learner: Learner, candidates: Sequence[Tuning]) -> list[_Compared]:
        found = trying.compare(learner, candidates)
        trials.extend(one.trial for one in found)
        return found

    ridges = tried("logistic", [Tuning(ridge=ridge, share=0.0) for ridge in RIDGES])
    smooth = trying.best(ridges, ridges[RIDGES.index(AS_RELEASED)])
    smooth = trying.best(tried("logistic", [smooth.settings._replace(power=power) for power in POWERS[1:]]), smooth)
    smooth = trying.best(tried("logistic", [smooth.settings._replace(others=others) for others in OTHERS[1:]]), smooth)
    chosen = smooth
    if recipe.learner != "logistic":
        sizes = [
            smooth.settings._replace(leaves=leaves, least_rows=rows, shrinkage=shrinkage)
            for leaves, rows, shrinkage in TREES
        ]
        boosted = min(tried("boosting", sizes), key=_loss)
        chosen = boosted
        if recipe.learner == "both":
            mixes = trying.mixed(boosted, smooth)
            trials.extend(one.trial for one in mixes)
            chosen = trying.best(mixes, mixes[MIXES.index(0.0)])
    unlearnt = _mean(trying.losses([one.logits(np.zeros(len(one.target))) for one in held]))
    told, features = reach(chosen.steps, material.coded.codes), material.coded.bins.features
    kept = tuple(name for name, size in zip(features, told, strict=True) if size >= LEAST_REACH or name in NEEDED)
    return Choice(
        learner=recipe.learner, validated=how, features=kept, trials=tuple(trials), unlearnt=unlearnt,
        settings=chosen.settings,
    )  # fmt: skip


def _mean(losses: Sequence[Vector]) -> float:
    """The mean over splits of the mean over rows."""
    return float(np.mean([one.mean() for one in losses]))


def _loss(one: _Compared) -> float:
    return one.trial.log_loss


def splits_of(sample: Sample, recipe: Recipe) -> tuple[str, list[Split]]:
    """Splits to validate on, and in words what they are."""
    if recipe.apart == "world":
        return "in worlds held out", list(folds(sample.frame, by="world", k=3, seed=recipe.seed))[:2]
    first = sample.frame.groupby("client", observed=True)["opened_at"].min()
    found = [by_time(sample.frame, moment) for moment in pd.to_datetime(first.quantile(SHARES)).dt.to_pydatetime()]
    useful = [split for split in found if _useful(sample, split)]
    if useful:
        return "forward in time, on new clients", useful
    # Folds are of those at hand: of a hold-out by lot, who draws lowest may be held out already.
    held = list(folds(sample.frame, k=3, seed=recipe.seed))[:2]
    return "on clients held out; the data are too short for validation forward in time", held


def _useful(sample: Sample, split: Split) -> bool:
    stops = sample.targets[:, HEADLINE] == 1
    stays = sample.targets[:, HEADLINE] == 0
    return all(
        len(np.unique(sample.client[side & which])) >= LEAST_EVENTS
        for side in (split.train, split.test)
        for which in (stops, stays)
    )


def _try(bins: Bins, rows: LearningRows, held: LearningRows, recipe: Recipe, settings: Tuning) -> _Tried:
    """The steps of one candidate, and its log-odds on held-out rows."""
    steps = learn(bins, rows, held, recipe, settings).steps(bins)
    return _Tried(steps, held.logits(steps.logits(held.codes)))
