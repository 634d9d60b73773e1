"""Parts events by people, to train on some and judge on the others: `python -m examples.people EVENTS FOLDER`."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

OPENED = "keepwell.episode.opened.v1"
TRAINED_ON = 0.7
"""Share of the people that a release is trained on."""


def main(events: Path, folder: Path) -> None:
    """Writes `train.jsonl` and `test.jsonl`. Every event of a person goes to the same file, whatever else is in the data."""
    trained, tested = part(events, folder, lambda person: draw(person) < TRAINED_ON)
    print(f"{trained:,} people to train on, {tested:,} to judge on")


def part(events: Path, folder: Path, trained_on: Callable[[str], bool]) -> tuple[int, int]:
    """Writes the two files, and says how many people are in each."""
    client = clients(events)
    with (
        events.open(encoding="utf-8") as lines,
        (folder / "train.jsonl").open("w", encoding="utf-8") as train,
        (folder / "test.jsonl").open("w", encoding="utf-8") as test,
    ):
        for line in lines:
            event = json.loads(line)
            (train if trained_on(client[event["source"], event["subject"]]) else test).write(line)
    people = set(client.values())
    trained = sum(map(trained_on, people))
    return trained, len(people) - trained


def clients(events: Path) -> dict[tuple[str, str], str]:
    """The person of each episode."""
    with events.open(encoding="utf-8") as lines:
        opened = (json.loads(line) for line in lines if OPENED in line)
        return {(event["source"], event["subject"]): event["data"]["client_id"] for event in opened}


def draw(person: str) -> float:
    """A number from 0 to 1 that depends on the pseudonym alone, so that nobody changes sides when data are added."""
    return int.from_bytes(hashlib.sha256(person.encode()).digest()[:8]) / 2**64


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
