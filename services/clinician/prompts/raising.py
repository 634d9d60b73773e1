"""Which notices there are to be: of alerts as they are followed into the read model, and the digest of each day.

A notice of an alert is written in the transaction that writes the alert, so neither is without the other. Its name follows
from what is told to whom and how: the read model made anew, a second projector or a second look at the same day add none.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

import sqlalchemy as sa

from keepwell.contract.events import micros
from keepwell.contract.outputs import Alert
from services.clinician.clinics import ClinicFacts
from services.clinician.database import upsert
from services.clinician.people.covers import of_clinic
from services.clinician.people.tables import covers, users
from services.clinician.people.who import User, user_of
from services.clinician.prompts.moments import LATE, after_quiet, day_bounds, digest_due, local_day
from services.clinician.prompts.tables import notice_wishes, notices
from services.clinician.prompts.wishes import WISHED, Wishes, read
from services.clinician.tables import episodes, positions

NEWS: Final = timedelta(days=1)
"""What was told longer ago is no news: a read model that catches up sends nothing of it. Ours."""
STALE_US: Final = 5 * 60 * 1_000_000
"""So old the newest tick may be for a digest: a list that is behind is no list to prompt from. As pages have it."""
Channel = Literal["mail", "webhook"]
Kind = Literal["digest", "push", "safety"]


class Told(NamedTuple):
    """Somebody to tell, with their wishes."""

    user: User
    wishes: Wishes


class Prompts(NamedTuple):
    """What deciding on notices needs: the channels there are, the facts of clinics, the clock."""

    channels: Collection[Channel]
    facts_of: Callable[[str], ClinicFacts]
    now: Callable[[], datetime]

    def of_alerts(self, connection: sa.Connection, alerts: Iterable[Alert]) -> None:
        """Writes the notices of alerts that are told now: of safety to all in charge, of others what comes in time so."""
        now = self.now()
        if not self.channels:
            return
        for alert in alerts:
            if alert.status == "resolved" or datetime.fromisoformat(alert.at) < now - NEWS:
                continue
            clinic = alert.episode.partition("/")[0]
            rows: list[dict[str, Any]] = []
            if alert.kind == "safety":
                for told in in_charge(connection, clinic, alert.clinician_id, micros(now), self.channels):
                    rows += self._rows(told, "safety", alert.notice, now, alert=alert)
            else:
                visit = connection.execute(
                    sa.select(episodes.c.next_visit).where(episodes.c.key == alert.episode)
                ).scalar()
                for told in _carers(connection, clinic, alert.clinician_id, micros(now)):
                    due = self._push_due(connection, told, alert, visit, now)
                    if due is not None:
                        rows += self._rows(told, "push", alert.notice, now, due=due, alert=alert)
            _write(connection, rows)

    def digests(self, engine: sa.Engine, waits: Callable[[sa.Connection, User, date], bool]) -> None:
        """Decides on the digests whose moment has come, once a user and day. `waits` tells whether anything waits for a user
        that a digest is worth; where nothing does, that is written down instead."""
        now = self.now()
        if not self.channels:
            return
        with engine.connect().execution_options(reads=True) as connection:
            heard = connection.execute(sa.select(sa.func.min(positions.c.heard_at))).scalar()
            if heard is None or micros(now) - heard > STALE_US:
                return
            clinics = sa.select(users.c.clinic).where(users.c.role == "clinician", users.c.removed_at.is_(None))
            due = [
                each
                for clinic in connection.execute(clinics.distinct().order_by(users.c.clinic)).scalars().all()
                for each in self._due(connection, clinic, now)
            ]
        for told, day in due:
            with engine.begin() as connection:
                rows = self._rows(told, "digest", _of_day(day), now)
                if not waits(connection, told.user, day):
                    rows = [row | {"state": "needless", "ended": micros(now)} for row in rows]
                _write(connection, rows)

    def _due(self, connection: sa.Connection, clinic: str, now: datetime) -> list[tuple[Told, date]]:
        facts = self.facts_of(clinic)
        day = local_day(facts, now)
        begin, end = (micros(moment) for moment in day_bounds(facts, day))
        visits = sa.select(episodes.c.clinician, sa.func.min(episodes.c.next_visit).label("first")).where(
            episodes.c.clinic == clinic, episodes.c.state == "open", episodes.c.next_visit >= begin,
            episodes.c.next_visit < end,
        ).group_by(episodes.c.clinician)  # fmt: skip
        first: dict[str | None, int] = {row.clinician: row.first for row in connection.execute(visits)}
        covering = defaultdict(set)
        for cover in of_clinic(connection, clinic, micros(now)):
            covering[cover.user].add(cover.clinician_id)
        decided = sa.select(notices.c.user).where(
            notices.c.clinic == clinic, notices.c.kind == "digest", notices.c.at >= begin
        )
        done = set(connection.execute(decided).scalars())
        found = []
        for told in _told(connection, users.c.clinic == clinic, users.c.role == "clinician"):
            if told.user.id in done or not told.wishes.digest or not _reaching(told, self.channels):
                continue
            mine = {told.user.clinician_id, *covering[told.user.id]}
            starts = min((first[one] for one in mine if one in first), default=None)
            due = digest_due(facts, day, None if starts is None else _moment(starts, now))
            if due <= now < due + LATE:
                found.append((told, day))
        return found

    def _is_decided(self, connection: sa.Connection, told: Told, day: date) -> bool:
        names = [_id(told.user.id, channel, _of_day(day)) for channel in self.channels]
        return connection.execute(sa.select(notices.c.id).where(notices.c.id.in_(names))).first() is not None

    def _push_due(
        self, connection: sa.Connection, told: Told, alert: Alert, next_visit: int | None, now: datetime
    ) -> datetime | None:  # fmt: skip
        """When an alert is pushed, in UTC; None where that is not wished, or a digest tells it in time. It does, unless the
        client comes today (`next_visit`, µs) and today's digest was decided on already, or missed."""
        if alert.kind not in told.wishes.pushes:
            return None
        facts = self.facts_of(told.user.clinic)
        out = after_quiet(facts, now)
        if not told.wishes.digest:
            return out
        day = local_day(facts, now)
        ends = micros(day_bounds(facts, day)[1])
        if out > now or next_visit is None or not micros(now) <= next_visit < ends:
            return None
        missed = now >= digest_due(facts, day, _moment(next_visit, now)) + LATE
        return out if missed or self._is_decided(connection, told, day) else None

    def _rows(
        self, told: Told, kind: Kind, name: str, now: datetime, *, due: datetime | None = None,
        alert: Alert | None = None,
    ) -> list[dict[str, Any]]:  # fmt: skip
        return [
            {
                "id": _id(told.user.id, channel, name), "clinic": told.user.clinic, "user": told.user.id,
                "channel": channel, "kind": kind, "episode": None if alert is None else alert.episode,
                "alert": None if alert is None else alert.alert_id, "at": micros(now), "due": micros(due or now), "tries": 0,
                "state": "waiting", "ended": None,
            }
            for channel in _reaching(told, self.channels)
        ]  # fmt: skip


def in_charge(
    connection: sa.Connection, clinic: str, clinician: str | None, now: int, channels: Collection[Channel]
) -> list[Told]:
    """Who is told of a matter of safety: the clinician and who covers; where none of them can be reached, supervisors."""
    found = _carers(connection, clinic, clinician, now)
    if any(_reaching(told, channels) for told in found):
        return found
    return found + _told(connection, users.c.clinic == clinic, users.c.role == "supervisor")


def _carers(connection: sa.Connection, clinic: str, clinician: str | None, now: int) -> list[Told]:
    if clinician is None:
        return []
    covering = sa.select(covers.c.user).where(covers.c.clinician_id == clinician, covers.c.until > now)
    mine = sa.or_(users.c.clinician_id == clinician, users.c.id.in_(covering))
    return _told(connection, users.c.clinic == clinic, users.c.role == "clinician", mine)


def _told(connection: sa.Connection, *which: sa.ColumnElement[bool]) -> list[Told]:
    asked = (
        sa.select(users, notice_wishes.c.user.label("wished"), *(notice_wishes.c[name] for name in WISHED))
        .outerjoin(notice_wishes, notice_wishes.c.user == users.c.id)
        .where(users.c.removed_at.is_(None), *which)
        .order_by(users.c.id)
    )
    rows = connection.execute(asked).all()
    return [Told(user_of(row), Wishes() if row.wished is None else read(row)) for row in rows]


def _reaching(told: Told, channels: Collection[Channel]) -> list[Channel]:
    return [channel for channel in sorted(channels) if channel != "mail" or told.wishes.mail is not None]


def _id(user: str, channel: str, name: str) -> str:
    return "n-" + hashlib.sha256(f"{user} {channel} {name}".encode()).hexdigest()[:32]


def _of_day(day: date) -> str:
    return f"digest {day}"


def _moment(at: int, now: datetime) -> datetime:
    return datetime.fromtimestamp(at / 1e6, now.tzinfo)


def _write(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        connection.execute(upsert(connection, notices, ()), list(rows))
