"""Fills the score history of the read model: what compaction dropped from the log, a replay of it gives again.

`risk-scores` keeps the newest score of an episode alone. A read model that followed every score has them all; one that was
thrown away, or was behind, has gaps. A score that stands in both shows where the replayed ones before it belong.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import sqlalchemy as sa

from keepwell.contract.events import micros
from keepwell.streams.log import Message
from services.clinician.database import AWAY, cause, open_engine, upsert
from services.clinician.projector import locked
from services.clinician.tables import episodes, events, scores

EPISODES_AT_ONCE: Final = 50
"""Episodes that are filled in one transaction, some thousands of rows; ours."""
_NEEDED: Final = (episodes, events, scores)
_NONE: Final = "there is no read model in this database: name the one of keepwell clinician, or start that on it once"


@contextmanager
def opened(url: str, topic: str) -> Iterator[ScoreHistory]:
    """The score history in a database; `topic` is the full name of the scores'. Neither database nor tables are made.

    Raises `ValueError` where there is no read model, and `OSError` where the database cannot be used.
    """
    file = sa.make_url(url).database
    if url.startswith("sqlite") and not (file and Path(file).is_file()):
        raise ValueError(f"{file or url}: {_NONE}")
    engine = open_engine(url)
    try:
        if not {table.name for table in _NEEDED} <= set(sa.inspect(engine).get_table_names()):
            raise ValueError(_NONE)
        yield ScoreHistory(engine, topic)
    except (sa.exc.DBAPIError, *AWAY) as error:
        raise OSError(f"the database cannot be used: {cause(error)}") from error
    finally:
        engine.dispose()


class HistoryDiffers(ValueError):
    """The replay gives another score than the read model took from the log; names no more than the score's trigger."""


class HeldScore(NamedTuple):
    """A score that the read model holds: its place in the log, and its bytes."""

    offset: int
    value: bytes


class ScoreHistory:
    """Takes what a replay produces of one partition after the other, and fills it in at the end of each.

    Scores of a partition are held compressed, some 300 bytes each, until it is filled: only then is it known which of them an
    erasure has taken back. Every transaction is whole by itself, and filling again what is filled changes nothing, so a run
    may end anywhere and be started again. `filled` counts the scores, `skipped` the episodes of which the read model holds
    no score that the replay gives; nobody could tell where theirs belong.
    """

    def __init__(self, engine: sa.Engine, topic: str) -> None:
        self._engine = engine
        self._topic = topic
        self._produced: dict[str, list[bytes]] = {}
        self._like = b""
        self.filled = 0
        self.skipped = 0

    def produced(self, messages: Sequence[Message]) -> None:
        """Takes what the replay produced, in order."""
        for message in messages:
            if message.topic != self._topic or message.key is None:
                continue
            key = message.key.decode()
            if message.value is None:
                self._produced.pop(key, None)
                continue
            self._like = self._like or message.value  # much of a score stands in every other
            self._produced.setdefault(key, []).append(_packed(message.value, self._like))

    def fill(self, number: int, end: int) -> None:
        """Fills in what was produced of a partition; the replay read its accepted events below the offset `end`.

        Raises `HistoryDiffers`; nothing of that episode is written then.
        """
        keys = iter(list(self._produced))
        while chunk := list(islice(keys, EPISODES_AT_ONCE)):
            found = {key: [_unpacked(each, self._like) for each in self._produced.pop(key)] for key in chunk}
            with self._engine.begin() as connection:
                rows = list(self._rows(connection, found, number, end))
                if rows:
                    connection.execute(upsert(connection, scores, ()), rows)
            self.filled += len(rows)

    def _rows(
        self, connection: sa.Connection, found: dict[str, list[bytes]], number: int, end: int
    ) -> Iterator[dict[str, object]]:
        """The rows that are missing of episodes that nobody can erase meanwhile."""
        known = list(locked(connection, list(found)))
        begun: dict[str, int] = dict(
            connection.execute(
                sa.select(events.c.episode, sa.func.min(events.c.offset))
                .where(events.c.episode.in_(known))
                .group_by(events.c.episode)
            ).all()
        )
        held: dict[str, list[HeldScore]] = {}
        asked = sa.select(scores.c.episode, scores.c.offset, scores.c.value).where(
            scores.c.episode.in_(known), scores.c.partition == number
        )
        for key, *score in connection.execute(asked.order_by(scores.c.offset)):
            held.setdefault(key, []).append(HeldScore(*score))
        for key, values in found.items():
            if begun.get(key, end) >= end:  # erased, and perhaps begun anew since the replay read the log
                self.skipped += 1
                continue
            place = f"{self._topic}[{number}]"
            missing, met = missing_scores(values, held.get(key, ()), place)
            self.skipped += not met
            for offset, value in missing:
                yield {"episode": key, "partition": number, "offset": offset, "as_of": _as_of(value), "value": value}


def missing_scores(
    produced: Sequence[bytes], held: Sequence[HeldScore], place: str = ""
) -> tuple[list[HeldScore], int]:
    """What lies between the scores that are held of an episode, at offsets that are free, and how many of those were met.

    The scores that compaction dropped had offsets of their own between those of the others, so there is always room; they
    are put as far to the front as there is. What comes after the last that was met is still to come through the log. Raises
    `HistoryDiffers`, naming a `place` in the log, where one that is held is not what was produced.

    >>> one, two, three = (b'{"trigger":"%d","trigger_source":"/n"}' % n for n in (1, 2, 3))
    >>> [score.offset for score in missing_scores([one, two, three], [HeldScore(7, three)])[0]]
    [0, 1]
    """
    missing: list[HeldScore] = []
    waiting: list[bytes] = []
    met = following = 0
    for value in produced:
        if met == len(held):
            break
        if value != held[met].value:
            waiting.append(value)
            continue
        if len(waiting) > held[met].offset - following:
            raise _different(place, held[met])
        missing += map(HeldScore, range(following, held[met].offset), waiting)
        waiting.clear()
        following = held[met].offset + 1
        met += 1
    if met < len(held):
        names = {_name(value) for value in produced}
        if any(_name(score.value) in names for score in held[met:]):
            raise _different(place, held[met])
    return missing, met


class _Told(msgspec.Struct):
    """What tells a score from others of its episode."""

    trigger: str
    trigger_source: str | None


class _Moment(msgspec.Struct):
    as_of: str


_told: Final = msgspec.json.Decoder(_Told)
_moment: Final = msgspec.json.Decoder(_Moment)


def _name(value: bytes) -> str:
    told = _told.decode(value)
    return f"{told.trigger_source} {told.trigger}"


def _as_of(value: bytes) -> int:
    return micros(datetime.fromisoformat(_moment.decode(value).as_of))


def _different(place: str, score: HeldScore) -> HistoryDiffers:
    return HistoryDiffers(
        f"{place}@{score.offset}: differs from the replay: {_name(score.value)}. Another version of Keepwell or another "
        "release wrote it: replay with that one (--releases; --model for the release that it began with)"
    )


def _packed(value: bytes, like: bytes) -> bytes:
    packer = zlib.compressobj(1, zdict=like)
    return packer.compress(value) + packer.flush()


def _unpacked(packed: bytes, like: bytes) -> bytes:
    return zlib.decompressobj(zdict=like).decompress(packed)
