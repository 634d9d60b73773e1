"""Wires ingest: the worker over the log, and the HTTP intake in front of it, in one process."""

from __future__ import annotations

import socket
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import Final

import structlog
import uvicorn
from starlette.types import ASGIApp

from keepwell.streams.log import Log
from keepwell.streams.registered import FollowedInstruments, RegisteredInstruments
from keepwell.streams.topics import Topics, ensure_topics
from keepwell.streams.worker.loop import STALLED_SECONDS, Stop, Worker
from keepwell.streams.worker.process import Watchdog
from keepwell.web.keys import Keyring
from services.ingest.http import Intake, make_app
from services.ingest.settings import IngestSettings
from services.ingest.step import IngestProcessor

GRACE_SECONDS: Final = 10
"""What a request has to end when the service does."""

_log = structlog.get_logger(__name__)


def run_ingest(settings: IngestSettings, log: Log, stop: Stop) -> None:
    """Serves and works until `stop` is set, then ends the requests and the batch in hand.

    Raises `LogError` as `Worker.run` does, `OSError` where the address cannot be had, `ValueError` where the file of keys
    is not one.
    """
    instruments = registered(settings, log)
    worker = make_worker(settings, log, instruments)
    keyring = Keyring(settings.keys)
    topic = Topics(settings.topic_prefix).sessions
    app = make_app(Intake(log, topic, keyring, instruments, settings, _now, worker.live, worker.ready))
    with (
        Server(app, settings.ingest_host, settings.ingest_port) as server,
        Watchdog(worker.silence, STALLED_SECONDS),
        FollowedInstruments(instruments),
    ):
        _log.info("intake.open", host=settings.ingest_host, port=server.port)
        worker.run(_Until(stop, server.ended))
    if not stop.is_set():
        raise RuntimeError("the HTTP server ended by itself")


def drain_ingest(settings: IngestSettings, log: Log, stop: Stop) -> None:
    """Works off what `session-events` held at the start, without HTTP, then returns. Raises as `run_ingest`."""
    worker = make_worker(settings, log, registered(settings, log))
    with Watchdog(worker.silence, STALLED_SECONDS):
        worker.drain(stop)


def registered(settings: IngestSettings, log: Log) -> RegisteredInstruments:
    """What clinics registered in a log so far; creates topics that are missing."""
    topics = Topics(settings.topic_prefix)
    ensure_topics(log, topics)
    found = RegisteredInstruments(log, topics)
    found.refresh()
    return found


def make_worker(settings: IngestSettings, log: Log, instruments: RegisteredInstruments) -> Worker:
    """The worker from `session-events` to `episode-events`; creates topics that are missing."""
    topics = Topics(settings.topic_prefix)
    ensure_topics(log, topics)
    partitions = log.partitions(topics.episodes)
    return Worker(
        log,
        lambda: IngestProcessor(topics, partitions, instruments, _now),
        group=topics.ingest_group,
        source_topic=topics.sessions,
        instance=settings.instance,
        changelog_topic=None,
        accept_gap=settings.accept_gap,
        limits=settings.limits,
    )


class Server:
    """An ASGI application served from a thread of its own, from the start to the end of a `with` block.

    Port 0 takes any free one; `port` tells which. `ended` is set once it serves no more. Raises `OSError` naming the address
    where it cannot be had.
    """

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        self._socket = _listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        self.ended = threading.Event()
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                access_log=False,
                log_config=None,
                lifespan="off",
                ws="none",
                server_header=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        self._thread = threading.Thread(target=self._serve, name="http")

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()

    def _serve(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()
            self.ended.set()


class _Until:
    """A stop that is also set once the HTTP server has ended."""

    def __init__(self, stop: Stop, ended: threading.Event) -> None:
        self._stop = stop
        self._ended = ended

    def is_set(self) -> bool:
        return self._stop.is_set() or self._ended.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        return self._stop.wait(timeout)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise OSError(f"cannot listen on {host}:{port} ({error.strerror}); another port: --port") from error
    # asyncio sets this only on sockets whose protocol is named; without it every small answer waits 40 ms for an ACK.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _now() -> datetime:
    return datetime.now(UTC)
