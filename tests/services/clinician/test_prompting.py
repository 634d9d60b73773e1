"""Prompts as the log is followed: written with the alert or not at all, none twice, none of the past, none of the erased."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from keepwell.contract.events import ClientErased, Erased
from keepwell.contract.outputs import Alert
from keepwell.streams.log import Record
from services.clinician.clinics import ClinicFacts
from services.clinician.people import accounts
from services.clinician.people.accounts import Account
from services.clinician.people.passwords import Passwords
from services.clinician.people.who import OPERATOR
from services.clinician.projector import AlertsProjection, EventsProjection, ScoresProjection, empty
from services.clinician.prompts.raising import Prompts
from services.clinician.prompts.tables import notices
from services.clinician.prompts.wishes import Wishes, keep
from services.clinician.schema import migrate
from services.clinician.tables import alerts, clients
from tests.services.clinician.lived import DAYS, START, Lived, follow, lived


@pytest.fixture(scope="module")
def log() -> Lived:
    return lived()


def told(log: Lived) -> list[Alert]:
    records: Sequence[Record] = [one for each in log.alerts.values() for one in each]
    return [msgspec.json.decode(one.value or b"", type=Alert) for one in records]


def prompts(at: datetime) -> Prompts:
    return Prompts(frozenset(("mail",)), lambda _: ClinicFacts(), lambda: at)


def project(engine: sa.Engine, log: Lived, at: datetime) -> None:
    follow(EventsProjection(engine), log.events, 100)
    follow(ScoresProjection(engine, lambda _: True), log.scores, 100)
    follow(AlertsProjection(engine, lambda _: True, prompts(at).of_alerts), log.alerts, 100)


def everyone(engine: sa.Engine, log: Lived) -> None:
    """An account with an address for every clinician of the clinic, who wants no digest."""
    with engine.begin() as connection:
        for number, (clinic, clinician) in enumerate(
            sorted({(one.episode.partition("/")[0], one.clinician_id) for one in told(log) if one.clinician_id})
        ):
            account = Account(f"n{number}", clinic, "clinician", clinician)
            user = accounts.add(connection, account, OPERATOR, 1, passwords=Passwords(PasswordHasher(1, 8, 1))).user
            keep(connection, user.id, Wishes(mail="x@north.example", digest=False))


def written(engine: sa.Engine) -> list[tuple[str, str, str]]:
    with engine.connect() as connection:
        rows = connection.execute(sa.select(notices.c.id, notices.c.alert, notices.c.episode).order_by(notices.c.id))
        return [tuple(row) for row in rows]


def moment(alert: Alert) -> datetime:
    return datetime.fromisoformat(alert.at).astimezone(UTC)


def test_notices_are_of_the_last_day_alone_and_a_read_model_made_anew_adds_none(opened: sa.Engine, log: Lived) -> None:
    migrate(opened)
    everyone(opened, log)
    now = max(moment(one) for one in told(log) if one.status != "resolved")
    fresh = {one.alert_id for one in told(log) if one.status != "resolved" and moment(one) > now - timedelta(days=1)}
    project(opened, log, now)
    first = written(opened)
    assert {alert for _, alert, _ in first} == fresh != set()
    empty(opened)
    project(opened, log, now)
    assert written(opened) == first


def test_an_alert_whose_notice_cannot_be_written_is_not_written_either(opened: sa.Engine, log: Lived) -> None:
    migrate(opened)
    follow(EventsProjection(opened), log.events, 100)

    def breaks(connection: sa.Connection, _: Sequence[Alert]) -> None:
        raise KeyboardInterrupt

    partition, records = next(iter(log.alerts.items()))
    with pytest.raises(KeyboardInterrupt):
        AlertsProjection(opened, lambda _: True, breaks).handle(partition, records)
    with opened.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(alerts)).scalar() == 0


def test_an_erasure_takes_the_notices_of_a_client_along(opened: sa.Engine, log: Lived) -> None:
    migrate(opened)
    everyone(opened, log)
    now = max(moment(one) for one in told(log) if one.status != "resolved")
    project(opened, log, now)
    key = written(opened)[0][2]
    with opened.connect() as connection:
        client = connection.execute(sa.select(clients.c.client).where(clients.c.episode == key)).scalar_one()
    erasure = ClientErased(
        specversion="1.0", id="er-1", source="/north/keepwell", subject="_erased", time=START + timedelta(days=DAYS),
        data=Erased(client_id=client),
    )  # fmt: skip
    follow(EventsProjection(opened), lived(more=[erasure]).events, 100)
    assert key not in {episode for _, _, episode in written(opened)}
