"""One HTTP post that is bounded whatever the receiver does, and reaches no machine but the one that was checked."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from types import TracebackType
from typing import Any, NamedTuple

from keepwell.sending.address import Target, is_refused


class NoAnswer(Exception):
    """No answer came: not reached, not in time, not HTTP. The message names neither address nor content."""


class Reply(NamedTuple):
    """What counts of an answer. Its body is never read."""

    status: int
    retry_after: str | None


class Poster:
    """Posts to one target. `timeout` bounds a whole post in seconds: resolving, connecting, sending and the answer's head.

    No redirect is followed, no proxy of the environment used. The name is resolved once a post, and the connection made to an
    address that was checked; `tls` still checks the certificate against the name.
    """

    def __init__(self, target: Target, timeout: float, allow_private: bool, tls: ssl.SSLContext) -> None:
        self._target = target
        self._timeout = timeout
        self._allow_private = allow_private
        self._tls = tls

    def post(self, headers: Mapping[str, str], body: bytes) -> Reply:
        """Raises `NoAnswer`."""
        target = self._target
        deadline = _Deadline(self._timeout)
        try:
            with deadline:
                deadline.hold(self._connect(deadline))
                if target.secure:
                    secured = self._tls.wrap_socket(
                        deadline.held, server_hostname=target.host, do_handshake_on_connect=False
                    )
                    deadline.hold(secured)
                    secured.do_handshake()
                with closing(http.client.HTTPConnection(target.host, target.port)) as connection:
                    connection.sock = deadline.held
                    connection.request("POST", target.path, body, {"Host": target.authority, **headers})
                    with closing(connection.getresponse()) as response:
                        return Reply(response.status, response.headers["Retry-After"])
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NoAnswer(self._why(error, deadline.over)) from None

    def _why(self, error: Exception, over: bool) -> str:
        """What went wrong, in words that hold nothing of the error's own, which may name the address."""
        if over or isinstance(error, TimeoutError):
            return f"the receiver gave no answer within {self._timeout:g} seconds"
        if isinstance(error, http.client.RemoteDisconnected | ConnectionResetError | BrokenPipeError):
            return "the receiver closed the connection without an answer"
        if isinstance(error, OSError):
            return f"the receiver cannot be reached: {type(error).__name__}"
        return "the receiver's answer is not one of HTTP"

    def _connect(self, deadline: _Deadline) -> socket.socket:
        found = _resolve(self._target, deadline.left())
        fit = [
            one for one in found if not is_refused(self._target, str(one[4][0]).partition("%")[0], self._allow_private)
        ]
        if not fit:
            raise NoAnswer(
                "the receiver's name stands for a private, loopback or link-local address: "
                "mend the name, or set KEEPWELL_WEBHOOK_ALLOW_PRIVATE where that is meant"
            )
        for number, (family, kind, protocol, _, address) in enumerate(fit):
            connecting = socket.socket(family, kind, protocol)
            deadline.hold(connecting)
            try:
                connecting.settimeout(deadline.left() / (len(fit) - number))
                connecting.connect(address)
            except OSError:
                connecting.close()
                if number == len(fit) - 1:
                    raise
            else:
                connecting.settimeout(deadline.left())
                return connecting
        raise AssertionError("unreachable: the last address either connects or raises")


class _Deadline:
    """Closes the socket that it holds when the time is up: limits of single reads do not stop a receiver that drips."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._held: socket.socket | None = None
        self.over = False
        """Whether the time was up before the end."""

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        with self._lock:
            if self._held is not None:
                self._held.close()
            if self.over and error is None:
                raise TimeoutError

    @property
    def held(self) -> socket.socket:
        """The socket in use."""
        assert self._held is not None
        return self._held

    def hold(self, held: socket.socket) -> None:
        """Takes a socket, in the place of the one before. Raises `TimeoutError` where the time is up."""
        with self._lock:
            self._held = held
        self.left()

    def left(self) -> float:
        """Seconds left. Raises `TimeoutError` where there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _cut(self) -> None:
        with self._lock:
            self.over = True
            if self._held is not None:
                with suppress(OSError):  # it was not connected yet, or closed already
                    # Of the socket below TLS: nothing is said any more, whoever reads wakes up.
                    socket.socket.shutdown(self._held, socket.SHUT_RDWR)


def _resolve(target: Target, seconds: float) -> list[tuple[Any, ...]]:
    """What the name stands for, in the order of preference. A resolver has no time limit, so it works in a thread of its own,
    which is left to itself when the time is up."""
    found: list[list[tuple[Any, ...]] | Exception] = []

    def look() -> None:
        try:
            found.append(list(socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)))
        except (OSError, UnicodeError) as error:
            found.append(error)

    thread = threading.Thread(target=look, name="resolve", daemon=True)
    thread.start()
    thread.join(seconds)
    if not found:
        raise TimeoutError
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]
