"""`keepwell doctor` looks at every service and topic, and names what would mend it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from keepwell.cli.main import app
from keepwell.contract.control import promotion
from keepwell.streams.log import Message
from keepwell.streams.sqlite.log import SqliteLog
from keepwell.streams.topics import Topics, to_every_partition
from keepwell.streams.worker.process import Check
from keepwell.web.health import HealthServer
from services.catalogue import SERVICES

TOPICS = Topics()


@pytest.fixture(autouse=True)
def nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else runs on this machine, no service is found at its default address."""
    for row in SERVICES:
        monkeypatch.setenv(f"KEEPWELL_{row.name.upper()}_HOST", "127.0.0.2")


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqliteLog]:
    """A log with topics and a tick."""
    monkeypatch.setenv("KEEPWELL_LOG", f"sqlite:///{tmp_path / 'log.db'}")
    opened = SqliteLog(tmp_path / "log.db")
    opened.create_topics(TOPICS.all(2))
    assert CliRunner().invoke(app, ["clock", "--once"]).exit_code == 0
    yield opened
    opened.close()


def doctor() -> dict[str, dict[str, Any]]:
    """The findings by what was looked at; exit 1 exactly where one is not well."""
    done = CliRunner().invoke(app, ["doctor", "--json"])
    found = {finding["what"]: finding for finding in json.loads(done.stdout)}
    assert (done.exit_code == 0) == all(finding["ok"] for finding in found.values())
    return found


def test_the_doctor_says_what_would_mend_it(tmp_path: Path) -> None:
    where = ["--log", f"sqlite:///{tmp_path / 'k.db'}"]
    ill = CliRunner().invoke(app, ["doctor", *where])
    assert (ill.exit_code, "run keepwell topics" in ill.output) == (1, True)
    CliRunner().invoke(app, ["topics", *where])
    still = CliRunner().invoke(app, ["doctor", *where])
    assert (still.exit_code, "run keepwell clock" in still.output) == (1, True)
    CliRunner().invoke(app, ["clock", "--once", *where])
    well = CliRunner().invoke(app, ["doctor", *where, "--json"])
    assert well.exit_code == 0, well.output
    assert all(finding["ok"] for finding in json.loads(well.stdout))


def test_a_fresh_installation_is_well_and_every_service_is_looked_at(log: SqliteLog) -> None:
    found = doctor()
    assert [what for what, finding in found.items() if not finding["ok"]] == []
    assert {f"health of {row.name}" for row in SERVICES} <= found.keys()
    named = {group.name for row in SERVICES if row.needs is None for group in row.groups if not group.of_database}
    assert {f"lag of {name}" for name in named} <= found.keys()


def test_groups_that_a_database_names_are_looked_at_once_it_is_there(
    log: SqliteLog, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("KEEPWELL_DATABASE", f"sqlite:///{tmp_path}/clinician.db")
    assert "not here" in doctor()["lag of clinician"]["found"]
    assert not (tmp_path / "clinician.db").exists()
    log.append([Message(TOPICS.alerts, b"k", b"{}")])
    CliRunner().invoke(app, ["clinician", "--drain"])
    found = doctor()
    assert "lag of clinician" not in found
    lags = {what: finding["found"] for what, finding in found.items() if what.startswith("lag of keepwell-clinician")}
    assert set(lags.values()) == {"0 records"} and len(lags) == 3


def test_a_group_that_nobody_set_up_has_no_lag_until_it_is_set(log: SqliteLog, monkeypatch: Any) -> None:
    assert "lag of keepwell-notify" not in doctor()
    monkeypatch.setenv("KEEPWELL_WEBHOOK", "https://example.org/alerts")
    assert doctor()["lag of keepwell-notify"]["found"] == "0 records"


def test_a_service_that_is_not_ready_says_why(log: SqliteLog, monkeypatch: Any) -> None:
    with HealthServer(lambda: Check(True, ""), lambda: Check(False, "restoring 2 partitions")) as server:
        monkeypatch.setenv("KEEPWELL_PREDICTOR_HOST", "127.0.0.1")
        monkeypatch.setenv("KEEPWELL_PREDICTOR_PORT", str(server.port))
        found = doctor()
    assert (found["health of predictor"]["ok"], found["health of predictor"]["found"]) == (
        False,
        "restoring 2 partitions",
    )
    assert found["health of ingest"]["ok"], "what does not answer here may run elsewhere"


def test_a_topic_that_is_cleaned_up_otherwise_is_named(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("KEEPWELL_LOG", f"sqlite:///{tmp_path / 'log.db'}")
    log = SqliteLog(tmp_path / "log.db")
    wanted = TOPICS.all(2)
    log.create_topics([topic._replace(cleanup="delete") if topic.name == TOPICS.scores else topic for topic in wanted])
    log.close()
    found = doctor()["clean-up"]
    assert not found["ok"]
    assert "risk-scores" in found["found"]
    assert "session-events" not in found["found"]


def test_dead_letters_are_counted_by_reason(log: SqliteLog) -> None:
    log.append([Message(TOPICS.sessions, b"k", value) for value in (b"{", b"[", b"[]")])
    CliRunner().invoke(app, ["ingest", "--drain"])
    found = doctor()["dead letters"]
    assert (found["ok"], found["found"]) == (False, "waiting: not_an_object 1, not_json 2")


def test_a_release_in_use_that_this_machine_cannot_load_is_told(log: SqliteLog) -> None:
    event = promotion("sha256:" + "0" * 64, "champion", datetime.now(UTC))
    log.append(to_every_partition(event, TOPICS.episodes, log.partitions(TOPICS.episodes)))
    assert not doctor()["releases"]["ok"]
