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
from contextlib import suppress
from importlib.metadata import version
from time import monotonic
from typing import Any, Final

import msgspec
import sqlalchemy as sa
import structlog

from services.clinician import records
from services.clinician.counted import ask_again
from services.clinician.database import AWAY, snapshot, upsert
from services.clinician.items import Summary, Told, summary_of
from services.clinician.projector import locked
from services.clinician.sent import sent
from services.clinician.tables import alerts, episodes, events, instruments, scores, summaries

AT_ONCE: Final = 20
"""Episodes of one transaction; ours."""
TURN_SECONDS: Final = 0.5
"""After so long the rest waits for the next turn, so that what is summed up leaves the processor to those who look; ours."""
ROUND_SECONDS: Final = 3_600.0
"""How often all open episodes are looked at, as a process that died had noted changes of which nobody else knows; ours."""
EDITION: Final = 1
"""Of what summaries say, raised whenever the same records come to another one: others are made anew then."""
_NEWEST: Final = (
    (events, events.c.offset),
    (scores, scores.c.offset),
    (alerts, alerts.c.offset),
    (sent, sent.c.at),
)
_MADE_BY: Final = msgspec.json.encode([version("keepwell"), EDITION, msgspec.json.schema(Summary)])
_summary = msgspec.json.Decoder(Summary)
_log = structlog.get_logger(__name__)


class SummingUp:
    """Sums up what changed; and, after the start and once an hour, whatever was not summed up by then. For any thread."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._changed: dict[str, None] = {}
        self._round_at = monotonic()
        self._after: str | None = ""
        """The last episode that was looked at in this round; None once all were."""

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
            except AWAY:
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
        return self._of_the_round()

    def _of_the_round(self) -> list[str]:
        """The next episodes of the round. A process of a version before may have written of them and not whether they ask."""
        if self._after is None:
            if monotonic() < self._round_at + ROUND_SECONDS:
                return []
            self._after, self._round_at = "", monotonic()
        more = sa.select(episodes.c.key).where(episodes.c.key > self._after, episodes.c.state == "open")
        with self._engine.begin() as connection:
            keys = list(connection.execute(more.order_by(episodes.c.key).limit(AT_ONCE)).scalars())
            ask_again(connection, keys)
        self._after = keys[-1] if keys else None
        return keys


def sum_up(engine: sa.Engine, keys: Collection[str]) -> None:
    """Sums up those of the episodes that are there and of which something is new. One that cannot be summed up is left to
    whoever looks."""
    listed = sa.select(episodes).where(episodes.c.key.in_(keys)).order_by(episodes.c.key)
    with snapshot(engine) as connection:
        rows = connection.execute(listed).all()
        marks = _marks(connection, rows)
        known = _kept(connection, marks)
        told = records.told(connection, [row for row in rows if row.key not in known])
    made = {one.row.key: value for one in told if (value := _encoded(one)) is not None}
    if not made:
        return
    with engine.begin() as connection:
        there = locked(connection, made)
        now = _marks(connection, connection.execute(listed.where(episodes.c.key.in_(there))).all())
        # Of one that went on meanwhile, or that was erased and begun anew, nothing old is written.
        if found := [
            {"episode": key, "marks": marks[key], "value": value}
            for key, value in made.items()
            if now.get(key) == marks[key]
        ]:
            connection.execute(upsert(connection, summaries, ("marks", "value")), found)


def _encoded(told: Told) -> bytes | None:
    try:
        return msgspec.json.encode(summary_of(told))
    except Exception as error:  # whatever it is, the other episodes of all clinics are to be summed up
        _log.error("summary.failed", cause=type(error).__name__)
        return None


def summed(connection: sa.Connection, rows: Sequence[sa.Row[Any]]) -> dict[str, Summary]:
    """What rows of a list tell of these episodes."""
    found = _kept(connection, _marks(connection, rows))
    for told in records.told(connection, [row for row in rows if row.key not in found]):
        found[told.row.key] = summary_of(told)
    return found


def _kept(connection: sa.Connection, marks: dict[str, str]) -> dict[str, Summary]:
    """Of what was summed up, what holds and can be read."""
    found: dict[str, Summary] = {}
    for row in connection.execute(sa.select(summaries).where(summaries.c.episode.in_(marks))):
        if row.marks == marks[row.episode]:
            with suppress(msgspec.MsgspecError):
                found[row.episode] = _summary.decode(row.value)
    return found


def _marks(connection: sa.Connection, rows: Sequence[sa.Row[Any]]) -> dict[str, str]:
    """What changes with whatever a summary tells of, and with the code that tells it. Records are only added, each at a place
    of its own, but for alerts, of which a newer record takes the place of the one before."""
    keys = [row.key for row in rows]
    counted = [
        sa.select(sa.literal(table.name), table.c.episode, sa.func.count(), sa.func.max(newest))
        .where(table.c.episode.in_(keys)).group_by(table.c.episode)
        for table, newest in _NEWEST
    ]  # fmt: skip
    found: dict[str, dict[str, list[int]]] = defaultdict(dict)
    for name, key, count, last in connection.execute(sa.union_all(*counted)):
        found[key][name] = [count, last]
    meant = {row.clinic: hashlib.sha256(_MADE_BY) for row in rows}
    named = sa.select(instruments.c.clinic, instruments.c.value).where(instruments.c.clinic.in_(meant))
    for clinic, value in connection.execute(named.order_by(instruments.c.name)):
        meant[clinic].update(value)
    whole = {clinic: one.hexdigest() for clinic, one in meant.items()}
    return {
        row.key: msgspec.json.encode([whole[row.clinic], row.first_at, found[row.key]], order="deterministic").decode()
        for row in rows
    }
