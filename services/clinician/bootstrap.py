"""Wires the clinician's side to a log and a database: what follows the log, what hands answers over, and the API."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Final

import sqlalchemy as sa
import structlog
from starlette.types import ASGIApp

from keepwell.contract.events import micros
from keepwell.streams.log import Log, LogError
from keepwell.streams.standing import stands
from keepwell.streams.topics import Topics, into
from keepwell.streams.worker.follow import Follower, Handler
from keepwell.streams.worker.loop import Stop
from keepwell.streams.worker.process import Check, stop_on_signals
from keepwell.web import service
from keepwell.web.app import make_app
from keepwell.web.server import Server
from keepwell.web.service import Checked, Service, Until
from models.registry import Releases
from services.clinician.answers import Answers
from services.clinician.api import Asked, router
from services.clinician.clinics import facts_of
from services.clinician.database import AWAY, cause, open_engine
from services.clinician.oidc_pages import add_oidc, door_of, provider_of
from services.clinician.openapi import add_document
from services.clinician.overview_pages import add_overview
from services.clinician.people.access import People, install
from services.clinician.people.passwords import Passwords
from services.clinician.people_api import add_people_api
from services.clinician.people_pages import add_people_pages
from services.clinician.projector import AlertsProjection, EventsProjection, ScoresProjection, empty
from services.clinician.prompt_pages import add_prompt_pages
from services.clinician.prompting import Prompting, prompting_of
from services.clinician.releases import KnownReleases
from services.clinician.schema import migrate_once_there
from services.clinician.settings import ClinicianSettings
from services.clinician.stream import Streams, add_stream
from services.clinician.summaries import SummingUp
from services.clinician.visits import add_visits
from services.clinician.web import Pages, add_pages

JOB_SECONDS: Final = 2.0
"""How often answers that the log has not taken, and notices that are due, are looked for; ours."""
_log = structlog.get_logger(__name__)


class ReadModel:
    """Follows events, scores and alerts into the database, each in a thread of its own, and hands waiting answers over.

    `database` is the database's id (`services.clinician.identity`). `rebuild`: throws away what it holds of the log, and
    follows it from its beginning.
    """

    def __init__(
        self, log: Log, topics: Topics, instance: str, engine: sa.Engine, *, database: str, answers: Answers,
        prompting: Prompting, rebuild: bool = False,
    ) -> None:  # fmt: skip
        still_stands, summing = partial(stands, log), SummingUp(engine)
        follows: list[tuple[str, str, Handler]] = [
            (topics.clinician_group, topics.episodes, EventsProjection(engine, summing.changed)),
            (topics.clinician_scores_group, topics.scores, ScoresProjection(engine, still_stands, summing.changed)),
            (
                topics.clinician_alerts_group, topics.alerts,
                AlertsProjection(engine, still_stands, prompting.of_alerts, summing.changed),
            ),
        ]  # fmt: skip
        self._loops = [
            Follower(log, handler, group=into(group, database), topic=topic, instance=instance)
            for group, topic, handler in follows
        ]
        self._jobs: list[Callable[[], object]] = [answers.hand_over, prompting.turn, summing.turn]
        self._away: set[int] = set()
        self._begin = partial(empty, engine) if rebuild else None

    def run(self, stop: Stop) -> None:
        """Follows until `stop` is set. Raises `LogError` as every loop does; then all have ended."""
        ended = threading.Event()
        either = Until(stop, ended)
        errors: list[BaseException] = []

        def guarded(work: Callable[[Stop], None]) -> None:
            try:
                work(either)
            except BaseException as error:
                errors.append(error)
            finally:
                ended.set()

        if self._begin is not None:
            self._begin()
        works: list[Callable[[Stop], None]] = [
            *(loop.run for loop in self._loops), *(partial(self._again, number) for number in range(len(self._jobs)))
        ]  # fmt: skip
        threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    def drain(self, stop: Stop) -> None:
        """Follows what the log holds now: events first, as scores and alerts wait for them."""
        if self._begin is not None:
            self._begin()
        for loop in self._loops:
            loop.drain(stop)
        for job in self._jobs:
            job()

    def silence(self) -> float:
        """Seconds since the last beat of the loop that is silent longest."""
        return max(loop.silence() for loop in self._loops)

    def live(self) -> Check:
        """Whether the loops turn. For any thread."""
        return _first_trouble(*(loop.live() for loop in self._loops))

    def ready(self) -> Check:
        """Whether the database answers, and the loops do their share. For any thread."""
        database = Check(not self._away, "the database does not answer" if self._away else "the database answers")
        return _first_trouble(database, *(loop.ready() for loop in self._loops))

    def _again(self, number: int, stop: Stop) -> None:
        """Does a job again and again; what it could not do now stays for the next time."""
        while not stop.is_set():
            try:
                self._jobs[number]()
                self._away.discard(number)
            except LogError as error:
                _log.warning("clinician.later", cause=type(error).__name__)
            except (sa.exc.DBAPIError, *AWAY) as error:
                self._away.add(number)
                _log.warning("clinician.database_later", cause=cause(error))
            stop.wait(JOB_SECONDS)


def run(settings: ClinicianSettings, *, rebuild: bool = False, drain: bool = False, stop: Stop | None = None) -> None:
    """Runs the clinician's side as a process of its own, as `keepwell.web.service.run` does; once its database is there."""
    stop = stop or stop_on_signals()
    service.run("clinician", settings, partial(make, rebuild=rebuild, stop=stop), drain=drain, stop=stop)


def make(settings: ClinicianSettings, log: Log, *, rebuild: bool = False, stop: Stop | None = None) -> Service:
    """The read model over the log, with the API as its face; `rebuild` as `ReadModel`. The database is brought to the newest
    schema; while it is away that waits until `stop` is set, if there is one. Raises `NoDatabase`."""
    engine = open_engine(settings.database)
    database = migrate_once_there(engine, stop)
    topics = Topics(settings.topic_prefix)
    answers = Answers(engine, log, topics.sessions, _now)
    prompting = prompting_of(settings, engine, partial(facts_of, settings.clinics), _now)
    work = ReadModel(
        log, topics, settings.instance, engine, database=database, answers=answers, prompting=prompting, rebuild=rebuild
    )
    people = People(engine, lambda: micros(_now()))
    streams = Streams(people, topics)
    releases = KnownReleases(Releases.of(settings))
    provider = provider_of(settings)
    door = None if provider is None else door_of(provider)

    def app(live: Checked, ready: Checked) -> ASGIApp:
        app = make_app("clinician", "Keepwell for clinicians", live, ready, told={})
        app.include_router(router(Asked(engine, answers, _now, releases.fits)))
        pages = Pages(engine, answers, Passwords(), _now, partial(facts_of, settings.clinics), releases.fits, door)
        add_pages(app, pages)
        add_people_pages(app, pages)
        add_people_api(app, pages)
        add_prompt_pages(app, pages)
        add_overview(app, pages, releases)
        if provider is not None:
            add_oidc(app, pages, provider)
        if any(facts.made_up for facts in settings.clinics.values()):
            add_visits(app, pages)
        add_stream(app, streams)
        add_document(app)
        install(app, people)
        return app

    def face(live: Checked, ready: Checked) -> Server:
        server = Server(app(live, ready), settings.clinician_host, settings.clinician_port)
        _log.info("clinician.open", host=settings.clinician_host, port=server.port)
        return server

    return Service(work, face, beside=_beside(streams, engine), app=app)


@contextmanager
def _beside(streams: Streams, engine: sa.Engine) -> Iterator[None]:
    """The streams; once all has ended no connection to the database is left open."""
    with streams:
        yield
    engine.dispose()


def _now() -> datetime:
    return datetime.now(UTC)


def _first_trouble(*checks: Check) -> Check:
    """The first check that is not well, else the last."""
    return next((check for check in checks if not check.ok), checks[-1])
