"""What `estimator.joblib` holds for data teams: the fitted models as scikit-learn has them. No service ever opens it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keepwell.scoring.scorecard import OUTPUTS, STAGE, Scorecard
from keepwell.scoring.scorer import Scorer, coherent
from training.fit.bins import Bins, Matrix, in_matrix
from training.fit.calibrate import Calibration
from training.fit.learners import Learnt
from training.fit.logit import expit
from training.fit.steps import with_gaps


@dataclass(frozen=True)
class Estimator:
    """Bags of models by output, each an additive one, with bins and calibration; and the scorecard that they began at.

    Of the outputs the last may be left out. The scorecard is compiled from it and gives the same risks to 1e-9.
    """

    bins: Bins
    bags: tuple[tuple[Learnt, ...], ...]
    calibrations: tuple[Calibration, ...]
    start: Scorecard | None

    def risks(self, values: Matrix, names: Sequence[str]) -> Matrix:
        """Risks by `keepwell.scoring.scorecard.OUTPUTS` of rows whose columns are the features `names`; NaN is missing, and
        the risk of an output that was left out. What is usual at a clinic or with a clinician is not in them."""
        codes = with_gaps(self.bins.codes(in_matrix(values, names)), self.bins)
        stage = values[:, names.index(STAGE)].astype(np.int64)
        logits = np.full((len(values), len(OUTPUTS)), np.nan)
        sums = self._begun(values, names)
        for output, (bag, calibration) in enumerate(zip(self.bags, self.calibrations, strict=True)):
            learnt = np.mean([model.decision_function(codes) for model in bag], axis=0)
            logits[:, output] = calibration.of(sums[:, output] + learnt, stage)
        return coherent(expit(logits))

    def _begun(self, values: Matrix, names: Sequence[str]) -> Matrix:
        if self.start is None:
            return np.zeros((len(values), len(OUTPUTS)))
        columns = [names.index(term.feature) for term in self.start.terms]
        sums = Scorer(self.start).logits(values[:, columns])
        sums[:, len(self.start.outputs) :] = 0.0
        return sums
