"""Only one process runs a whole installation: a second one is told who that is before it takes a partition."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

import msgspec
import structlog

from keepwell.settings import Settings
from keepwell.streams.log import Log, LogError
from keepwell.streams.open import lock_file

DEAD_BY_THEN: Final = 12.0
"""Seconds; a killed member is gone from its group before: sessions and leases last 10 (KAFKA.md (d), `sqlite.log.LEASE`)."""

Group = tuple[str, str]
"""The name of a consumer group, and the topic that it works off."""

_log = structlog.get_logger(__name__)


class Claim(msgspec.Struct, frozen=True):
    """What the process that runs an installation says of itself. `since` is RFC 3339."""

    instance: str
    pid: int
    host: str
    since: str


@contextmanager
def alone(settings: Settings, log: Log, groups: Sequence[Group], patience: float = DEAD_BY_THEN) -> Iterator[None]:
    """Holds the installation that `settings` name. Raises `LogError` that says who runs it where another does.

    On one machine by a lock on a file, which ends with the process however that ends. From other machines by the live members
    of `groups`: one that was killed is gone within `patience` seconds, unless it was the last process here, which is dead.
    """
    file = lock_file(settings.log, settings.topic_prefix)
    if file is None:
        yield
        return
    with _locked(file) as held:
        former = _read(held)
        _wait(log, groups, former.instance if former is not None else None, patience)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        _write(held, Claim(settings.instance, os.getpid(), socket.gethostname(), now))
        yield


@contextmanager
def _locked(file: Path) -> Iterator[IO[bytes]]:
    with os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600), "r+b") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            runs = _read(held)
            who = (
                ""
                if runs is None
                else f": instance {runs.instance}, process {runs.pid} on {runs.host}, since {runs.since}"
            )
            raise LogError(
                f"keepwell up runs on this log already{who}. End that one first, or name another log with --log"
            ) from None
        yield held


def _wait(log: Log, groups: Sequence[Group], former: str | None, patience: float) -> None:
    deadline = time.monotonic() + patience
    told = False
    while alive := [
        f"{name} in {group}" for group, topic in groups for name in log.members(group, topic) if name != former
    ]:
        if time.monotonic() > deadline:
            raise LogError(
                f"others run on this log already: {', '.join(alive)}. keepwell up runs everything in one process: end those "
                "first, or start only the services that are missing"
            )
        if not told:
            _log.info("up.waits", members=alive, seconds=patience)
            told = True
        time.sleep(patience / 50)


def _read(held: IO[bytes]) -> Claim | None:
    """What is written there; None in a new file, and where a process has just taken it and not said yet who it is."""
    held.seek(0)
    try:
        return msgspec.json.decode(held.read(), type=Claim)
    except msgspec.MsgspecError:
        return None


def _write(held: IO[bytes], claim: Claim) -> None:
    held.seek(0)
    held.truncate()
    held.write(msgspec.json.encode(claim) + b"\n")
    held.flush()
