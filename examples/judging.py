"""What the examples share: a release is fitted to some people, the risks of others are judged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keepwell.scoring.scorecard import OUTPUTS, Output
from keepwell.scoring.scorer import Scorer
from models.release import default
from training.dataset import Dataset
from training.dataset.split import Split
from training.evaluate.metrics import Estimate, discrimination
from training.evaluate.reliability import reliability
from training.fit.fit import Fitted, Options, fit
from training.fit.sample import Sample

Mask = NDArray[np.bool_]
Risks = NDArray[np.float64]

LEAST_EVENTS = 20
"""Moments of either outcome below which a group has no figures: they would be noise."""


def held_out(dataset: Dataset, splits: Iterable[Split], options: Options) -> Risks:
    """Risks by row and `OUTPUTS`, each from a release that saw no row of the same person; NaN where no split tests."""
    risks = np.full((len(dataset.frame), len(OUTPUTS)), np.nan)
    for split in splits:
        risks[split.test] = scores(fitted_to(dataset, split.train, options), dataset)[split.test]
    return risks


def fitted_to(dataset: Dataset, rows: Mask, options: Options) -> Fitted:
    """A release fitted to some rows. Raises what `fit` raises, its refusals among them."""
    return fit(replace(dataset, frame=dataset.frame[rows].reset_index(drop=True)), default().policy, options)


def scores(fitted: Fitted, dataset: Dataset) -> Risks:
    """The risks of all rows by the scorecard that a service would load."""
    return Scorer(fitted.card).risks(dataset.matrix([term.feature for term in fitted.card.terms]))


class Group(NamedTuple):
    """Rows of a landmark table under one name."""

    name: str
    rows: Mask


def where(frame: pd.DataFrame, name: str, *kinds: str, sessions: range | None = None) -> Group:
    """The rows of some kinds (all where none is named), and with so many sessions attended by then."""
    rows = frame["kind"].isin(kinds) if kinds else pd.Series(True, index=frame.index)
    if sessions is not None:
        rows &= frame["session"].isin(sessions)
    return Group(name, rows.to_numpy(dtype=np.bool_))


def table(sample: Sample, risks: Risks, output: Output, groups: Sequence[Group]) -> None:
    """Prints how good the risks are in each group, with 95 % intervals that take the rows of a person for alike."""
    column = OUTPUTS.index(output)
    print(
        "| moments | people | moments | of these | AUROC | calibration slope |\n| --- | --- | --- | --- | --- | --- |"
    )
    for group in groups:
        rows = group.rows & sample.known(column) & ~np.isnan(risks[:, column])
        target, risk, client = sample.targets[rows, column], risks[rows, column], sample.client[rows]
        if min(target.sum(), (1 - target).sum()) < LEAST_EVENTS:
            figures = f"fewer than {LEAST_EVENTS} of either outcome | "
        elif np.ptp(risk) == 0:
            figures = "all the same risk | "
        else:
            figures = (
                f"{told(discrimination(target, risk, client)[0])} | {told(reliability(target, risk, client).slope)}"
            )
        share = f"{target.mean():.1%}" if len(target) else ""
        print(f"| {group.name} | {len(np.unique(client)):,} | {len(target):,} | {share} | {figures} |")


def told(estimate: Estimate) -> str:
    """A figure with its interval."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "none"
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"
