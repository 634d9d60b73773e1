"""`keepwell instruments`: what is registered stands in the log on every partition, and every score follows from it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from keepwell.cli.main import app
from keepwell.contract.control import registration
from keepwell.contract.events import InstrumentRegistered, Registered, decode_accepted, encode
from keepwell.streams.log import Message, Partition
from keepwell.streams.registered import RegisteredInstruments
from keepwell.streams.sqlite.log import SqliteLog
from keepwell.streams.topics import Topics, ensure_topics

FILE = """
[north.MOOD-5]
lowest = 0
highest = 25
higher_is_better = true
cutoff = 13
reliable_change = 4
"""
TOPICS = Topics()


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "instruments.toml"
    path.write_text(FILE, "utf-8")
    return path


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'log.db'}"


def test_a_registration_stands_on_every_partition_once(file: Path, url: str, tmp_path: Path) -> None:
    for told in (["north.MOOD-5"], []):
        result = run("instruments", "register", file, "--log", url, "--json")
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["registered"] == told
    log = SqliteLog(tmp_path / "log.db")
    for number in range(log.partitions(TOPICS.episodes)):
        (record,) = log.read(Partition(TOPICS.episodes, number))
        assert isinstance(decode_accepted(record.value or b""), InstrumentRegistered)
    log.close()
    listed = json.loads(run("instruments", "list", "--log", url, "--json").stdout)["instruments"]
    assert {"clinic": "north", "name": "MOOD-5", "lowest": 0, "highest": 25} in listed
    assert any(row["name"] == "PHQ-9" and row["clinic"] is None for row in listed)


def test_changed_facts_are_registered_anew(file: Path, url: str) -> None:
    run("instruments", "register", file, "--log", url)
    file.write_text(FILE.replace("13", "15"), "utf-8")
    told = json.loads(run("instruments", "register", file, "--log", url, "--json").stdout)
    assert told == {"registered": ["north.MOOD-5"], "unchanged": []}


def test_a_dry_run_writes_nothing(file: Path, url: str) -> None:
    missing = run("instruments", "register", file, "--log", url, "--dry-run")
    assert missing.exit_code == 1
    assert run("topics", "--log", url).exit_code == 0
    told = json.loads(run("instruments", "register", file, "--log", url, "--dry-run", "--json").stdout)
    assert told["would_register"] == ["north.MOOD-5"]
    listed = json.loads(run("instruments", "list", "--log", url, "--json").stdout)["instruments"]
    assert all(row["clinic"] is None for row in listed)


def test_wrong_facts_write_nothing_and_exit_1(file: Path, url: str, tmp_path: Path) -> None:
    file.write_text(FILE.replace("13", "31"), "utf-8")
    result = run("instruments", "register", file, "--log", url)
    assert result.exit_code == 1
    assert not (tmp_path / "log.db").exists()


def test_a_log_is_asked_on_from_where_it_was_read(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "log.db")
    ensure_topics(log, TOPICS, 2)
    known = RegisteredInstruments(log, TOPICS)
    assert known.refresh() == [] and known.get("north", "MOOD-5") is None
    at = datetime(2026, 1, 5, tzinfo=UTC)
    facts = Registered(
        name="MOOD-5", kind="outcome", lowest=0, highest=25, higher_is_better=True, cutoff=13, reliable_change=4
    )
    wider = Registered(
        name="MOOD-5", kind="outcome", lowest=0, highest=50, higher_is_better=True, cutoff=13, reliable_change=4
    )
    impossible = Registered(
        name="MOOD-5", kind="outcome", lowest=0, highest=50, higher_is_better=True, cutoff=99, reliable_change=4
    )
    for number, event in enumerate(
        (
            registration("north", wider, at + timedelta(days=1)),
            registration("north", facts, at),
            registration("north", impossible, at + timedelta(days=2)),
        )
    ):
        log.append([Message(TOPICS.episodes, f"_instrument#{number}".encode(), encode(event), (), 0)])
        known.refresh()
        found = known.get("north", "MOOD-5")
        assert found is not None and found.high == 50
    log.close()


def test_a_file_of_events_is_replayed_with_the_instruments_that_a_file_names(file: Path, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    common = {"specversion": "1.0", "source": "/north/ehr", "subject": "ep-1"}
    events.write_text(
        "\n".join(
            json.dumps(common | {"id": f"e-{day}", "type": kind, "time": f"2026-01-{day:02}T10:00:00Z", "data": data})
            for day, kind, data in (
                (5, "keepwell.episode.opened.v1", {"client_id": "cl-1", "clinician_id": "c-1"}),
                (6, "keepwell.measure.completed.v1", {"instrument": "MOOD-5", "scores": {"total": 8}}),
                (7, "keepwell.measure.completed.v1", {"instrument": "MOOD-5", "scores": {"total": 80}}),
            )
        )
    )
    outcomes = {}
    chosen: dict[str, list[str | Path]] = {"with": ["--instruments", file], "without": []}
    for name, options in chosen.items():
        result = run("replay", events, "--out", tmp_path / name, "--json", *options)
        assert result.exit_code == 0, result.output
        last = (tmp_path / name / "scores.jsonl").read_text().splitlines()[-1]
        outcomes[name] = (sum(json.loads(result.stdout)["dead_letters"].values()), "MOOD-5" in last)
    assert outcomes == {"with": (1, False), "without": (0, True)}
