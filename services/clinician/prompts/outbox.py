"""Sends the notices whose time has come, each until it is taken, given up visibly, or needless.

A try is written down before it is made, so two processes do not make it both, and one that dies in it leaves it to be made
again: at least once, under a name that tells a repetition.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol, assert_never

import sqlalchemy as sa
import structlog

from keepwell.contract.events import micros, rfc3339
from keepwell.metrics import PROMPTED
from keepwell.sending.outcome import Delivered, Gone, Later, Outcome, Rejected
from keepwell.sending.schedule import next_try
from services.clinician import queries
from services.clinician.clinics import ClinicFacts
from services.clinician.items import is_answered
from services.clinician.people.covers import covered
from services.clinician.people.tables import users
from services.clinician.people.who import user_of
from services.clinician.prompts.moments import day_bounds, local_day
from services.clinician.prompts.raising import Channel, Kind
from services.clinician.prompts.tables import notices
from services.clinician.prompts.wishes import wishes_of
from services.clinician.seen import last_seen

LEASE: Final = timedelta(minutes=2)
"""So long a try that was begun keeps others from it: longer than any try may take. Ours."""
ROUND_SECONDS: Final = 20.0
"""After so long a round begins no further try; what was seldom urgent waits for the next. Ours."""
AT_ONCE: Final = 200
"""Notices of a round; ours."""
WEEK: Final = timedelta(days=7)
KEPT: Final = timedelta(days=60)
"""So long it is kept what became of a notice; ours."""
_log = structlog.get_logger(__name__)


class Prompt(NamedTuple):
    """A notice as it goes out. `name` is the same at every try; `mail` an address where the channel needs one."""

    name: str
    kind: Kind
    user: str
    clinic: str
    mail: str | None


class Sender(Protocol):
    """A channel: tries once. Blocks, for a time that is bounded."""

    def __call__(self, prompt: Prompt) -> Outcome: ...


class Outbox(NamedTuple):
    """The notices of a database, the channels they go by, the facts of clinics, and the clock."""

    engine: sa.Engine
    senders: Mapping[Channel, Sender]
    facts_of: Callable[[str], ClinicFacts]
    now: Callable[[], datetime]

    def send(self) -> None:
        """Tries what is due, safety first. A channel that gives no answer is left alone until the next round."""
        now, ends = micros(self.now()), time.monotonic() + ROUND_SECONDS
        due = (
            sa.select(notices).where(notices.c.state == "waiting", notices.c.due <= now)
            .order_by(notices.c.kind != "safety", notices.c.due, notices.c.id).limit(AT_ONCE)
        )  # fmt: skip
        with self.engine.connect().execution_options(reads=True) as connection:
            rows = connection.execute(due).all()
        silent: set[str] = set()
        for row in rows:
            if time.monotonic() >= ends:
                break
            if row.channel in silent or row.channel not in self.senders:
                continue
            prompt = self._begun(row)
            if prompt is None:
                continue
            outcome = self.senders[row.channel](prompt)
            if isinstance(outcome, Gone) or (isinstance(outcome, Later) and not outcome.answered):
                silent.add(row.channel)
            self._ended(row, outcome)

    def prune(self) -> None:
        """Forgets what became of notices long ago. Looks first, so that nobody is kept from writing for nothing."""
        old = notices.c.ended < micros(self.now() - KEPT)
        with self.engine.connect().execution_options(reads=True) as connection:
            there = connection.execute(sa.select(notices.c.id).where(old).limit(1)).first()
        if there is not None:
            with self.engine.begin() as connection:
                connection.execute(sa.delete(notices).where(old))

    def _begun(self, row: sa.Row[Any]) -> Prompt | None:
        """A try that was written down; None where somebody else makes it, or it is needless by now."""
        now = self.now()
        with self.engine.begin() as connection:
            begun = (
                sa.update(notices)
                .where(notices.c.id == row.id, notices.c.state == "waiting", notices.c.due == row.due)
                .values(due=micros(now + LEASE), tries=row.tries + 1)
            )
            if connection.execute(begun).rowcount != 1:
                return None
            wishes = wishes_of(connection, row.user)
            state = self._needless(connection, row, now, wishes.mail)
            if state is not None:
                _settle(connection, row.id, state, micros(now))
                PROMPTED.labels(row.kind, state).inc()
                return None
        return Prompt(row.id, row.kind, row.user, row.clinic, wishes.mail)

    def _needless(self, connection: sa.Connection, row: sa.Row[Any], now: datetime, mail: str | None) -> str | None:
        """Why a notice is not to be sent any more, as its state says it; None where it is."""
        account = connection.execute(sa.select(users).where(users.c.id == row.user)).first()
        if account is None or account.removed_at is not None or (row.channel == "mail" and mail is None):
            return "needless"
        facts = self.facts_of(row.clinic)
        if row.kind == "digest":
            over = micros(day_bounds(facts, local_day(facts, datetime.fromtimestamp(row.at / 1e6, now.tzinfo)))[1])
            return "needless" if micros(now) >= over else None
        user = user_of(account)
        viewer = user.viewer(covered(connection, user, micros(now)))
        found = queries.alert(connection, viewer, row.alert)
        if found is None:
            return "needless"
        if row.kind == "safety":
            return None
        looked = last_seen(connection, row.user, [row.episode]).get(row.episode, 0)
        if found.alert.status == "resolved" or looked >= row.at or is_answered(found, None, rfc3339(micros(now))):
            return "needless"
        sent = sa.select(sa.func.count()).where(
            notices.c.user == row.user, notices.c.channel == row.channel, notices.c.kind == "push",
            notices.c.state == "sent", notices.c.ended > micros(now - WEEK),
        )  # fmt: skip
        return "over_budget" if connection.execute(sent).scalar_one() >= facts.pushes_a_week else None

    def _ended(self, row: sa.Row[Any], outcome: Outcome) -> None:
        now, again = self.now(), None
        match outcome:
            case Delivered():
                state = "sent"
            case Rejected() | Gone():
                state = "dead"
            case Later(why, after, _):
                again = next_try(row.tries + 1, row.at / 1e6, now.timestamp(), after)
                state = "dead" if again is None else "retried"
                _log.warning("prompt.later", channel=row.channel, why=why, tries=row.tries + 1)
            case _:
                assert_never(outcome)
        with self.engine.begin() as connection:
            if again is not None:
                connection.execute(sa.update(notices).where(notices.c.id == row.id).values(due=int(again * 1e6)))
            else:
                _settle(connection, row.id, state, micros(now))
        PROMPTED.labels(row.kind, state).inc()
        if state == "dead":
            _log.error("prompt.given_up", channel=row.channel, kind=row.kind)


def _settle(connection: sa.Connection, name: str, state: str, now: int) -> None:
    connection.execute(sa.update(notices).where(notices.c.id == name).values(state=state, ended=now))
