"""Takes an address to listen on, or says why it cannot be had."""

from __future__ import annotations

import errno
import os
import socket
from typing import Final

BACKLOG: Final = 2048
"""Connections that wait to be accepted: a burst of senders is not turned away."""


class NoAddress(OSError):
    """An address that cannot be had. `part` is what would have to be another: its `host` or its `port`."""

    def __init__(self, host: str, port: int, error: OSError) -> None:
        looked_up = isinstance(error, socket.gaierror)  # whose numbers are others
        reason = error.strerror if looked_up or error.errno is None else os.strerror(error.errno)
        super().__init__(f"cannot listen on {host}:{port} ({reason})")
        self.part = "port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "host"


def listen(host: str, port: int) -> socket.socket:
    """A TCP socket that listens; port 0 takes any free one. Raises `NoAddress`."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise NoAddress(host, port, error) from error
