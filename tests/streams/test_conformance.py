"""The contract of the port, run on every log: memory, SQLite and a real Kafka broker."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, TopicPartition

from keepwell.streams import open as opening
from keepwell.streams.kafka.log import KafkaLog
from keepwell.streams.log import Log, Partition
from keepwell.streams.memory import MemoryLog
from keepwell.streams.sqlite.log import SqliteLog
from keepwell.testing.conformance import (
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


class KafkaBackend:
    """A real broker. Its cleaner runs when it likes: what the suite says of compaction holds before and after."""

    patience = 40.0

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap

    def open(self) -> Log:
        return KafkaLog([self._bootstrap])

    def trim(self, partition: Partition, before: int) -> None:
        admin = KafkaAdminClient(bootstrap_servers=self._bootstrap)
        admin.delete_records({TopicPartition(*partition): before})
        admin.close()

    def compact(self, topic: str) -> None:
        pass


BACKENDS = ("memory", "sqlite", "kafka")


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.kafka) if name == "kafka" else name for name in BACKENDS])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    if request.param == "memory":
        return MemoryBackend()
    if request.param == "sqlite":
        return SqliteBackend(tmp_path)
    return KafkaBackend(request.getfixturevalue("kafka_bootstrap"))


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


def test_every_log_that_a_url_can_name_is_held_to_the_contract_and_told_of() -> None:
    schemes = re.findall(r'parts\.scheme == "(\w+)" and', Path(opening.__file__).read_text("utf-8"))
    assert sorted(schemes) == sorted(BACKENDS)
    for scheme in schemes:
        assert f"{scheme}://" in opening.FORMS
        assert f"{scheme}://" in opening.WHERE or scheme == "memory", "no command finds another's log in memory"


# ── by others ───────────────────────────────────────────────────────────────────────────────────────────

OUTSIDE = """
import pytest
from keepwell.streams.memory import MemoryLog
from keepwell.testing.conformance import AppendContract, CommitContract, GroupContract, ReadContract, TopicsContract

class MyLog(MemoryLog):
    def append(self, messages):
        return super().append(messages)$FAULT

class MyBackend:
    patience = 20.0
    def __init__(self): self.log = MyLog()
    def open(self): return self.log
    def trim(self, partition, before): self.log.trim(partition, before)
    def compact(self, topic): self.log.compact(topic)

@pytest.fixture
def backend():
    return MyBackend()

class TestTopics(TopicsContract): ...
class TestAppend(AppendContract): ...
class TestRead(ReadContract): ...
class TestGroup(GroupContract): ...
class TestCommit(CommitContract): ...
"""


@pytest.mark.parametrize(("fault", "code"), [("", 0), ("[::-1]", 1)], ids=["that holds to it", "with a fault"])
def test_somebody_else_runs_the_contract_on_a_log_of_their_own_with_one_fixture(
    fault: str, code: int, tmp_path: Path
) -> None:
    (tmp_path / "test_mine.py").write_text(OUTSIDE.replace("$FAULT", fault), "utf-8")
    command = [sys.executable, *["-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", "test_mine.py"]]
    command += ["-k", "places_come_back_in_the_order"] if fault else []
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code, done.stdout
    if fault:
        assert "At index 0 diff" in done.stdout, "a failure shows the values compared"
