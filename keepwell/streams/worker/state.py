"""State records: what a worker writes to its changelog, so that memory can be rebuilt and no source record counts twice.

A state record carries, before the state itself, the offset of the last source record that the state includes. The highest
offset in a changelog partition is the point at or below which source records were worked in, whatever the group's
committed offset says: both are written in one commit, but offsets live elsewhere and can be lost or moved back.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

from keepwell.streams.log import LogError, Message, Partition, Record

POSITION: Final = b"\x00position"
"""Key of the record that carries the offset of a batch which leaves no live state; no state key begins with a NUL."""

_HEAD: Final = struct.Struct(">BQ")
_VERSION: Final = 1


class StateRecord(NamedTuple):
    """State of one key: `payload` is the processor's own encoding, `offset` the last source offset it includes."""

    offset: int
    payload: bytes


def encode(record: StateRecord) -> bytes:
    """The value of a changelog record: version (1 byte), offset (8 bytes, big-endian), payload.

    >>> encode(StateRecord(258, b"x")).hex()
    '01000000000000010278'
    """
    return _HEAD.pack(_VERSION, record.offset) + record.payload


def decode(value: bytes) -> StateRecord:
    """The reverse of `encode`. Raises `ValueError` where the bytes are no state record of this version.

    >>> decode(encode(StateRecord(258, b"x")))
    StateRecord(offset=258, payload=b'x')
    """
    if len(value) < _HEAD.size or value[0] != _VERSION:
        raise ValueError(f"not a state record of version {_VERSION}")
    return StateRecord(_HEAD.unpack_from(value)[1], value[_HEAD.size :])


def entries(topic: str, partition: int, offset: int, dirty: Mapping[bytes, bytes | None]) -> list[Message]:
    """The changelog messages of one batch of one partition; `None` in `dirty` deletes the key.

    A deletion cannot carry an offset for long (compaction removes it), so a batch without live state adds a `POSITION`
    record: then the newest batch always leaves its offset behind.
    """
    messages = [
        Message(topic, key, None if payload is None else encode(StateRecord(offset, payload)), partition=partition)
        for key, payload in dirty.items()
    ]
    if all(payload is None for payload in dirty.values()):
        messages.append(Message(topic, POSITION, encode(StateRecord(offset, b"")), partition=partition))
    return messages


def read(record: Record) -> StateRecord | None:
    """The state in a changelog record, or None for a deletion. Raises `LogError` where it is neither."""
    if record.value is None:
        return None
    try:
        return decode(record.value)
    except ValueError as error:
        raise LogError(
            f"{_place(record.partition, record.offset)}: {error}. Another program wrote to this changelog, or a newer "
            "version did: run that version, or delete the changelog and the group's offsets to build the state anew."
        ) from None


def _place(partition: Partition, offset: int) -> str:
    return f"{partition.topic}[{partition.number}]@{offset}"
