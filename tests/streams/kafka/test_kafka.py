"""The log on a real Kafka broker where things go wrong: processes and brokers that die, freeze, crowd or forbid."""

from __future__ import annotations

import logging
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ACLResourcePatternType, ResourcePattern, ResourceType

from keepwell.streams.kafka import client as _kafka_client
from keepwell.streams.kafka.log import KafkaLog
from keepwell.streams.log import Doubt, LogError, Message, Partition, Topic
from tests.broker.broker import PATIENCE, Broker
from tests.streams.worker.kafka_copier import PARTITIONS, Copier, copied, feed, prepare, work

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).parents[3]

Process = subprocess.Popen[str]


@pytest.fixture
def log(kafka_bootstrap: str, prefix: str) -> Iterator[KafkaLog]:
    log = KafkaLog([kafka_bootstrap], group_prefix=prefix)
    prepare(log, prefix)
    yield log
    log.close()


@pytest.fixture
def fragile(fragile_broker: Broker, prefix: str) -> Iterator[KafkaLog]:
    """A log on the broker that may be hurt."""
    log = KafkaLog([fragile_broker.bootstrap], group_prefix=prefix)
    prepare(log, prefix)
    yield log
    log.close()


@pytest.fixture
def spawn(kafka_bootstrap: str, prefix: str) -> Iterator[Callable[..., Process]]:
    """Starts workers as processes of their own, killed at the end."""
    started: list[Process] = []

    def start(instance: str, *options: str) -> Process:
        command = [
            sys.executable,
            "-m",
            "tests.streams.worker.kafka_copier",
            kafka_bootstrap,
            prefix,
            instance,
            *options,
        ]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        kill(process)


def kill(process: Process) -> None:
    with process:
        process.kill()


def until(condition: Callable[[], bool], *copiers: Copier) -> None:
    """Lets the copiers work in turn until the condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        for copier in copiers:
            copier.step()


def inside(process: Process) -> None:
    """Waits until the process is within its transaction."""
    assert process.stdout is not None
    assert process.stdout.readline() == "inside\n"


class TestProcessesThatDie:
    def test_a_worker_killed_in_a_transaction_is_back_at_once_under_its_name(
        self, log: KafkaLog, prefix: str, spawn: Callable[..., Process]
    ) -> None:
        feed(log, prefix, range(20))
        victim = spawn("a", "--hang")
        inside(victim)
        kill(victim)
        began = time.monotonic()
        copier = Copier(log, prefix, "a")
        until(lambda: sum(log.committed("copy", f"{prefix}in").values()) >= 20, copier)
        took = time.monotonic() - began
        copier.member.close()
        assert copied(log, prefix) == list(range(20))
        assert took < 8, "neither the session nor the transaction may be waited for"

    def test_another_worker_takes_over_from_a_killed_one_and_nothing_is_lost_or_twice(
        self, log: KafkaLog, prefix: str, spawn: Callable[..., Process]
    ) -> None:
        feed(log, prefix, range(20))
        victim = spawn("a", "--hang")
        inside(victim)
        kill(victim)
        copier = Copier(log, prefix, "b")
        # The session of the dead ends, then the broker its transaction: until then its offsets have no answer.
        until(lambda: len(copier.owned) == PARTITIONS, copier)
        until(lambda: copied(log, prefix) == list(range(20)), copier)
        copier.member.close()

    def test_a_worker_that_leaves_hands_over_without_waiting_for_its_session(self, log: KafkaLog, prefix: str) -> None:
        first, second = Copier(log, prefix, "a"), Copier(log, prefix, "b")
        until(lambda: len(first.owned) == len(second.owned) == PARTITIONS // 2, first, second)
        began = time.monotonic()
        second.member.close()
        until(lambda: len(first.owned) == PARTITIONS, first)
        took = time.monotonic() - began
        first.member.close()
        assert took < 8

    def test_workers_that_come_and_go_copy_every_record_once(self, log: KafkaLog, prefix: str) -> None:
        stops = {name: threading.Event() for name in "abc"}
        threads = {name: threading.Thread(target=work, args=(log, prefix, name, stop)) for name, stop in stops.items()}
        fed = 0

        def feed_until(condition: Callable[[], bool]) -> None:
            nonlocal fed
            deadline = time.monotonic() + PATIENCE
            while not condition():
                assert time.monotonic() < deadline
                feed(log, prefix, range(fed, fed + 10))
                fed += 10

        def grown(by: int) -> Callable[[], bool]:
            goal = len(copied(log, prefix)) + by
            return lambda: len(copied(log, prefix)) >= goal

        threads["a"].start()
        feed_until(grown(100))
        threads["b"].start()
        threads["c"].start()
        feed_until(grown(300))
        stops["b"].set()
        feed_until(grown(100))
        stops["a"].set()
        threads["a"].join(PATIENCE)
        feed_until(grown(100))
        until(lambda: len(copied(log, prefix)) >= fed)
        stops["c"].set()
        for thread in threads.values():
            thread.join(PATIENCE)
        assert copied(log, prefix) == list(range(fed))


class TestBrokersThatFail:
    def test_a_frozen_broker_only_delays(self, fragile: KafkaLog, fragile_broker: Broker, prefix: str) -> None:
        feed(fragile, prefix, range(20))
        copier = Copier(fragile, prefix, "a")
        until(lambda: len(copied(fragile, prefix)) == 20, copier)
        feed(fragile, prefix, range(20, 40))
        fragile_broker.pause()
        timer = threading.Timer(2.0, fragile_broker.resume)
        timer.start()
        deadline = time.monotonic() + PATIENCE
        while not copier.step(timeout=1.0):
            assert time.monotonic() < deadline
        timer.join()
        until(lambda: len(copied(fragile, prefix)) >= 40, copier)
        copier.member.close()
        assert copied(fragile, prefix) == list(range(40))

    def test_a_killed_broker_loses_and_doubles_nothing(
        self, fragile: KafkaLog, fragile_broker: Broker, prefix: str
    ) -> None:
        feed(fragile, prefix, range(200))
        stop = threading.Event()
        worker = threading.Thread(target=work, args=(fragile, prefix, "a", stop))
        worker.start()
        until(lambda: len(copied(fragile, prefix)) > 0)
        fragile_broker.kill()
        fragile_broker.start()
        until(lambda: self._fed(fragile, prefix))
        until(lambda: len(copied(fragile, prefix)) >= 400)
        stop.set()
        worker.join(PATIENCE)
        assert not worker.is_alive()
        assert sorted(set(copied(fragile, prefix))) == list(range(400))
        places = [
            (record.partition.number, record.value)
            for n in range(PARTITIONS)
            for record in fragile.read(Partition(f"{prefix}in", n))
        ]
        assert len(copied(fragile, prefix)) == len(places), "each record of the source is copied once"

    def test_closing_is_quick_and_leaves_no_thread_while_the_broker_is_silent(
        self, fragile_broker: Broker, prefix: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = set(threading.enumerate())
        log = KafkaLog([fragile_broker.bootstrap], group_prefix=prefix)
        prepare(log, prefix)
        feed(log, prefix, range(10))
        copier = Copier(log, prefix, "a")
        until(lambda: len(copied(log, prefix)) == 10, copier)
        fragile_broker.pause()
        began = time.monotonic()
        copier.member.close()
        log.close()
        took = time.monotonic() - began
        fragile_broker.resume()
        assert took < 10
        deadline = time.monotonic() + PATIENCE
        while set(threading.enumerate()) - before:
            assert time.monotonic() < deadline, set(threading.enumerate()) - before

    @staticmethod
    def _fed(log: KafkaLog, prefix: str) -> bool:
        try:
            feed(log, prefix, range(200, 400))
        except Doubt:
            return False
        return True


SMALLEST = (
    (ResourceType.TOPIC, ACLOperation.READ),
    (ResourceType.GROUP, ACLOperation.READ),
    (ResourceType.TOPIC, ACLOperation.WRITE),
    (ResourceType.TRANSACTIONAL_ID, ACLOperation.WRITE),
)
"""What a worker needs on the names of its installation."""


class TestAccess:
    @pytest.fixture
    def admin(self, secure_broker: Broker, prefix: str) -> Iterator[KafkaLog]:
        log = KafkaLog([secure_broker.bootstrap], security=secure_broker.security("admin"), group_prefix=prefix)
        prepare(log, prefix)
        feed(log, prefix, range(20))
        yield log
        log.close()

    def test_the_smallest_rights_are_enough_over_tls(self, secure_broker: Broker, admin: KafkaLog, prefix: str) -> None:
        self.allow(secure_broker, prefix, *SMALLEST)
        log = KafkaLog([secure_broker.bootstrap], security=secure_broker.security("worker"), group_prefix=prefix)
        prepare(log, prefix)
        feed(log, prefix, range(20, 40))
        copier = Copier(log, prefix, "a")
        until(lambda: len(copied(log, prefix)) == 40, copier)
        copier.member.close()
        assert copied(log, prefix) == list(range(40))
        assert sum(log.committed("copy", f"{prefix}in").values()) >= 40
        log.close()

    @pytest.mark.parametrize("missing", SMALLEST, ids=lambda right: f"{right[0].name}-{right[1].name}")
    def test_a_missing_right_is_named_and_nothing_is_written(
        self, secure_broker: Broker, admin: KafkaLog, prefix: str, missing: tuple[ResourceType, ACLOperation]
    ) -> None:
        self.allow(secure_broker, prefix, *[right for right in SMALLEST if right != missing])
        log = KafkaLog([secure_broker.bootstrap], security=secure_broker.security("worker"), group_prefix=prefix)
        deadline = time.monotonic() + PATIENCE
        with pytest.raises(LogError, match=f"needs.* {missing[1].name}"):
            self.work(log, prefix, deadline)
        log.close()
        assert copied(admin, prefix) == []
        assert admin.committed("copy", f"{prefix}in") == {}

    def test_creating_a_topic_needs_one_right_more(self, secure_broker: Broker, prefix: str) -> None:
        self.allow(secure_broker, prefix, *SMALLEST)
        log = KafkaLog([secure_broker.bootstrap], security=secure_broker.security("worker"), group_prefix=prefix)
        with pytest.raises(LogError, match="CREATE"):
            log.create_topics([Topic(f"{prefix}new", 1)])
        self.allow(secure_broker, prefix, (ResourceType.TOPIC, ACLOperation.CREATE))
        log.create_topics([Topic(f"{prefix}new", 1)])
        assert log.partitions(f"{prefix}new") == 1
        log.close()

    def test_a_wrong_password_is_told_without_the_password(
        self,
        secure_broker: Broker,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(_kafka_client, "BOOTSTRAP_SECONDS", 1.0)
        caplog.set_level(logging.DEBUG)
        with pytest.raises(LogError, match="password and mechanism") as refused:
            KafkaLog([secure_broker.bootstrap], security=secure_broker.security("worker") | {"password": "pa55-word"})
        told = [str(refused.value), repr(refused.value.__cause__), *(record.getMessage() for record in caplog.records)]
        assert not [line for line in told if "pa55-word" in line]

    @staticmethod
    def work(log: KafkaLog, prefix: str, deadline: float) -> None:
        copier = Copier(log, prefix, "a")
        try:
            while time.monotonic() < deadline:
                copier.step()
        finally:
            copier.member.close()

    @staticmethod
    def allow(broker: Broker, prefix: str, *rights: tuple[ResourceType, ACLOperation]) -> None:
        security = broker.security("admin")
        client = KafkaAdminClient(
            bootstrap_servers=broker.bootstrap,
            security_protocol="SASL_SSL",
            sasl_mechanism=security["mechanism"],
            sasl_plain_username=security["username"],
            sasl_plain_password=security["password"],
            ssl_cafile=security["cafile"],
        )
        client.create_acls(
            [
                ACL(
                    "User:worker",
                    "*",
                    operation,
                    ACLPermissionType.ALLOW,
                    ResourcePattern(kind, prefix, ACLResourcePatternType.PREFIXED),
                )
                for kind, operation in rights
            ]
        )
        client.close()


class TestSettings:
    def test_a_dead_address_is_told_with_what_to_check(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_kafka_client, "BOOTSTRAP_SECONDS", 0.5)
        with pytest.raises(LogError, match=r"127\.0\.0\.1:9 .*address .*TLS .*password .*CA file"):
            KafkaLog(["127.0.0.1:9"])

    @pytest.mark.parametrize(
        ("security", "word"),
        [
            ({"user": "x", "password": "p-secret"}, "user"),
            ({"username": "x"}, "password"),
            ({"password": "p-secret"}, "username"),
            ({"username": "x", "password": "p-secret", "mechanism": "GSSAPI"}, "GSSAPI"),
            ({"username": "x", "password": "p-secret", "cafile": "/nowhere/ca.pem"}, "No such file"),
        ],
    )
    def test_wrong_security_settings_are_named_without_secrets(self, security: dict[str, str], word: str) -> None:
        with pytest.raises(LogError, match=word) as refused:
            KafkaLog(["127.0.0.1:9"], security=security)
        assert "p-secret" not in str(refused.value)

    def test_settings_do_not_show_the_password(self) -> None:
        found = _kafka_client.connection(["h:1"], {"username": "x", "password": "p-secret"})
        assert found["sasl_plain_password"] == "p-secret"
        assert "p-secret" not in repr(found)

    def test_no_broker_at_all_is_refused(self) -> None:
        with pytest.raises(LogError, match="host:port"):
            KafkaLog([])

    def test_talk_of_a_lost_broker_is_seldom_and_counted(self) -> None:
        seldom = _kafka_client.Seldom(seconds=0.05)
        lost = logging.LogRecord("kafka.net.manager", logging.ERROR, "", 7, "lost %s", ("it",), None)
        other = logging.LogRecord("kafka.net.manager", logging.ERROR, "", 8, "found", (), None)
        assert [seldom.filter(record) for record in (lost, lost, other, lost)] == [True, False, True, False]
        deadline = time.monotonic() + PATIENCE
        told = 0
        while not seldom.filter(lost):
            told += 1
            assert time.monotonic() < deadline
        assert lost.getMessage() == f"lost it ({told + 2} more like this since)"

    def test_an_unsendable_message_is_refused_before_anything_is_sent(self, log: KafkaLog, prefix: str) -> None:
        large = bytes(_kafka_client.MESSAGE_LIMIT + 1)
        for bad in (Message(f"{prefix}in", b"k", large), Message(f"{prefix}in", None, None, (), 0)):
            with pytest.raises(LogError, match=f"{prefix}in"):
                log.append([bad])
            with pytest.raises(LogError, match=f"{prefix}in"):
                log.append([Message(f"{prefix}in", b"k", b"v"), bad])
        feed(log, prefix, range(3))
        assert sum(log.bounds(Partition(f"{prefix}in", n))[1] > 0 for n in range(PARTITIONS)) >= 1
        assert sorted(r.value or b"" for n in range(PARTITIONS) for r in log.read(Partition(f"{prefix}in", n))) == [
            b"0",
            b"1",
            b"2",
        ]

    def test_the_largest_message_allowed_goes_through(self, log: KafkaLog, prefix: str) -> None:
        noise = random.Random(1).randbytes(_kafka_client.MESSAGE_LIMIT - 1)
        ((partition, offset),) = log.append([Message(f"{prefix}in", b"k", noise)])
        (record,) = log.read(partition, offset)
        assert record.value == noise
