"""Ingest as a whole: HTTP and the log in, accepted events and dead letters out."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from keepwell.streams.log import Log, Message, Partition, Record
from keepwell.streams.memory import MemoryLog
from keepwell.streams.sqlite.log import SqliteLog
from keepwell.streams.topics import Topics
from keepwell.streams.worker.dead_letters import letters
from keepwell.web.keys import KeyFile
from keepwell.web.service import serve
from services.ingest.bootstrap import make, run
from services.ingest.settings import IngestSettings
from tests.services.ingest.events import NOW, event, text
from tests.waiting import at_work, until

TOPICS = Topics("t.")
SECONDS = 30.0


def accepted(log: Log) -> list[Record]:
    """What stands in `episode-events`."""
    numbers = range(log.partitions(TOPICS.episodes))
    return [record for number in numbers for record in log.read(Partition(TOPICS.episodes, number))]


def fresh() -> MemoryLog:
    """A log with topics."""
    log = MemoryLog()
    log.create_topics(TOPICS.all())
    return log


@contextmanager
def running(settings: IngestSettings, log: Log) -> Iterator[httpx.Client]:
    """A running service, ready, and a client of it; it must end without an error."""
    with (
        at_work(lambda stop: serve(make(settings, log), stop)) as errors,
        httpx.Client(base_url=f"http://127.0.0.1:{settings.ingest_port}") as client,
    ):
        until(lambda: bool(errors) or _ready(client))
        yield client


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def settings(tmp_path: Path, unused_port: int) -> IngestSettings:
    return IngestSettings(
        topic_prefix="t.",
        instance="ingest-1",
        ingest_port=unused_port,
        keys=tmp_path / "keys.json",
        rate=1e6,
        burst=10**6,
    )


def test_what_is_sent_over_http_comes_out_as_accepted_events(settings: IngestSettings, tmp_path: Path) -> None:
    token = KeyFile(settings.keys).issue("north", NOW).token
    log = SqliteLog(tmp_path / "log.db")
    log.create_topics(TOPICS.all())
    with running(settings, log) as client:
        lines = [text(id=f"ev-{number}", subject=f"ep-{number % 7}") for number in range(200)]
        for start in range(0, 200, 50):
            answer = client.post(
                "/v1/events",
                content=b"\n".join(lines[start : start + 50]),
                headers={"authorization": f"Bearer {token}", "content-type": "application/x-ndjson"},
            )
            assert answer.status_code == 202
        until(lambda: len(accepted(log)) >= 200)
        assert client.get("/livez").status_code == 200
    found = [json.loads(record.value or b"") for record in accepted(log)]
    assert sorted(found, key=lambda one: int(one["id"][3:])) == [json.loads(line) for line in lines]
    log.close()


BAD = (
    b"",
    b"{",
    text()[:-9],
    b"\xff\xfe\x00",
    b"[" * 10_000,
    text(type="keepwell.unknown.v1"),
    text(time="2026-03-02T10:00:00"),
    text(time="2199-01-01T00:00:00Z"),
    text(data={"completion": 10**300}),
    text(data={"completion": 0.5, "padding": "x" * 5_000_000}),
    text().replace(b"0.5", b"NaN"),
    text(type="keepwell.clock.ticked.v1", data={}),
)


def test_bad_records_become_dead_letters_and_nothing_stops_or_is_lost(settings: IngestSettings) -> None:
    log = MemoryLog()
    log.create_topics(TOPICS.all(2))
    sent = [Message(TOPICS.sessions, b"k" if number % 2 else None, value, (), 0) for number, value in enumerate(BAD)]
    sent.append(Message(TOPICS.sessions, b"", None, (), 0))
    sent.append(Message(TOPICS.sessions, b"wrong key", text(), (), 0))
    log.append(sent)
    make(settings, log).work.drain(threading.Event())
    found = letters(log, TOPICS.dead_letters)
    assert [(letter.record.key, letter.record.value) for letter in found] == [
        (message.key, message.value) for message in sent[:-1]
    ]
    assert all(letter.reason and letter.detail.startswith("$") for letter in found)
    assert [(record.key, json.loads(record.value or b"")) for record in accepted(log)] == [
        (b"north/ep-17#0.%d" % (len(sent) - 1), event())
    ]


def test_draining_twice_gives_nothing_twice(settings: IngestSettings) -> None:
    log = MemoryLog()
    log.create_topics(TOPICS.all(2))
    log.append([Message(TOPICS.sessions, b"%d" % number, text(id=f"ev-{number}")) for number in range(100)])
    for _ in range(2):
        make(settings, log).work.drain(threading.Event())
    assert len(accepted(log)) == 100


def test_the_topics_that_are_missing_are_created_with_as_many_partitions_as_the_others(
    settings: IngestSettings, tmp_path: Path
) -> None:
    log = SqliteLog(tmp_path / "log.db")
    log.create_topics(TOPICS.all(5)[:1])
    run(settings.model_copy(update={"log": f"sqlite:///{tmp_path}/log.db"}), drain=True, stop=threading.Event())
    assert (log.partitions(TOPICS.sessions), log.partitions(TOPICS.episodes)) == (5, 5)
    log.close()


def test_an_address_that_is_taken_is_told_and_nothing_keeps_running(settings: IngestSettings) -> None:
    threads = threading.active_count()
    with running(settings, fresh()), pytest.raises(OSError, match=f"127.0.0.1:{settings.ingest_port}"):
        serve(make(settings, fresh()), threading.Event())
    assert threading.active_count() <= threads


def test_a_request_that_is_under_way_when_the_service_ends_is_answered(settings: IngestSettings) -> None:
    token = KeyFile(settings.keys).issue("north", NOW).token
    log = fresh()
    appending = threading.Event()
    answers: list[int] = []

    def post() -> None:
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        url = f"http://127.0.0.1:{settings.ingest_port}/v1/events"
        answers.append(httpx.post(url, content=text(), headers=headers, timeout=SECONDS).status_code)

    def slow(call: str) -> None:
        if call == "append.before":
            appending.set()
            until(lambda: not _listens(settings.ingest_port))

    thread = threading.Thread(target=post)
    with running(settings, log):
        log.faults = slow
        thread.start()
        assert appending.wait(SECONDS)
    thread.join(SECONDS)
    assert answers == [202]


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=SECONDS).close()
    except ConnectionError:
        return False
    return True


def test_a_group_whose_offsets_are_lost_takes_nothing_in_twice(settings: IngestSettings) -> None:
    """A second record under a key would make compaction remove the first, and its place with it."""
    log = MemoryLog()
    log.create_topics(TOPICS.all(2))
    log.append([Message(TOPICS.sessions, b"%d" % n, text(id=f"ev-{n}", subject=f"ep-{n % 5}")) for n in range(40)])
    log.append([Message(TOPICS.sessions, b"%d" % n, b"{") for n in range(4)])
    drain(settings, log)
    held = {topic: records_of(log, topic) for topic in (TOPICS.episodes, TOPICS.dead_letters)}
    log._groups.clear()
    log.append([Message(TOPICS.sessions, b"new", text(id="ev-new"))])
    drain(settings, log)
    assert records_of(log, TOPICS.dead_letters) == held[TOPICS.dead_letters]
    assert len(records_of(log, TOPICS.episodes)) == len(held[TOPICS.episodes]) + 1
    keys = [record.key for record in records_of(log, TOPICS.episodes)]
    assert len(keys) == len(set(keys))


def drain(settings: IngestSettings, log: MemoryLog) -> None:
    make(settings, log).work.drain(threading.Event())


def records_of(log: MemoryLog, topic: str) -> list[Record]:
    return [record for number in range(2) for record in log.read(Partition(topic, number))]
