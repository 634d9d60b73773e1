"""`keepwell ingest`, `keys` and `clock` as processes, as an operator runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from keepwell.cli.main import app
from keepwell.streams.log import Message, Partition
from keepwell.streams.sqlite.log import SqliteLog
from keepwell.streams.topics import Topics
from keepwell.web.keys import KeyFile
from tests.services.ingest.events import NOW, text

SECONDS = 60.0


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Settings of an operator who works in an empty folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KEEPWELL_")}
    return kept | {"KEEPWELL_LOG": f"sqlite:///{tmp_path}/log.db", "KEEPWELL_KEYS": str(tmp_path / "keys.json")}


def command(*words: str) -> list[str]:
    return [sys.executable, "-c", "from keepwell.cli.main import run; run()", *words]


def keepwell(environment: dict[str, str], *words: str, expect: int = 0) -> str:
    """The standard output of a command that ends with the exit code `expect`."""
    done = subprocess.run(
        command(*words), env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == expect, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def values(folder: Path, topic: str) -> list[Any]:
    log = SqliteLog(folder / "log.db")
    found = [
        json.loads(record.value or b"")
        for number in range(log.partitions(topic))
        for record in log.read(Partition(topic, number))
    ]
    log.close()
    return found


def test_keys_are_issued_rotated_listed_and_revoked(tmp_path: Path) -> None:
    def keys(*words: str) -> Any:
        return CliRunner().invoke(app, ["keys", *words, "--keys", str(tmp_path / "keys.json")])

    token = keys("issue", "north").stdout.strip()
    _, first, secret = token.split("_", 2)
    fresh = json.loads(keys("rotate", "north", "--grace-hours", "1", "--json").stdout)["id"]
    listed = keys("list", "--json").stdout
    assert {key["id"]: key["expires"] is None for key in json.loads(listed)} == {first: False, fresh: True}
    assert secret not in listed + keys("list").stdout
    assert keys("revoke", fresh).exit_code == 0
    assert [key["id"] for key in json.loads(keys("list", "--json").stdout)] == [first]
    assert keys("issue").exit_code == 2


def test_wrong_use_of_keys_is_told_in_words(environment: dict[str, str]) -> None:
    keepwell(environment, "keys", "revoke", "nobody", expect=1)


def test_the_service_takes_events_in_until_it_is_told_to_end(
    environment: dict[str, str], tmp_path: Path, unused_port: int
) -> None:
    token = KeyFile(tmp_path / "keys.json").issue("north", NOW).token
    log = (tmp_path / "ingest.log").open("wb")
    service = subprocess.Popen(command("ingest", "--port", str(unused_port)), env=environment, stderr=log)
    url, headers = f"http://127.0.0.1:{unused_port}", {"authorization": f"Bearer {token}"}
    try:
        _wait_until_ready(url, service)
        answer = httpx.post(f"{url}/v1/events", json=json.loads(text(subject="ep-secret")), headers=headers)
        assert answer.status_code == 202
    finally:
        service.send_signal(signal.SIGTERM)
        assert service.wait(SECONDS) == 0
        log.close()
    keepwell(environment, "ingest", "--drain")
    assert [event["subject"] for event in values(tmp_path, "episode-events")] == ["ep-secret"]
    lines = [json.loads(line) for line in (tmp_path / "ingest.log").read_text("utf-8").splitlines()]
    assert {"service": "ingest", "status": 202, "clinic": "north"}.items() <= _the(lines, "intake.request").items()
    assert "secret" not in str(lines)


def test_drain_works_off_what_the_log_holds_and_ends(environment: dict[str, str], tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "log.db")
    topics = Topics("north.")
    log.create_topics(topics.all(3))
    log.append([Message(topics.sessions, b"k", text()), Message(topics.sessions, b"k", b"{")])
    log.close()
    keepwell(environment, "ingest", "--drain", "--topic-prefix", "north.")
    assert len(values(tmp_path, "north.episode-events")) == 1


def test_the_clock_ticks_once_on_request(environment: dict[str, str], tmp_path: Path) -> None:
    keepwell(environment, "clock", "--once", "--interval", "3600")
    ticks = values(tmp_path, "episode-events")
    assert {tick["type"] for tick in ticks} == {"keepwell.clock.ticked.v1"}
    assert len(ticks) == 12
    assert all(tick["time"].endswith(":00:00Z") for tick in ticks)


def _wait_until_ready(url: str, service: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        assert service.poll() is None, "the service ended"
        assert time.monotonic() < deadline, "the service did not get ready"
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)


def _the(lines: list[dict[str, Any]], event: str) -> dict[str, Any]:
    (found,) = (line for line in lines if line["event"] == event)
    return found
