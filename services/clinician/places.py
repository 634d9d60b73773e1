"""What came after a place in the log: scores, alerts and answers that a user may see, each once.

A place is the next offset of every partition of the topics that the read model follows. The read model writes its rows and
its place in one transaction, so nothing comes in before a place that was read once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple, get_args

import msgspec
import sqlalchemy as sa

from keepwell.contract.events import rfc3339
from keepwell.streams.topics import Topics
from services.clinician.queries import visible_to
from services.clinician.tables import alerts, episodes, events, positions, scores
from services.clinician.views import Viewer

NewsKind = Literal["answer", "score", "alert"]
Reached = Mapping[tuple[NewsKind, int], int]
"""The next offset by kind and partition; a partition that is not named was not begun."""

NAMED_BY: Final[dict[NewsKind, str]] = {"answer": "event_id", "score": "as_of", "alert": "alert_id"}
"""The member that tells which one it is: the name it has in CONTRACT sections 3 and 5."""
_OF: Final[dict[NewsKind, tuple[sa.Table, sa.Column[Any]]]] = {
    "answer": (events, events.c.value),
    "score": (scores, scores.c.as_of),
    "alert": (alerts, alerts.c.id),
}
_ANSWERS: Final = frozenset(
    ("keepwell.alert.actioned.v1", "keepwell.repair.attempted.v1", "keepwell.event.retracted.v1")
)
_OFFSETS: Final = r"((?:[0-9]{0,18}\.)*[0-9]{0,18})"
_TEXT: Final = re.compile("-".join(kind[:2] + _OFFSETS for kind in get_args(NewsKind)))


class WrongPlace(ValueError):
    """A text that names no place."""


class News(NamedTuple):
    """A score, alert or answer. `name` tells it from others of its episode; `reached` is the place after it."""

    kind: NewsKind
    episode: str
    clinician_id: str | None
    name: str
    reached: Reached


class ReadOn(NamedTuple):
    """What was read, the place after all that was looked at, and whether there may be more."""

    news: list[News]
    reached: Reached
    more: bool


def place_text(reached: Reached) -> str:
    """A place in few letters: by kind the next offsets of partitions 0, 1, …, empty for one that was not begun.

    >>> place_text({("answer", 0): 12, ("answer", 2): 3, ("alert", 1): 9})
    'an12..3-sc-al.9'
    """
    return "-".join(kind[:2] + _offsets_text(kind, reached) for kind in get_args(NewsKind))


def read_place(text: str) -> Reached:
    """The place that `place_text` told. Raises `WrongPlace`.

    >>> read_place("an12..3-sc-al.9")
    {('answer', 0): 12, ('answer', 2): 3, ('alert', 1): 9}
    """
    found = _TEXT.fullmatch(text)
    if found is None:
        raise WrongPlace("it is none that this stream gave: begin without one")
    return {
        (kind, number): int(offset)
        for kind, offsets in zip(get_args(NewsKind), found.groups(), strict=True)
        for number, offset in enumerate(offsets.split("."))
        if offset
    }


def place_now(connection: sa.Connection, topics: Topics) -> Reached:
    """How far the read model has followed."""
    kinds: dict[str, NewsKind] = {topics.episodes: "answer", topics.scores: "score", topics.alerts: "alert"}
    asked = sa.select(positions.c.topic, positions.c.partition, positions.c.next_offset)
    return {(kinds[topic], number): after for topic, number, after in connection.execute(asked) if topic in kinds}


def whose(connection: sa.Connection, begin: Reached, end: Reached) -> set[tuple[str, str | None]]:
    """Clinic and clinician (of now) of the episodes that something came of between two places."""
    found: set[tuple[str, str | None]] = set()
    for (kind, partition), until in end.items():
        since = begin.get((kind, partition), 0)
        if since < until:
            of, on = _between(kind, partition, since, until)
            asked = sa.select(episodes.c.clinic, episodes.c.clinician).select_from(of).where(on).distinct()
            found.update((clinic, clinician) for clinic, clinician in connection.execute(asked))
    return found


def read_on(connection: sa.Connection, viewer: Viewer, begin: Reached, end: Reached, most: int) -> ReadOn:
    """What a user may see of what came between two places; of at most `most` records, so that there may be more."""
    reached, news, left = dict(begin), list[News](), most
    for (kind, partition), until in sorted(end.items()):
        since = reached.get((kind, partition), 0)
        if since >= until:
            continue
        of, on = _between(kind, partition, since, until)
        table, named = _OF[kind]
        rows = connection.execute(
            sa.select(table.c.offset, episodes.c.key, episodes.c.clinician, named).select_from(of)
            .where(on, visible_to(viewer)).order_by(table.c.offset).limit(left)
        ).all()  # fmt: skip
        for offset, key, clinician, told in rows:
            reached[kind, partition] = offset + 1
            name = _name(kind, told)
            if name is not None:
                news.append(News(kind, key, clinician, name, dict(reached)))
        left -= len(rows)
        if left == 0:
            return ReadOn(news, reached, True)
        reached[kind, partition] = until
    return ReadOn(news, reached, False)


def _offsets_text(kind: NewsKind, reached: Reached) -> str:
    mine = {number: offset for (of, number), offset in reached.items() if of == kind}
    return ".".join(str(mine.get(number, "")) for number in range(max(mine, default=-1) + 1))


def _between(kind: NewsKind, partition: int, since: int, until: int) -> tuple[sa.FromClause, sa.ColumnElement[bool]]:
    table, _ = _OF[kind]
    on = sa.and_(table.c.partition == partition, table.c.offset >= since, table.c.offset < until)
    return table.join(episodes, episodes.c.key == table.c.episode), on


class _Envelope(msgspec.Struct):
    """What tells an accepted event from others."""

    type: str
    id: str


_envelope: Final = msgspec.json.Decoder(_Envelope)


def _name(kind: NewsKind, told: Any) -> str | None:
    """What names it; None for an event that is no answer."""
    if kind == "answer":
        event = _envelope.decode(told)
        return event.id if event.type in _ANSWERS else None
    return rfc3339(told) if kind == "score" else str(told)
