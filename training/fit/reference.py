"""What training data looked like, by feature and risk: what drift is measured against. Counts only, no row of anybody."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from keepwell.scoring.scorecard import OUTPUTS, Scorecard
from keepwell.scoring.scorer import Scorer
from training.dataset import Dataset
from training.fit.bins import Bins, Codes, Matrix, in_matrix

RISK_EDGES: Final = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7)
"""Bins of risk."""


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """Rows by bin: one more than there are edges, and how many were missing."""

    edges: tuple[float, ...]
    rows: tuple[int, ...]
    missing: int = 0


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """The distribution of each feature and of each risk that the release has, over the moments of decision of training,
    or of recalibration."""

    features: dict[str, Counted]
    risks: dict[str, Counted]


def reference_of_card(card: Scorecard, dataset: Dataset) -> Reference:
    """The reference of the moments of a landmark table, in the bins of a scorecard, without offsets: what `keepwell monitor`
    compares."""
    names = tuple(term.feature for term in card.terms)
    bins = Bins(names, tuple(term.edges for term in card.terms))
    table = dataset.matrix(names)[dataset.frame["moment"].notna().to_numpy()]
    return reference_of(bins, bins.codes(in_matrix(table, names)), Scorer(card).risks(table))


def reference_of(bins: Bins, codes: Codes, risks: Matrix) -> Reference:
    """The reference of a landmark table."""
    features = {}
    for column, (name, edges) in enumerate(zip(bins.features, bins.edges, strict=True)):
        *rows, missing = np.bincount(codes[:, column], minlength=len(edges) + 2).tolist()
        features[name] = Counted(edges=edges, rows=tuple(rows), missing=missing)
    found: dict[str, Counted] = {
        name: Counted(
            edges=RISK_EDGES,
            rows=tuple(
                np.bincount(np.searchsorted(RISK_EDGES, risks[:, output], side="right"), minlength=len(RISK_EDGES) + 1)
                .tolist()
            ),
        )
        for output, name in enumerate(OUTPUTS)
        if not np.isnan(risks[:, output]).all()
    }  # fmt: skip
    return Reference(features=features, risks=found)
