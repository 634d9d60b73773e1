"""What a log still says: its records without those that a later deletion of their key takes back."""

from __future__ import annotations

from collections.abc import Iterator

from keepwell.streams.log import Log, Partition, Record


def standing(log: Log, partition: Partition, start: int = 0, end: int | None = None) -> Iterator[Record]:
    """As `Log.read`, without deletions and without what a deletion anywhere in the partition takes back.

    While a log is being compacted it can lack some records of an erased client and still hold others; read like this it
    says nothing of the client from the moment of the deletions on. Reads the partition twice.
    """
    deleted = {record.key: record.offset for record in log.read(partition) if record.value is None}
    for record in log.read(partition, start, end):
        if record.value is not None and record.offset > deleted.get(record.key, -1):
            yield record


def stands(log: Log, record: Record) -> bool:
    """Whether a log still says a record that was read of it before: it is held, and no later deletion takes it back.

    Reads on from the record to the end, so it is for records near it.
    """
    later = iter(log.read(record.partition, record.offset))
    held = next(later, None)
    if held is None or held.offset != record.offset:
        return False
    return not any(each.value is None and each.key == record.key for each in later)
