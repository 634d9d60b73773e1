"""Records of other clients, compressed as they like, on a real broker; and what is said of a batch that nobody can read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import Producer
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

from keepwell.contract.events import encode
from keepwell.streams.kafka.log import KafkaLog
from keepwell.streams.log import LogError, Partition, Topic
from tests.broker.broker import PATIENCE
from tests.feed import EVENTS
from tests.system import System

pytestmark = pytest.mark.kafka

CODECS = ("gzip", "snappy", "lz4", "zstd")
VALUES = [b'{"number": %d}' % number * 20 for number in range(50)]
"""Enough alike that a batch is really compressed."""

Send = Callable[[str, str, str, list[bytes]], None]
"""Sends values to the first partition of a topic; from address, topic and codec."""


def by_kafka_python(bootstrap: str, topic: str, codec: str, values: list[bytes]) -> None:
    with closing(KafkaProducer(bootstrap_servers=bootstrap, compression_type=codec, linger_ms=500)) as producer:
        for value in values:
            producer.send(topic, value, b"key", partition=0)
        producer.flush(PATIENCE)


def by_librdkafka(bootstrap: str, topic: str, codec: str, values: list[bytes]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "compression.type": codec, "linger.ms": 500})
    for value in values:
        producer.produce(topic, value, b"key", partition=0)
    assert producer.flush(PATIENCE) == 0


senders = pytest.mark.parametrize("send", [by_kafka_python, by_librdkafka], ids=["kafka-python", "librdkafka"])


@pytest.fixture
def log(kafka_bootstrap: str) -> Iterator[KafkaLog]:
    with closing(KafkaLog([kafka_bootstrap])) as log:
        yield log


@pytest.fixture
def topic(log: KafkaLog, prefix: str) -> str:
    log.create_topics([Topic(f"{prefix}in", 1)])
    return f"{prefix}in"


@senders
@pytest.mark.parametrize("codec", CODECS)
def test_a_codec_is_read_in_a_group_and_outside_one(
    send: Send, codec: str, log: KafkaLog, topic: str, kafka_bootstrap: str
) -> None:
    send(kafka_bootstrap, topic, codec, VALUES)
    assert [record.value for record in log.read(Partition(topic, 0))] == VALUES
    with closing(log.join(f"{topic}-group", topic, "a")) as member:
        found: list[bytes | None] = []
        while len(found) < len(VALUES):
            polled = member.poll(PATIENCE)
            for partition in polled.gained:
                member.start(partition)
            found += [record.value for records in polled.records.values() for record in records]
    assert found == VALUES


@senders
def test_ingest_takes_events_of_every_codec_and_the_doctor_reads_past_them(
    send: Send, kafka_bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    with System(f"kafka://{kafka_bootstrap}", prefix, tmp_path, partitions=1) as system:
        for codec, part in zip(CODECS, (EVENTS[:50], EVENTS[50:100], EVENTS[100:150], EVENTS[150:200]), strict=True):
            send(kafka_bootstrap, system.topics.sessions, codec, [encode(event) for event in part])
        done = system.run("ingest", "--drain", "--instance", "a")
        assert done.returncode == 0, done.stderr
        assert system.accepted().total() == 200
        assert not system.dead_letters()
        told = system.run("doctor").stdout
        assert "lag of keepwell-ingest: 0 records" in told


class NotText(str):
    """A header's name that is no text: kafka-python sends the bytes that it asks it for."""

    __slots__ = ()

    def encode(self, *_: str) -> bytes:
        return b"\xff\xfe"


def test_a_batch_that_cannot_be_read_is_told_with_its_place_and_the_way_on(
    log: KafkaLog, topic: str, kafka_bootstrap: str
) -> None:
    by_librdkafka(kafka_bootstrap, topic, "none", [b"one", b"two"])
    with closing(KafkaProducer(bootstrap_servers=kafka_bootstrap)) as producer:
        # A broker takes it as it is.
        producer.send(topic, b"three", b"key", [(NotText(), b"")], 0).get(PATIENCE)
    by_librdkafka(kafka_bootstrap, topic, "none", [b"four"])
    with pytest.raises(LogError, match=rf"{topic}\[0\] has a batch of records, from offset 2 on, that cannot be read"):
        list(log.read(Partition(topic, 0)))
    member = log.join(f"{topic}-group", topic, "a")
    with pytest.raises(LogError, match=r"kafka-delete-records\.sh .* --accept-gap"):
        while True:
            for partition in member.poll(PATIENCE).gained:
                member.start(partition)
    member.close()
    admin = KafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    admin.delete_records({TopicPartition(topic, 0): 3})
    admin.close()
    assert [record.value for record in log.read(Partition(topic, 0))] == [b"four"]
