"""`keepwell up`: one process for a whole installation, and never two of them on one log."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keepwell.cli._alone import alone
from keepwell.contract.events import micros
from keepwell.settings import Settings
from keepwell.streams.log import Log, LogError, Message
from keepwell.streams.open import lock_file, member_file, open_log
from keepwell.streams.topics import Topics, ensure_topics
from keepwell.web.keys import KeyFile
from services.clinician.database import open_engine
from services.clinician.people import accounts, links
from services.clinician.people.accounts import Account
from services.clinician.people.passwords import Passwords
from services.clinician.people.who import OPERATOR
from tests.sending.receivers import Receiver, serving

PATIENCE = 60.0
GROUPS = [(Topics().ingest_group, Topics().sessions), (Topics().predictor_group, Topics().episodes)]


class Up:
    """A `keepwell up`, or a service alone, in a folder, on a port of its own choice."""

    def __init__(self, folder: Path, *words: str, command: str = "up") -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KEEPWELL_")}
        environment["TMPDIR"] = str(folder)  # a folder is a machine
        self._told = folder / f"told-{time.monotonic_ns()}"
        with self._told.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "keepwell.cli.main", command, "--port", "0", *words],
                cwd=folder, env=environment, stdout=out, stderr=out,
            )  # fmt: skip

    def told(self) -> str:
        return self._told.read_text("utf-8")

    def until(self, words: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while words not in self.told():
            assert self.process.poll() is None, self.told()
            assert time.monotonic() < deadline, self.told()
            time.sleep(0.05)

    def __enter__(self) -> Up:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def joined(up: Up) -> None:
    """Waits until ingest and predictor have both joined their groups."""
    up.until("keepwell-ingest")
    up.until("keepwell-predictor")


def test_a_second_up_on_one_log_names_the_first_and_leaves_it_alone(tmp_path: Path) -> None:
    with Up(tmp_path, "--instance", "one") as first:
        joined(first)
        with Up(tmp_path, "--instance", "two", "--log", f"sqlite:///{tmp_path}/keepwell.db") as second:
            assert second.process.wait(PATIENCE) == 1
            assert f"instance one, process {first.process.pid} on " in second.told()
            assert "worker.joined" not in second.told()
        with Up(tmp_path, "--instance", "one") as namesake:
            assert namesake.process.wait(PATIENCE) == 1
        assert first.process.poll() is None
        assert "worker.rebuild" not in first.told()


@pytest.mark.parametrize("service", ["ingest", "predictor", "erasure"])
def test_a_service_of_the_name_that_up_has_ends_and_leaves_it_alone(tmp_path: Path, service: str) -> None:
    with Up(tmp_path, "--instance", "one") as first:
        joined(first)
        with Up(tmp_path, "--instance", "one", command=service) as namesake:
            assert namesake.process.wait(PATIENCE) == 1
            assert f"keepwell {service} runs on this log already: instance one, process {first.process.pid}" in (
                namesake.told()
            )
            assert "--instance" in namesake.told() and "worker.joined" not in namesake.told()
        assert first.process.poll() is None
        assert "worker.rebuild" not in first.told()


def test_up_leaves_a_service_of_its_name_alone_though_the_former_up_had_that_name_too(tmp_path: Path) -> None:
    with Up(tmp_path, "--instance", "one") as former:
        joined(former)
    with Up(tmp_path, "--instance", "one", command="predictor") as service:
        service.until("worker.joined")
        with Up(tmp_path, "--instance", "one") as up:
            assert up.process.wait(PATIENCE) == 1
            assert f"keepwell predictor runs on this log already: instance one, process {service.process.pid}" in (
                up.told()
            )
        assert "worker.rebuild" not in service.told()


def test_one_that_was_killed_stands_in_nobodys_way(tmp_path: Path) -> None:
    with Up(tmp_path) as first:
        joined(first)
    with Up(tmp_path) as second:
        joined(second)
        assert "up.waits" not in second.told()


def test_installations_with_prefixes_of_their_own_share_a_file(tmp_path: Path) -> None:
    with Up(tmp_path) as first, Up(tmp_path, "--topic-prefix", "north.") as second:
        joined(first)
        joined(second)


@pytest.mark.kafka
def test_a_second_one_on_another_machine_sees_the_first_in_its_groups(
    tmp_path: Path, kafka_bootstrap: str, prefix: str
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for machine in (here, there):
        machine.mkdir()
    where = ("--log", f"kafka://{kafka_bootstrap}", "--topic-prefix", prefix)
    with Up(here, *where, "--instance", "one") as first:
        joined(first)
        with Up(here, *where, "--instance", "three") as neighbour:
            assert neighbour.process.wait(PATIENCE) == 1
            assert f"instance one, process {first.process.pid} on " in neighbour.told()
        with Up(there, *where, "--instance", "two") as second:
            assert second.process.wait(PATIENCE) == 1
            assert "one in keepwell-ingest, one in keepwell-predictor" in second.told()
            assert "worker.joined" not in second.told()
    with Up(here, *where, "--instance", "one") as again:
        joined(again)
        assert "up.waits" not in again.told()
    with Up(there, *where, "--instance", "two") as successor:
        joined(successor)
        assert "up.waits" in successor.told()


def settings(folder: Path, instance: str = "one") -> Settings:
    return Settings(log=f"sqlite:///{folder / 'k.db'}", instance=instance)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with closing(open_log(f"sqlite:///{tmp_path / 'k.db'}")) as log:
        ensure_topics(log, Topics(), 2)
        yield log


def test_a_service_that_works_on_the_log_is_named(tmp_path: Path, log: Log) -> None:
    member = log.join(*GROUPS[1], "predictor-1")
    with (
        pytest.raises(LogError, match="predictor-1 in keepwell-predictor"),
        alone(settings(tmp_path), log, GROUPS, patience=0.2),
    ):
        raise AssertionError("it took the log")
    member.close()
    with alone(settings(tmp_path), log, GROUPS, patience=0.2):
        pass


def test_it_waits_for_a_service_that_is_about_to_be_missed(tmp_path: Path, log: Log) -> None:
    member = log.join(*GROUPS[1], "predictor-1")
    leaving = threading.Timer(0.3, member.close)
    leaving.start()
    with alone(settings(tmp_path), log, GROUPS, patience=30):
        assert log.members(*GROUPS[1]) == []
    leaving.join()


def test_what_the_last_process_here_left_in_a_group_is_dead(tmp_path: Path, log: Log) -> None:
    with alone(settings(tmp_path), log, GROUPS):
        log.join(*GROUPS[0], "one")
    with alone(settings(tmp_path), log, GROUPS, patience=0.2):
        pass


def test_a_log_in_memory_is_nobody_elses() -> None:
    with alone(Settings(log="memory://"), open_log("memory://"), GROUPS):
        pass


def test_a_link_leads_to_the_same_lock(tmp_path: Path) -> None:
    (tmp_path / "real.db").touch()
    (tmp_path / "link.db").symlink_to("real.db")
    assert lock_file(f"sqlite:///{tmp_path}/link.db", "") == lock_file(f"sqlite:///{tmp_path}/real.db", "")


def test_brokers_in_another_order_are_the_same_cluster() -> None:
    one, other = "kafka://a:9092,b:9092", "kafka://b:9092,a:9092"
    assert lock_file(one, "") == lock_file(other, "") != lock_file(one, "north.")


def test_a_worker_has_a_file_of_its_own_by_log_prefix_service_and_name() -> None:
    one = member_file("kafka://a:9092,b:9092", "", "predictor", "x")
    assert one == member_file("kafka://b:9092,a:9092", "", "predictor", "x")
    others = [("", "ingest", "x"), ("", "predictor", "y"), ("north.", "predictor", "x")]
    assert one not in [member_file("kafka://a:9092,b:9092", *other) for other in others]
    assert member_file("memory://", "", "predictor", "x") is None


def test_up_posts_alerts_where_a_webhook_is_set(tmp_path: Path) -> None:
    topics = Topics()
    with closing(open_log(f"sqlite:///{tmp_path / 'keepwell.db'}")) as log:
        ensure_topics(log, topics, 2)
        value = b'{"alert_id": "al-1", "status": "raised", "episode": "north/ep-1"}'
        log.append([Message(topics.alerts, b"north/ep-1#al-1.raised", value)])
    with serving(Receiver()) as receiver, Up(tmp_path, "--webhook", receiver.url) as up:
        deadline = time.monotonic() + PATIENCE
        while not receiver.posts:
            assert up.process.poll() is None and time.monotonic() < deadline, up.told()
            time.sleep(0.05)
    assert receiver.ids == ["al-1.raised"]


def test_a_new_installation_gets_a_link_for_its_first_administrator_and_later_none(tmp_path: Path) -> None:
    KeyFile(tmp_path / "keys.json").issue("north", datetime.now(UTC))
    words = ("--keys", str(tmp_path / "keys.json"), "--instance", "one")
    with Up(tmp_path, *words) as up:
        up.until("first administrator of north")
        link = next(word for word in up.told().split() if "/welcome?key=" in word)
    engine = open_engine(f"sqlite:///{tmp_path / 'keepwell-clinician.db'}")
    with engine.begin() as connection:
        key, now = link.partition("key=")[2], micros(datetime.now(UTC))
        assert links.use(connection, links.FIRST_ADMINISTRATOR, key, now) == "north"
        accounts.add(
            connection, Account("ada", "north", "administrator", None), OPERATOR, 1, passwords=Passwords(),
            password="seventeen quiet geese",
        )  # fmt: skip
    engine.dispose()
    with Up(tmp_path, *words) as again:
        joined(again)
        again.until("page for clinicians")
        assert "welcome" not in again.told()
