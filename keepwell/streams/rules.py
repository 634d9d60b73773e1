"""Rules that logs share: where a message goes, who reads a partition, and from where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keepwell.streams.log import LogError, Message, OffsetGone, Partition, partition_for

TOMBSTONE_AGE = 86_400.0
"""Seconds after which compaction drops a deletion itself: Kafka's default of `delete.retention.ms`."""


def place(message: Message, partitions: int, compacted: bool) -> int:
    """The partition a message goes to, of a topic with so many partitions.

    Raises `LogError` where the message names a partition that the topic lacks, where it has neither key nor partition, and
    where it has no key in a compacted topic, which could then neither replace it nor be told to forget it.
    """
    _, key, _, _, number = message
    if key is None and compacted:
        raise LogError(f"a message for the compacted topic {message.topic!r} has no key: give it one")
    if number is None:
        if key is None:
            raise LogError(f"a message for {message.topic!r} has neither key nor partition: give it one of the two")
        return partition_for(key, partitions)
    if not 0 <= number < partitions:
        raise LogError(f"topic {message.topic!r} has {partitions} partitions, none with the number {number}")
    return number


def assign(members: Sequence[int], partitions: int, before: Mapping[int, int]) -> dict[int, int]:
    """Partition number to member: even to within one, and moving as few partitions as that allows.

    `before` is the assignment so far; its partitions of members that are gone, and those it lacks, are given to whoever has
    too few. The result depends on nothing but the arguments, so every process computes the same. Empty without members.

    >>> assign([1, 2], 4, {0: 1, 1: 1, 2: 1, 3: 1})
    {0: 1, 1: 1, 2: 2, 3: 2}
    >>> assign([2], 4, {0: 1, 1: 1, 2: 2, 3: 2})
    {0: 2, 1: 2, 2: 2, 3: 2}
    """
    if not members:
        return {}
    held: dict[int, list[int]] = {member: [] for member in members}
    for number in range(partitions):
        if (member := before.get(number)) in held:
            held[member].append(number)
    share, over = divmod(partitions, len(members))
    richest_first = sorted(members, key=lambda member: (-len(held[member]), member))
    quota = {member: share + (rank < over) for rank, member in enumerate(richest_first)}
    after = {number: member for member in members for number in held[member][: quota[member]]}
    free = iter([number for number in range(partitions) if number not in after])
    for member in members:
        for _ in range(quota[member] - len(held[member][: quota[member]])):
            after[next(free)] = member
    return dict(sorted(after.items()))


def check_start(partition: Partition, offset: int, first: int, end: int) -> None:
    """Raises `OffsetGone` where `offset` lies below what is held, `LogError` where it lies beyond the end."""
    if offset < first:
        raise OffsetGone(f"{partition} holds records from {first} on, not {offset}: they were deleted unread")
    if offset > end:
        raise LogError(f"{partition} ends at {end}, before {offset}: was the log replaced by an older one?")
