"""Health over HTTP: /livez, /readyz and /metrics of a running service."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from keepwell.metrics import REGISTRY
from keepwell.streams.worker.process import Check
from keepwell.web.listen import listen


class HealthServer:
    """Serves the three pages from a daemon thread, for services without an HTTP face of their own. A context manager.

    Port 0 takes any free port; `port` tells which. `ended` is set once it serves no more. `live` and `ready` are called from
    other threads and must not block. Raises `NoAddress`.
    """

    def __init__(
        self, live: Callable[[], Check], ready: Callable[[], Check], host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self._server = ThreadingHTTPServer((host, port), _handler({"/livez": live, "/readyz": ready}), False)
        self._server.socket.close()  # made for IPv4 alone, and not bound yet
        self._server.socket = listen(host, port)
        self._server.daemon_threads = True
        self.port: int = self._server.socket.getsockname()[1]
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="health", daemon=True)

    def __enter__(self) -> HealthServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _serve(self) -> None:
        try:
            self._server.serve_forever(poll_interval=0.1)
        finally:
            self.ended.set()


def answer(check: Check) -> tuple[int, bytes]:
    """Status and JSON body of a health page: 200 when well, 503 when not.

    >>> answer(Check(False, "restoring 2 partitions"))
    (503, b'{"ok": false, "why": "restoring 2 partitions"}\\n')
    """
    return 200 if check.ok else 503, json.dumps(check._asdict()).encode() + b"\n"


def metrics_page() -> tuple[str, bytes]:
    """Content type and body of /metrics."""
    return CONTENT_TYPE_LATEST, generate_latest(REGISTRY)


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
