"""`keepwell up` and `demo`: the services that are set, in one process, that stop together."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from keepwell.cli._together import Together, settings_of
from keepwell.streams.memory import MemoryLog
from services.catalogue import SERVICES


@pytest.fixture
def flags(tmp_path: Path) -> dict[str, Any]:
    log = f"sqlite:///{tmp_path / 'keepwell.db'}"  # services hold their names beside it
    return {"log": log, "topic_prefix": "t.", "instance": "up", "keys": tmp_path / "keys.json", "ingest_port": 0,
            "database": f"sqlite:///{tmp_path / 'c.db'}"}  # fmt: skip


def test_up_runs_every_service_that_has_what_it_needs(flags: dict[str, Any]) -> None:
    assert set(settings_of(flags)) == {row.name for row in SERVICES if row.needs is None}
    assert set(settings_of(flags | {"webhook": "https://example.org/alerts"})) == {row.name for row in SERVICES}


def test_each_service_takes_the_flags_that_it_knows(flags: dict[str, Any]) -> None:
    chosen = settings_of(flags | {"tick_interval": 7}, without=("predictor",))
    assert "predictor" not in chosen
    assert {settings.topic_prefix for settings in chosen.values()} == {"t."}
    assert getattr(chosen["clock"], "tick_interval", None) == 7


def test_the_address_tells_of_every_service_whether_it_lives(flags: dict[str, Any]) -> None:
    with (
        Together(MemoryLog(), settings_of(flags)) as services,
        urllib.request.urlopen(f"http://{services.address}/livez", timeout=10) as answer,
    ):
        why = json.load(answer)["why"]
    assert all(f"{name}: " in why for name in settings_of(flags))


def test_intake_and_pages_are_served_at_one_address(flags: dict[str, Any]) -> None:
    with Together(MemoryLog(), settings_of(flags)) as services:
        with urllib.request.urlopen(f"http://{services.address}/", timeout=10) as answer:
            assert answer.url.endswith("/login") and 'name="password"' in answer.read().decode()
        post = urllib.request.Request(
            f"http://{services.address}/v1/events", b"{}", {"Content-Type": "application/json"}
        )
        with pytest.raises(urllib.error.HTTPError) as refused, urllib.request.urlopen(post, timeout=10):
            pass
        with closing(refused.value):
            assert refused.value.code == 401 and "API key" in refused.value.read().decode()
    without = settings_of(flags | {"instance": "intake"}, without=("clinician",))
    with Together(MemoryLog(), without) as services, pytest.raises(urllib.error.HTTPError) as nothing:
        urllib.request.urlopen(f"http://{services.address}/login", timeout=10)
    with closing(nothing.value):
        assert nothing.value.code == 404


def test_when_one_service_fails_all_stop_and_the_error_is_told(flags: dict[str, Any]) -> None:
    log = MemoryLog()

    def broken(call: str) -> None:
        if call == "append.before":  # the clock alone appends
            raise ZeroDivisionError

    together = Together(log, settings_of(flags))
    log.faults = broken
    with pytest.raises(ZeroDivisionError), together:
        assert together.stop.wait(30)


def test_an_address_that_is_taken_is_told_and_no_service_begins(flags: dict[str, Any]) -> None:
    calls: list[str] = []
    log = MemoryLog(calls.append)
    with Together(MemoryLog(), settings_of(flags)) as first:
        port = int(first.address.rsplit(":", 1)[1])
        second = Together(log, settings_of(flags | {"ingest_port": port, "instance": "two"}))
        with pytest.raises(OSError, match=str(port)), second:
            pass
    assert "create_topics.after" in calls
    assert "join.before" not in calls
