"""The catalogue lists every service with all that belongs to it, and listing it loads none of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import typer

import services
from keepwell.cli.main import app
from keepwell.settings import Settings
from keepwell.streams import topics
from keepwell.streams.log import Message, Partition
from keepwell.streams.memory import MemoryLog
from keepwell.streams.topics import TABLE, TopicRow, Topics
from keepwell.web.service import Service
from services.catalogue import SERVICES, ServiceRow, readers, writers
from tests.contract.examples import golden

every_service = pytest.mark.parametrize("row", SERVICES, ids=lambda row: row.name)


def test_every_package_of_a_service_has_a_row() -> None:
    packages = {path.parent.name for path in Path(services.__path__[0]).glob("*/__init__.py")}
    assert {row.name for row in SERVICES} == packages
    assert len(SERVICES) == len(packages)


def test_listing_the_services_loads_nothing_heavy() -> None:
    script = (
        "import sys; from services.catalogue import SERVICES; [row.groups for row in SERVICES]; "
        "print(sorted({'pydantic', 'fastapi', 'uvicorn', 'kafka', 'prometheus_client', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


@every_service
def test_a_row_leads_to_settings_with_an_address_of_its_own(row: ServiceRow) -> None:
    settings = row.configured({"log": "memory://", "nobody_knows_this": 1})
    assert isinstance(settings, Settings)
    host, port = row.address(settings)
    assert host == "127.0.0.1", "closed by default"
    others = [other.address(other.configured({}))[1] for other in SERVICES if other is not row]
    assert port not in others
    assert row.needs is None or row.needs in row.settings().model_fields


@every_service
def test_a_row_leads_to_what_runs_over_a_log(row: ServiceRow, tmp_path: Path) -> None:
    log = MemoryLog()
    log.create_topics(Topics("t.").all(2))
    flags: dict[str, object] = {"topic_prefix": "t.", "keys": tmp_path / "keys.json", f"{row.name}_port": 0}
    if row.needs is not None:
        flags[row.needs] = "https://alerts.north.example/in"
    service = row.make()(row.configured(flags), log)
    assert isinstance(service, Service)
    assert not service.work.ready().ok, "it has not begun"
    assert service.work.live().ok
    with service.face(service.work.live, service.work.ready) as face:
        assert face.port > 0
        assert not face.ended.is_set()
    assert face.ended.is_set()


@every_service
def test_a_service_is_a_command_with_the_flags_that_all_have(row: ServiceRow) -> None:
    commands: Any = typer.main.get_group(app)
    options = {name for param in commands.commands[row.name].params for name in param.opts}
    assert {"--log", "--topic-prefix", "--instance", "--host", "--port", "--drain"} <= options


@every_service
def test_what_a_row_needs_keeps_it_out_until_it_is_set(row: ServiceRow) -> None:
    kind = row.settings()
    if row.needs is None:
        assert row.is_set(kind())
    else:
        assert not row.is_set(kind())
        assert row.is_set(kind().model_copy(update={row.needs: "something"}))


def test_the_installation_names_every_topic_and_group() -> None:
    named = vars(Topics("t."))
    assert {name for key, name in named.items() if not key.endswith("_group")} - {"t."} == {
        topic.name for topic in Topics("t.").all()
    }
    assert {name for key, name in named.items() if key.endswith("_group")} == {
        group.name for row in SERVICES for group in row.groups
    }


@pytest.mark.parametrize("topic", TABLE, ids=lambda topic: topic.name)
def test_every_topic_is_written_and_read_by_somebody(topic: TopicRow) -> None:
    written = writers(topic) or topic.outside == "write"
    # The predictor restores from its changelog; letters are read, and releases written, by commands.
    by_hand = {topics.STATE, topics.DEAD_LETTERS, topics.SHADOW_SCORES, topics.RELEASES}
    assert written or topic is topics.RELEASES
    assert readers(topic) or topic.outside == "read" or topic in by_hand


def test_a_service_writes_no_topic_that_its_row_does_not_name() -> None:
    log = MemoryLog()
    installation = Topics("t.")
    log.create_topics(installation.all(2))
    opened = json.dumps(golden("keepwell.episode.opened.v1")).encode()
    log.append([Message(installation.sessions, b"ep-1", value) for value in (opened, b"{")])
    log.append([Message(installation.episodes, b"k", b"nonsense")])
    wrote: dict[str, set[str]] = {}
    for row in (row for row in SERVICES if row.needs is None):
        before = _ends(log, installation)
        row.make()(row.configured({"topic_prefix": "t.", "tick_interval": 1}), log).work.drain(Event())
        wrote[row.name] = {topic for topic, end in _ends(log, installation).items() if end > before[topic]}
        assert wrote[row.name] <= {installation.full(topic) for topic in row.writes}
    assert wrote["ingest"] >= {installation.episodes, installation.dead_letters}
    assert wrote["predictor"] >= {installation.scores, installation.state, installation.dead_letters}
    assert wrote["clock"] == {installation.episodes}


def _ends(log: MemoryLog, installation: Topics) -> dict[str, int]:
    return {
        topic.name: sum(log.bounds(Partition(topic.name, number))[1] for number in range(topic.partitions))
        for topic in installation.all(2)
    }
