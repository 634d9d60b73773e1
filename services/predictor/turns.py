"""Which release assesses a partition: a list of turns, each taken or refused at an exact offset, and kept in the changelog.

Whether a release can be loaded does not follow from the events: a registry may be mended, or a key added, after a promotion
was refused. So what the predictor decided is part of its state, and a replay follows the decision, not today's registry.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from keepwell.contract import keys
from keepwell.contract.events import ModelPromoted, decode_accepted, micros
from keepwell.streams.log import Log, Partition
from keepwell.streams.topics import Topics
from keepwell.streams.worker import state

TURNS_KEY: Final = b"_models"
"""Key of the state that holds the turns of a partition; no episode key is without a slash."""

Role = Literal["begin", "champion", "shadow", "none"]


class Turn(msgspec.Struct, array_like=True, frozen=True):
    """A change of release at the record of an offset.

    `begin` is what the predictor was started with, in use until a release is promoted; the other roles are those of
    `model.promoted`, of which `event_id` and `at` (µs) are the id and the time. `refused`: why it could not be loaded.
    """

    offset: int
    release: str
    role: Role
    event_id: str = ""
    at: int | None = None
    refused: str | None = None


class Roles(NamedTuple):
    """The releases in use. `promoted`: the champion was promoted, so that what the predictor is started with is no matter."""

    champion: str | None = None
    shadow: str | None = None
    promoted: bool = False


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[Turn, ...])


def encode_turns(turns: Sequence[Turn]) -> bytes:
    """The payload of a state record."""
    return _encoder.encode(turns)


def decode_turns(payload: bytes | None) -> tuple[Turn, ...]:
    """The turns of a payload; none where there is no state."""
    return () if payload is None else _decoder.decode(payload)


def roles_of(turns: Iterable[Turn]) -> Roles:
    """What the turns come to. A release that becomes champion is no shadow any more; `none` ends a shadow, and changes no
    champion: there is always one.

    >>> roles_of([Turn(0, "a", "begin"), Turn(5, "b", "shadow"), Turn(9, "b", "champion")])
    Roles(champion='b', shadow=None, promoted=True)
    """
    champion: str | None = None
    shadow: str | None = None
    promoted = False
    for turn in turns:
        if turn.refused is not None:
            continue
        if turn.role in ("begin", "champion"):
            champion = turn.release
            promoted = turn.role == "champion"
        if turn.role == "shadow":
            shadow = turn.release
        elif turn.release == shadow:
            shadow = None
    return Roles(champion, shadow, promoted)


def recorded(log: Log, topics: Topics, number: int) -> tuple[Turn, ...]:
    """The turns of a partition as its changelog holds them; reads it to its end. Raises `LogError`."""
    payload: bytes | None = None
    for record in log.read(Partition(topics.state, number)):
        if record.key == TURNS_KEY:
            entry = state.read(record)
            payload = None if entry is None else entry.payload
    return decode_turns(payload)


def waiting(log: Log, topics: Topics, number: int) -> tuple[Turn, ...]:
    """Promotions in a partition that the predictor has not worked off yet, as if they could be loaded. Raises `LogError`."""
    partition = Partition(topics.episodes, number)
    committed = log.committed(topics.predictor_group, topics.episodes).get(partition, 0)
    return tuple(
        turn_of(record.offset, event)
        for record in log.read(partition, committed)
        if (record.key or b"").startswith(keys.MODEL)
        and record.value is not None
        and isinstance(event := decode_accepted(record.value), ModelPromoted)
    )


def turn_of(offset: int, event: ModelPromoted, refused: str | None = None) -> Turn:
    """The turn that a promotion is."""
    return Turn(offset, event.data.release, event.data.role, event.id, micros(event.time), refused)
