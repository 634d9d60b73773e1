"""What users answer, as events through the log: written down first, then handed over, again until the log has it.

An answer is in the database before it is promised. It is handed to `session-events` under an id of its own, which tells a
repetition from a new one, so however often it is handed over it counts once. It is settled once the accepted event came back.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
import structlog

from keepwell.care.instruments import Instruments
from keepwell.contract.decode import decode
from keepwell.contract.events import (
    Actioned,
    AlertActioned,
    Event,
    EventRetracted,
    RepairAttempt,
    RepairAttempted,
    Retracted,
    decode_accepted,
    encode,
    micros,
)
from keepwell.contract.refusal import Refusal
from keepwell.streams.log import Log, LogError, Message
from services.clinician import queries
from services.clinician.database import AWAY, cause
from services.clinician.people.audit import Action, AuditEntry, append
from services.clinician.people.who import User
from services.clinician.sent import sent
from services.clinician.views import Viewer

UNDO: Final = timedelta(days=1)
"""So long an answer can be taken back (CONTRACT section 5)."""
HANDED_AGAIN: Final = timedelta(seconds=5)
"""After so long what the log has not taken is handed over again; ours."""
AT_ONCE: Final = 200
"""Answers that are handed over again in one go; ours."""
_NO_INSTRUMENTS: Final = Instruments()
_log = structlog.get_logger(__name__)


class NotThere(LookupError):
    """There is no such alert, episode or answer that the user may see, or take back."""


class Conflict(ValueError):
    """The idempotency key was used for another request."""


class NotFit(ValueError):
    """The intake would not accept the answer; the message says what to change, and holds nothing of the answer."""


class Given(NamedTuple):
    """An answer on its way: the id of its event, and until when it can be taken back."""

    event_id: str
    undo_until: datetime


class Asking(NamedTuple):
    """Who asks, seeing what, and by which key the same request is known when it comes again; None: every request is new."""

    user: User
    viewer: Viewer
    idempotency: str | None = None


class _Written(NamedTuple):
    """An answer as it stands in the database; `value` is its event where it was written now, None where it was before."""

    event_id: str
    key: str
    at: int
    value: bytes | None


class Answers:
    """Takes answers over a database and a log. For any thread; every method blocks."""

    def __init__(self, engine: sa.Engine, log: Log, topic: str, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._log = log
        self._topic = topic
        self._now = now

    def answer(self, asking: Asking, alert_id: str, data: Actioned) -> Given:
        """Answers an alert. Raises `NotThere`, `Conflict` and `NotFit`."""

        def event(connection: sa.Connection) -> tuple[str, Event]:
            found = queries.alert(connection, asking.viewer, alert_id)
            if found is None:
                raise NotThere("there is no such alert")
            return found.alert.episode, AlertActioned(**self._head(found.alert.episode), data=data)

        return self._give(asking, f"answer {alert_id} {data}", "answer.given", event)

    def repair(self, asking: Asking, key: str, data: RepairAttempt) -> Given:
        """Records an attempt at repair. Raises `NotThere`, `Conflict` and `NotFit`."""

        def event(connection: sa.Connection) -> tuple[str, Event]:
            self._visible(connection, asking.viewer, key)
            return key, RepairAttempted(**self._head(key), data=data)

        return self._give(asking, f"repair {key} {data}", "repair.recorded", event)

    def take_back(self, asking: Asking, event_id: str) -> Given:
        """Takes an answer or repair of the user's own back, within a day. Raises `NotThere`."""

        def event(connection: sa.Connection) -> tuple[str, Event]:
            row = connection.execute(sa.select(sent).filter_by(event_id=event_id, user=asking.user.id)).first()
            if row is None or micros(self._now() - UNDO) > row.at:
                raise NotThere("there is no such answer of yours from the last day")
            if isinstance(decode_accepted(row.value), EventRetracted):
                raise NotThere("there is no such answer of yours from the last day")
            self._visible(connection, asking.viewer, row.episode)
            return row.episode, EventRetracted(**self._head(row.episode), data=Retracted(event_id=event_id))

        # Taken back once is taken back: a second time gives the same event.
        asking = asking._replace(idempotency=f"take back {event_id}")
        return self._give(asking, f"take back {event_id}", "answer.retracted", event)

    def hand_over(self) -> int:
        """Hands over again what the log has not taken for a while, the oldest first; returns how many it took. Raises
        `LogError` where the log takes nothing."""
        before = micros(self._now() - HANDED_AGAIN)
        waiting = (
            sa.select(sent).where(sent.c.handed_at.is_(None), sent.c.at <= before).order_by(sent.c.at).limit(AT_ONCE)
        )
        with self._engine.connect().execution_options(reads=True) as connection:
            rows = connection.execute(waiting).all()
        for row in rows:
            self._hand(row.event_id, row.episode, row.value)
        return len(rows)

    def _give(
        self, asking: Asking, request: str, action: Action, event: Callable[[sa.Connection], tuple[str, Event]]
    ) -> Given:
        asked = hashlib.sha256(request.encode()).hexdigest()
        try:
            written = self._write(asking, asked, action, event)
        except sa.exc.IntegrityError:
            if asking.idempotency is None:
                raise
            written = self._write(
                asking, asked, action, event
            )  # the same request was faster: this one is its repetition
        if written.value is not None:
            try:
                self._hand(written.event_id, written.key, written.value)
            except (LogError, *AWAY) as error:  # it stands in the database, and is handed over again
                _log.warning("answer.later", cause=cause(error))
        return Given(written.event_id, _moment(written.at) + UNDO)

    def _write(
        self, asking: Asking, asked: str, action: Action, event: Callable[[sa.Connection], tuple[str, Event]]
    ) -> _Written:
        at = micros(self._now())
        with self._engine.begin() as connection:
            if asking.idempotency is not None:
                mine = sa.select(sent).filter_by(user=asking.user.id, idempotency=asking.idempotency)
                row = connection.execute(mine).first()
                if row is not None and row.request != asked:
                    raise Conflict("this Idempotency-Key was sent with another request: use a new one for each")
                if row is not None:
                    return _Written(row.event_id, row.episode, row.at, None)
            key, made = event(connection)
            value = encode(made)
            # What the intake would refuse is refused here: after the promise nobody would hear of it.
            judged = decode(value, now=made.time, instruments=_NO_INSTRUMENTS, clinic=asking.viewer.clinic)
            if isinstance(judged, Refusal):
                raise NotFit(f"{judged.path}: {judged.detail}")
            connection.execute(
                sa.insert(sent),
                {
                    "event_id": made.id, "clinic": asking.viewer.clinic, "episode": key, "user": asking.user.id,
                    "idempotency": asking.idempotency, "request": asked, "at": at, "value": value,
                },
            )  # fmt: skip
            entry = AuditEntry(
                clinic=asking.viewer.clinic, by=asking.user.actor, action=action, episode=key, object=made.id
            )
            append(connection, at, entry)
        return _Written(made.id, key, at, value)

    def _hand(self, event_id: str, key: str, value: bytes) -> None:
        self._log.append([Message(self._topic, key.partition("/")[2].encode(), value)])
        with self._engine.begin() as connection:
            connection.execute(sa.update(sent).where(sent.c.event_id == event_id).values(handed_at=micros(self._now())))

    def _head(self, key: str) -> dict[str, Any]:
        clinic, _, subject = key.partition("/")
        return {
            "specversion": "1.0", "id": f"kw-{secrets.token_hex(12)}", "source": f"/{clinic}/keepwell",
            "subject": subject, "time": self._now(),
        }  # fmt: skip

    def _visible(self, connection: sa.Connection, viewer: Viewer, key: str) -> None:
        if not queries.visible(connection, viewer, key):
            raise NotThere("there is no such episode")


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1e6, UTC)
