"""The landmark table: what its columns are, what was left out of it, and how it is kept in files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keepwell.alerting.signals import Signals
from keepwell.scoring.features import FEATURES
from keepwell.scoring.scorecard import OUTPUTS, Output

FEATURE_COLUMNS: Final = tuple(feature.name for feature in FEATURES)
"""The declared features, in the order of their declaration; NaN is a missing value."""
TARGET_COLUMNS: Final = tuple(f"target_{output}" for output in OUTPUTS)
"""1, 0, or NaN where undetermined."""
SIGNAL_COLUMNS: Final = tuple(f"signal_{name}" for name in Signals._fields)
"""What decisions about alerts rest on besides the risk: times in µs, yes or no as 1 or 0, `NONE` where there is none."""
NONE: Final = -1
FACT_COLUMNS: Final = (
    "episode", "clinic", "client", "clinician", "opened_at", "as_of", "session", "kind", "ending", "alerted", "acted", "gaps",
    "moment",
)  # fmt: skip
"""`<clinic>/<pseudonym>` of episode, client and clinician (the one known then); when the episode opened and the moment of the
row, UTC; sessions attended by then; what gave rise to the row (`landmarks.KINDS`); how the spell ended, missing while
undetermined; whether, in the 30 days before and with the row, an alert was shown or a clinician acted; what the score could
not know, bit i for the gap `keepwell.scoring.gaps.GAP_KINDS[i]`; which of `keepwell.care.moments.MOMENTS` the row is, missing
where it is none."""


ABOUT: Final = "about.json"
"""The file written last: it says that a folder is whole."""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How many there are of each. `undetermined`, by output, are rows that a fit for it leaves out; `events` are those of
    the episodes, repetitions apart; `refused`, `later` (than `as_of`) and `erased` events are in no row."""

    events: int
    refused: int
    later: int
    erased: int
    clients: int
    episodes: int
    rows: int
    undetermined: dict[str, int]
    positive: dict[str, int]


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a dataset was made from and by: for the manifest of a release. `fingerprint` is that of the events taken."""

    fingerprint: str
    as_of: str
    definition: str
    features: tuple[str, ...]
    counts: Counts


@dataclass(frozen=True)
class Dataset:
    """The landmark table: a row an episode and moment, sorted by both.

    `frame` has `FACT_COLUMNS`, `FEATURE_COLUMNS`, `TARGET_COLUMNS` and `SIGNAL_COLUMNS`. `fairness` has the attributes of
    each episode, by its key: for reports on fairness only, so it is a frame of its own and joined to nothing here.
    """

    frame: pd.DataFrame
    fairness: pd.DataFrame
    about: About

    def matrix(self, features: Sequence[str] = FEATURE_COLUMNS) -> NDArray[np.float64]:
        """The features as a matrix, rows by features."""
        return self.frame[list(features)].to_numpy(dtype=np.float64)

    def determined(self, output: Output) -> NDArray[np.bool_]:
        """A mask of the rows whose target for an output is determined."""
        return self.frame[f"target_{output}"].notna().to_numpy()

    def part(self, rows: NDArray[np.bool_]) -> Dataset:
        """Some rows, as if no others were known. Of the counts in `about`, those of clients, episodes and rows are the part's
        own; the rest remain those of the whole."""
        frame = self.frame[rows].reset_index(drop=True)
        for column in ("episode", "clinic", "client", "clinician"):
            frame[column] = frame[column].cat.remove_unused_categories()
        clients, episodes = (len(frame[column].cat.categories) for column in ("client", "episode"))
        counts = msgspec.structs.replace(self.about.counts, clients=clients, episodes=episodes, rows=len(frame))
        fairness = self.fairness.loc[list(frame["episode"].cat.categories)]
        return Dataset(frame, fairness, msgspec.structs.replace(self.about, counts=counts))

    def write(self, folder: Path) -> None:
        """Writes the dataset into a folder, which is made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        self.frame.to_parquet(folder / "rows.parquet", compression="zstd", index=False)
        self.fairness.to_parquet(folder / "fairness.parquet", compression="zstd")
        (folder / ABOUT).write_bytes(msgspec.json.format(msgspec.json.encode(self.about), indent=1) + b"\n")

    @classmethod
    def read(cls, folder: Path) -> Dataset:
        """Reads what `write` wrote. Raises `OSError` where it is not there, `ValueError` where it has other features."""
        about = msgspec.json.decode((folder / ABOUT).read_bytes(), type=About)
        if about.features != FEATURE_COLUMNS:
            raise ValueError(f"{folder}: made with other features than this version declares; build it anew")
        frame = pd.read_parquet(folder / "rows.parquet")
        if not set(SIGNAL_COLUMNS) <= set(frame):
            raise ValueError(f"{folder}: made with other signals than this version has; build it anew")
        return cls(frame, pd.read_parquet(folder / "fairness.parquet"), about)
