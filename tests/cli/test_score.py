"""`keepwell score`: each risk from what was known then, each target from the whole file."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from keepwell.cli.main import app
from keepwell.cli.score import COLUMNS
from keepwell.contract.events import encode
from keepwell.testing.made_up import made_up_clinic

EVENTS = list(made_up_clinic(12, 3, datetime(2026, 1, 5, tzinfo=UTC), 120))


def score(folder: Path, pairs: str, *more: str) -> tuple[Result, list[dict[str, str]]]:
    """Runs the command on the made-up clinic; its result and the rows it wrote."""
    (folder / "events.jsonl").write_bytes(b"\n".join(encode(event) for event in EVENTS))
    (folder / "pairs.csv").write_text(pairs)
    out = folder / "scores.csv"
    where = [str(folder / "events.jsonl"), "--at", str(folder / "pairs.csv"), "--out", str(out)]
    result = CliRunner().invoke(app, ["score", *where, *more])
    return result, list(csv.DictReader(out.read_text().splitlines())) if out.exists() else []


def test_rows_come_in_the_order_asked_with_all_columns(tmp_path: Path) -> None:
    asked = [(event.key, "2026-02-20T00:00:00Z") for event in EVENTS if event.type.endswith("opened.v1")][:3]
    result, rows = score(tmp_path, "episode,as_of\n" + "".join(f"{key},{at}\n" for key, at in asked[::-1]))
    assert result.exit_code == 0, result.output
    assert [(row["episode"], row["as_of"]) for row in rows] == asked[::-1]
    assert tuple(rows[0]) == COLUMNS


def test_a_moment_before_the_first_event_and_an_unknown_episode_give_empty_cells(tmp_path: Path) -> None:
    _, rows = score(
        tmp_path, f"episode,as_of\n{EVENTS[0].key},2025-01-01T00:00:00Z\nnorth/nobody,2026-02-01T00:00:00Z\n"
    )
    assert [set(list(row.values())[2:]) for row in rows] == [{""}, {""}]


def test_targets_are_undetermined_while_the_file_ends_too_early(tmp_path: Path) -> None:
    first = EVENTS[0]
    _, (row,) = score(
        tmp_path, f"episode,as_of\n{first.key},{first.time.isoformat()}\n", "--as-of", first.time.isoformat()
    )
    assert row["risk_30d"] != ""
    assert (row["target_14d"], row["target_30d"], row["target_60d"], row["ending"]) == ("", "", "", "")


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        ("episode\nnorth/ep-1\n", "no column as_of; its columns are `episode`"),
        ("episode;as_of\nnorth/ep-1;2026-03-02T10:00:00Z\n", "`episode;as_of`: write a comma between columns"),
        ("episode,as_of\nnorth/ep-1,never\n", "pairs.csv:2"),
    ],
)
def test_a_wrong_pairs_file_exits_2_and_names_the_place(tmp_path: Path, pairs: str, says: str) -> None:
    result, rows = score(tmp_path, pairs)
    assert (result.exit_code, rows) == (2, [])
    assert says.replace(" ", "") in "".join(result.output.replace("│", "").split())


def test_episodes_that_no_event_is_about_are_counted(tmp_path: Path) -> None:
    pairs = "".join(
        f"{key},2026-02-01T00:00:00Z\n" for key in (EVENTS[0].key, "north/nobody", "north/nobody", "nobody")
    )
    result, _ = score(tmp_path, f"episode,as_of\n{pairs}")
    assert result.exit_code == 0 and "episodes not found: 2" in result.output
