"""A small clinic in a database, for tests of prompts: users, episodes, alerts, and a clock that is set by hand."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
import sqlalchemy as sa
from argon2 import PasswordHasher

from keepwell.contract.events import AppointmentBooked, Booked, EpisodeOpened, Event, Opened, encode, micros, rfc3339
from keepwell.contract.outputs import Alert, encode_output
from services.clinician.clinics import ClinicFacts
from services.clinician.counted import ask_again
from services.clinician.database import upsert
from services.clinician.people import accounts, covers
from services.clinician.people.accounts import Account
from services.clinician.people.passwords import Passwords
from services.clinician.people.who import OPERATOR, Role, User
from services.clinician.prompts.digest import waiting
from services.clinician.prompts.raising import Channel, Prompts
from services.clinician.prompts.tables import notices
from services.clinician.prompts.wishes import Wishes, keep
from services.clinician.tables import alerts, episodes, events, positions
from tests.services.clinician import made

BERLIN: Final = ZoneInfo("Europe/Berlin")
PASSWORDS: Final = Passwords(PasswordHasher(1, 8, 1))
KEY: Final = "north/ep-17"


class Clinic:
    """`north`, with what is in its database. Times are given by the clinic's clock."""

    def __init__(self, engine: sa.Engine, channels: Collection[Channel] = frozenset(("mail",))) -> None:
        self.engine = engine
        self.facts = ClinicFacts(zone=BERLIN)
        self.now = local("2026-03-03T12:00")  # a Tuesday
        self.prompts = Prompts(frozenset(channels), lambda _: self.facts, lambda: self.now)

    def user(self, name: str, role: Role = "clinician", **wishes: Any) -> User:
        """Somebody with an address; of a clinician, the name in the events is `c-<name>`."""
        with self.engine.begin() as connection:
            clinician = f"c-{name}" if role == "clinician" else None
            account = Account(name, "north", role, clinician)
            made_now = micros(self.now - timedelta(days=30))
            user = accounts.add(connection, account, OPERATOR, made_now, passwords=PASSWORDS).user
            keep(connection, user.id, Wishes(**{"mail": f"{name}@north.example"} | wishes))
        return user

    def cover(self, user: User, clinician: str, until: str) -> None:
        with self.engine.begin() as connection:
            covers.grant(
                connection, user, clinician, until=micros(local(until)), by=OPERATOR.__class__("u-1", "administrator"),
                now=micros(self.now),
            )  # fmt: skip

    def episode(self, key: str = KEY, clinician: str | None = "c-anna", visit: str | None = None) -> None:
        """An open episode whose next visit is then."""
        with self.engine.begin() as connection:
            row = {
                "key": key, "clinic": "north", "clinician": clinician, "first_at": 1, "sessions": 3, "state": "open",
                "next_visit": None if visit is None else micros(local(visit)),
            }  # fmt: skip
            connection.execute(upsert(connection, episodes, ("next_visit", "clinician")), [row])
            connection.execute(sa.delete(events).where(events.c.episode == key))
            for number, event in enumerate(_course(key, visit)):
                told = {
                    "episode": key, "partition": 0, "offset": number, "clinic": "north", "type": "x",
                    "source": event.source, "at": micros(event.time), "value": encode(event),
                }  # fmt: skip
                connection.execute(sa.insert(events), told)

    def alert(self, kind: str = "risk", name: str = "al-1", key: str = KEY, **changes: Any) -> Alert:
        """An alert of now, told as the projector tells it."""
        usual = made.alert(kind, name, episode=key, clinician_id="c-anna", at=rfc3339(micros(self.now)))  # type: ignore[arg-type]
        told = msgspec.structs.replace(usual.alert, **changes)
        with self.engine.begin() as connection:
            row = {
                "id": told.alert_id, "episode": key, "clinic": "north", "kind": told.kind, "status": told.status,
                "raised_at": micros(self.now), "at": micros(datetime.fromisoformat(told.at)), "partition": 0,
                "offset": 0, "value": encode_output(told),
            }  # fmt: skip
            connection.execute(upsert(connection, alerts, ("status", "at", "value")), [row])
            ask_again(connection, [key])
            self.prompts.of_alerts(connection, [told])
        return told

    def tick(self, at: datetime | None = None) -> None:
        """The log was heard until then (now)."""
        row = {"topic": "episode-events", "partition": 0, "next_offset": 1, "heard_at": micros(at or self.now)}
        with self.engine.begin() as connection:
            connection.execute(upsert(connection, positions, ("heard_at",)), [row])

    def digests(self) -> None:
        """The digests of this moment, with a log that was just heard."""
        self.tick()
        self.prompts.digests(self.engine, waiting(self.prompts.facts_of, self.prompts.now))

    def notices(self, *states: str) -> Sequence[tuple[str, str, str]]:
        """What there is of notices, as kind, user's name and channel, in order; of these states, else those that wait."""
        with self.engine.connect() as connection:
            names = {one.id: one.name for one in accounts.everyone(connection, "north")}
            asked = sa.select(notices).where(notices.c.state.in_(states or ("waiting",)))
            return sorted((row.kind, names.get(row.user, "?"), row.channel) for row in connection.execute(asked))


def _course(key: str, visit: str | None) -> Iterator[Event]:
    clinic, _, subject = key.partition("/")
    head: dict[str, Any] = {
        "specversion": "1.0", "source": f"/{clinic}/pms", "subject": subject, "time": local("2026-02-20T09:00"),
    }  # fmt: skip
    yield EpisodeOpened(id="o-1", **head, data=Opened(client_id="p-1", clinician_id="c-anna"))
    if visit is not None:
        yield AppointmentBooked(id="b-1", **head, data=Booked(appointment_id="a-1", starts_at=local(visit)))


def local(text: str) -> datetime:
    """A moment by the clinic's clock, in UTC as the service has it."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)
