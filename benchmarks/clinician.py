"""The clinician's side with a large clinic: its pages with many users at once, and the projector, on both databases."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from math import ceil
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

import sqlalchemy as sa
from argon2 import PasswordHasher

from benchmarks.clinic import TOPICS, Lived, fill, lived, project, projections, sum_up
from benchmarks.figures import Figure, Plan, at_least, at_most
from benchmarks.material import CHUNK, EVENTS_PER_EPISODE, SEED
from keepwell.care.episode import Episode, Live
from keepwell.care.instruments import Instruments
from keepwell.contract.events import ClientErased, ClockTicked, decode_accepted, micros
from keepwell.streams.log import Message
from keepwell.streams.open import open_log
from keepwell.streams.topics import ensure_topics
from keepwell.streams.worker.follow import Follower
from keepwell.testing.made_up import CLINIC
from services.clinician.database import open_engine
from services.clinician.people import accounts, browser
from services.clinician.people.accounts import Account
from services.clinician.people.headers import LOOPBACK_COOKIE
from services.clinician.people.passwords import Passwords
from services.clinician.people.who import OPERATOR, Role
from services.clinician.projector import empty
from services.clinician.schema import migrate
from services.clinician.tables import READ_MODEL, episodes, positions, scores
from tests.postgres import Postgres, from_pypi

KEEPWELL: Final = (sys.executable, "-m", "keepwell.cli.main")
USERS: Final = 50
SUPERVISORS: Final = 5
"""Of the users; the others are clinicians."""
PAUSE: Final = 5.0
"""Seconds between two pages of a user, on average: less than anybody needs to read one."""
LIVE_BATCH: Final = 20
"""Records that come together while a clinic is at work, each batch with a commit of its own."""
DEADLINE: Final = 120.0
YARDSTICK: Final = "/livez, which asks nothing"


class _User(NamedTuple):
    cookie: str
    supervises: bool
    keys: Sequence[str]
    """Episodes that the user opens."""


class _Took(NamedTuple):
    page: str
    seconds: float


def measure(plan: Plan) -> list[Figure]:
    """Pages and projector on SQLite and on PostgreSQL."""
    figures: list[Figure] = []
    clinic = lived(max(20, plan.events // EVENTS_PER_EPISODE), datetime.now(UTC))
    for name, new in _databases(plan.folder):
        with new() as url:
            figures += _pages(name, url, plan)
        figures += _projector(name, new, clinic, plan)
    return figures


def _databases(folder: Path) -> Iterator[tuple[str, Callable[[], AbstractContextManager[str]]]]:
    """Each kind of database, with what makes a new one."""

    @contextmanager
    def file() -> Iterator[str]:
        path = folder / f"clinician-{uuid.uuid4().hex}.db"
        yield f"sqlite:///{path}"
        for each in folder.glob(f"{path.name}*"):
            each.unlink()

    yield "SQLite", file
    with Postgres(from_pypi(), ("shared_buffers=512MB",)) as server:
        yield "PostgreSQL", server.database


def _pages(name: str, url: str, plan: Plan) -> list[Figure]:
    """Milliseconds from when a page is due until its last byte is there, with pauses; then pages a second without any."""
    size = fill(url, plan.clinicians, plan.caseload)
    users = _users(url)
    rounds: list[dict[str, list[float]]] = []
    rates = []
    with _served(url, plan.folder) as port:
        for user in (users[0], users[-1]):
            for path in {path for _, path in _walk(user, Random(SEED), 40)}:
                _ask(port, user, path)
        for number in range(plan.rounds):
            took = _together(users, port, 6 * plan.seconds, PAUSE, number)
            found: dict[str, list[float]] = defaultdict(list)
            for page, seconds in took:
                found[page].append(seconds * 1000)
            rounds.append(found)
            rates.append(len(_together(users, port, plan.seconds, 0.0, number)) / plan.seconds)
    figures = []
    for page in sorted(set.intersection(*(set(found) for found in rounds))):
        for what, share in (("p50", 0.5), ("p95", 0.95), ("max", 1.0)):
            samples = [_quantile(found[page], share) for found in rounds]
            aim = at_most(150) if what == "p95" and page != YARDSTICK else None
            figures.append(Figure(f"{name}, {page}: {what}", samples, "ms", aim))
    told = f"{size.clinicians} clinicians, {size.open_episodes} open episodes, {size.scores} scores"
    figures.append(Figure(f"{name}, {USERS} users without a pause; {told}", rates, "pages/s"))
    return figures


def _users(url: str) -> list[_User]:
    """Users with a session each, and a few of the episodes that they may see."""
    engine, rng, now = open_engine(url), Random(SEED), micros(datetime.now(UTC))
    with engine.begin() as connection:
        found: dict[str, list[str]] = defaultdict(list)
        for key, whose in connection.execute(
            sa.select(episodes.c.key, episodes.c.clinician)
            .where(episodes.c.state == "open", episodes.c.clinician.is_not(None))
            .order_by(episodes.c.key)
        ):
            found[whose].append(key)
        names = rng.sample(sorted(found), min(len(found), USERS - SUPERVISORS))
        users = []
        for number in range(USERS):
            supervises = number < SUPERVISORS
            whose = names[number % len(names)]
            role: Role = "supervisor" if supervises else "clinician"
            account = Account(f"bench-{number}", CLINIC, role, None if supervises else whose)
            user = accounts.add(
                connection, account, OPERATOR, now, passwords=_PLAIN, password="seventeen quiet geese"
            ).user
            opened = browser.open_session(connection, user, "bench", now)
            keys = rng.sample(found[whose], min(8, len(found[whose])))
            users.append(_User(opened.cookie.get_secret_value(), supervises, keys))
    engine.dispose()
    return users


_PLAIN: Final = Passwords(PasswordHasher(1, 8, 1))
"""Fifty passwords that nobody logs in with need not be dear."""


@contextmanager
def _served(url: str, folder: Path) -> Iterator[int]:
    """`keepwell clinician` in a process of its own over an empty log; gives its port."""
    log = f"sqlite:///{folder / f'log-{uuid.uuid4().hex}.db'}"
    with closing(open_log(log)) as made:
        ensure_topics(made, TOPICS)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*KEEPWELL, "clinician", "--log", log, "--database", url, "--host", "127.0.0.1", "--port", str(port)]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, running)
        yield port
    finally:
        running.terminate()
        running.wait(DEADLINE)


def _wait_for(port: int, running: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if running.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("keepwell clinician did not open its address") from None
            time.sleep(0.05)


def _walk(user: _User, rng: Random, count: int) -> Iterator[tuple[str, str]]:
    """Pages that a user looks at one after the other: name and path."""
    for _ in range(count):
        page = f"/episodes/{rng.choice(user.keys)}"
        choices = {
            "Today": "/", "a client": page, "together": f"{page}/together", "caseload by the API": "/api/v1/caseload",
            YARDSTICK: "/livez",
        }  # fmt: skip
        weights = [8, 8, 3, 3, 2]
        if user.supervises:
            choices = {
                "supervision": "/supervision", "team by the API": "/api/v1/team", "Today of a supervisor": "/",
                "a client": page,
            }  # fmt: skip
            weights = [4, 1, 3, 2]
        name = rng.choices(list(choices), weights)[0]
        yield name, choices[name]


def _together(users: Sequence[_User], port: int, seconds: float, pause: float, number: int) -> list[_Took]:
    """All users at once for so long. With a `pause` each page has a moment at which it is due, whatever became of the one
    before; without, it is asked for once the one before is there."""
    took: list[_Took] = []
    errors: list[BaseException] = []
    began = time.perf_counter() + 0.1

    def look(user: _User, rng: Random) -> None:
        try:
            due = began + rng.uniform(0, pause)
            for page, path in _walk(user, rng, sys.maxsize):
                if max(due, time.perf_counter()) > began + seconds:
                    return
                time.sleep(max(0.0, due - time.perf_counter()))
                _ask(port, user, path)
                done = time.perf_counter()
                took.append(_Took(page, done - due))
                due = due + rng.uniform(0.5, 1.5) * pause if pause else done
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=look, args=(user, Random(f"{number} {place}"))) for place, user in enumerate(users)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return took


def _ask(port: int, user: _User, path: str) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)) as connection:
        connection.request("GET", path, headers={"Cookie": f"{LOOPBACK_COOKIE}={user.cookie}"})
        answer = connection.getresponse()
        answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path.split('/')[1] or 'Today'}: status {answer.status}")


def _quantile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that so large a share does not exceed."""
    return sorted(samples)[max(0, ceil(share * len(samples)) - 1)]


def _projector(name: str, new: Callable[[], AbstractContextManager[str]], clinic: Lived, plan: Plan) -> list[Figure]:
    """Events a second, each with its scores and alerts: in small batches as they come, from the log at once, and without a
    database."""
    count = sum(map(len, clinic[TOPICS.episodes].values()))
    live, again, bare, ratio, summed = [], [], [], [], []
    with new() as url, closing(open_log(f"sqlite:///{plan.folder / f'log-{uuid.uuid4().hex}.db'}")) as log:
        engine = open_engine(url)
        migrate(engine)
        ensure_topics(log, TOPICS)
        for records in (records for by in clinic.values() for records in by.values()):
            told = [
                Message(one.partition.topic, one.key, one.value, one.headers, one.partition.number) for one in records
            ]
            for start in range(0, len(told), CHUNK):
                log.append(told[start : start + CHUNK])
        for _ in range(plan.rounds):
            empty(engine)
            live.append(count / _seconds(lambda: project(engine, clinic, LIVE_BATCH)))
            began = time.perf_counter()
            summed.append(sum_up(engine) / (time.perf_counter() - began))
            bare.append(count / _seconds(lambda: _folded(clinic)))

            def rebuilt() -> None:
                empty(engine)
                for topic, projection in projections(engine):
                    group = f"bench-{uuid.uuid4().hex}"
                    Follower(log, projection, group=group, topic=topic, instance="bench").drain()

            lived_through = _rows(engine)
            again.append(count / _seconds(rebuilt))
            if _rows(engine) != lived_through:
                raise RuntimeError("what was rebuilt from the log has other rows than what lived")
            ratio.append(again[-1] / bare[-1])
        engine.dispose()
    return [
        Figure(f"{name}, projector, commits of {LIVE_BATCH}", live, "events/s", at_least(1_000)),
        Figure(f"{name}, summed up for lists", summed, "episodes/s"),
        Figure(f"{name}, rebuilt from the log", again, "events/s", at_least(3_000)),
        Figure(f"{name}, decoded and folded without a database", bare, "events/s"),
        Figure(f"{name}, rebuilt ÷ decoded and folded", ratio, ""),
    ]


def _rows(engine: sa.Engine) -> list[int]:
    """How many rows each table of the read model has, but for scores: the log keeps the newest of an episode alone."""
    followed = [table for table in READ_MODEL if table not in (positions, scores)]
    with engine.connect() as connection:
        counts = [sa.select(sa.func.count()).select_from(table) for table in followed]
        return [connection.execute(asked).scalar() or 0 for asked in counts]


def _folded(clinic: Lived) -> None:
    lives: dict[str, Live] = {}
    none = Instruments()
    for records in clinic[TOPICS.episodes].values():
        for record in records:
            event = decode_accepted(record.value or b"")
            if isinstance(event, ClockTicked | ClientErased):
                continue
            if event.key not in lives:
                lives[event.key] = Live(Episode(event.key), partial(none.get, CLINIC))
            lives[event.key].fold(event)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
