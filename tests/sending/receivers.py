"""Receivers of webhooks for tests: real servers on loopback, honest and not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

Reply = tuple[int, Mapping[str, str]]
OK: Reply = (204, {})


class Post(NamedTuple):
    """One post as it came. Names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


class Receiver:
    """Notes every request, and answers each with what `answer` says of it."""

    def __init__(self, answer: Callable[[Post], Reply] = lambda _: OK) -> None:
        self.posts: list[Post] = []
        self.answer = answer
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/in"

    @property
    def ids(self) -> list[str]:
        return [post.id for post in self.posts]


@contextmanager
def serving(receiver: Receiver) -> Iterator[Receiver]:
    """Serves on the receiver's port, or on a free one that it then keeps: a receiver can be stopped and come back."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self._take()

        def do_GET(self) -> None:
            self._take()

        def _take(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            post = Post(self.command, self.path, headers, body)
            receiver.posts.append(post)
            status, answered = receiver.answer(post)
            self.send_response(status)
            for name, value in answered.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", receiver.port), Handler)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def raw(behave: Callable[[socket.socket, threading.Event], None]) -> Iterator[int]:
    """A server that does with each connection what it is told; yields its port. The event is set when the test is over."""
    over = threading.Event()
    threads: list[threading.Thread] = []

    def each(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            behave(connection, over)

    def accept() -> None:
        while not over.is_set():
            with suppress(TimeoutError):
                connection, _ = server.accept()
                connection.settimeout(5.0)
                thread = threading.Thread(target=each, args=(connection,))
                thread.start()
                threads.append(thread)

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            over.set()
            accepting.join()
            for thread in threads:
                thread.join()
