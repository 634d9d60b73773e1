"""From a URL to a log: every form that works, and what the others are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from keepwell.streams.log import LogError, Topic
from keepwell.streams.memory import MemoryLog
from keepwell.streams.open import open_log
from keepwell.streams.sqlite.log import SqliteLog


def test_memory_is_a_new_log_each_time() -> None:
    first, second = open_log("memory://"), open_log("memory://")
    assert isinstance(first, MemoryLog)
    assert first is not second


def test_sqlite_opens_the_same_file_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/with%20space.db"
    first = open_log(url)
    first.create_topics([Topic("t", 3)])
    first.close()
    second = open_log(url, topic_prefix="north.")
    assert isinstance(second, SqliteLog)
    assert second.partitions("t") == 3
    second.close()
    assert (tmp_path / "with space.db").exists()


def test_three_slashes_are_relative_to_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_log("sqlite:///here.db").close()
    assert (tmp_path / "here.db").exists()


def test_a_file_that_must_exist_is_not_made(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/none/here.db"
    with pytest.raises(LogError, match=r"here\.db: there is no such log, and none was made: name the one .* --log"):
        open_log(url, must_exist=True)
    assert not any(tmp_path.iterdir())
    open_log(f"sqlite:///{tmp_path}/here.db").close()
    open_log(f"sqlite:///{tmp_path}/here.db", must_exist=True).close()


@pytest.mark.kafka
def test_kafka_opens_a_broker(kafka_bootstrap: str, prefix: str) -> None:
    log = open_log(f"kafka://{kafka_bootstrap}", topic_prefix=prefix)
    log.create_topics([Topic(f"{prefix}t", 2)])
    assert log.partitions(f"{prefix}t") == 2
    log.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "log.db",
        "/tmp/log.db",
        "postgres://host",
        "memory:///x",
        "sqlite://",
        "sqlite:///",
        "sqlite://log.db",
        "sqlite:///a.db?x=1",
        "kafka://",
        "kafka:///x",
        "kafka://h:1/topic",
        "kafka://[::1",
    ],
)
def test_another_form_is_told_the_forms_there_are(url: str) -> None:
    with pytest.raises(LogError, match="is not the URL of a log: write memory://"):
        open_log(url)


@pytest.mark.parametrize("address", ["host", "host:", ":9092", "host:x", "host:0", "host:70000", "a:1,b"])
def test_an_address_without_host_and_port_is_refused(address: str) -> None:
    with pytest.raises(LogError, match="write host:port"):
        open_log(f"kafka://{address}")


@pytest.mark.parametrize("rest", ["host:9092", "host:9092/topic", "host", "host:9092?x=1"])
def test_a_password_in_the_url_is_refused_and_not_repeated(rest: str) -> None:
    with pytest.raises(LogError) as refusal:
        open_log(f"kafka://user:secret-word@{rest}")
    assert "secret-word" not in str(refusal.value)


def test_security_settings_without_kafka_are_a_mistake() -> None:
    with pytest.raises(LogError, match="leave them out"):
        open_log("memory://", security={"username": "u"})
