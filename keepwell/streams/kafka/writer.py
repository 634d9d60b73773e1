"""Writes to Kafka whole or not at all: a transactional producer whose every call is bounded and whose every send is checked.

kafka-python 3.0.12 commits transactions of which records are missing, keeps offsets that were refused, and waits without
limit (KAFKA.md, F2, F4, F5, F9). Hence the rules R1 to R4: one thread; every future looked at before the commit; nothing done
with a producer after an error but to end it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from kafka import KafkaProducer, TopicPartition
from kafka.errors import KafkaTimeoutError
from kafka.structs import OffsetAndMetadata

from keepwell.streams.kafka.client import FRAMING, MESSAGE_LIMIT, TRANSACTION_SECONDS, build, explain, ms
from keepwell.streams.log import Doubt, LogError, Message, Partition
from keepwell.streams.rules import place

Place = tuple[Partition, int]

WRITE_SECONDS: Final = TRANSACTION_SECONDS + 5.0
"""Limit of one `Writer.write`: a little longer than the broker keeps the transaction open."""

ABANDON_SECONDS: Final = 1.0
"""Limit of telling the broker that a transaction will not be committed; it finds out by itself later."""


class KafkaWriter:
    """The only live writer under `transactional_id`. Used by one thread.

    Making it fences any other of the same id and aborts what that had open. `partitions` tells how many a topic has and
    raises `LogError` where it does not exist; `topics` are looked up at once, others when they are first written to.
    """

    def __init__(
        self,
        settings: Mapping[str, object],
        transactional_id: str,
        partitions: Callable[[str], int],
        topics: Sequence[str],
    ) -> None:
        self._partitions = partitions
        self._topics: dict[str, int] = {}
        self._usable = True
        self._producer = build(KafkaProducer, {**settings, **_PRODUCER, "transactional_id": transactional_id})
        self._manager = self._producer._transaction_manager
        # Without this the client answers a stale epoch by taking a new one, and commits what is left (F2); a zombie could
        # even abort its successor's transaction by it (F3).
        self._manager._supports_epoch_bump = lambda: False
        try:
            self._producer.init_transactions()
            self._identity = self._now_is()
            for topic in topics:
                # One look-up brings all of them; between two the client waits a tenth of a second, as before a retry.
                self._producer._sender.add_topic(topic)
            for topic in topics:
                self._know(topic)
        except Exception as error:
            self.close()
            raise (
                error if isinstance(error, LogError) else explain(error, "taking over the transactional id")
            ) from error

    def write(
        self, messages: Sequence[Message], offsets: Mapping[TopicPartition, int] | None = None, group: Any = None
    ) -> list[Place]:
        """Commits all `messages` and the `offsets` of a consumer, whose metadata as of the poll that read them is `group`.

        Raises `Fenced` where it certainly did not happen as another took over, `LogError` where it did not happen and the
        message or the rights must change, else `Doubt`. After any but a `LogError` raised before sending, use it no more.
        """
        if not self._usable:
            raise Doubt("this writer met an error before: nothing was written")
        resolved = [(message, self._resolve(message)) for message in messages]
        self._usable = False
        deadline = time.monotonic() + WRITE_SECONDS
        try:
            places = self._send(resolved, offsets, group, deadline)
        except Exception as error:
            cause = error if isinstance(error, LogError) else self._cause(error)
            self._abandon()
            if isinstance(cause, LogError):
                raise
            raise explain(cause, "writing a transaction that was not committed") from error
        try:
            self._wait(self._manager.begin_commit(), deadline)
        except Exception as error:
            # Even an answer of "fenced" can be that to a repeated request of which the first was obeyed.
            raise Doubt(f"Kafka failed with {type(error).__name__} at the commit: it may have happened") from error
        self._usable = True
        return places

    def close(self) -> None:
        """Ends the producer and its thread. An open transaction is left to the broker or the next of this id to abort."""
        self._usable = False
        end(self._producer)

    def _send(
        self,
        resolved: Sequence[tuple[Message, int]],
        offsets: Mapping[TopicPartition, int] | None,
        group: Any,
        deadline: float,
    ) -> list[Place]:
        producer, manager = self._producer, self._manager
        producer.begin_transaction()
        futures = [
            producer.send(message.topic, message.value, message.key, list(message.headers), number)
            for message, number in resolved
        ]
        if offsets:
            told = {partition: OffsetAndMetadata(offset, "", -1) for partition, offset in offsets.items()}
            self._wait(manager.send_offsets_to_transaction(told, group), deadline)
        producer.flush(timeout=max(0.0, deadline - time.monotonic()))
        places = []
        for future in futures:
            # Not even get(timeout=0): a future still open after the flush is a broken promise, not a reason to wait.
            if not future.is_done:
                raise Doubt("Kafka did not acknowledge every record: nothing was committed")
            if future.failed():
                raise future.exception
            sent = future.value
            places.append((Partition(sent.topic, sent.partition), sent.offset))
        if self._now_is() != self._identity:
            raise Doubt("the producer changed its identity within a transaction: nothing was committed")
        return places

    def _abandon(self) -> None:
        """Aborts if that is quickly done, as readers wait for an open transaction. What comes of it does not matter."""
        with contextlib.suppress(Exception):
            self._wait(self._manager.begin_abort(), time.monotonic() + ABANDON_SECONDS)

    def _wait(self, result: Any, deadline: float) -> None:
        self._producer._sender.wakeup()
        if not result.wait(timeout_ms=max(0, ms(deadline - time.monotonic()))):
            raise KafkaTimeoutError("no answer within the limit")

    def _cause(self, error: Exception) -> Exception:
        """The error that put the producer into its state, which says more than the refusal to go on."""
        last = self._manager.last_error
        return last if isinstance(last, Exception) else error

    def _resolve(self, message: Message) -> int:
        number = place(message, self._know(message.topic), compacted=False)
        check(message)
        return number

    def _know(self, topic: str) -> int:
        if topic not in self._topics:
            count = self._partitions(topic)
            # Asked before the transaction: the first send to a topic would wait for it within.
            try:
                self._producer.partitions_for(topic)
            except Exception as error:
                raise explain(error, f"looking up topic {topic!r}") from error
            self._topics[topic] = count
        return self._topics[topic]

    def _now_is(self) -> tuple[int, int]:
        now = self._manager.producer_id_and_epoch
        return now.producer_id, now.epoch


class SingleWriter:
    """Writes single messages durably and without duplicates by retries; several threads may use it at once."""

    def __init__(self, settings: Mapping[str, object]) -> None:
        self._producer = build(KafkaProducer, {**settings, **_PRODUCER})

    def write(self, message: Message, number: int) -> Place:
        """Returns where the message lies, after it is durable. Raises `LogError` where it is refused, else `Doubt`."""
        check(message)
        try:
            future = self._producer.send(message.topic, message.value, message.key, list(message.headers), number)
            sent = future.get(timeout=WRITE_SECONDS)
        except Exception as error:
            raise explain(error, f"appending to {message.topic!r}; it may have happened") from error
        return Partition(sent.topic, sent.partition), sent.offset

    def close(self) -> None:
        """Ends the producer and its thread."""
        end(self._producer)


def end(producer: Any) -> None:
    """Ends a producer at once, whatever its state; `close` alone would wait, raise, or leave its thread writing (F12)."""
    with contextlib.suppress(Exception):
        producer._sender.force_close()
        producer._sender.join(5)
    with contextlib.suppress(Exception):
        producer.close(timeout=0)
    producer._closed = True


def check(message: Message) -> None:
    """Raises `LogError` for a message that Kafka would not take, before anything is sent."""
    size = len(message.key or b"") + len(message.value or b"")
    size += sum(len(name) + len(value) for name, value in message.headers)
    if size > MESSAGE_LIMIT:
        raise LogError(f"a message for {message.topic!r} has {size} bytes, more than the {MESSAGE_LIMIT} allowed")
    if message.key is None and message.value is None:
        raise LogError(f"a message for {message.topic!r} has neither key nor value: give it one of the two")


_PRODUCER: Final[dict[str, object]] = {
    "acks": -1,
    "transaction_timeout_ms": ms(TRANSACTION_SECONDS),
    "delivery_timeout_ms": ms(TRANSACTION_SECONDS - 3),
    "max_block_ms": ms(TRANSACTION_SECONDS),
    # The default of 100 ms is slept whenever the transaction before is still completing (KAFKA.md (d)).
    "retry_backoff_ms": 5,
    "linger_ms": 0,
    "batch_size": 131_072,
    "compression_type": "zstd",
    "max_request_size": MESSAGE_LIMIT + FRAMING,
    "allow_auto_create_topics": False,
    "metrics_enabled": False,
}
