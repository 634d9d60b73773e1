"""What lists are ordered by and supervision counts: answers and repairs that hold, how an episode ended, and whether it asks
for a thought.

Few events are of these types, so once one came, all of its episode are read again: whatever order they and what takes
them back arrived in, the rows are the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from keepwell.contract.events import (
    AlertActioned,
    AnyEvent,
    EpisodeEnded,
    EventRetracted,
    RepairAttempted,
    decode_accepted,
    micros,
)
from services.clinician.database import by_code
from services.clinician.tables import alerts, answers, episodes, events

COUNTED: Final = (AlertActioned, RepairAttempted, EpisodeEnded, EventRetracted)
_TYPES: Final = tuple(str(kind.__struct_config__.tag) for kind in COUNTED)
URGENT: Final = 2
"""How much an episode asks for a thought because of safety: 1 for whatever else asks, 0 where open alerts are answered."""
OPEN: Final = ("raised", "escalated")
_KEYS_AT_ONCE: Final = 500


class Counted(NamedTuple):
    """Rows of `answers`, and how and when (µs) the episode ended, None while it did not."""

    answers: Sequence[dict[str, Any]]
    ended_as: str | None
    ended_at: int | None


def count_again(connection: sa.Connection, keys: Collection[str]) -> None:
    """Writes what is counted of these episodes, whose events are in the database, in place of what was."""
    listed = sorted(keys)
    for start in range(0, len(listed), _KEYS_AT_ONCE):
        some = listed[start : start + _KEYS_AT_ONCE]
        told: dict[str, list[AnyEvent]] = defaultdict(list)
        asked = sa.select(events.c.episode, events.c.value).where(events.c.episode.in_(some), events.c.type.in_(_TYPES))
        for key, value in connection.execute(asked.order_by(events.c.partition, events.c.offset)):
            told[key].append(decode_accepted(value))
        found = {key: counted(told[key]) for key in some}
        connection.execute(sa.delete(answers).where(answers.c.episode.in_(some)))
        if rows := [row for one in found.values() for row in one.answers]:
            connection.execute(sa.insert(answers), rows)
        connection.execute(
            sa.update(episodes)
            .where(episodes.c.key == sa.bindparam("of"))
            .values(ended_as=sa.bindparam("how"), ended_at=sa.bindparam("when")),
            [{"of": key, "how": one.ended_as, "when": one.ended_at} for key, one in found.items()],
        )


def ask_again(connection: sa.Connection, keys: Collection[str]) -> None:
    """Writes whether these episodes ask for a thought: whether nobody answered an open alert since it was last told. The
    episodes are locked first, so that of an alert and an answer that are written at one moment the later sees both."""
    answered = sa.exists().where(
        answers.c.clinic == alerts.c.clinic, answers.c.episode == alerts.c.episode, answers.c.kind == "answer",
        answers.c.alert == alerts.c.id, answers.c.at >= alerts.c.at,
    )  # fmt: skip
    asks = (
        sa.select(sa.func.max(sa.case((answered, 0), (alerts.c.kind == "safety", URGENT), else_=1)))
        .where(alerts.c.episode == episodes.c.key, alerts.c.status.in_(OPEN))
        .scalar_subquery()
    )
    listed = sorted(keys)
    for start in range(0, len(listed), _KEYS_AT_ONCE):
        mine = episodes.c.key.in_(listed[start : start + _KEYS_AT_ONCE])
        locking = sa.select(episodes.c.key).where(mine).order_by(by_code(connection, episodes.c.key))
        connection.execute(locking.with_for_update(key_share=True)).all()
        connection.execute(sa.update(episodes).where(mine, episodes.c.asks.is_distinct_from(asks)).values(asks=asks))


def counted(told: Sequence[AnyEvent]) -> Counted:
    """What holds of an episode's events of the counted types, given in the order of the log; of several endings the last."""
    retracted = {(one.source, one.data.event_id) for one in told if isinstance(one, EventRetracted)}
    corrected = {(one.source, one.corrects) for one in told if one.corrects is not None}
    rows = []
    ended: EpisodeEnded | None = None
    for event in told:
        name = (event.source, event.id)
        if name in retracted:
            continue
        head = {"episode": event.key, "source": event.source, "event": event.id, "clinic": event.clinic}
        if isinstance(event, AlertActioned):
            given = {"kind": "answer", "alert": event.data.alert_id, "word": event.data.reason}
            rows.append(head | given | {"at": micros(event.time)})
        elif isinstance(event, RepairAttempted):
            given = {"kind": "repair", "alert": event.data.alert_id, "word": event.data.outcome}
            rows.append(head | given | {"at": micros(event.time)})
        elif isinstance(event, EpisodeEnded) and name not in corrected:
            ended = event
    return Counted(rows, None, None) if ended is None else Counted(rows, ended.data.reason, micros(ended.time))
