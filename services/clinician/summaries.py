"""What lists tell of episodes, made a moment after something happened rather than when somebody looks.

To fold an episode takes longer than all else of its row. What was summed up of one counts only beside the marks under which
that was done, and these come from the read model anew with each look: nothing old is shown, and what is not summed up yet is
folded on the spot. So whatever dies or comes late costs time and nothing else.
"""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from collections.abc import Collection, Sequence
from importlib.metadata import version
from time import monotonic
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from services.clinician import records
from services.clinician.database import upsert
from services.clinician.items import Summary, summary_of
from services.clinician.projector import locked
from services.clinician.sent import sent
from services.clinician.tables import alerts, episodes, events, instruments, scores, summaries

AT_ONCE: Final = 20
"""Episodes of one transaction; ours."""
TURN_SECONDS: Final = 0.5
"""After so long the rest waits for the next turn, so that what is summed up leaves the processor to those who look; ours."""
_NEWEST: Final = (
    (events, events.c.offset),
    (scores, scores.c.offset),
    (alerts, alerts.c.offset),
    (sent, sent.c.at),
)
_summary = msgspec.json.Decoder(Summary)


class SummingUp:
    """Sums up what changed, and once after the start whatever was not summed up before. For any thread."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._changed: dict[str, None] = {}
        self._after: str | None = ""
        """The last episode that was looked at since the start; None once all were."""

    def changed(self, keys: Collection[str]) -> None:
        """Notes that something is new about these episodes."""
        with self._lock:
            self._changed.update(dict.fromkeys(keys))

    def turn(self) -> int:
        """Sums up for a while, and returns at how many episodes it looked, none where all are summed up. What the database
        did not take is summed up in the next turn."""
        until, looked = monotonic() + TURN_SECONDS, 0
        while monotonic() < until and (keys := self._next()):
            try:
                sum_up(self._engine, keys)
            except BaseException:
                self.changed(keys)
                raise
            looked += len(keys)
        return looked

    def _next(self) -> list[str]:
        with self._lock:
            if self._changed:
                keys = list(self._changed)[:AT_ONCE]
                for key in keys:
                    del self._changed[key]
                return keys
        if self._after is None:
            return []
        more = sa.select(episodes.c.key).where(episodes.c.key > self._after, episodes.c.state == "open")
        with self._engine.connect().execution_options(reads=True) as connection:
            keys = list(connection.execute(more.order_by(episodes.c.key).limit(AT_ONCE)).scalars())
        self._after = keys[-1] if keys else None
        return keys


def sum_up(engine: sa.Engine, keys: Collection[str]) -> None:
    """Sums up those of the episodes that are there and of which something is new."""
    with engine.connect().execution_options(reads=True) as connection:
        rows = connection.execute(sa.select(episodes).where(episodes.c.key.in_(keys))).all()
        marks = _marks(connection, rows)
        known = _kept(connection, marks)
        told = records.told(connection, [row for row in rows if row.key not in known])
    made = [
        {"episode": one.row.key, "marks": marks[one.row.key], "value": msgspec.json.encode(summary_of(one))}
        for one in sorted(told, key=lambda one: str(one.row.key))
    ]
    if not made:
        return
    with engine.begin() as connection:
        there = locked(connection, [row["episode"] for row in made])
        if rows_there := [row for row in made if row["episode"] in there]:
            connection.execute(upsert(connection, summaries, ("marks", "value")), rows_there)


def summed(connection: sa.Connection, rows: Sequence[sa.Row[Any]]) -> dict[str, Summary]:
    """What rows of a list tell of these episodes."""
    found = _kept(connection, _marks(connection, rows))
    for told in records.told(connection, [row for row in rows if row.key not in found]):
        found[told.row.key] = summary_of(told)
    return found


def _kept(connection: sa.Connection, marks: dict[str, str]) -> dict[str, Summary]:
    """Of what was summed up, what holds."""
    rows = connection.execute(sa.select(summaries).where(summaries.c.episode.in_(marks)))
    return {row.episode: _summary.decode(row.value) for row in rows if row.marks == marks[row.episode]}


def _marks(connection: sa.Connection, rows: Sequence[sa.Row[Any]]) -> dict[str, str]:
    """What changes with whatever a summary tells of, and with the version that tells it. Records are only added, each at a
    place of its own, but for alerts, of which a newer record takes the place of the one before."""
    keys = [row.key for row in rows]
    counted = [
        sa.select(sa.literal(table.name), table.c.episode, sa.func.count(), sa.func.max(newest))
        .where(table.c.episode.in_(keys)).group_by(table.c.episode)
        for table, newest in _NEWEST
    ]  # fmt: skip
    found: dict[str, dict[str, list[int]]] = defaultdict(dict)
    for name, key, count, last in connection.execute(sa.union_all(*counted)):
        found[key][name] = [count, last]
    meant = hashlib.sha256(version("keepwell").encode())
    clinics = {row.clinic for row in rows}
    named = sa.select(instruments.c.value).where(instruments.c.clinic.in_(clinics)).order_by(instruments.c.name)
    for value in connection.execute(named).scalars():
        meant.update(value)
    return {
        row.key: msgspec.json.encode([meant.hexdigest(), row.first_at, found[row.key]], order="deterministic").decode()
        for row in rows
    }
