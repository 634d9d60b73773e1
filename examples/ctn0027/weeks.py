"""What a release knows on fixed weeks of the trial: `python -m examples.ctn0027.weeks EVENTS FOLDER`.

Everyone is looked at on the evening of each week's visit, whether it was kept or not, with the next one booked. The people
are dealt into parts; each is judged by a release trained on the others, and beside it by a plain logistic regression on the
same events and weeks.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import pandas as pd

from examples.beside import Looked, judged, table, trained
from examples.people import OPENED, draw, part

FOLDS = 5
WEEKS = (2, 4, 8, 12, 16)
HOUR = 20
"""Visits attended are over by 11, missed ones told of at 18 (mapping.toml)."""
NAMES = {"next": "next visit missed", "30d": "stop in 30 days", "60d": "stop in 60 days"}


def _not_in(fold: int, person: str) -> bool:
    """Whether a person is trained on where this fold is judged."""
    return int(draw(person) * FOLDS) != fold


def main(events: Path, folder: Path) -> pd.DataFrame:
    """Prints the table, and gives its rows."""
    folder.mkdir(exist_ok=True)
    found = []
    for fold in range(FOLDS):
        part(events, folder, partial(_not_in, fold))
        train, test = folder / "train.jsonl", folder / "test.jsonl"
        found.append(judged(looked(train), looked(test), trained(train, folder / f"release-{fold}")))
    rows = pd.concat(found, ignore_index=True)
    table(rows, NAMES)
    return rows


def looked(events: Path) -> Looked:
    """Everyone on the evening of each week; who is gone by then is left out by the score."""
    with events.open(encoding="utf-8") as lines:
        opened = [json.loads(line) for line in lines if OPENED in line]
    pairs = [
        {
            "episode": f"{event['source'].split('/')[1]}/{event['subject']}",
            "as_of": (pd.Timestamp(event["time"]).normalize() + pd.Timedelta(days=7 * week, hours=HOUR)).isoformat(),
            "client": event["data"]["client_id"],
            "when": f"week {week}",
        }
        for week in WEEKS
        for event in opened
    ]
    return Looked(events, pd.DataFrame(pairs))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
