"""Serves an ASGI application from a thread, at an address that is taken before anything else begins."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Hashable, Mapping
from types import TracebackType
from typing import Final, TypeVar

import uvicorn
from starlette.types import ASGIApp

from keepwell.web.listen import listen

GRACE_SECONDS: Final = 10
"""What a request has to end when the service does; ours."""
UNTAKEN_SECONDS: Final = 1.0
"""A client that takes nothing for so long while the service ends is given up, such as a browser that sleeps; ours."""

Connection = TypeVar("Connection", bound=Hashable)


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
        self._server = _PatientServer(
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


def untaken(before: Mapping[Connection, int], now: Mapping[Connection, int]) -> list[Connection]:
    """The connections whose clients took nothing meanwhile, by how many bytes wait for each.

    >>> untaken({"stuck": 9, "slow": 9, "at work": 0}, {"stuck": 9, "slow": 7, "at work": 0, "new": 5})
    ['stuck']
    """
    return [one for one, size in now.items() if size and size >= before.get(one, size + 1)]


class _PatientServer(uvicorn.Server):
    """Waits at its end for requests that are at work, as its parent does, but for nobody who takes nothing."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As the parent has it."""
        giving_up = asyncio.create_task(self._give_up())
        try:
            await super().shutdown(sockets)
        finally:
            giving_up.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await giving_up

    async def _give_up(self) -> None:
        before: dict[asyncio.Transport, int] = {}
        while True:
            transports = [one.transport for one in self.server_state.connections]
            now = {transport: transport.get_write_buffer_size() for transport in transports}
            for transport in untaken(before, now):
                transport.abort()  # to close it would wait until all is taken
            before = now
            await asyncio.sleep(UNTAKEN_SECONDS)
