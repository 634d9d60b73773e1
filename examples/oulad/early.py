"""What a release of one presentation knows early in the next: `python -m examples.oulad.early EVENTS FOLDER`.

Trained on the courses that began in February, judged on those that began in October, on fixed early days; beside it a plain
logistic regression on the same events and days. Nobody is in both. Half of the October courses were not given in February.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd

from examples.beside import Looked, judged, table, trained
from examples.oulad.judge import WITHIN, enrolments, looked_at
from examples.people import OPENED

FIRST = "2013b"
"""The presentation that is trained on; what is of another is judged."""
DAYS = (7, 14, 28, 56)
NAMES = {"30d": "stop in 30 days", "left": f"withdrawn within {WITHIN} days", "next": "next visit missed"}


def main(events: Path, folder: Path) -> pd.DataFrame:
    """Prints the table for all courses of the second half, and for those alone that the first had too; gives its rows."""
    folder.mkdir(exist_ok=True)
    halves(events, folder)
    first, second = (folder / "first.jsonl", folder / "second.jsonl")
    rows = judged(looked(first), looked(second), trained(first, folder / "release"))
    print("All courses:\n")
    table(rows, NAMES)
    given = set(module(looked(first).pairs))
    print("\nThose that were given in the first half too:\n")
    table(rows[module(rows).isin(given)], NAMES)
    return rows


def halves(events: Path, folder: Path) -> None:
    """Writes `first.jsonl`, and `second.jsonl` without those who are in the first."""
    with events.open(encoding="utf-8") as lines:
        opened = [json.loads(line) for line in lines if OPENED in line]
    seen = {event["data"]["client_id"] for event in opened if is_first(event["subject"])}
    left_out = {event["subject"] for event in opened if event["data"]["client_id"] in seen}
    with (
        events.open(encoding="utf-8") as lines,
        (folder / "first.jsonl").open("w", encoding="utf-8") as first,
        (folder / "second.jsonl").open("w", encoding="utf-8") as second,
    ):
        for line in lines:
            subject = json.loads(line)["subject"]
            if is_first(subject):
                first.write(line)
            elif subject not in left_out:
                second.write(line)


def is_first(subject: str) -> bool:
    return f"-{FIRST}-" in subject


def looked(events: Path) -> Looked:
    """Everyone still enrolled on each day, and whether the register has them withdrawn soon after."""
    people = enrolments(events)
    pairs = pd.concat([looked_at(people, day).assign(when=f"day {day}") for day in DAYS], ignore_index=True)
    soon = (pairs["left_in"] <= WITHIN).astype(float)
    return Looked(events, pairs[["episode", "as_of", "client", "when"]].assign(target_left=soon))


def module(rows: pd.DataFrame) -> pd.Series[str]:
    """The course of each row, whichever its presentation."""
    return rows["episode"].str.extract(r"/(\w+)-", expand=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
