"""Erasure on a real broker: after compaction its disk holds the client in two topics alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from keepwell.cli.erase import drop_sent
from keepwell.streams.kafka.log import KafkaLog
from keepwell.streams.log import Partition, Record
from keepwell.streams.worker.dead_letters import letter
from services.erasure.client import Client, written
from services.erasure.raw import Sent, opened, raw
from tests.broker.broker import Broker
from tests.services.erasure.clinic import GONE, SUBJECTS, Clinic, erasure

pytestmark = pytest.mark.kafka

AT_ONCE = {
    "segment.ms": "1000", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "0", "max.compaction.lag.ms": "1000",
    "compression.type": "uncompressed", "file.delete.delay.ms": "1000",
}  # fmt: skip
"""Compaction within seconds (KAFKA.md, F20), of records that can be looked for on the disk."""
NAMES = [f'"{GONE}"'.encode(), *(f"north/{subject}".encode() for subject in SUBJECTS)]


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker() as broker:
        yield broker


def test_after_compaction_the_disk_holds_an_erased_client_only_as_senders_wrote(broker: Broker, prefix: str) -> None:
    log = KafkaLog([broker.bootstrap], group_prefix=prefix)
    clinic = Clinic(log, prefix, 2)
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, t, AT_ONCE) for t in written(clinic.topics)])
    admin.close()
    clinic.live()
    assert clinic.verify() is None
    others = {topic: [one for one in clinic.holds(topic) if not _of_gone(one[1])] for topic in written(clinic.topics)}
    assert on_disk(broker) >= {clinic.topics.episodes, clinic.topics.scores, clinic.topics.alerts, clinic.topics.state}
    clinic.send([erasure()])
    clinic.ingest()
    clinic.predict()
    assert clinic.verify() is None
    clinic.erase()
    assert clinic.of_gone() == []
    assert clinic.verify() is None
    deadline = time.monotonic() + 90
    while (left := on_disk(broker)) - {clinic.topics.sessions}:
        assert time.monotonic() < deadline, left
        log.purge([each for topic in written(clinic.topics) for each in clinic.partitions(topic)])
        assert clinic.verify() is None, "a replay holds while the broker compacts"
        time.sleep(1)
    assert clinic.verify() is None
    for topic in (clinic.topics.alerts, clinic.topics.episodes):
        assert [one for one in clinic.holds(topic) if one in others[topic]] == others[topic], (
            "every other record is there"
        )
    log.close()


def test_what_was_sent_is_dropped_on_request_with_what_came_before_and_no_letter_of_another(
    kafka_bootstrap: str, prefix: str
) -> None:
    log = KafkaLog([kafka_bootstrap], group_prefix=prefix)
    clinic = Clinic(log, prefix, 2)
    clinic.live()
    topics = clinic.topics
    sessions = clinic.partitions(topics.sessions)
    ends = {each: log.bounds(each)[1] for each in sessions}
    client = Client("north", GONE)
    episodes = frozenset().union(*(opened(log, topic, client) for topic in (topics.sessions, topics.dead_letters)))
    places = {topic: raw(log, topic, client, episodes) for topic in (topics.sessions, topics.dead_letters)}
    assert places[topics.sessions].openings
    told = drop_sent(log, topics, places)
    assert not told[topics.sessions].startswith("0 ")
    left = raw(log, topics.sessions, client, episodes)
    assert left == Sent({}, {})
    assert {each: log.bounds(each)[1] for each in sessions} == ends, "nothing that comes later is lost"
    assert clinic.verify() is None
    partition = Partition(topics.dead_letters, 0)
    log.append(
        [letter(topics.dead_letters, Record(sessions[0], n, b"k", b"not json"), "not_json", "$") for n in (1, 2)]
    )
    of_client = next(record.offset for record in reversed(list(log.read(partition))))
    refused = drop_sent(
        log, topics, {topics.sessions: Sent({}, {}), topics.dead_letters: Sent({}, {partition: [of_client]})}
    )
    assert "other letters wait there" in refused[topics.dead_letters]
    log.close()


def _of_gone(key: bytes | None) -> bool:
    return any((key or b"").partition(b"#")[0] == name for name in NAMES[1:])


def on_disk(broker: Broker) -> set[str]:
    """The topics in whose files on the broker's disk the client stands."""
    found = set()
    for folder in Path(broker.folder, "data").iterdir():
        for file in folder.glob("*.log*") if folder.is_dir() else ():
            try:
                content = file.read_bytes()
            except FileNotFoundError:
                continue  # compaction was faster
            if any(name in content for name in NAMES):
                found.add(folder.name.rpartition("-")[0])
    return found
