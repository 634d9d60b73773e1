"""The least that kafka-python takes to do the predictor's I/O exactly once: what the worker's rate is compared with.

Poll, decode, send the captured outputs and one changelog record a changed key, offsets, commit. The settings are those of
Keepwell's own clients. No check of futures, no limits, no restore, no limits on refusals: fast, and not safe.
"""

from __future__ import annotations

from typing import Final

import msgspec
from kafka import KafkaConsumer, KafkaProducer
from kafka.structs import OffsetAndMetadata

from benchmarks.captured import Captured
from benchmarks.figures import Mark
from keepwell.streams.topics import Topics
from keepwell.streams.worker.loop import Pace

HEAD: Final = bytes(9)
"""Stands for version and offset, which the worker writes before each state."""


def run(bootstrap: str, group: str, source: str, topics: Topics, captured: Captured, total: int) -> tuple[Mark, Mark]:
    """Works `total` records off. Returns the moments when the first were in hand and the last were committed."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, transactional_id=group, **_PRODUCER)
    producer.init_transactions()
    for topic in (topics.scores, topics.alerts, topics.dead_letters, topics.state):
        producer.partitions_for(topic)
    consumer = KafkaConsumer(source, bootstrap_servers=bootstrap, group_id=group, **_CONSUMER)
    began: Mark | None = None
    done = 0
    try:
        while done < total or began is None:
            batches = consumer.poll(timeout_ms=200)
            if not batches:
                continue
            began = began or Mark.now()
            producer.begin_transaction()
            offsets = {}
            for partition, records in batches.items():
                number, state = partition.partition, dict[bytes, bytes | None]()
                for record in records:
                    msgspec.json.decode(record.value)
                    output = captured[record.value]
                    for message in output.messages:
                        producer.send(message.topic, message.value, message.key, partition=number)
                    state |= output.state
                for key, payload in state.items():
                    producer.send(topics.state, None if payload is None else HEAD + payload, key, partition=number)
                offsets[partition] = OffsetAndMetadata(records[-1].offset + 1, "", -1)
                done += len(records)
            producer.send_offsets_to_transaction(offsets, consumer.group_metadata())
            producer.commit_transaction()
        return began, Mark.now()
    finally:
        consumer.close(autocommit=False)
        producer.close()


_PRODUCER: Final[dict[str, object]] = {
    "acks": -1,
    "transaction_timeout_ms": 15_000,
    "delivery_timeout_ms": 12_000,
    "request_timeout_ms": 10_000,
    "max_block_ms": 15_000,
    "retry_backoff_ms": 5,
    "linger_ms": 0,
    "batch_size": 131_072,
    "compression_type": "zstd",
    "metrics_enabled": False,
}
_CONSUMER: Final[dict[str, object]] = {
    "isolation_level": "read_committed",
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
    "max_poll_records": Pace().records,
    "metrics_enabled": False,
}
