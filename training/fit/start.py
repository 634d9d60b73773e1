"""Where a fit begins: at nothing, or at a release whose scorecard local data move as far as they can carry it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from keepwell.care.moments import STAGES
from keepwell.scoring.scorecard import NEXT, OUTPUTS, Scorecard
from keepwell.scoring.scorer import Scorer
from training.dataset import Dataset
from training.fit.bins import Matrix
from training.fit.sample import Ints

Vector = NDArray[np.float64]


class Start(NamedTuple):
    """The log-odds that a fit begins at: `pairs` (stages by outputs by intercept and slope) of `sums` (rows by outputs).
    What is learnt is added to the sums, so that old and new together are one scorecard. `card` is None where it begins at
    nothing."""

    card: Scorecard | None
    sums: Matrix
    pairs: NDArray[np.float64]

    def offset(self, stage: Ints, rows: Ints, output: int, usual: Matrix) -> Vector:
        """The log-odds of rows at an output before anything is learnt; `usual` is added to the sums."""
        pairs = self.pairs[stage[rows], output]
        found: Vector = pairs[:, 0] + pairs[:, 1] * (self.sums[rows, output] + usual[rows, output])
        return found

    def scale(self, stage: Ints, rows: Ints, output: int) -> Vector:
        """By how much what is learnt counts in the log-odds."""
        found: Vector = self.pairs[stage[rows], output, 1]
        return found


def at_nothing(rows: int) -> Start:
    """The start at nothing, for so many rows."""
    pairs = np.tile(np.array([0.0, 1.0]), (len(STAGES), len(OUTPUTS), 1))
    return Start(None, np.zeros((rows, len(OUTPUTS))), pairs)


def start_at(card: Scorecard | None, dataset: Dataset) -> Start:
    """The start at a release's scorecard, or at nothing, on a landmark table. A card without the second target starts it at
    nothing. Offsets of the release's own clinics are no part of it."""
    if card is None:
        return at_nothing(len(dataset.frame))
    sums = Scorer(card).logits(dataset.matrix([term.feature for term in card.terms]))
    pairs = np.array(card.pairs)
    if "next" not in card.outputs:
        sums[:, NEXT] = 0.0
        pairs[:, NEXT] = (0.0, 1.0)
    return Start(card, sums, pairs)
