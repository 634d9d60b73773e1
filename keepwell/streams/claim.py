"""Who runs here: a lock on a file, which ends with the process however that ends, and in the file who holds it."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import msgspec

from keepwell.streams.log import LogError


class Claim(msgspec.Struct, frozen=True):
    """What a process says of itself. `since` is RFC 3339."""

    instance: str
    pid: int
    host: str
    since: str

    def __str__(self) -> str:
        return f"instance {self.instance}, process {self.pid} on {self.host}, since {self.since}"


class HeldLock:
    """A lock that this process holds. `former` is who held it before, None in a new file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.former = _read(file)

    def sign(self, instance: str) -> None:
        """Writes who holds it from now on."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._file.seek(0)
        self._file.truncate()
        self._file.write(msgspec.json.encode(Claim(instance, os.getpid(), socket.gethostname(), now)) + b"\n")
        self._file.flush()


@contextmanager
def held(path: Path, what: str, remedy: str) -> Iterator[HeldLock]:
    """Holds the lock on a file. Raises `LogError` saying that `what` runs already, who it is, and the `remedy`."""
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600), "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            runs = _read(file)
            who = "" if runs is None else f": {runs}"
            raise LogError(f"{what} runs on this log already{who}. {remedy}") from None
        yield HeldLock(file)


def _read(file: IO[bytes]) -> Claim | None:
    """What is written there; None in a new file, and where a process has just taken it and not said yet who it is."""
    file.seek(0)
    try:
        return msgspec.json.decode(file.read(), type=Claim)
    except msgspec.MsgspecError:
        return None
