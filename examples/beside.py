"""A release beside the plain regression on fixed moments: both learnt from some people, both judged on others."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from examples import plain
from examples.judging import LEAST_EVENTS, told
from keepwell.scoring.scorecard import OUTPUTS
from training.evaluate.metrics import Clusters, Ranking, estimate


class Looked(NamedTuple):
    """Who is looked at, and when. `pairs` has `episode` and `as_of`, the person as `client`, the words for the moment as
    `when`, and may have a target that the contract does not know, as `target_<name>`."""

    events: Path
    pairs: pd.DataFrame


def trained(events: Path, out: Path) -> Path:
    """The folder of a release trained on events, as anyone would, without options."""
    command = ["keepwell", "train", str(events), "--out", str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return out


def judged(known: Looked, asked: Looked, release: Path) -> pd.DataFrame:
    """The rows of `asked` at which the episode is open, with two more columns for each target: the risk by the release,
    `release_<name>`, and that by the plain regression, `plain_<name>`, which is fitted to the rows of `known` of the same
    moment. A target that the contract does not know is foretold by the release's stop in 30 days."""
    learnt, rows = scored(known, release), scored(asked, release)
    before, now = plain.features(known.events, learnt), plain.features(asked.events, rows)
    for target in [str(column) for column in rows if str(column).startswith("target_")]:
        name = target.removeprefix("target_")
        rows[f"release_{name}"] = rows[f"risk_{name if name in OUTPUTS else '30d'}"]
        rows[f"plain_{name}"] = np.nan
        for when in rows["when"].unique():
            of = (learnt["when"] == when) & learnt[target].notna()
            outcome = learnt.loc[of, target].to_numpy(dtype=np.float64)
            if min(outcome.sum(), (1 - outcome).sum()) >= LEAST_EVENTS:
                here = rows["when"] == when
                rows.loc[here, f"plain_{name}"] = plain.foretold(before[of], outcome, now[here])
    return rows


def scored(looked: Looked, release: Path) -> pd.DataFrame:
    """The pairs at which the episode is open, with risks and targets by `keepwell score`."""
    at, out = (looked.events.with_suffix(f".{name}.csv") for name in ("pairs", "scored"))
    pairs = looked.pairs.reset_index(drop=True)
    pairs[["episode", "as_of"]].to_csv(at, index=False)
    command = ["keepwell", "score", str(looked.events), "--at", str(at), "--model", str(release), "--out", str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    rows = pd.concat([pd.read_csv(out), pairs.drop(columns=["episode", "as_of"])], axis=1)
    return rows[rows["risk_30d"].notna()].reset_index(drop=True)


def table(rows: pd.DataFrame, names: dict[str, str]) -> None:
    """Prints AUROCs of targets in words, and by how much the release is above the regression, with 95 % intervals by
    bootstrap over people; last, of each target the mean over the moments, for the same people drawn at all of them."""
    print("| when | what | people | of these | the release | plain regression | above it by |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    clusters = Clusters(pd.factorize(rows["client"])[0])
    counts = np.concatenate([clusters.once(), clusters.draws()])
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    for when in rows["when"].unique():
        for name, what in names.items():
            columns = [f"{part}_{name}" for part in ("target", "release", "plain")]
            here = ((rows["when"] == when) & rows[columns].notna().all(axis=1)).to_numpy()
            target, *risks = (rows.loc[here, column].to_numpy(dtype=np.float64) for column in columns)
            start = f"| {when} | {what} | {len(target):,} | {target.sum():,.0f} |"
            if min(target.sum(), (1 - target).sum()) < LEAST_EVENTS:
                print(f"{start} fewer than {LEAST_EVENTS} of either outcome | | |")
                continue
            of = clusters.of[here]
            areas = np.array([Ranking(target, risk, of).judge(counts[:, : of.max() + 1]).auroc for risk in risks])
            found[name].append(areas)
            print(f"{start} {_figures(areas)}")
    for name, areas_by_moment in found.items():
        if areas_by_moment:
            print(f"| mean | {names[name]} | | | {_figures(np.mean(areas_by_moment, axis=0))}")


def _figures(areas: NDArray[np.float64]) -> str:
    """AUROCs of the release and of the regression, the first as they are and the others drawn, and their difference."""
    return " | ".join(told(estimate(area[:1], area[1:])) for area in (*areas, areas[0] - areas[1])) + " |"
