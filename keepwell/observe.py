"""How a running service is seen from outside: JSON log lines, and /livez, /readyz, /metrics over HTTP."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, NamedTuple, TextIO

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from structlog.typing import EventDict, Processor, WrappedLogger

from keepwell.metrics import REGISTRY
from keepwell.streams.log import LogError


class Check(NamedTuple):
    """The answer to "are you well": yes or no, and why, in words without anything clinical."""

    ok: bool
    why: str


class HealthServer:
    """Serves the three pages from a daemon thread, for services without an HTTP face of their own. A context manager.

    Port 0 takes any free port; `port` tells which. `live` and `ready` are called from other threads and must not block.
    """

    def __init__(
        self, live: Callable[[], Check], ready: Callable[[], Check], host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self._server = ThreadingHTTPServer((host, port), _handler({"/livez": live, "/readyz": ready}))
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="health", daemon=True
        )

    def __enter__(self) -> HealthServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def answer(check: Check) -> tuple[int, bytes]:
    """Status and JSON body of a health page: 200 when well, 503 when not.

    >>> answer(Check(False, "restoring 2 partitions"))
    (503, b'{"ok": false, "why": "restoring 2 partitions"}\\n')
    """
    return 200 if check.ok else 503, json.dumps(check._asdict()).encode() + b"\n"


def metrics_page() -> tuple[str, bytes]:
    """Content type and body of /metrics."""
    return CONTENT_TYPE_LATEST, generate_latest(REGISTRY)


def setup_logging(service: str, instance: str, level: str = "INFO", stream: TextIO | None = None) -> None:
    """One JSON line an entry, on stderr by default, for structlog and for libraries that use `logging`.

    Of an exception only the class and the place are told: a library's message can quote the payload. Keepwell's own
    `LogError`s never do, so theirs is kept. Call once, at the start of a process.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named(service, instance),
        _without_messages,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    handler.addFilter(_Seldom())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    logging.getLogger("kafka").setLevel(logging.WARNING)


_SELDOM_SECONDS: Final = 10.0


class _Seldom(logging.Filter):
    """Lets each logger of kafka-python speak once in ten seconds: with its broker down it writes 3-6 lines a second (F24)."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("kafka"):
            return True
        now = time.monotonic()
        if now - self._last.get(record.name, -_SELDOM_SECONDS) < _SELDOM_SECONDS:
            return False
        self._last[record.name] = now
        return True


def _named(service: str, instance: str) -> Processor:
    def add(_logger: WrappedLogger, _method: str, entry: EventDict) -> EventDict:
        return {"service": service, "instance": instance, **entry}

    return add


def _without_messages(_logger: WrappedLogger, _method: str, entry: EventDict) -> EventDict:
    told = entry.pop("exc_info", None)
    error = told if isinstance(told, BaseException) else told[1] if isinstance(told, tuple) else sys.exc_info()[1]
    if not told or error is None:
        return entry
    entry["error"] = type(error).__name__
    if isinstance(error, LogError):
        entry["why"] = str(error)
    frames = traceback.extract_tb(error.__traceback__)
    entry["at"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return entry


def _handler(checks: dict[str, Callable[[], Check]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version = "keepwell"
        sys_version = ""
        timeout = 10

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                kind, body = metrics_page()
                self._reply(200, kind, body)
            elif path in checks:
                self._reply(*_with_kind(answer(checks[path]())))
            else:
                self._reply(404, "text/plain", b"/livez, /readyz, /metrics\n")

        def _reply(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing: probes come every few seconds."""

    return Handler


def _with_kind(reply: tuple[int, bytes]) -> tuple[int, str, bytes]:
    return reply[0], "application/json", reply[1]
