"""A small worker that copies every record of `<prefix>in` to `<prefix>out`, for tests that kill, freeze and crowd it.

`python -m tests.streams.worker.kafka_copier BOOTSTRAP PREFIX INSTANCE [--hang]`; with `--hang` it stops for ever within
its first transaction, after all is written and before the commit, and prints `inside`.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterable

from keepwell.streams.kafka.log import KafkaLog
from keepwell.streams.log import Doubt, Member, Message, Partition, Record, Topic

PARTITIONS = 4


def prepare(log: KafkaLog, prefix: str) -> None:
    """Creates both topics."""
    log.create_topics([Topic(f"{prefix}in", PARTITIONS), Topic(f"{prefix}out", PARTITIONS)])


def feed(log: KafkaLog, prefix: str, values: Iterable[int]) -> None:
    """Writes numbers, each under its own key."""
    log.append([Message(f"{prefix}in", b"%d" % value, b"%d" % value) for value in values])


def copied(log: KafkaLog, prefix: str) -> list[int]:
    """What has arrived, sorted; twice what was copied twice."""
    numbers = range(PARTITIONS)
    return sorted(int(r.value or b"") for n in numbers for r in log.read(Partition(f"{prefix}out", n)))


def copies(prefix: str, records: Iterable[Record]) -> list[Message]:
    """The records as messages for the other topic, in the same partition."""
    return [Message(f"{prefix}out", r.key, r.value, r.headers, r.partition.number) for r in records]


class Copier:
    """One life of a worker: any doubt ends it."""

    def __init__(self, log: KafkaLog, prefix: str, instance: str) -> None:
        self.prefix = prefix
        self.owned: set[Partition] = set()
        self.member: Member = log.join("copy", f"{prefix}in", instance)

    def step(self, timeout: float = 0.1) -> int:
        """Copies what one poll brings and returns how many."""
        polled = self.member.poll(timeout, limit=20)
        self.owned = self.owned - polled.lost | polled.gained
        for partition in polled.gained:
            self.member.start(partition)
        records = [record for batch in polled.records.values() for record in batch]
        if records:
            ends = {partition: batch[-1].offset + 1 for partition, batch in polled.records.items()}
            self.member.commit(copies(self.prefix, records), ends)
        return len(records)


def work(log: KafkaLog, prefix: str, instance: str, stop: threading.Event) -> int:
    """Copies until told to stop, in as many lives as it takes, and returns their number."""
    lives = 0
    while not stop.is_set():
        lives += 1
        with contextlib.suppress(Doubt):
            copier = Copier(log, prefix, instance)
            try:
                while not stop.is_set():
                    copier.step()
            finally:
                copier.member.close()
    return lives


def main() -> None:
    """Works until killed."""
    bootstrap, prefix, instance = sys.argv[1:4]
    log = KafkaLog([bootstrap], group_prefix=prefix)
    copier = Copier(log, prefix, instance)
    if "--hang" in sys.argv:
        writer = copier.member._writer  # type: ignore[attr-defined]  # the Kafka member's: stopped just before the commit

        def hang() -> tuple[int, int]:
            print("inside", flush=True)
            threading.Event().wait()
            raise AssertionError

        writer._now_is = hang
    while True:
        copier.step()


if __name__ == "__main__":
    main()
