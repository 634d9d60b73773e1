"""`keepwell replay`: the live code over files and logs, and what it says of wrong use."""

from __future__ import annotations

import gzip
import json
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest
import zstandard
from typer.testing import CliRunner, Result

from keepwell.cli.main import app
from keepwell.contract.events import ClientErased, EpisodeOpened, Erased, encode
from keepwell.testing.made_up import made_up_clinic

EVENTS = list(made_up_clinic(12, 3, datetime(2026, 1, 5, tzinfo=UTC), 90))
LINES = [encode(event) for event in EVENTS]


def replay(*arguments: str | Path, stdin: bytes | None = None) -> Result:
    """Runs the command in this process."""
    return CliRunner().invoke(app, ["replay", *map(str, arguments)], input=stdin)


def written(folder: Path, name: str) -> list[dict[str, object]]:
    """The lines of a result file."""
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The events as JSON lines."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join(LINES) + b"\n")
    return path


def test_every_event_is_scored_and_the_summary_counts_it(file: Path, tmp_path: Path) -> None:
    result = replay(file, "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told == json.loads((tmp_path / "out" / "summary.json").read_text())
    assert told["received"] == told["accepted"] == len(LINES)
    assert sum(told["episodes"].values()) == len({event.subject for event in EVENTS}) - erased_episodes()
    assert told["scores"] == len(written(tmp_path / "out", "scores"))


def erased_episodes() -> int:
    """How many episodes the made-up log erases for good."""
    last = {event.subject: event for event in EVENTS}
    return sum(isinstance(event, ClientErased) for event in last.values())


def test_the_order_of_lines_and_how_they_are_packed_do_not_matter(file: Path, tmp_path: Path) -> None:
    shuffled = random.Random(1).sample(LINES, len(LINES))
    packed, frame = tmp_path / "e.jsonl.gz", tmp_path / "e.jsonl.zst"
    packed.write_bytes(gzip.compress(b"\n".join(shuffled)))
    frame.write_bytes(zstandard.compress(b"\n".join(LINES[::-1])))
    outs = []
    sources: list[tuple[Path | str, bytes | None]] = [(file, None), (packed, None), (frame, None)]
    for number, (source, stdin) in enumerate([*sources, ("-", b"\n".join(shuffled))]):
        out = tmp_path / f"out{number}"
        assert replay(source, "--out", out, stdin=stdin).exit_code == 0
        outs.append([(out / f"{name}.jsonl").read_bytes() for name in ("scores", "alerts", "dead-letters")])
    assert outs[0] == outs[1] == outs[2] == outs[3]


def test_a_bad_line_is_a_dead_letter_that_names_file_and_line(file: Path, tmp_path: Path) -> None:
    file.write_bytes(file.read_bytes() + b"{broken\n\xff\xfe\n")
    assert replay(file, "--out", tmp_path / "out").exit_code == 0
    first, second = written(tmp_path / "out", "dead-letters")
    assert (first["line"], first["reason"], first["value"]) == (len(LINES) + 1, "not_json", "{broken")
    assert "value_base64" in second


def test_what_lies_more_than_a_day_after_as_of_is_refused(file: Path, tmp_path: Path) -> None:
    assert replay(file, "--as-of", "2026-02-01T00:00:00Z", "--out", tmp_path / "out").exit_code == 0
    letters = written(tmp_path / "out", "dead-letters")
    assert {letter["reason"] for letter in letters} == {"future_time"}
    assert len(letters) == sum(event.time > datetime(2026, 2, 2, tzinfo=UTC) for event in EVENTS)


def test_an_erasure_takes_back_what_was_written_before(tmp_path: Path) -> None:
    opened = next(event for event in EVENTS if isinstance(event, EpisodeOpened))
    last = EVENTS[-1]
    erased = ClientErased(
        specversion="1.0", id="erase", source=opened.source, subject="anything", time=last.time,
        data=Erased(client_id=opened.data.client_id),
    )  # fmt: skip
    file = tmp_path / "e.jsonl"
    file.write_bytes(b"\n".join([*LINES, encode(erased)]))
    assert replay(file, "--out", tmp_path / "out").exit_code == 0
    for name in ("scores", "alerts"):
        assert opened.key not in {line["episode"] for line in written(tmp_path / "out", name)}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nowhere.jsonl", "--out", "o"), "no such file"),
        (("--out", "o"), "at least one FILE"),
        (("x", "--verify", "--out", "o"), "--verify needs --log"),
        (("-",), "--out"),
        (("-", "--out", "o", "--as-of", "soon"), "is not a moment"),
    ],
)
def test_wrong_use_exits_2_and_says_what_to_change(arguments: tuple[str, ...], says: str) -> None:
    result = replay(*arguments, stdin=b"")
    assert result.exit_code == 2
    assert says in " ".join(result.output.replace("│", " ").split())
