"""What the scores and alerts of the replayed trial were worth: `python worth.py FOLDER_OF_RESULTS`, after run.sh."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Set
from pathlib import Path

import pandas as pd
from sklearn.metrics import roc_auc_score

DAYS = (14, 28, 56, 84, 112)
"""Days after the opening at which every episode is looked at."""

WEEKS = (2, 4, 8, 12, 16)
"""Weeks whose visit, where it was attended, is looked at right after."""

HORIZONS = ("14d", "30d", "60d")
SECOND = pd.Timedelta(seconds=1)


def main(folder: Path) -> None:
    events = read(folder / "events.jsonl", "time")
    events["episode"] = events["source"].str.split("/").str[1] + "/" + events["subject"]
    opened = events[events["type"] == "keepwell.episode.opened.v1"].set_index("episode")
    completed = frozenset(events.loc[events["id"].str.endswith("-completed"), "episode"])
    visits = events[(events["type"] == "keepwell.session.attended.v1") & ~events["id"].str.contains("WK(?:24|28|32)")]
    completion(opened, completed)
    warnings(visits.groupby("episode")["time"].max(), read(folder / "alerts.jsonl", "at"), completed)
    discrimination(folder, opened["time"], visits)


def read(path: Path, moment: str) -> pd.DataFrame:
    with path.open(encoding="utf-8") as file:
        rows = pd.DataFrame([json.loads(line) for line in file])
    rows[moment] = pd.to_datetime(rows[moment], format="ISO8601")
    return rows


def completion(opened: pd.DataFrame, completed: Set[str]) -> None:
    """The published rates are a check of the mapping: the trial reported 74 % and 46 %."""
    print("\nCompleted the 24 weeks:")
    for service, rows in opened.groupby(opened["data"].map(lambda data: data["service"])):
        print(f"  {service:14} {rows.index.isin(completed).mean():.1%} of {len(rows)}")


def warnings(last_visit: pd.Series[pd.Timestamp], alerts: pd.DataFrame, completed: Set[str]) -> None:
    """When the first alert came, against the last treatment visit that the person attended."""
    raised = alerts[alerts["status"] == "raised"]
    groups: Mapping[str, Set[str]] = {"stopped": set(last_visit.index) - completed, "completed": completed}
    print("\nFirst alert, against the last treatment visit attended:")
    for kind in ("risk", "silence"):
        first = raised[raised["kind"] == kind].groupby("episode")["at"].min()
        for name, group in groups.items():
            after = (first - last_visit.loc[sorted(group)]).dropna().dt.total_seconds() / 86400
            parts = {"before it": after < 0, "0 to 14 days after": after.between(0, 14), "later": after > 14}
            shares = "   ".join(f"{part} {found.sum() / len(group):.0%}" for part, found in parts.items())
            print(f"  {kind:8} {name:10} {shares}   none {1 - len(after) / len(group):.0%}   (of {len(group)})")


def discrimination(folder: Path, opened: pd.Series[pd.Timestamp], visits: pd.DataFrame) -> None:
    """AUROC of each horizon's risk, over the episodes whose target is determined."""
    moments = [(f"day {day}", opened + pd.Timedelta(days=day)) for day in DAYS]
    for week in WEEKS:
        rows = visits[visits["id"].str.endswith(f"-WK{week}-attended")]
        moments.append((f"after the visit of week {week}", rows.set_index("episode")["time"] + SECOND))
    pairs = pd.concat([at.rename("as_of").reset_index().assign(when=when) for when, at in moments], ignore_index=True)
    pairs["as_of"] = pairs["as_of"].map(pd.Timestamp.isoformat)
    pairs[["episode", "as_of"]].to_csv(folder / "pairs.csv", index=False)
    command = ["keepwell", "score", str(folder / "events.jsonl"), "--at", str(folder / "pairs.csv")]
    subprocess.run([*command, "--out", str(folder / "landmarks.csv")], check=True, stdout=subprocess.DEVNULL)
    scored = pd.read_csv(folder / "landmarks.csv").assign(when=pairs["when"])
    print("\nAUROC (people looked at, stops among them):")
    for when, _ in moments:
        rows = scored[scored["when"] == when]
        cells = [f"{horizon} {auroc(rows, horizon)}" for horizon in HORIZONS]
        print(f"  {when:27} " + "   ".join(cells))


def auroc(rows: pd.DataFrame, horizon: str) -> str:
    known = rows.dropna(subset=[f"target_{horizon}", f"risk_{horizon}"])
    target = known[f"target_{horizon}"]
    return f"{roc_auc_score(target, known[f'risk_{horizon}']):.2f} ({len(known)}, {target.sum():.0f})"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
