"""Reads Kafka from outside a group: a span of a partition for restoring and replaying, bounds, and what groups committed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import OffsetOutOfRangeError

from keepwell.streams.kafka.client import UNDECIDED_SECONDS, build, explain, explain_poll, ms
from keepwell.streams.kafka.member import to_record
from keepwell.streams.log import Doubt, LogError, Partition, Record

POLL_SECONDS: Final = 0.02
"""One look for records: where only a transaction's marker is left, kafka-python waits this out (KAFKA.md, F19)."""


class KafkaReader:
    """Consumers without a group, kept for the next use; safe to use from several threads."""

    def __init__(self, settings: Mapping[str, object]) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._idle: list[Any] = []
        self._closed = False

    def read(self, partition: Partition, start: int, stop: int) -> Iterator[Record]:
        """Committed records of `[start, stop)`. Waits while transactions below `stop` are undecided, within the limit."""
        there = TopicPartition(*partition)
        with self._consumer(f"reading {partition}") as consumer:
            consumer.assign([there])
            consumer.seek(there, start)
            position, deadline = start, time.monotonic() + UNDECIDED_SECONDS
            while position < stop:
                try:
                    batch = consumer.poll(timeout_ms=ms(POLL_SECONDS)).get(there, ())
                except OffsetOutOfRangeError:
                    # Retention was faster: what is gone is gone, the port asks for what is held.
                    first = consumer.beginning_offsets([there])[there]
                    if first <= position:
                        raise
                    consumer.seek(there, first)
                    batch = ()
                except Exception as error:
                    raise explain_poll(consumer, error, f"reading {partition}") from error
                for record in batch:
                    if record.offset >= stop:
                        return
                    yield to_record(partition, record)
                reached = consumer.position(there)
                if reached > position:
                    position, deadline = reached, time.monotonic() + UNDECIDED_SECONDS
                elif time.monotonic() > deadline:
                    raise self._stuck(consumer, there, stop)

    def bounds(self, partition: Partition) -> tuple[int, int]:
        """As the port."""
        there = TopicPartition(*partition)
        with self._consumer(f"looking up the bounds of {partition}", isolation="read_uncommitted") as consumer:
            return consumer.beginning_offsets([there])[there], consumer.end_offsets([there])[there]

    def committed(self, group: str, topic: str, partitions: int) -> dict[Partition, int]:
        """As the port. Waits while a transaction on an offset is undecided, within the limit."""
        with self._consumer(f"reading the offsets of group {group!r}", group=group) as consumer:
            found = {}
            for number in range(partitions):
                offset = consumer.committed(TopicPartition(topic, number), timeout_ms=ms(UNDECIDED_SECONDS))
                if offset is not None:
                    found[Partition(topic, number)] = offset
            return found

    def close(self) -> None:
        """Ends the consumers at rest, and those in use when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for consumer in idle:
            consumer.close(autocommit=False)

    @contextmanager
    def _consumer(self, doing: str, **wanted: str) -> Iterator[Any]:
        consumer = self._take(wanted)
        fit = False
        try:
            yield consumer
            fit = True
        except GeneratorExit:
            fit = True
            raise
        except LogError:
            raise
        except Exception as error:
            raise explain(error, doing) from error
        finally:
            self._give_back(consumer, fit)

    def _take(self, wanted: Mapping[str, str]) -> Any:
        isolation, group = wanted.get("isolation", "read_committed"), wanted.get("group")
        with self._lock:
            if self._closed:
                raise LogError("this log is closed")
            for consumer in self._idle:
                if consumer.config["isolation_level"] == isolation and consumer.config["group_id"] == group:
                    self._idle.remove(consumer)
                    return consumer
        return build(KafkaConsumer, {**self._settings, **_READER, "isolation_level": isolation, "group_id": group})

    def _give_back(self, consumer: Any, fit: bool) -> None:
        with self._lock:
            keep = fit and not self._closed
            if keep:
                self._idle.append(consumer)
        if not keep:
            consumer.close(autocommit=False)

    def _stuck(self, consumer: Any, there: TopicPartition, stop: int) -> LogError:
        where = f"{Partition(*there)} below offset {stop}"
        limit = f"{UNDECIDED_SECONDS:.0f} s"
        stable = consumer.end_offsets([there])[there]
        if stable >= stop:
            return Doubt(f"no record came from {where} for {limit}")
        return LogError(
            f"{where}: a transaction has been undecided at {stable} for {limit}, longer than any may be open. After a broker "
            "died, the mark of an aborted transaction can be missing (last stable offset below the high watermark); the next "
            "commit of its transactional id would show its aborted records. Do not start a worker over it: look with "
            "`kafka-transactions.sh find-hanging` and end it with `kafka-transactions.sh abort`."
        )


_READER: Final[dict[str, object]] = {
    "enable_auto_commit": False,
    "auto_offset_reset": "none",
    "allow_auto_create_topics": False,
    # The next partition waits until the broker has answered for this one, so it must not hold its answer at the end.
    "fetch_max_wait_ms": 10,
    "max_poll_records": 5000,
    "max_partition_fetch_bytes": 8 * 1024 * 1024,
    "metrics_enabled": False,
}
