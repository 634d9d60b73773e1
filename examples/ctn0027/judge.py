"""What a release fitted to the trial is worth on people it has not seen: `python -m examples.ctn0027.judge EVENTS`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from examples.judging import Risks, held_out, table, told, where
from keepwell.scoring.scorecard import OUTPUTS, Output
from models.release import default
from training.dataset import Dataset, build
from training.dataset.split import folds
from training.evaluate.metrics import discrimination, precision_at
from training.evaluate.rules import MISSED_TWICE, verdicts
from training.fit.fit import Options
from training.fit.sample import Sample, sample_of

FOLDS = 5
JUDGED: dict[Output, str] = {
    "next": "The next visit is missed",
    "30d": "Stop in 30 days",
    "60d": "Stop in 60 days",
}
RANKS = {
    "lost_in_a_row": "visits missed since the last one attended",
    "missed_share": "share of the visits missed so far",
}
"""Features by which a clinic could rank people without a model."""


def main(events: str) -> None:
    dataset = build([events])
    counts = dataset.about.counts
    print(f"{counts.clients:,} people, {counts.rows:,} moments, {sample_of(dataset).stops()} people who stopped")
    risks = held_out(dataset, folds(dataset.frame, "client", FOLDS), Options())
    sample, frame = sample_of(dataset), dataset.frame
    weekly = [
        where(frame, "a week before a visit", "booked"),
        where(frame, "… with no visit attended yet", "booked", sessions=range(1)),
        where(frame, "… with 1 to 4 attended", "booked", sessions=range(1, 5)),
        where(frame, "… with 5 to 12 attended", "booked", sessions=range(5, 13)),
        where(frame, "… with 13 or more attended", "booked", sessions=range(13, 99)),
    ]
    single = [
        where(frame, "right after a missed visit", "missed"),
        where(frame, "right after an attended visit", "session"),
        *(where(frame, f"… the visit number {n}", "session", sessions=range(n, n + 1)) for n in (1, 2, 3, 5, 8)),
    ]
    silent = where(frame, "in a silence", "not_rebooked", "nothing_booked", "unrecorded", "missed_10d")
    for output, what in JUDGED.items():
        print(f"\n{what}:\n")
        table(sample, risks, output, [where(frame, "all"), *weekly, *single, silent])
    beside(dataset, sample, risks, "next")
    beside(dataset, sample, risks, "30d")
    print("\nStop in 30 days, by the arm of the trial alone, which no feature reads:\n")
    table(sample, by_arm(events, dataset), "30d", [where(frame, "at the opening", "opened"), *single[2:]])


def beside(dataset: Dataset, sample: Sample, risks: Risks, output: Output) -> None:
    """The release beside what can be done without one, a week before a visit."""
    frame, column = dataset.frame, OUTPUTS.index(output)
    rows = sample.known(column) & (frame["kind"] == "booked").to_numpy(dtype=np.bool_)
    target, risk, client = sample.targets[rows, column], risks[rows, column], sample.client[rows]
    print(f"\nBeside simple rules, a week before a visit ({output}):\n")
    print(f"- the release: AUROC {told(discrimination(target, risk, client)[0])}")
    card = default().scorer.card
    shipped = default().scorer.risks(dataset.matrix([term.feature for term in card.terms]))[rows, column]
    print(f"- the shipped release, which never saw the trial: AUROC {told(discrimination(target, shipped, client)[0])}")
    for name, words in RANKS.items():
        rank = np.nan_to_num(frame[name].to_numpy(dtype=np.float64)[rows], nan=-1.0)
        print(f"- {words}: AUROC {told(discrimination(target, rank, client)[0])}")
    flagged = verdicts(frame, [])[MISSED_TWICE.name][rows]
    its, mine = precision_at(target, flagged, flagged.sum()), precision_at(target, risk, flagged.sum())
    print(
        f"- two visits missed in a row ({flagged.mean():.1%} of the moments): right in {its:.0%}, the release in {mine:.0%}"
    )


def by_arm(events: str, dataset: Dataset) -> Risks:
    """For each row and output, the share of all people of the same arm who stopped: what the arm alone can rank by."""
    with Path(events).open(encoding="utf-8") as lines:
        opened = [json.loads(line) for line in lines if "keepwell.episode.opened.v1" in line]
    arms = {f"{event['source'].split('/')[1]}/{event['subject']}": event["data"]["service"] for event in opened}
    arm = dataset.frame["episode"].astype(str).map(arms)
    share = (dataset.frame["ending"] == "dropout").groupby(arm).transform("mean").to_numpy(dtype=np.float64)
    return np.repeat(share[:, None], len(OUTPUTS), axis=1)


if __name__ == "__main__":
    main(sys.argv[1])
