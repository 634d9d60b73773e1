"""Only one process runs a whole installation: a second one is told who that is before it takes a partition."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import structlog

from keepwell.settings import Settings
from keepwell.streams.claim import held
from keepwell.streams.log import Log, LogError
from keepwell.streams.open import lock_file

DEAD_BY_THEN: Final = 12.0
"""Seconds; a killed member is gone from its group before: sessions and leases last 10 (KAFKA.md (d), `sqlite.log.LEASE`)."""

Group = tuple[str, str]
"""The name of a consumer group, and the topic that it works off."""

_log = structlog.get_logger(__name__)


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
    with held(file, "keepwell up", "End that one first, or name another log with --log") as lock:
        _wait(log, groups, lock.former.instance if lock.former is not None else None, patience)
        lock.sign(settings.instance)
        yield


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
