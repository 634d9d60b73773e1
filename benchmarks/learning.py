"""How long a large history takes to learn from: building the landmark table, fitting a release to it, scoring in batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from benchmarks.figures import Figure, Plan, at_least, at_most
from benchmarks.footprint import Cost, costs
from keepwell.scoring.scorecard import HEADLINE, OUTPUTS
from keepwell.scoring.scorer import Scorer
from models.release import default
from training.dataset import Dataset, build
from training.fit.fit import Options, fit
from training.fit.sample import sample_of
from training.simulate import simulate

JOBS: Final = 2
"""Processes that build and fit: the aims are for two cores."""
SEED: Final = 5
ROWS_PER_EPISODE: Final = 46
"""About what an episode of the simulated `community` gives."""
SCORED: Final = 200_000
"""Rows that are scored at a time, at most."""
LEARNT: Final = 10_000
"""Rows that the baseline is fitted to, at most: what is measured is how fast its 100 trees score, not how well."""


def measure(plan: Plan) -> list[Figure]:
    """One build and one fit, as they take long, one after the other as in `keepwell train`; scoring in as many rounds as
    asked."""
    folder = plan.folder / "learning"
    events = simulate("community", plan.rows // ROWS_PER_EPISODE, SEED, folder, rollouts=0, jobs=1).events
    (rows, building), (terms, fitting), ((ours, baseline), _) = costs(_learn, folder, plan.rounds)
    return [
        Figure(
            f"build of {rows:,} rows from {events:,} simulated events, {JOBS} processes",
            [rows / building.seconds],
            "rows/s",
            at_least(20_000),
        ),
        *_shares("build", building, rows),
        Figure(
            f"fit of {rows:,} simulated rows, {JOBS} processes, a million",
            [fitting.seconds / rows * 1e6],
            "s",
            at_most(60),
        ),
        *_shares("fit", fitting, rows),
        Figure(f"scoring in batches, {terms} terms, {len(OUTPUTS)} outputs", ours, "µs/row", at_most(5)),
        Figure("HistGradientBoosting on the same rows and features, one output", baseline, "µs/row"),
        Figure("scoring of all outputs ÷ HistGradientBoosting of one", np.divide(ours, baseline).tolist(), ""),
    ]


def _shares(what: str, spent: Cost, rows: int) -> list[Figure]:
    return [
        Figure(f"{what}: processor time of all processes", [spent.cpu * 1e6 / rows], "µs/row"),
        Figure(f"{what}: memory of all processes at the peak", [spent.peak / 2**20], "MiB"),
    ]


def _learn(folder: Path, rounds: int) -> Iterator[object]:
    """Builds a table: its rows; fits a release: its terms; scores: µs a row of card and baseline."""
    dataset = build([folder / "events.jsonl"], n_jobs=JOBS)
    yield len(dataset.frame)
    card = fit(dataset, default().policy, Options(jobs=JOBS)).card
    yield len(card.terms)
    yield _score(dataset, Scorer(card), rounds)


def _score(dataset: Dataset, scorer: Scorer, rounds: int) -> tuple[list[float], list[float]]:
    """µs a row of the card and of the baseline, by turns, both on one core."""
    table = dataset.matrix([term.feature for term in scorer.card.terms])
    learner = _baseline(dataset, table)
    table = table[-SCORED:].copy()
    ours: list[float] = []
    baseline: list[float] = []
    with threadpool_limits(limits=1):
        for number in range(rounds):
            turns = [(ours, scorer.risks), (baseline, learner.predict_proba)]
            for samples, risks in turns[:: -1 if number % 2 else 1]:
                samples.append(_each(risks, table))
    return ours, baseline


def _baseline(dataset: Dataset, table: np.ndarray) -> Any:
    """Boosting as scikit-learn sets it up, 100 trees of up to 31 leaves, fitted to the headline."""
    sample = sample_of(dataset)
    known = np.flatnonzero(sample.known(HEADLINE))
    rows = known[:: -(-len(known) // LEARNT)]
    return HistGradientBoostingClassifier(random_state=0).fit(table[rows], sample.targets[rows, HEADLINE])


def _each(risks: Callable[[np.ndarray], np.ndarray], table: np.ndarray) -> float:
    began = time.perf_counter()
    risks(table)
    return (time.perf_counter() - began) * 1e6 / len(table)
