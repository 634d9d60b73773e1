"""A server ends with its `with` block: after what is at work, but not after who takes nothing."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from keepwell.web.server import Server

DEADLINE = 60.0
MUCH = bytes(1 << 25)
"""More than the buffers of a connection hold."""


def of(answer: Response) -> Starlette:
    async def give(_: Request) -> Response:
        return answer

    return Starlette(routes=[Route("/", give)])


def ask(server: Server) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", server.port), DEADLINE)
    client.sendall(b"GET / HTTP/1.1\r\nHost: keepwell\r\n\r\n")
    client.recv(1, socket.MSG_PEEK)  # the answer has begun, and nothing of it is taken
    return client


def test_who_takes_nothing_is_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with Server(of(Response(MUCH)), "127.0.0.1", 0) as server:
        client = ask(server)
    client.close()
    assert server.ended.is_set()
    assert "Shutting down" in caplog.text and "graceful shutdown exceeded" not in caplog.text


def test_what_is_at_work_is_waited_for() -> None:
    begun, may_end = threading.Event(), threading.Event()

    async def slow(_: Request) -> Response:
        begun.set()
        await asyncio.to_thread(may_end.wait, DEADLINE)
        return PlainTextResponse("done")

    with ThreadPoolExecutor() as pool:
        with Server(Starlette(routes=[Route("/", slow)]), "127.0.0.1", 0) as server:
            asked = pool.submit(httpx.get, f"http://127.0.0.1:{server.port}/", timeout=DEADLINE)
            assert begun.wait(DEADLINE)
            pool.submit(end_once_closed, server.port, may_end)
        assert asked.result().text == "done"


def end_once_closed(port: int, may_end: threading.Event) -> None:
    """Lets the request end once the server takes no more."""
    try:
        while True:
            socket.create_connection(("127.0.0.1", port), DEADLINE).close()
    except OSError:
        may_end.set()
