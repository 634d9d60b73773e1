"""A made-up clinic with every service that a page needs, in this process, and who looks at it."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx

from keepwell.cli._together import Together, settings_of
from keepwell.contract.control import tick
from keepwell.contract.events import AnyEvent, decode_accepted, encode, micros
from keepwell.streams.log import Log, Partition, Record
from keepwell.streams.open import open_log
from keepwell.streams.topics import Topics, to_every_partition
from keepwell.testing.made_up import CLINIC, made_up_clinic
from keepwell.web.keys import KeyFile
from services.clinician.database import open_engine
from services.clinician.people import accounts
from services.clinician.people.access import RULES
from services.clinician.people.accounts import Account
from services.clinician.people.passwords import Passwords
from services.clinician.people.who import OPERATOR, ROLES, Role
from tests.system import followed_into

PATIENCE: Final = 60.0
"""Seconds until what has to come must be there."""
PASSWORD: Final = "seventeen quiet geese"
HERS: Final = "c-4"
"""The clinician whose list the tests look at."""
EPISODES: Final = 30
DAYS: Final = 80
SEED: Final = 11
OTHERS: Final = 3
"""Of so many clinicians in a row one is somebody else than `HERS`."""
NO_PROVIDER: Final = "http://127.0.0.1:9"
"""An identity provider that does not answer: the log-in page offers it, and says so."""
LOGINS: Final = ("", "?told=claims", "?told=signed_out")
"""Looks of the log-in page."""
_CLINICIANS: Final = re.compile(rb'"c-(\d+)"')


class LookedAt(NamedTuple):
    """A page as it was served: to whom (None: before the log-in), where, and its text."""

    role: Role | None
    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path} ({self.role or 'nobody'})"


class WholeClinic:
    """Intake, predictor and the clinician's side over one log, a user of each role, and a few weeks that were lived.

    A context manager. `url` is the address of the pages; users are named as their role. `log` and `database` are addresses,
    by default of files of its own; on a log that others use too its topics have a `prefix`.
    """

    url: str

    def __init__(
        self, episodes: int = EPISODES, seed: int = SEED, *, log: str = "", database: str = "", prefix: str = ""
    ) -> None:  # fmt: skip
        self._lived = (episodes, seed)
        self._places = (log, database)
        self._open = ExitStack()
        self._cookies: dict[Role, dict[str, str]] = {}
        self._sent = 0
        self.topics: Final = Topics(prefix)

    def __enter__(self) -> WholeClinic:
        with ExitStack() as opened:
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="keepwell-browser-")))
            keys = folder / "keys.json"
            log = self._places[0] or f"sqlite:///{folder / 'keepwell.db'}"
            self._token = KeyFile(keys).issue(CLINIC, datetime.now(UTC)).token
            database = self._places[1] or f"sqlite:///{folder / 'clinician.db'}"
            flags: dict[str, Any] = {
                "log": log, "topic_prefix": self.topics.prefix, "instance": "browser", "keys": keys, "ingest_port": 0,
                "rate": 1e6, "burst": 1_000_000, "database": database, "clinics": {CLINIC: {"made_up": True}},
                "oidc_issuer": NO_PROVIDER, "oidc_client_id": "keepwell", "clinician_url": "http://127.0.0.1:8080",
            }  # fmt: skip
            self.log: Log = open_log(log, topic_prefix=self.topics.prefix)
            opened.callback(self.log.close)
            services = Together(self.log, settings_of(flags, without=("clock", "erasure", "notify")))
            self.url = f"http://{opened.enter_context(services).address}"
            self._add_users(database)
            self._database = database
            self._live()
            self._open = opened.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)

    def post(self, *events: bytes) -> None:
        """Posts events to the intake as the clinic's platform does; it has to take them."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/cloudevents-batch+json"}
        answer = httpx.post(
            f"{self.url}/v1/events", content=b"[" + b",".join(events) + b"]", headers=headers, timeout=PATIENCE
        )
        assert answer.status_code == 202, answer.text

    def tell(self, subject: str, kind: str, /, **data: Any) -> None:
        """Posts one event of now, such as `rupture.noted`."""
        self._sent += 1
        event = {
            "specversion": "1.0", "id": f"told-{self._sent}", "source": f"/{CLINIC}/notes", "subject": subject,
            "type": f"keepwell.{kind}.v1", "time": datetime.now(UTC).isoformat(), "data": data,
        }  # fmt: skip
        self.post(httpx.Request("POST", self.url, json=event).content)

    def settle(self) -> None:
        """Waits until everything that the log holds is on the pages."""
        topics = self.topics
        for group, topic in (
            (topics.ingest_group, topics.sessions), (topics.predictor_group, topics.episodes),
            *followed_into(self._database, topics),
        ):  # fmt: skip
            deadline = time.monotonic() + PATIENCE
            while self._waits(group, topic):
                assert time.monotonic() < deadline, f"{group} did not work off {topic}"
                time.sleep(0.02)

    def _waits(self, group: str, topic: str) -> bool:
        """Whether a topic holds a record that a group has not worked off; markers of transactions are none."""
        done = self.log.committed(group, topic)
        places = [Partition(topic, number) for number in range(self.log.partitions(topic))]
        return any(next(iter(self.log.read(place, done.get(place, 0))), None) is not None for place in places)

    def accepted(self, subject: str) -> list[AnyEvent]:
        """The accepted events of an episode."""
        return [decode_accepted(value) for value in self._values(self.topics.episodes, subject)]

    def arrived(self, subject: str) -> list[AnyEvent]:
        """What stands in `session-events` of an episode, as it was handed over."""
        return [decode_accepted(value) for value in self._values(self.topics.sessions, subject)]

    def cookies(self, role: Role) -> dict[str, str]:
        """The cookie of a session of the role's user."""
        if role not in self._cookies:
            answer = httpx.post(f"{self.url}/login", data={"username": role, "password": PASSWORD}, timeout=PATIENCE)
            assert answer.status_code == 303, answer.text
            self._cookies[role] = dict(answer.cookies)
        return self._cookies[role]

    def matters(self, kind: str | None = None) -> list[str]:
        """Episodes with an open alert, of a kind if one is named, in the order of the list."""
        found = self._asked("/api/v1/caseload?alerts=open&limit=200")
        return [one["episode"] for one in found if kind is None or any(each["kind"] == kind for each in one["alerts"])]

    def episodes(self) -> list[str]:
        """Every open episode that the clinician sees, in the order of the list."""
        return [one["episode"] for one in self._asked("/api/v1/caseload?limit=200")]

    def sessions(self, episode: str) -> int:
        """How many sessions an open episode has had."""
        found = self._asked("/api/v1/caseload?limit=200")
        return next(int(one["sessions"]) for one in found if one["episode"] == episode)

    def pages(self) -> list[LookedAt]:
        """Every page that there is, once for each role that sees it, found by the rules of the door."""
        found: dict[tuple[Role | None, str], LookedAt] = {}
        shown = list(dict.fromkeys([*self.matters()[:2], *self.episodes()[-1:]]))
        for role in (None, *ROLES):
            for rule in RULES:
                allowed = rule.roles is None if role is None else rule.roles is not None and role in rule.roles
                if (
                    rule.method != "GET"
                    or not rule.is_page
                    or not allowed
                    or rule.path.startswith(("/static", "/visit"))
                ):
                    continue
                places = shown if "{subject}" in rule.path else [f"{CLINIC}/"]
                lists = ("", "?state=stopped", "?q=nobody") if rule.path == "/" else ("",)
                if rule.path == "/login":
                    lists = LOGINS
                elif role != "clinician":  # the same again
                    places, lists = places[:1], lists[:1]
                for place in places:
                    clinic, _, subject = place.partition("/")
                    for more in lists:
                        path = rule.path.format(clinic=clinic, subject=subject) + more
                        text = self._html(role, path)
                        if text is not None:
                            found[role, path] = LookedAt(role, path, text)
        return list(found.values())

    def _asked(self, path: str) -> list[dict[str, Any]]:
        answer = httpx.get(f"{self.url}{path}", cookies=self.cookies("clinician"), timeout=PATIENCE)
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    def _html(self, role: Role | None, path: str) -> str | None:
        cookies = {} if role is None else self.cookies(role)
        answer = httpx.get(f"{self.url}{path}", cookies=cookies, timeout=PATIENCE)
        html = answer.headers.get("content-type", "").startswith("text/html")
        return answer.text if answer.status_code == 200 and html else None

    def _values(self, topic: str, subject: str) -> Sequence[bytes]:
        found: list[Record] = []
        for number in range(self.log.partitions(topic)):
            place = Partition(topic, number)
            first, end = self.log.bounds(place)
            found += self.log.read(place, first, end)
        return [one.value for one in found if one.value is not None and f'"{subject}"'.encode() in one.value]

    def _add_users(self, database: str) -> None:
        engine, passwords = open_engine(database), Passwords()
        with engine.begin() as connection:
            for role in ROLES:
                account = Account(role, CLINIC, role, HERS if role == "clinician" else None)
                now = micros(datetime.now(UTC))
                accounts.add(connection, account, OPERATOR, now, passwords=passwords, password=PASSWORD)
        engine.dispose()

    def _live(self) -> None:
        """The weeks before now. They come before the first tick: what is older than a tick would be told once, at its end."""
        until = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        lived = [encode(event) for event in made_up_clinic(*self._lived, until - timedelta(days=DAYS), DAYS)]
        told = [_CLINICIANS.sub(_whose, value) for value in lived]
        for start in range(0, len(told), 500):
            self.post(*told[start : start + 500])
        self.settle()
        topic = self.topics.episodes
        self.log.append(to_every_partition(tick(datetime.now(UTC)), topic, self.log.partitions(topic)))
        self.settle()


def _whose(found: re.Match[bytes]) -> bytes:
    return f'"{HERS if int(found[1]) % OTHERS else "c-5"}"'.encode()
