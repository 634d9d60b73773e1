"""Wires ingest to a log: the worker over it, and the HTTP intake in front of it."""

from __future__ import annotations

from datetime import UTC, datetime

import structlog
from starlette.types import ASGIApp

from keepwell.streams.log import Log
from keepwell.streams.registered import FollowedInstruments, RegisteredInstruments
from keepwell.streams.topics import Topics
from keepwell.streams.worker.loop import Stop, Worker
from keepwell.web import service
from keepwell.web.keys import Keyring
from keepwell.web.server import Server
from keepwell.web.service import Checked, Service
from services.ingest.http import Intake, make_app
from services.ingest.settings import IngestSettings
from services.ingest.step import IngestProcessor
from services.ingest.taken import Taken

_log = structlog.get_logger(__name__)


def run(settings: IngestSettings, *, drain: bool = False, stop: Stop | None = None) -> None:
    """Runs ingest as a process of its own, as `keepwell.web.service.run` does. Raises `ValueError` where the file of keys
    is not one."""
    service.run("ingest", settings, make, drain=drain, stop=stop)


def make(settings: IngestSettings, log: Log) -> Service:
    """The worker from `session-events` to `episode-events`, with the intake as its face. Raises as `run`."""
    topics = Topics(settings.topic_prefix)
    partitions = log.partitions(topics.episodes)
    instruments = RegisteredInstruments(log, topics)
    instruments.refresh()
    worker = Worker(
        log,
        lambda: IngestProcessor(topics, partitions, instruments, _now),
        group=topics.ingest_group,
        source_topic=topics.sessions,
        instance=settings.instance,
        changelog_topic=None,
        accept_gap=settings.accept_gap,
        limits=settings.limits,
        floor=Taken(log, topics),
    )

    def app(live: Checked, ready: Checked) -> ASGIApp:
        keyring = Keyring(settings.keys)
        return make_app(Intake(log, topics.sessions, keyring, instruments, settings, _now, live, ready))

    def face(live: Checked, ready: Checked) -> Server:
        server = Server(app(live, ready), settings.ingest_host, settings.ingest_port)
        _log.info("intake.open", host=settings.ingest_host, port=server.port)
        return server

    return Service(worker, face, beside=FollowedInstruments(instruments), app=app)


def _now() -> datetime:
    return datetime.now(UTC)
