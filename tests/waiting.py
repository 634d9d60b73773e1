"""Waiting for what goes on beside a test: until something holds, and while something works."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE = 60.0
"""Seconds until a test gives up what it waits for."""


def until(met: Callable[[], bool]) -> None:
    """Waits until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not met():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


@contextmanager
def at_work(work: Callable[[threading.Event], object]) -> Iterator[list[BaseException]]:
    """Lets `work` go on in a thread until the block ends and sets its event; it must end then, and without an error. Gives
    the errors, which a block that waits for it may look at."""
    stop, errors = threading.Event(), list[BaseException]()

    def guarded() -> None:
        try:
            work(stop)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    try:
        yield errors
    finally:
        stop.set()
        thread.join(PATIENCE)
    assert not thread.is_alive(), "it did not end"
    assert errors == [], "it went on all the time"
