"""The clinician's side as processes on Kafka and PostgreSQL that are killed: no answer is lost, and none counts twice."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

import httpx
import msgspec
import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from keepwell.contract.events import ClientErased
from keepwell.testing.made_up import CLINIC, made_up_clinic
from services.clinician.database import open_engine
from services.clinician.people import accounts
from services.clinician.people.accounts import Account
from services.clinician.people.passwords import Passwords
from services.clinician.people.who import OPERATOR
from services.clinician.schema import migrate
from services.clinician.sent import sent
from services.clinician.tables import events
from tests.postgres import Postgres, from_pypi
from tests.services.clinician.lived import content
from tests.system import DEADLINE, System, followed_into, midnight, shuffled_feed, split

pytestmark = [pytest.mark.soak, pytest.mark.kafka]
VICTIMS: Final = ("clinician", "database", "both", "predictor", "ingest")
"""Each is killed as often: `both` are the clinician's process and its database."""
KILLS_OF_EACH: Final = 4
AT_ONCE: Final = 6
"""Answers that are under way when something is killed."""
MOMENT: Final = 0.6
"""Seconds from the first of these answers, within which it is killed."""


class Clinic(System):
    """An installation with a database of its own, and a program that answers for a supervisor."""

    def __init__(self, url: str, prefix: str, folder: Path, server: Postgres, database: str) -> None:
        super().__init__(url, prefix, folder, partitions=2)
        self.server = server
        self.database = database
        self.engine = open_engine(database)
        migrate(self.engine)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{self._port}/api/v1", headers={"Authorization": f"Bearer {self._token()}"},
            timeout=DEADLINE,
        )  # fmt: skip
        self.given: dict[str, str] = {}
        """The event of each Idempotency-Key."""

    def __enter__(self) -> Clinic:
        return self

    def __exit__(self, *error: object) -> None:
        self._client.close()
        self.engine.dispose()
        super().__exit__(*error)

    def up(self, service: str) -> None:
        """Starts a service. Where its database was away, `ask` starts the clinician's again, as a supervisor does."""
        more = ("--database", self.database, "--port", str(self._port)) if service == "clinician" else ()
        self.start(service, "a", *more)

    def strike(self, victim: str) -> None:
        """Kills a part of the installation, and brings it back."""
        if victim in ("database", "both"):
            self.server.kill()
        if victim == "both":
            self.kill("clinician", "a")
            self.up("clinician")
        if victim in ("database", "both"):
            self.server.start()
        else:
            self.kill(victim, "a")
            self.up(victim)

    def ask(self, path: str) -> Any:
        """What the API says, as soon as it says something."""
        found: list[Any] = []

        def got() -> bool:
            if self.ended("clinician", "a"):
                self.kill("clinician", "a")
                self.up("clinician")
            try:
                answer = self._client.get(path)
            except httpx.TransportError:
                return False
            if answer.status_code == 200:
                found.append(answer.json())
            return answer.status_code == 200

        self.until(got, path)
        return found[0]

    def answer(self, key: str, path: str, body: dict[str, str]) -> None:
        """Gives an answer until somebody says that it is taken."""
        never = threading.Event()
        for _ in range(int(10 * DEADLINE)):
            try:
                answer = self._client.post(path, json=body, headers={"Idempotency-Key": key})
            except httpx.TransportError:
                never.wait(0.1)
                continue
            if answer.status_code == 201:
                assert self.given.setdefault(key, answer.json()["event_id"]) == answer.json()["event_id"]
                return
            assert answer.status_code == 503, answer.text
            never.wait(0.1)
        raise AssertionError(f"{key} was never taken")

    def settled(self) -> bool:
        """Whether the read model has followed everything, and nothing waits to be handed over."""
        followed = followed_into(self.database, self.topics)
        with self.engine.connect() as connection:
            waiting = connection.execute(sa.select(sent.c.event_id).where(sent.c.handed_at.is_(None))).first()
        return waiting is None and all(self.lag(group, topic) == 0 for group, topic in followed)

    def _token(self) -> str:
        account = Account("ada", CLINIC, "supervisor", None)
        passwords = Passwords(PasswordHasher(1, 8, 1))
        with self.engine.begin() as connection:
            user = accounts.add(connection, account, OPERATOR, 1, passwords=passwords, password="seventeen quiet geese")
            return accounts.issue_token(connection, user.user, OPERATOR, 1).text.get_secret_value()


@pytest.fixture
def clinic(kafka_bootstrap: str, tmp_path: Path, prefix: str) -> Iterator[Clinic]:
    with (
        Postgres(from_pypi()) as server,
        server.database() as database,
        Clinic(f"kafka://{kafka_bootstrap}", prefix, tmp_path, server, database) as started,
    ):
        yield started


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_soak_answers_outlive_kills_of_the_service_its_database_and_those_behind(clinic: Clinic, seed: int) -> None:
    """Four kills of each, a bit more than a minute a seed."""
    rng = Random(seed)
    start = midnight(datetime.now(UTC)) - timedelta(days=100)  # answers are of now, and what they answer of yesterday
    lived = [one for one in made_up_clinic(40, 5, start, 100) if not isinstance(one, ClientErased)]
    for service in ("ingest", "predictor", "clinician"):
        clinic.up(service)
    victims = list(VICTIMS) * KILLS_OF_EACH
    rng.shuffle(victims)
    parts = list(split(lived, len(victims) + 2))

    def feed() -> None:
        if parts:
            part = parts.pop(0)
            clinic.send(shuffled_feed(part, rng))
            clinic.tick(midnight(part[-1].time))

    for _ in range(len(parts) // 2):
        feed()
        clinic.settle()  # else the ticks, which ingest does not take, come first
    clinic.until(clinic.settled, "the read model follows")
    with ThreadPoolExecutor(AT_ONCE) as several:
        for number, victim in enumerate(victims):
            feed()
            matters, episodes = (clinic.ask(f"/{name}?limit=200")["items"] for name in ("alerts", "caseload"))
            under_way: list[Future[None]] = []
            for each in range(AT_ONCE):
                path, body = f"/episodes/{rng.choice(episodes)['episode']}/repairs", {"outcome": "better"}
                if matters and each % 2:
                    path, body = f"/alerts/{rng.choice(matters)['alert_id']}/answers", {"action": "repair_planned"}
                under_way.append(several.submit(clinic.answer, f"{number}-{each}", path, body))
            threading.Event().wait(rng.uniform(0, MOMENT))
            clinic.strike(victim)
            clinic.ask("/me")
            for one in under_way:
                one.result(DEADLINE)
    while parts:
        feed()
    clinic.ask("/me")
    clinic.settle()
    clinic.until(clinic.settled, "all answers are handed over and come back")
    assert_nothing_lost_nothing_twice(clinic, AT_ONCE * len(victims))


def assert_nothing_lost_nothing_twice(clinic: Clinic, answers: int) -> None:
    """Of every answer one event, which is settled; and the read model is what the log says."""
    given = set(clinic.given.values())
    assert len(given) == len(clinic.given) == answers
    for topic in (clinic.topics.sessions, clinic.topics.episodes):
        told = [value for value in clinic.values(topic) if f'"/{CLINIC}/keepwell"'.encode() in value]
        assert {msgspec.json.decode(value)["id"] for value in told} == given, topic
    with clinic.engine.connect() as connection:
        asked = sa.select(events.c.value).where(events.c.source == f"/{CLINIC}/keepwell")
        found = [msgspec.json.decode(value) for value in connection.execute(asked).scalars()]
        assert sorted(one["id"] for one in found) == sorted(given)
        assert len({one["type"] for one in found}) == 2, "alerts were answered, and repairs recorded"
        keys = connection.execute(sa.select(sent.c.episode).distinct()).scalars().all()
    shown = [one for key in keys for one in clinic.ask(f"/episodes/{key}")["answers"]]
    mine = [one for one in shown if one["event_id"] in given]
    assert sorted(one["event_id"] for one in mine) == sorted(given)
    assert all(one["settled"] for one in mine)

    clinic.kill("clinician", "a")  # of two with databases of their own each would have a share of the partitions
    with clinic.server.database() as other:
        done = clinic.run("clinician", "--drain", "--instance", "anew", "--database", other)
        assert done.returncode == 0, done.stdout + done.stderr
        rebuilt = open_engine(other)
        assert content(rebuilt) == content(clinic.engine)
        rebuilt.dispose()
