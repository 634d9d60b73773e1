"""What `estimator.joblib` holds for data teams: the fitted models as scikit-learn has them. No service ever opens it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keepwell.scoring.scorecard import OUTPUTS, coherent
from training.fit.bins import Bins, Matrix, in_matrix
from training.fit.calibrate import Calibration
from training.fit.logit import expit
from training.fit.steps import with_gaps


@dataclass(frozen=True)
class Estimator:
    """Bags of scikit-learn models by output, each an additive one, with bins and calibration.

    Of the outputs the last may be left out. The scorecard is compiled from it and gives the same risks to 1e-9.
    """

    bins: Bins
    bags: tuple[tuple[Any, ...], ...]
    calibrations: tuple[Calibration, ...]

    def risks(self, values: Matrix, names: Sequence[str]) -> Matrix:
        """Risks by `keepwell.scoring.scorecard.OUTPUTS` of rows whose columns are the features `names`; NaN is missing, and
        the risk of an output that was left out."""
        codes = with_gaps(self.bins.codes(in_matrix(values, names)), self.bins)
        session = values[:, names.index("sessions")].astype(np.int64)
        logits = np.full((len(values), len(OUTPUTS)), np.nan)
        for output, (bag, calibration) in enumerate(zip(self.bags, self.calibrations, strict=True)):
            logits[:, output] = calibration.of(
                np.mean([model.decision_function(codes) for model in bag], axis=0), session
            )
        return coherent(expit(logits))
