"""The notifier as a process: nothing lost through a stopped receiver, a compaction and kill -9, on SQLite and on Kafka."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import standardwebhooks
from kafka import KafkaAdminClient

from keepwell.sending.webhook import Webhook
from keepwell.streams.log import Log, Message, Partition, partition_for
from keepwell.streams.open import open_log
from keepwell.streams.sqlite.log import SqliteLog
from keepwell.streams.topics import Topics, ensure_topics
from keepwell.streams.worker.dead_letters import letters
from services.notify.bootstrap import Notifier
from services.notify.settings import NotifySettings
from tests.sending.receivers import OK, Post, Receiver, Reply, serving

SECRET = f"whsec_{base64.b64encode(b'k' * 32).decode()}"
PARTITIONS = 2
OTHERS = 4000
DEADLINE = 120.0
STATUSES = ("raised", "escalated", "resolved")
SMALL_SEGMENTS = {
    "cleanup.policy": "compact", "segment.ms": "1000", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "0",
    "max.compaction.lag.ms": "1000",
}  # fmt: skip
"""KAFKA.md F20: the cleaner of a test's topic runs within seconds."""


class Place:
    """A log on which the notifier runs, and how its alerts are compacted."""

    def __init__(self, url: str, prefix: str, compact: Callable[[Log, str], None]) -> None:
        self.url = url
        self.prefix = prefix
        self.topics = Topics(prefix)
        self.log = open_log(url, topic_prefix=prefix)
        self._compact = compact

    def compact(self) -> None:
        """Compacts the alerts, and makes sure of it: records of one key, which are nothing to tell, shrink to few."""
        probe = Message(self.topics.alerts, b"_probe", None, partition=0)
        self.log.append([probe] * 100)
        deadline = time.monotonic() + DEADLINE
        while sum(record.key == b"_probe" for record in self.log.read(Partition(self.topics.alerts, 0))) > 50:
            assert time.monotonic() < deadline, "the cleaner did not come by"
            self._compact(self.log, self.topics.alerts)
            self.log.append([probe])
            time.sleep(0.2)

    def write(self, alerts: Sequence[tuple[str, str, str]]) -> None:
        """Alerts as the predictor writes them: id, status, episode; each under a key of its own."""
        self.log.append([_message(self.topics.alerts, *alert) for alert in alerts])

    def command(self, webhook: str, *more: str) -> list[str]:
        where = ["--log", self.url, *(["--topic-prefix", self.prefix] if self.prefix else [])]
        return [
            sys.executable, "-m", "keepwell.cli.main", "notify", "--webhook", webhook, "--instance", "n1", "--port", "0",
            *where, *more,
        ]  # fmt: skip

    @contextmanager
    def running(self, webhook: str) -> Iterator[subprocess.Popen[bytes]]:
        """The process; killed at the end, wherever it is."""
        process = subprocess.Popen(
            self.command(webhook), stderr=subprocess.DEVNULL, env=os.environ | {"KEEPWELL_WEBHOOK_SECRET": SECRET}
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def _message(topic: str, name: str, status: str, episode: str) -> Message:
    value = json.dumps({"alert_id": name, "status": status, "episode": episode}).encode()
    number = partition_for(episode.encode(), PARTITIONS)
    return Message(topic, f"{episode}#{name}.{status}".encode(), value, partition=number)


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
def place(request: pytest.FixtureRequest, tmp_path: Path, prefix: str) -> Iterator[Place]:
    if request.param == "sqlite":
        found = Place(f"sqlite:///{tmp_path / 'log.db'}", "", _compact_file)
    else:
        bootstrap = request.getfixturevalue("kafka_bootstrap")
        found = Place(f"kafka://{bootstrap}", prefix, lambda log, topic: None)
        admin = KafkaAdminClient(bootstrap_servers=bootstrap)
        wanted = {found.topics.alerts: {"num_partitions": PARTITIONS, "configs": SMALL_SEGMENTS}}
        admin.create_topics(wanted, wait_for_metadata=True)
        admin.close()
    ensure_topics(found.log, found.topics, PARTITIONS)
    yield found
    found.log.close()


def _compact_file(log: Log, topic: str) -> None:
    assert isinstance(log, SqliteLog)
    log.compact(topic, tombstone_age=-1.0)


def until(met: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not met():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)


def test_invariant_10_three_alerts_of_an_episode_come_through_a_stopped_receiver_a_compaction_and_a_restart(
    place: Place,
) -> None:
    receiver = Receiver()
    with serving(receiver):
        place.write([("al-0", "raised", "north/ep-0")])
        with place.running(receiver.url):
            until(lambda: receiver.ids == ["al-0.raised"], "the first alert arrives")
    others = [(f"al-{n}", "raised", f"north/other-{n}") for n in range(1, OTHERS + 1)]
    third = OTHERS // 3
    with place.running(receiver.url):
        for number, status in enumerate(STATUSES):
            place.write([("al-x", status, "north/ep-x"), *others[number * third : (number + 1) * third]])
        place.write(others[3 * third :])
        place.compact()
    place.compact()
    expected = {f"al-{n}.raised" for n in range(OTHERS + 1)} | {f"al-x.{status}" for status in STATUSES}
    with serving(receiver):
        with place.running(receiver.url):
            until(lambda: len(receiver.posts) > OTHERS // 2, "half of it arrives")
        with place.running(receiver.url):
            until(lambda: set(receiver.ids) == expected, "all arrives")
    first = list(dict.fromkeys(id for id in receiver.ids if id.startswith("al-x")))
    assert first == [f"al-x.{status}" for status in STATUSES], "in order"
    bodies: dict[str, set[bytes]] = {}
    for post in receiver.posts:
        bodies.setdefault(post.id, set()).add(post.body)
        standardwebhooks.Webhook(SECRET).verify(post.body, dict(post.headers))
    assert all(len(found) == 1 for found in bodies.values()), "what comes again is the same"
    assert all(json.loads(post.body)["alert_id"] in post.id for post in receiver.posts)
    assert max(Counter(receiver.ids).values()) <= 3, "nothing but what the kills cut off comes again"


def test_kill_9_again_and_again_loses_nothing(place: Place) -> None:
    receiver = Receiver()
    place.write([(f"al-{n}", "raised", f"north/ep-{n}") for n in range(200)])
    with serving(receiver):
        for kill in range(3):
            before = len(receiver.posts)
            with place.running(receiver.url):
                until(lambda before=before, kill=kill: len(receiver.posts) > before + 7 * kill, "it gets on")  # type: ignore[misc]
        with place.running(receiver.url):
            until(lambda: len(set(receiver.ids)) == 200, "all arrives")


def test_a_rejected_alert_is_mended_and_posted_again_and_verify_still_holds(tmp_path: Path) -> None:
    """As an operator does it, by commands, on the alerts that the predictor itself wrote."""
    url = f"sqlite:///{tmp_path / 'log.db'}"
    place = Place(url, "", _compact_file)
    ensure_topics(place.log, place.topics, PARTITIONS)
    week = Path(__file__).parents[3] / "examples" / "quickstart" / "week.jsonl"
    values = week.read_bytes().splitlines()
    place.log.append([Message(place.topics.sessions, b"platform", value) for value in values])
    ran(url, "ingest", "--drain", "--port", "0", "--instance", "i1", "--keys", str(tmp_path / "keys.json"))
    ran(url, "predictor", "--drain", "--port", "0", "--instance", "p1")
    alerts = [record for record in _records(place) if record]
    assert alerts, "the week has alerts"

    def reject(_: Post) -> Reply:
        return (400, {}) if broken else OK

    with serving(Receiver(reject)) as receiver:
        broken = True
        ran(url, "notify", "--drain", "--port", "0", "--webhook", receiver.url)
        assert [found.reason for found in letters(place.log, place.topics.dead_letters)] == (
            ["webhook_rejected"] * len(alerts)
        )
        broken = False
        ran(url, "dead-letters", "replay", "--reason", "webhook_rejected")
        ran(url, "notify", "--drain", "--port", "0", "--webhook", receiver.url)
    first, again = receiver.posts[: len(alerts)], receiver.posts[len(alerts) :]
    assert by_episode(first) == by_episode(again), "each once more, under the same id, in the order of its episode"
    assert sorted(post.body for post in again) == sorted(alerts)
    assert _records(place) == alerts, "no alert a second time in the log"
    assert letters(place.log, place.topics.dead_letters) == []
    ran(url, "replay", "--verify")
    place.log.close()


def test_a_redirecting_receiver_gets_nothing_through_to_where_it_points(tmp_path: Path) -> None:
    place = Place(f"sqlite:///{tmp_path / 'log.db'}", "", _compact_file)
    ensure_topics(place.log, place.topics, PARTITIONS)
    place.write([("al-1", "raised", "north/ep-1")])
    with serving(Receiver()) as elsewhere, serving(Receiver(lambda _: (302, {"Location": elsewhere.url}))) as receiver:
        done = subprocess.run(
            place.command(receiver.url, "--drain"), capture_output=True, text=True, check=False,
            env=os.environ | {"KEEPWELL_WEBHOOK_TOKEN": "secret"}, timeout=DEADLINE,
        )  # fmt: skip
    assert done.returncode == 1 and "Nothing is lost" in done.stderr
    assert "secret" not in done.stderr and "ep-1" not in done.stderr
    assert elsewhere.posts == []
    assert place.log.committed(place.topics.notify_group, place.topics.alerts) == {}
    place.log.close()


def test_a_notifier_says_how_it_stands(tmp_path: Path) -> None:
    """In one process, as `keepwell up` runs it."""
    place = Place(f"sqlite:///{tmp_path / 'log.db'}", "", _compact_file)
    ensure_topics(place.log, place.topics, PARTITIONS)
    receiver = Receiver()
    with serving(receiver):
        settings = NotifySettings(webhook=receiver.url, webhook_secret=SECRET)
    notifier = Notifier(place.log, place.topics, "n1", Webhook(settings.destination(settings.webhook)))
    stop = threading.Event()
    thread = threading.Thread(target=notifier.run, args=(stop,))
    thread.start()
    try:
        until(lambda: notifier.ready().ok, "it is ready")
        place.write([("al-1", "raised", "north/ep-1")])
        until(lambda: not notifier.ready().ok, "nobody takes the alert")
        assert "cannot be reached" in notifier.ready().why and notifier.live().ok
        with serving(receiver):
            until(lambda: notifier.ready().ok, "somebody does")
        assert receiver.ids == ["al-1.raised"]
    finally:
        stop.set()
        thread.join()
        place.log.close()


def by_episode(posts: Sequence[Post]) -> dict[str, list[str]]:
    """The ids that came, in their order, for each episode."""
    found: dict[str, list[str]] = {}
    for post in posts:
        found.setdefault(json.loads(post.body)["episode"], []).append(post.id)
    return found


def ran(url: str, *arguments: str) -> None:
    """Runs a command to a good end."""
    command = [sys.executable, "-m", "keepwell.cli.main", *arguments, "--log", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"


def _records(place: Place) -> list[bytes]:
    """The alerts that the log holds, partition by partition."""
    return [
        record.value
        for number in range(PARTITIONS)
        for record in place.log.read(Partition(place.topics.alerts, number))
        if record.value is not None
    ]
