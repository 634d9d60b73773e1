"""A log of the version before is refused in words, loses nothing, and comes whole into topics of this version."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from keepwell.cli.main import app
from keepwell.cli.replay import replay_log
from keepwell.contract.control import tick
from keepwell.contract.events import ClientErased, encode
from keepwell.streams.log import LogError, Message, Partition, partition_for
from keepwell.streams.sqlite.log import SqliteLog
from keepwell.streams.topics import Topics, ensure_topics
from models.release import default
from services.predictor.bootstrap import processor, worker_of
from services.predictor.settings import PredictorSettings
from tests.services.erasure.clinic import EVENTS, START, Clinic, erasure

OLD, NEW = Topics(), Topics("new.")
PARTITIONS = 3


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SqliteLog:
    """A clinic's log as the version before wrote it: an episode's events under one key, a tick twice, one event twice."""
    monkeypatch.chdir(tmp_path)
    log = SqliteLog(tmp_path / "log.db")
    log.create_topics([topic._replace(cleanup="delete") for topic in OLD.all(PARTITIONS)])
    messages = []
    for event in [*EVENTS, EVENTS[0], erasure()]:
        key = event.key.encode()
        where = range(PARTITIONS) if isinstance(event, ClientErased) else [partition_for(key, PARTITIONS)]
        messages += [Message(OLD.episodes, key, encode(event), (), number) for number in where]
    messages += [Message(OLD.episodes, b"_clock", encode(tick(START)), (), n) for n in range(PARTITIONS) for _ in "12"]
    messages.append(Message(OLD.episodes, b"north/ep-1", b"garbage"))
    log.append(messages)
    return log


def test_no_service_starts_on_it_and_nothing_of_it_is_touched(log: SqliteLog) -> None:
    with pytest.raises(LogError, match=r"Do not set its clean-up.*--copy-from"):
        ensure_topics(log, OLD)
    assert len([r for n in range(PARTITIONS) for r in log.read(Partition(OLD.episodes, n))]) > len(EVENTS)


def test_doctor_tells_it_too(log: SqliteLog) -> None:
    log.close()
    done = CliRunner().invoke(app, ["doctor", "--log", "sqlite:///log.db"])
    assert done.exit_code == 1
    assert "an earlier version made this topic" in done.output


def test_copied_it_gives_what_a_log_of_this_version_gives(log: SqliteLog) -> None:
    log.close()
    done = CliRunner().invoke(
        app, ["topics", "--log", "sqlite:///log.db", "--topic-prefix", "new.", "--copy-from", "", "--json"]
    )
    assert done.exit_code == 0, done.output
    again = SqliteLog("log.db")
    for number in range(PARTITIONS):
        keys = [record.key for record in again.read(Partition(NEW.episodes, number))]
        assert len(keys) == len(set(keys)), "no two records share a key"
        again.compact(NEW.episodes)
        assert len(list(again.read(Partition(NEW.episodes, number)))) == len(keys), "compaction removes nothing"
    worker_of(PredictorSettings(topic_prefix="new.", instance="a"), again).drain()
    clinic = Clinic(again, "new.")
    assert clinic.verify() is None
    clinic.erase()
    assert clinic.of_gone() == []
    assert clinic.verify() is None
    summary, _ = replay_log(again, processor(NEW), NEW, None, verify=False)
    assert summary["refused"] == 0
    again.close()


def test_a_prefix_in_use_is_refused(log: SqliteLog) -> None:
    log.close()
    command = ["topics", "--log", "sqlite:///log.db", "--topic-prefix", "new.", "--copy-from", ""]
    assert CliRunner().invoke(app, command).exit_code == 0
    twice = CliRunner().invoke(app, command)
    assert "holds records already" in str(twice.exception)


def test_nothing_is_written_to_it_by_a_command_and_a_replay_says_why_it_cannot_verify(log: SqliteLog) -> None:
    log.close()
    before = Path("log.db").read_bytes()
    for command in (
        ["erase", "p-2", "--clinic", "north"],
        ["release", "promote", default().digest],
        ["replay", "--verify"],
    ):
        done = CliRunner().invoke(app, [*command, "--log", "sqlite:///log.db"])
        assert "an earlier version made this topic" in str(done.exception), (command, done.output)
    assert Path("log.db").read_bytes() == before


def test_an_old_key_tells_it_where_the_clean_up_does_not(log: SqliteLog) -> None:
    log.close()
    db = sqlite3.connect("log.db")
    db.execute("UPDATE topics SET cleanup = 'compact'")
    db.commit()
    db.close()
    with pytest.raises(LogError, match="an earlier version made this topic"):
        ensure_topics(SqliteLog("log.db"), OLD)


def test_it_comes_into_another_file_under_the_same_prefix(log: SqliteLog) -> None:
    log.close()
    copied = ["topics", "--log", "sqlite:///other.db", "--copy-log", "sqlite:///log.db"]
    done = CliRunner().invoke(app, copied)
    assert done.exit_code == 0, done.output
    again = SqliteLog("other.db")
    worker_of(PredictorSettings(instance="a"), again).drain()
    assert Clinic(again).verify() is None
    again.close()


def test_it_is_not_copied_before_all_that_was_sent_is_taken(log: SqliteLog) -> None:
    log.append([Message(OLD.sessions, b"k", b"sent")])
    log.close()
    command = ["topics", "--log", "sqlite:///log.db", "--topic-prefix", "new.", "--copy-from", ""]
    assert "that ingest has not taken" in str(CliRunner().invoke(app, command).exception)
