"""Serves an ASGI application from a thread, at an address that is taken before anything else begins."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from keepwell.web.listen import listen

GRACE_SECONDS: Final = 10
"""What a request has to end when the service does."""


class Server:
    """An ASGI application served from a thread of its own, from the start to the end of a `with` block.

    Port 0 takes any free one; `port` tells which. `ended` is set once it serves no more. Raises `NoAddress`.
    """

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        self._socket = listen(host, port)
        # asyncio sets this only on sockets whose protocol is named; without it every small answer waits 40 ms for an ACK.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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
