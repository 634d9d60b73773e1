"""The contract of the port, run on every log: memory, SQLite and a real Kafka broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keepwell.streams.log import Log, Partition
from keepwell.streams.memory import MemoryLog
from keepwell.streams.sqlite import SqliteLog
from tests.streams.conformance import (
    AppendContract,
    Backend,
    CommitContract,
    GroupContract,
    ReadContract,
    TopicsContract,
)


class MemoryBackend:
    """One log in memory, shared as processes would share a broker."""

    patience = 5.0

    def __init__(self) -> None:
        self._log = MemoryLog()

    def open(self) -> Log:
        return self._log

    def trim(self, partition: Partition, before: int) -> None:
        self._log.trim(partition, before)

    def compact(self, topic: str) -> None:
        self._log.compact(topic)


class SqliteBackend:
    """One file, opened anew by every process."""

    patience = 10.0

    def __init__(self, folder: Path) -> None:
        self._path = folder / "log.db"
        self._log = SqliteLog(self._path)

    def open(self) -> Log:
        return SqliteLog(self._path)

    def trim(self, partition: Partition, before: int) -> None:
        self._log.trim(partition, before)

    def compact(self, topic: str) -> None:
        self._log.compact(topic)


@pytest.fixture(params=["memory", "sqlite"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    return MemoryBackend() if request.param == "memory" else SqliteBackend(tmp_path)


@pytest.fixture
def log(backend: Backend) -> Iterator[Log]:
    log = backend.open()
    yield log
    log.close()


class TestTopics(TopicsContract):
    """Creating and looking up topics."""


class TestAppend(AppendContract):
    """Writing outside a group."""


class TestRead(ReadContract):
    """Reading without a group; compaction and deletion."""


class TestGroup(GroupContract):
    """Members, ownership and the flow of records."""


class TestCommit(CommitContract):
    """All or nothing, and only by the owner."""
