"""Prints what the reports of run.sh say, and what LightGBM makes of the very rows that the shipped release was fitted to."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
from numpy.typing import NDArray

from keepwell.scoring.scorecard import HEADLINE
from models.release import default
from training.dataset import build
from training.evaluate import Evaluation
from training.evaluate.challengers import LIGHTGBM, challengers
from training.evaluate.metrics import Estimate, compared, difference, discrimination
from training.fit.sample import sample_of
from training.shipped import EPISODES, WORLDS
from training.simulate import simulate

FITTED_TO = tuple(("drawn", EPISODES, seed) for seed in WORLDS)
"""Preset, episodes and seed of each world that the shipped release was fitted to."""


def main(out: Path, worlds: Sequence[tuple[str, int, int]] = FITTED_TO) -> None:
    """Prints tables in Markdown."""
    clinic, community, both, shifted = (
        msgspec.json.decode((out / name / "report.json").read_bytes(), type=Evaluation)
        for name in ("clinic-905", "community-906", "both", "shifted")
    )
    performance(both, "clinic and community, other seeds than those of the fit")
    performance(shifted, "shifted, the release recalibrated on 300 other episodes of it")
    aims(clinic, "clinic")
    aims(community, "community")
    challenge(out / "both" / "events.jsonl", worlds)


def performance(report: Evaluation, title: str) -> None:
    """Prints how good the risks of each output are, over all moments."""
    print(f"\n| simulated: {title} | AUROC | calibration slope | ECE |\n| --- | --- | --- | --- |")
    for one in report.performance:
        cell = one.pooled
        print(f"| {one.output} | {told(cell.auroc)} | {told(cell.calibration.slope)} | {cell.ece:.4f} |")


def aims(report: Evaluation, world: str) -> None:
    """Prints what was aimed at in a world, and what the truth itself reaches."""
    print(
        f"\n| simulated {world}: aim | | at least | reached | the truth itself | |\n| --- | --- | --- | --- | --- | --- |"
    )
    for aim in report.aims:
        best = "" if aim.best.value is None else f"{aim.best.value:.2f}"
        print(f"| {aim.group} | {aim.words} | {aim.aim} | {told(aim.figure)} | {best} | {aim.verdict} |")


def challenge(events: Path, worlds: Sequence[tuple[str, int, int]]) -> None:
    """Prints the AUROC at 30 days of the shipped release and of LightGBM fitted to the same rows and features."""
    judged = build([events], n_jobs=2)
    sample = sample_of(judged)
    release = default().scorer
    mine = release.risks(judged.matrix([term.feature for term in release.card.terms]))[:, HEADLINE]
    other = challenger(judged.matrix(), worlds)
    known = sample.judged(HEADLINE)
    target, client = sample.targets[known, HEADLINE], sample.client[known]
    print("\n| simulated: stop in 30 days, all moments | AUROC |\n| --- | --- |")
    print(f"| the shipped release | {told(discrimination(target, mine[known], client)[0])} |")
    print(f"| LightGBM, same rows and features | {told(discrimination(target, other[known], client)[0])} |")
    print(f"| difference | {told(compared(target, mine[known], other[known], client, difference))} |")


def challenger(values: NDArray[np.float64], worlds: Sequence[tuple[str, int, int]]) -> NDArray[np.float64]:
    """The risks that LightGBM gives, fitted to the rows that the shipped release was fitted to."""
    with TemporaryDirectory() as folder:
        for preset, episodes, seed in worlds:
            simulate(preset, episodes, seed, Path(folder) / preset, rollouts=0)
        dataset = build(sorted(Path(folder).glob("*/events.jsonl")), n_jobs=2)
    sample = sample_of(dataset)
    known = sample.judged(HEADLINE)
    model = challengers()[LIGHTGBM]().fit(dataset.matrix()[known], sample.targets[known, HEADLINE])
    risk: NDArray[np.float64] = model.predict_proba(values)[:, 1]
    return risk


def told(estimate: Estimate) -> str:
    """A figure with its interval, to the thousandth."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "none"
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
