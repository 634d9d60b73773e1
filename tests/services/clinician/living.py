"""A clinic that lives on under the pages that are asked of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from keepwell.contract.events import AnyEvent, EpisodeOpened, Feedback, FeedbackGiven, Opened, encode, micros
from keepwell.streams.log import Partition, Record
from keepwell.streams.worker.process import Check
from keepwell.web.app import make_app
from services.clinician.answers import Answers
from services.clinician.clinics import ClinicFacts
from services.clinician.people import accounts
from services.clinician.people.access import People, install
from services.clinician.people.accounts import Account
from services.clinician.people.passwords import Passwords
from services.clinician.people.who import OPERATOR, Role
from services.clinician.projector import AlertsProjection, EventsProjection, ScoresProjection
from services.clinician.schema import migrate
from services.clinician.web import Pages, add_pages
from services.predictor.bootstrap import processor
from tests.services.clinician.doubtful import Doubtful
from tests.services.clinician.lived import TOPICS
from tests.services.clinician.people.made import Asking
from tests.strategies import BASE

NUMBERS = count()
BOOKING = "/north/booking"


class Whole(NamedTuple):
    """A clinic that lives on: events go through the predictor into the database, and pages are asked of it."""

    engine: sa.Engine
    log: Doubtful
    app: Any
    clock: list[datetime]
    worker: Any
    places: dict[str, int]

    def live(self, *events: AnyEvent) -> None:
        source = Partition(TOPICS.episodes, 0)
        records = []
        for event in events:
            at = self.places[TOPICS.episodes] = self.places.get(TOPICS.episodes, -1) + 1
            records.append(Record(source, at, event.key.encode(), encode(event), (), micros(event.time) // 1000))
        EventsProjection(self.engine).handle(source, records)
        for message in self.worker.step(0, records).messages:
            for topic, into in ((TOPICS.scores, ScoresProjection), (TOPICS.alerts, AlertsProjection)):
                if message.topic == topic:
                    at = self.places[topic] = self.places.get(topic, -1) + 1
                    record = Record(Partition(topic, 0), at, message.key, message.value)
                    into(self.engine, lambda _: True).handle(record.partition, [record])

    def come_back(self) -> None:
        """What was answered comes back through the log."""
        taken = [msgspec.json.decode(one.value or b"", type=AnyEvent) for one in self.log.taken]
        self.log.taken.clear()
        self.live(*taken)

    def user(self, role: Role = "clinician", clinician: str | None = "c-1", clinic: str = "north") -> Asking:
        name = f"u-{next(NUMBERS)}"
        with self.engine.begin() as connection:
            account = Account(name, clinic, role, clinician)
            made = accounts.add(
                connection, account, OPERATOR, 1, passwords=Passwords(), password="seventeen quiet geese"
            )
            token = accounts.issue_token(connection, made.user, OPERATOR, 1)
        return Asking(
            self.app, "https://keepwell.example", {"authorization": f"Bearer {token.text.get_secret_value()}"}
        )


def living(opened: sa.Engine) -> Whole:
    """The clinic in an empty database, at nine in the morning of its third day."""
    migrate(opened)
    clock, log = [BASE + timedelta(days=2)], Doubtful()
    answers = Answers(opened, log, TOPICS.sessions, lambda: clock[-1])  # type: ignore[arg-type]  # what it asks of a log
    app = make_app("clinician", "Keepwell", _well, _well, told={})
    add_pages(app, Pages(opened, answers, Passwords(), lambda: clock[-1], lambda _: ClinicFacts()))
    install(app, People(opened, lambda: micros(clock[-1])))
    return Whole(opened, log, app, clock, processor(TOPICS), {})


def _well() -> Check:
    return Check(True, "well")


def head(name: str, hours: float, subject: str = "ep-1") -> dict[str, Any]:
    at = BASE + timedelta(hours=hours)
    return {"specversion": "1.0", "id": name, "source": BOOKING, "subject": subject, "time": at}


def start(subject: str = "ep-1") -> EpisodeOpened:
    return EpisodeOpened(**head(f"o-{subject}", 0, subject), data=Opened(client_id=f"p-{subject}", clinician_id="c-1"))


def voiced(name: str, hours: float, pillar: str = "trust", subject: str = "ep-1") -> FeedbackGiven:
    data = Feedback(pillar=pillar, sentiment="negative")  # type: ignore[arg-type]  # a pillar
    return FeedbackGiven(**head(name, hours, subject), data=data)
