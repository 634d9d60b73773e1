"""Treated risk: alerts change outcomes, so what followed an alert is not what would have come without it."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from keepwell.scoring.scorecard import HEADLINE
from training.fit.bags import Material, held_of, rows_of
from training.fit.calibrate import calibrate
from training.fit.learners import Recipe, Tuning, learn
from training.fit.logit import expit
from training.fit.measures import auroc
from training.fit.select import splits_of

Vector = NDArray[np.float64]


class Treated(msgspec.Struct, frozen=True, kw_only=True):
    """Rows in the 30 days after an alert was shown or acted on, against the others: how many, how often clients stopped,
    and how often the model expected it (out of fold). `weight` is what such rows weighed in the fit. `difference`: by how
    much the risk at 30 days of other rows differs, on average, between models with and without these rows, and `gain` by
    how much the AUROC on other rows is higher with them; None where there are too few to tell."""

    weight: float
    rows: int
    stopped: float | None
    expected: float | None
    others: int
    others_stopped: float | None
    others_expected: float | None
    difference: float | None
    gain: float | None


def treated_of(material: Material, recipe: Recipe, settings: Tuning, risk: Vector) -> Treated:
    """What treated rows are and do. `risk` is the headline's, out of fold."""
    sample = material.coded.sample
    known = sample.judged(HEADLINE)
    target = sample.targets[:, HEADLINE]
    here, there = known & sample.treated, known & ~sample.treated
    difference = gain = None
    if here.any():
        difference, gain = _contrast(material, recipe, settings)
    return Treated(
        weight=recipe.treated,
        rows=int(here.sum()),
        stopped=_mean(target[here]),
        expected=_mean(risk[here]),
        others=int(there.sum()),
        others_stopped=_mean(target[there]),
        others_expected=_mean(risk[there]),
        difference=difference,
        gain=gain,
    )


def _contrast(material: Material, recipe: Recipe, settings: Tuning) -> tuple[float | None, float | None]:
    """Two models on the last validation split, one without the treated rows, judged on rows that were not treated."""
    split = splits_of(material.coded.sample, recipe)[1][-1]
    held = held_of(material, split.test & ~material.coded.sample.treated, HEADLINE, recipe._replace(treated=1.0))
    risks = []
    for weight in (1.0, 0.0):
        weighed = recipe._replace(treated=weight)
        rows = rows_of(material, split.train, HEADLINE, settings, weighed)
        if not _two_classes(rows.target) or not _two_classes(held.target):
            return None, None
        bins = material.coded.bins
        raw = held.logits(learn(bins, rows, held, weighed, settings).steps(bins).logits(held.codes))
        alike = np.zeros(len(raw), dtype=np.int64)
        risks.append(expit(calibrate(raw, held.target, alike).of(raw, alike)))
    every, without = risks
    return float(np.abs(every - without).mean()), auroc(held.target, every) - auroc(held.target, without)


def _two_classes(target: Vector) -> bool:
    return len(target) > 0 and target.min() < target.max()


def _mean(values: Vector) -> float | None:
    return float(values.mean()) if len(values) else None
