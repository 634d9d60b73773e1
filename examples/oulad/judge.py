"""What a release knows of who withdraws, and when: `python -m examples.oulad.judge TEST_EVENTS RELEASE FOLDER`.

Every student of the test file is looked at on fixed days, by `keepwell score`. Beside the target of the contract stands what
the register knows and few logs do: the true day of withdrawal.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from examples.judging import told
from training.evaluate.metrics import Estimate, discrimination

DAYS = (1, 14, 28, 56, 84, 112, 140, 168)
"""Days of the course on which everyone still enrolled is looked at, in the evening."""
WITHIN = 30
"""Days in which a withdrawal counts for the second column."""
DRAWS = 300


def main(events: Path, release: str, folder: Path) -> None:
    people = enrolments(events)
    pairs = pd.concat([looked_at(people, day) for day in DAYS], ignore_index=True)
    pairs[["episode", "as_of"]].to_csv(folder / "pairs.csv", index=False)
    command = ["keepwell", "score", str(events), "--at", str(folder / "pairs.csv"), "--model", release]
    subprocess.run([*command, "--out", str(folder / "scored.csv")], check=True, stdout=subprocess.DEVNULL)
    scored = pd.concat([pd.read_csv(folder / "scored.csv"), pairs[["day", "client", "left_in"]]], axis=1)
    print(f"| day | enrolled | stop in 30 days, AUROC | withdrawn within {WITHIN} days, AUROC | concordance |")
    print("| --- | --- | --- | --- | --- |")
    for day in DAYS:
        rows = scored[(scored["day"] == day) & scored["risk_30d"].notna()]
        client, _ = pd.factorize(rows["client"])
        risk, left = rows["risk_30d"].to_numpy(), rows["left_in"].to_numpy(dtype=np.float64)
        known = rows["target_30d"].notna().to_numpy()
        stop = discrimination(rows["target_30d"].to_numpy()[known], risk[known], client[known])[0]
        soon = (left <= WITHIN).astype(np.float64)
        print(
            f"| {day} | {len(rows):,} | {told(stop)} | {told(discrimination(soon, risk, client)[0])} ({soon.sum():.0f}) "
            f"| {told(concordance(left, risk, client))} |"
        )


def enrolments(events: Path) -> pd.DataFrame:
    """By episode: when it opened, whose it is, and when and why it ended."""
    return pd.DataFrame(_enrolments(events)).groupby("episode", as_index=False).first()


def _enrolments(events: Path) -> Iterator[dict[str, object]]:
    with events.open(encoding="utf-8") as lines:
        for line in lines:
            if "keepwell.episode." in line:
                event = json.loads(line)
                about = {"episode": f"{event['source'].split('/')[1]}/{event['subject']}"}
                if event["type"] == "keepwell.episode.opened.v1":
                    yield about | {"opened": event["time"], "client": event["data"]["client_id"]}
                else:
                    yield about | {"ended": event["time"], "withdrew": event["data"]["reason"] == "client_stopped"}


def looked_at(people: pd.DataFrame, day: int) -> pd.DataFrame:
    """Those enrolled on a day after the opening, and in how many days they withdraw: never is infinity."""
    as_of = pd.to_datetime(people["opened"]).dt.normalize() + pd.Timedelta(days=day, hours=21)
    ended = pd.to_datetime(people["ended"])
    left_in = ((ended - as_of).dt.total_seconds() / 86400).where(people["withdrew"].astype(bool), np.inf)
    rows = people.assign(day=day, as_of=as_of.map(pd.Timestamp.isoformat), left_in=left_in)
    return rows[ended > as_of]


def concordance(left: NDArray[np.float64], risk: NDArray[np.float64], client: NDArray[np.int64]) -> Estimate:
    """Of two students of whom one withdraws before the other, how often that one's risk is the higher.

    Harrell et al. 1982, JAMA 247:2543; ties count half. Whoever stayed to the end withdraws after all others. The interval
    is by bootstrap over people.
    """
    first = np.flatnonzero(np.isfinite(left))
    before = (left[first, None] < left).astype(np.float32)
    right = before * ((risk[first, None] > risk) + 0.5 * (risk[first, None] == risk)).astype(np.float32)
    rng = np.random.default_rng(0)
    people = int(client.max()) + 1
    drawn = []
    for _ in range(DRAWS):
        weight = np.bincount(rng.integers(people, size=people), minlength=people)[client].astype(np.float32)
        pairs = float(weight[first] @ (before @ weight))
        if pairs:
            drawn.append(float(weight[first] @ (right @ weight)) / pairs)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Estimate(value=float(right.sum() / before.sum()), low=float(low), high=float(high))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
