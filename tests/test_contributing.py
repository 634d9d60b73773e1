"""CONTRIBUTING is true: the files it names are there, an addition touches at most three, and its tasks are make's."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
ADDITIONS = [
    [cell.strip() for cell in row.strip("|").split("|")]
    for row in re.findall(r"^\|.*\|$", TEXT.partition("## What to touch")[2].partition("\n## ")[0], re.MULTILINE)
][2:]
ROOMS = r"(?:keepwell|services|models|training|tests|docs|examples|deploy)/"


def files(text: str) -> list[str]:
    """The files and folders that a text names; `<pillar>` and the like stand for any name."""
    return re.findall(rf"`({ROOMS}[\w./<>-]*)`", text)


def is_there(name: str) -> bool:
    return any(ROOT.glob(re.sub(r"<\w+>", "*", name).rstrip("/")))


def test_there_are_six_additions() -> None:
    assert [row[0] for row in ADDITIONS] == [
        *("an event type", "a feature", "an instrument known by name", "a kind of alert", "a log backend", "a refusal"),
    ]


@pytest.mark.parametrize("row", ADDITIONS, ids=lambda row: row[0])
def test_an_addition_touches_at_most_three_files_of_the_code_and_tells_of_the_rest(row: list[str]) -> None:
    _, touched, beside, told = row
    assert 1 <= len(files(touched)) <= 3
    assert files(beside) and files(told)
    assert not [name for name in files(touched) if name.startswith(("tests/", "docs/", "examples/"))]


def test_every_file_that_is_named_is_there() -> None:
    named = files(TEXT) + re.findall(r"`((?:\.ci/|docker-)?\w+(?:\.toml|\.yml)|\.ci/run)`", TEXT)
    assert len(named) > 30
    assert [name for name in named if not is_there(name) and not list(ROOT.glob(f"services/*/{name}"))] == []


def test_every_file_of_a_command_is_there() -> None:
    commands = re.findall(r"(?:pytest|python) ([^`\n]+)", TEXT)
    assert [part for line in commands for part in line.split() if "/" in part and not is_there(part)] == []


@pytest.mark.parametrize("target", sorted({*re.findall(r"\bmake ([a-z]+(?:-[a-z]+)*)\b", TEXT)}))
def test_make_knows_each_task_that_is_named(target: str) -> None:
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0
