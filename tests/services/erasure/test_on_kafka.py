"""Erasure on a real broker: after compaction its disk holds the client in two topics alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from keepwell.streams.kafka.log import KafkaLog
from services.erasure.client import written
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
