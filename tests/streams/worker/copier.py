"""A worker to be killed: copies a topic to two others, exactly once, until the log is fenced or the process dies."""

from __future__ import annotations

import sys

from keepwell.streams.log import Doubt, Message, Record
from keepwell.streams.sqlite.log import SqliteLog


def copy(path: str, instance: str) -> None:
    """Copies in small commits, so that most of the time is spent in the middle of one."""
    log = SqliteLog(path, lease=1.0)
    member = log.join("copy", "in", instance)
    while True:
        polled = member.poll(0.5, limit=3)
        for partition in polled.gained:
            member.start(partition)
        records = [record for batch in polled.records.values() for record in batch]
        ends = {partition: batch[-1].offset + 1 for partition, batch in polled.records.items()}
        member.commit([Message(topic, r.key, trace(r)) for r in records for topic in ("a", "b")], ends)


def trace(record: Record) -> bytes:
    """Which record this is a copy of."""
    return b"%d/%d" % (record.partition.number, record.offset)


if __name__ == "__main__":
    while True:
        try:
            copy(sys.argv[1], sys.argv[2])
        except Doubt:
            # Frozen for longer than its lease, or the file was busy: it starts anew, as a worker does.
            continue
