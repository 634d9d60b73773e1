"""Sends at a steady rate whatever the system does (an open loop), and watches what becomes visible."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from types import TracebackType
from typing import Any

from kafka import KafkaProducer

from keepwell.streams.log import Log, Message, Record

Send = Callable[[Sequence[Message]], object]


class Feeder:
    """Sends messages from a thread of its own while a `with` block runs; each has a moment at which it is due.

    A message is never sent before it is due, and the next is due whether or not the one before got through: what waits for a
    slow system counts as its latency (no coordinated omission). `due` holds the moments, in seconds of the performance
    counter, in the order of the messages; a moment is noted before its message is sent.
    """

    def __init__(self, send: Send, messages: Iterable[Message], rate: float) -> None:
        self._send = send
        self._messages = iter(messages)
        self._rate = rate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feeder")
        self._error: Exception | None = None
        self.due: list[float] = []

    def __enter__(self) -> Feeder:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    @property
    def done(self) -> bool:
        """Whether all messages were sent, or sending failed."""
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            began = time.perf_counter()
            while not self._stop.is_set():
                batch: list[Message] = []
                while (moment := began + len(self.due) / self._rate) <= time.perf_counter():
                    message = next(self._messages, None)
                    if message is None:
                        self._send(batch)
                        return
                    self.due.append(moment)
                    batch.append(message)
                if batch:
                    self._send(batch)
                self._stop.wait(max(0.0, began + len(self.due) / self._rate - time.perf_counter()))
        except Exception as error:
            self._error = error


@contextmanager
def sender(log: Log, kafka: str | None) -> Iterator[Send]:
    """How a clinic platform writes: to Kafka by a plain producer of its own, else by an append."""
    if kafka is None:
        yield lambda messages: log.append(messages) if messages else None
        return
    producer: Any = KafkaProducer(bootstrap_servers=kafka, acks="all", linger_ms=0, metrics_enabled=False)

    def send(messages: Sequence[Message]) -> None:
        for topic, key, value, headers, partition in messages:
            producer.send(topic, value, key, list(headers), partition)

    try:
        yield send
        producer.flush(30)
    finally:
        producer.close(timeout=5)


def visible(log: Log, topic: str, group: str) -> Generator[Sequence[Record], None, None]:
    """What a reader of committed records sees of a topic, from its beginning and for ever; a look can bring nothing."""
    with closing(log.join(group, topic, "bench-reader")) as member:
        while True:
            polled = member.poll(0.1)
            for partition in polled.gained:
                member.start(partition)
            yield [record for records in polled.records.values() for record in records]
