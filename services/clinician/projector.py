"""Follows the log into the read model: three topics, each with its position in the transaction of what it wrote.

Whatever dies between any two lines, a batch is written whole or not at all, and comes again where it was not. So the read
model is a function of the log: thrown away (`empty`) and followed again, it is the same, but for scores that compaction took
from the log meanwhile; `services.clinician.history` fills those in. An alert or a score is written once the events of its
episode were; of an erased episode no events are left, so what arrives of it late is waited with until the log has taken it
back, and never written.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec
import sqlalchemy as sa
import structlog

from keepwell.care.episode import Episode, Live
from keepwell.care.instruments import Instrument, Instruments
from keepwell.contract.events import (
    AnyEvent,
    ClientErased,
    ClockTicked,
    EpisodeOpened,
    InstrumentRegistered,
    ModelPromoted,
    decode_accepted,
    micros,
)
from keepwell.contract.outputs import Alert, Score
from keepwell.streams.log import Doubt, Partition, Record
from keepwell.streams.worker.follow import Handled, NotYet
from services.clinician.counted import COUNTED, ask_again, count_again
from services.clinician.database import AWAY, by_code, cause, upsert
from services.clinician.people.audit import forget
from services.clinician.people.who import Actor
from services.clinician.prompts.tables import notices
from services.clinician.seen import seen
from services.clinician.sent import sent
from services.clinician.tables import (
    READ_MODEL,
    alerts,
    answers,
    clients,
    episodes,
    events,
    instruments,
    positions,
    scores,
)

KEPT_LIVE: Final = 5_000
"""Episodes that are held folded (about 22 kB each); others are folded again from their events when one comes; ours."""
AGAIN: Final = 2.0
"""Seconds until records are tried again where the database did not take them, or their episode is not known yet; ours."""
NEVER: Final = -(1 << 62)
FOLLOWER: Final = Actor("keepwell", "erasure")
"""Who the audit names where an erasure reached it through the log."""

_log = structlog.get_logger(__name__)
_score = msgspec.json.Decoder(Score)
_alert = msgspec.json.Decoder(Alert)


Changed = Callable[[Collection[str]], None]
"""Called with the episodes of which something new was written."""


def for_nobody(_: Collection[str]) -> None:
    """Where nobody asks which episodes changed."""


class Projection:
    """Handler of a follower of one topic; a subclass says what its records come to. `changed` is told of the episodes once
    that is written. Whoever writes rows of episodes takes them in the order of their keys, so that of two who want the same
    ones neither waits for the other for ever."""

    def __init__(self, engine: sa.Engine, changed: Changed = for_nobody) -> None:
        self.engine = engine
        self.moved: set[str] = set()
        """The episodes of which this batch writes something."""
        self._changed = changed
        self._reached: dict[Partition, int] = {}

    def position(self, partition: Partition) -> int:
        """The offset that is read next, by the database. Raises `NotYet` while it does not answer."""
        try:
            with self.engine.connect() as connection:
                self._reached[partition] = _position(connection, partition)
                return self._reached[partition]
        except AWAY as error:
            _log.warning("projector.later", cause=cause(error))
            raise NotYet(AGAIN) from error

    def handle(self, partition: Partition, records: Sequence[Record]) -> Handled:
        """Writes what the records come to, and the position after them, in one transaction."""
        self.moved.clear()
        try:
            with self.engine.begin() as connection:
                before = _position(connection, partition, lock=True)
                if before != self._reached.get(partition, before) or before > records[0].offset:
                    raise Doubt("the read model was moved on by another projector, or thrown away")
                done = self.take(connection, partition, records)
                reached = records[done - 1].offset + 1 if done else before
                if done:
                    _move(connection, partition, reached)
        except (sa.exc.DBAPIError, *AWAY) as error:
            self.forget(partition)
            _log.warning("projector.later", cause=cause(error))
            return Handled(0, again=AGAIN)
        except BaseException:
            self.forget(partition)
            raise
        self._reached[partition] = reached
        self._changed(self.moved)
        return Handled(done, again=AGAIN)

    def forget(self, partition: Partition) -> None:
        """Drops what is held of a partition."""

    def take(self, connection: sa.Connection, partition: Partition, records: Sequence[Record]) -> int:
        """Writes what the first few of the records come to, and returns how many."""
        raise NotImplementedError


class EventsProjection(Projection):
    """Accepted events: what an episode's course says."""

    def __init__(self, engine: sa.Engine, changed: Changed = for_nobody) -> None:
        super().__init__(engine, changed)
        self._lives: OrderedDict[str, Live] = OrderedDict()
        self._instruments: Instruments | None = None

    def forget(self, partition: Partition) -> None:
        """Everything that is held follows from the database."""
        self._lives.clear()
        self._instruments = None

    def take(self, connection: sa.Connection, partition: Partition, records: Sequence[Record]) -> int:
        """All of them."""
        rows: list[dict[str, Any]] = []
        touched: dict[str, None] = {}
        recount: dict[str, None] = {}
        heard = NEVER
        for record in records:
            event = _event(record)
            match event:
                case None | ModelPromoted():
                    continue
                case ClockTicked():
                    heard = max(heard, micros(event.time))
                case InstrumentRegistered():
                    _insert(connection, events, rows)
                    rows.clear()
                    self._register(connection, record, event)
                case ClientErased():
                    _insert(connection, events, rows)
                    rows.clear()
                    for key in _erase(connection, partition, event.clinic, event.data.client_id, micros(event.time)):
                        self._lives.pop(key, None)
                        touched.pop(key, None)
                        recount.pop(key, None)
                case _:
                    live = self._live(connection, event, rows)
                    if live.fold(event) == "taken":
                        rows.append(
                            {"episode": event.key, "partition": partition.number, "offset": record.offset,
                             "clinic": event.clinic, "type": event.type, "source": event.source,
                             "at": micros(event.time), "value": record.value}
                        )  # fmt: skip
                        touched[event.key] = None
                        if isinstance(event, COUNTED):
                            recount[event.key] = None
                        if isinstance(event, EpisodeOpened):
                            row = {"clinic": event.clinic, "client": event.data.client_id, "episode": event.key}
                            connection.execute(upsert(connection, clients, ()), [row])
        _insert(connection, events, rows)
        if touched:
            found = [self._row(self._held(connection, key), key) for key in sorted(touched)]
            moved = ("clinician", "first_at", "next_visit", "last_session", "sessions")
            connection.execute(upsert(connection, episodes, moved), found)
            self.moved.update(touched)
        if recount:
            count_again(connection, recount)
            ask_again(connection, recount)
        if heard > NEVER:
            _hear(connection, partition, heard)
        while len(self._lives) > KEPT_LIVE:
            self._lives.popitem(last=False)
        return len(records)

    def _live(self, connection: sa.Connection, event: AnyEvent, waiting: list[dict[str, Any]]) -> Live:
        if event.key not in self._lives:
            _insert(connection, events, waiting)
            waiting.clear()
        live = self._held(connection, event.key)
        self._lives.move_to_end(event.key)
        return live

    def _held(self, connection: sa.Connection, key: str) -> Live:
        """An episode as its events in the database say; what was held of it may be gone, as an instrument was registered."""
        live = self._lives.get(key)
        if live is None:
            live = self._lives[key] = folded(connection, key, self._known(connection))
        return live

    def _row(self, live: Live, key: str) -> dict[str, Any]:
        course, at = (
            live.course,
            live.episode.latest,
        )  # no tick counts: which one is newest depends on how the log was cut
        return {
            "key": key, "clinic": key.partition("/")[0], "clinician": course.clinician,
            "first_at": live.episode.history[0].at, "next_visit": course.visits.next_visit(at),
            "last_session": course.last_session, "sessions": course.sessions, "state": "open",
        }  # fmt: skip

    def _register(self, connection: sa.Connection, record: Record, event: InstrumentRegistered) -> None:
        row = {"clinic": event.clinic, "name": event.data.name, "value": record.value}
        known = connection.execute(
            sa.select(instruments.c.value).filter_by(clinic=event.clinic, name=event.data.name)
        ).scalar()
        if known is not None:
            held = decode_accepted(known)
            if (held.time, held.id) >= (event.time, event.id):
                return
        connection.execute(upsert(connection, instruments, ("value",)), [row])
        self._lives.clear()
        self._instruments = None
        mine = sa.select(episodes.c.key).where(episodes.c.clinic == event.clinic, episodes.c.state == "open")
        self.moved.update(connection.execute(mine).scalars())

    def _known(self, connection: sa.Connection) -> Instruments:
        if self._instruments is None:
            self._instruments = registered(connection)
        return self._instruments


class OfEpisodes(Projection):
    """Records that are about episodes, and are written once the episode is known.

    `stands` asks the log whether it still says a record: one that it takes back is of an erased client.
    """

    def __init__(
        self, engine: sa.Engine, stands: Callable[[Record], bool], changed: Changed = for_nobody
    ) -> None:  # fmt: skip
        super().__init__(engine, changed)
        self._stands = stands

    def take(self, connection: sa.Connection, partition: Partition, records: Sequence[Record]) -> int:
        """All of them, up to the first whose episode is not known yet."""
        read = [(record, self.read(record)) for record in records]
        keys = {told[0] for _, told in read if told is not None}
        known = locked(connection, keys)
        rows = []
        done = 0
        for record, told in read:
            if told is not None:
                key, at, output = told
                if key not in known and self._stands(record):
                    break
                if at >= known.get(key, at + 1):  # else of the same name before an erasure
                    rows.append((record, key, at, output))
            done += 1
        if rows:
            self.write(connection, partition, rows)
            self.moved.update(key for _, key, _, _ in rows)
        return done

    def read(self, record: Record) -> tuple[str, int, Any] | None:
        """Episode, time (µs) and output of a record; None where it is none of ours."""
        raise NotImplementedError

    def write(
        self, connection: sa.Connection, partition: Partition, rows: Sequence[tuple[Record, str, int, Any]]
    ) -> None:
        """Writes the rows of outputs whose episodes are known."""
        raise NotImplementedError


class ScoresProjection(OfEpisodes):
    """Scores: their history, and what the newest says of the episode."""

    def read(self, record: Record) -> tuple[str, int, Score] | None:
        """As `OfEpisodes`."""
        score = _read(_score, record)
        return None if score is None else (score.episode, _micros(score.as_of), score)

    def write(
        self, connection: sa.Connection, partition: Partition, rows: Sequence[tuple[Record, str, int, Any]]
    ) -> None:
        """As `OfEpisodes`."""
        history = [
            {"episode": key, "partition": partition.number, "offset": record.offset, "as_of": at, "value": record.value}
            for record, key, at, _ in rows
        ]
        connection.execute(sa.insert(scores), history)
        newest = {
            key: {"of": key, "state": score.state, "risk": score.risk.d30 if score.risk else None, "scored_at": at,
                  "gaps": msgspec.json.encode(score.gaps).decode(), "model": score.model}
            for _, key, at, score in rows
        }  # fmt: skip
        moved: dict[str, Any] = {name: sa.bindparam(name) for name in ("state", "risk", "scored_at", "gaps", "model")}
        connection.execute(
            sa.update(episodes).where(episodes.c.key == sa.bindparam("of")).values(moved),
            [newest[key] for key in sorted(newest)],
        )


class AlertsProjection(OfEpisodes):
    """Alerts: each as its newest record says, and when it was raised. `told` is called with them in the same transaction."""

    def __init__(
        self, engine: sa.Engine, stands: Callable[[Record], bool],
        told: Callable[[sa.Connection, Sequence[Alert]], None] = lambda _, __: None, changed: Changed = for_nobody,
    ) -> None:  # fmt: skip
        super().__init__(engine, stands, changed)
        self._tell = told

    def read(self, record: Record) -> tuple[str, int, Alert] | None:
        """As `OfEpisodes`."""
        alert = _read(_alert, record)
        return None if alert is None else (alert.episode, _micros(alert.at), alert)

    def write(
        self, connection: sa.Connection, partition: Partition, rows: Sequence[tuple[Record, str, int, Any]]
    ) -> None:
        """As `OfEpisodes`. An alert that is told once more keeps when it was raised."""
        newest: dict[str, dict[str, Any]] = {}
        for record, key, at, alert in rows:
            raised = newest[alert.alert_id]["raised_at"] if alert.alert_id in newest else at
            newest[alert.alert_id] = {
                "id": alert.alert_id, "episode": key, "clinic": key.partition("/")[0], "kind": alert.kind,
                "status": alert.status, "raised_at": raised, "at": at, "partition": partition.number,
                "offset": record.offset, "value": record.value,
            }  # fmt: skip
        moved = ("status", "at", "partition", "offset", "value")
        connection.execute(upsert(connection, alerts, moved), list(newest.values()))
        ask_again(connection, {row["episode"] for row in newest.values()})
        self._tell(connection, [alert for _, _, _, alert in rows])


def empty(engine: sa.Engine) -> None:
    """Throws the read model away; following the log from its beginning makes the same again. A projector that is at work has
    `Doubt` with its next record, and begins anew."""
    with engine.begin() as connection:
        for table in READ_MODEL:
            connection.execute(sa.delete(table))


def registered(connection: sa.Connection) -> Instruments:
    """The instruments that clinics registered."""
    found = [decode_accepted(value) for value in connection.execute(sa.select(instruments.c.value)).scalars()]
    return Instruments.of(event for event in found if isinstance(event, InstrumentRegistered))


def folded(connection: sa.Connection, key: str, known: Instruments) -> Live:
    """An episode folded from the events that the database holds of it; empty where it holds none."""
    interpret: Callable[[str], Instrument | None] = partial(known.get, key.partition("/")[0])
    live = Live(Episode(key), interpret)
    asked = sa.select(events.c.value).where(events.c.episode == key).order_by(events.c.partition, events.c.offset)
    for value in connection.execute(asked).scalars():
        live.fold(decode_accepted(value))
    return live


def _erase(connection: sa.Connection, partition: Partition, clinic: str, client: str, at: int) -> list[str]:
    """Deletes what is held of a client's episodes in a partition, answers that wait and the audit's subjects too, and returns
    which they were. An erasure stands on every partition, and in another one the client may have begun anew after it.
    `at` is when the erasure was asked for (µs). The episodes go first: who writes of one at this moment has it `locked`, and
    what they wrote is there once they let go."""
    here = sa.exists().where(events.c.episode == clients.c.episode, events.c.partition == partition.number)
    mine = sa.select(clients.c.episode).where(clients.c.clinic == clinic, clients.c.client == client, here)
    keys = sorted(connection.execute(mine).scalars())
    locking = sa.select(episodes.c.key).where(episodes.c.key.in_(keys)).order_by(by_code(connection, episodes.c.key))
    connection.execute(locking.with_for_update()).all()
    connection.execute(sa.delete(episodes).where(episodes.c.key.in_(keys)))
    for table in (events, scores, alerts, answers):
        connection.execute(sa.delete(table).where(table.c.episode.in_(keys)))
    connection.execute(sa.delete(clients).where(clients.c.episode.in_(keys)))
    for table in (sent, seen, notices):
        connection.execute(sa.delete(table).where(table.c.episode.in_(keys)))
    for key in keys:
        forget(connection, at, clinic, key, FOLLOWER)
    return keys


def locked(connection: sa.Connection, keys: Collection[str]) -> dict[str, int]:
    """Those of the episodes that are there, with the time of their first event (µs). Until the transaction ends none of them
    can be erased, though all else may change: on PostgreSQL by a lock on its row, on SQLite as one transaction writes at a
    time."""
    asked = sa.select(episodes.c.key, episodes.c.first_at).where(episodes.c.key.in_(keys))
    locking = asked.order_by(by_code(connection, episodes.c.key)).with_for_update(read=True, key_share=True)
    return dict(connection.execute(locking).all())


def _position(connection: sa.Connection, partition: Partition, *, lock: bool = False) -> int:
    asked = sa.select(positions.c.next_offset).filter_by(topic=partition.topic, partition=partition.number)
    return connection.execute(asked.with_for_update() if lock else asked).scalar() or 0


def _move(connection: sa.Connection, partition: Partition, offset: int) -> None:
    row = {"topic": partition.topic, "partition": partition.number, "next_offset": offset}
    connection.execute(upsert(connection, positions, ("next_offset",)), [row])


def _hear(connection: sa.Connection, partition: Partition, at: int) -> None:
    row = {"topic": partition.topic, "partition": partition.number, "next_offset": 0, "heard_at": at}
    connection.execute(upsert(connection, positions, ("heard_at",)), [row])


def _insert(connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        connection.execute(sa.insert(table), list(rows))


def _event(record: Record) -> AnyEvent | None:
    try:
        return None if record.value is None else decode_accepted(record.value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None  # the predictor names it in the dead letters


def _read(decoder: msgspec.json.Decoder[Any], record: Record) -> Any:
    try:
        return None if record.value is None else decoder.decode(record.value)
    except msgspec.MsgspecError:
        return None


def _micros(text: str) -> int:
    return micros(datetime.fromisoformat(text))
