"""Whether anything is foretold where nothing can be: `python -m examples.null_controls.judge THERAPY_EVENTS VISITS_EVENTS`.

Both sets are simulated, and draw who misses a visit and who drops out without looking at anything. A release that ranks those
people all the same has seen their answers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from examples.judging import Mask, Risks, held_out
from keepwell.files.instruments import read_registrations
from keepwell.scoring.scorecard import OUTPUTS
from training.dataset import TARGET_COLUMNS, Dataset, build
from training.dataset.split import hold_out
from training.fit.fit import Options
from training.fit.measures import Vector, auroc
from training.fit.sample import Sample, sample_of

SEEDS = range(10)
TOLERANCE = 0.02
"""How far from .5 the mean over seeds may lie."""
AS_OF = datetime(2025, 6, 1, tzinfo=UTC)
"""Late enough for every outcome of both sets to be known."""
VISITS = ("session", "missed")
"""Rows right after a visit, kept or not."""


def main(therapy: str, visits: str, seeds: Iterable[int] = SEEDS) -> bool:
    """Prints the AUROC of each control and seed, and tells whether every mean lies within the tolerance."""
    own = read_registrations(Path(__file__).with_name("instruments.toml"))
    weekly = build([therapy], registrations=own, as_of=AS_OF)
    single = only_next(build([visits], registrations=own, as_of=AS_OF))
    found: dict[str, list[float]] = {}
    for seed in seeds:
        risks, sample, rows = judged(weekly, seed)
        after = rows & weekly.frame["kind"].isin(VISITS).to_numpy()
        for output in OUTPUTS:
            area = within(weeks(weekly.frame), sample, risks[:, OUTPUTS.index(output)], OUTPUTS.index(output), after)
            found.setdefault(f"therapy: {NAMES[output]}, after a visit of the same week", []).append(area)
        risks, sample, rows = judged(single, seed)
        known, column = rows & sample.known(NEXT), risks[:, NEXT]
        found.setdefault("visits: next visit missed", []).append(auroc(sample.targets[known, NEXT], column[known]))
    print("| control (simulated) | mean | off .5 by | each seed |\n| --- | --- | --- | --- |")
    for name, areas in found.items():
        each = " ".join(f"{area:.3f}"[1:] for area in areas)
        print(f"| {name} | {np.mean(areas):.3f} | {np.mean(areas) - 0.5:+.3f} | {each} |")
    return all(abs(np.mean(areas) - 0.5) <= TOLERANCE for areas in found.values())


NEXT = OUTPUTS.index("next")
NAMES = {"14d": "stop in 14 days", "30d": "stop in 30 days", "60d": "stop in 60 days", "next": "next visit missed"}


def only_next(dataset: Dataset) -> Dataset:
    """The table with the next visit as its only target, in the place of all four. Nine in ten of these patients have a single
    appointment, so nearly everyone "stops", by design and not by a decision: such targets are rightly not fitted."""
    target = dataset.frame["target_next"]
    return replace(dataset, frame=dataset.frame.assign(**dict.fromkeys(TARGET_COLUMNS, target)))


def judged(dataset: Dataset, seed: int) -> tuple[Risks, Sample, Mask]:
    """Risks of half of the people by a release fitted to the other half; the sample; and whose rows they are."""
    split = hold_out(dataset.frame, share=0.5, seed=seed)
    return held_out(dataset, [split], Options(seed=seed)), sample_of(dataset), split.test


def weeks(frame: pd.DataFrame) -> Vector:
    """Whole weeks since the opening."""
    return np.floor((frame["as_of"] - frame["opened_at"]).dt.total_seconds().to_numpy(dtype=np.float64) / (7 * 86400))


def within(strata: Vector, sample: Sample, risk: Vector, output: int, rows: Mask) -> float:
    """AUROC over pairs of one stratum. Between weeks there is something to know even here: the program lets ever more people
    drop out as the weeks go by, so whoever knows the week knows something."""
    pairs = right = 0.0
    rows = rows & sample.known(output)
    for stratum in np.unique(strata[rows]):
        here = rows & (strata == stratum)
        target = sample.targets[here, output]
        count = target.sum() * (1 - target).sum()
        if count:
            pairs += count
            right += count * auroc(target, risk[here])
    return float(right / pairs)


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1], sys.argv[2]) else 1)
