"""What a fit reads of a landmark table: arrays by row, and which targets count."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keepwell.care.endings import DAY, WINDOW
from keepwell.care.moments import MOMENTS
from keepwell.contract.words import HORIZONS
from keepwell.scoring.scorecard import HEADLINE, OUTPUTS, Output
from training.dataset import FEATURE_COLUMNS, Dataset
from training.dataset.table import SIGNAL_COLUMNS
from training.fit.bins import Bins, Codes, Matrix, Vector

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

SETTLING_DAYS: Final = {output: HORIZONS.get(output, 0) + WINDOW // DAY for output in OUTPUTS}
"""How long before the end of what is known a row must lie for its target to count. Nearer the end only some outcomes can be
determined yet (a stop is, having stayed is not), so the determined ones would be a biased lot."""


class Sample(NamedTuple):
    """The rows of a landmark table as arrays. `frame` is the table itself, for splits."""

    frame: pd.DataFrame
    targets: Matrix
    """By `OUTPUTS`; NaN where undetermined or not settled."""
    client: Ints
    episode: Ints
    as_of: Ints
    """µs."""
    session: Ints
    treated: Mask
    """An alert was shown or a clinician acted in the 30 days before."""
    moment: Ints
    """The place in `keepwell.care.moments.MOMENTS`; -1 where it is none."""
    stage: Ints
    """The place in `keepwell.care.moments.STAGES`."""
    signals: Ints
    """Rows by `keepwell.alerting.signals.Signals`; `NONE` where there is none."""

    @property
    def values(self) -> Matrix:
        """The features by `FEATURE_COLUMNS`, as a copy; NaN is missing."""
        return self.frame[list(FEATURE_COLUMNS)].to_numpy(dtype=np.float64)

    def column(self, feature: str) -> Vector:
        """The values of a feature."""
        return self.frame[feature].to_numpy(dtype=np.float64)

    @property
    def decisive(self) -> Mask:
        """The rows at which somebody decides: what is judged."""
        found: Mask = self.moment >= 0
        return found

    @property
    def silent(self) -> Mask:
        """The rows of a silence that lasts: most of these people have left, and an honest model is nearly sure."""
        found: Mask = self.moment == MOMENTS.index("silence")
        return found

    def judged(self, output: int) -> Mask:
        """The rows at which somebody decides, whose target counts."""
        return self.known(output) & self.decisive

    def known(self, output: int) -> Mask:
        """The rows whose target counts."""
        found: Mask = ~np.isnan(self.targets[:, output])
        return found

    @property
    def outputs(self) -> tuple[int, ...]:
        """The places in `OUTPUTS` of those that some row's target counts for."""
        return tuple(output for output in range(len(OUTPUTS)) if self.known(output).any())

    def without(self, outputs: Iterable[Output]) -> Sample:
        """The same rows, where no target of some outputs counts."""
        targets = self.targets.copy()
        targets[:, [OUTPUTS.index(output) for output in outputs]] = np.nan
        return self._replace(targets=targets)

    def at_moments(self) -> Sample:
        """The same rows, where no target counts but those at moments: what is judged."""
        return self._replace(targets=np.where(self.decisive[:, None], self.targets, np.nan))

    def stops(self) -> int:
        """Episodes with a row that counts as a stop at the headline: the events that a model is worth by."""
        return len(np.unique(self.episode[self.targets[:, HEADLINE] == 1]))

    def stops_by_clinic(self) -> dict[str, int]:
        """The same for each clinic."""
        stopped = self.frame[self.targets[:, HEADLINE] == 1]
        counts = stopped.groupby("clinic", observed=False)["episode"].nunique()
        return {str(clinic): int(count) for clinic, count in counts.items()}

    def years(self) -> float:
        """How long the rows span."""
        return float((self.as_of.max() - self.as_of.min()) / DAY / 365.25) if len(self.as_of) else 0.0


class Coded(NamedTuple):
    """A sample as learners see it: bins, and every row's codes in them."""

    sample: Sample
    bins: Bins
    codes: Codes

    def only(self, features: Sequence[str]) -> Coded:
        """The same with some of the features, in their order here."""
        bins = self.bins.only(features)
        columns = [self.bins.features.index(name) for name in bins.features]
        return Coded(self.sample, bins, self.codes[:, columns])


def sample_of(dataset: Dataset) -> Sample:
    """The sample of a dataset, without the targets that are not settled."""
    frame = dataset.frame
    now = pd.Timestamp(dataset.about.as_of)
    targets = frame[[f"target_{output}" for output in OUTPUTS]].to_numpy(dtype=np.float64, copy=True)
    for column, output in enumerate(OUTPUTS):
        late = frame["as_of"] > now - pd.Timedelta(days=SETTLING_DAYS[output])
        targets[late.to_numpy(), column] = np.nan
    return Sample(
        frame=frame,
        targets=targets,
        client=codes_of(frame["client"]),
        episode=codes_of(frame["episode"]),
        as_of=np.asarray(frame["as_of"].astype("int64"), dtype=np.int64),
        session=frame["session"].to_numpy(dtype=np.int64),
        treated=(frame["alerted"] | frame["acted"]).to_numpy(dtype=np.bool_),
        moment=codes_of(frame["moment"]),
        stage=frame["stage"].to_numpy(dtype=np.int64),
        signals=frame[list(SIGNAL_COLUMNS)].to_numpy(dtype=np.int64),
    )


def codes_of(column: pd.Series[str]) -> Ints:
    """A number for each category of a column; -1 where missing."""
    codes: Ints = np.asarray(column.cat.codes, dtype=np.int64)
    return codes
