"""What the process of a worker needs around the loop: settings of the garbage collector, stop signals, a watchdog."""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

RARE: Final = (50_000, 50, 100)
"""Thresholds of the garbage collector where many objects are made and no cycles; measured on the loop of DESIGN section 6:
17 µs less an event."""
STALLED: Final = 70
"""Exit code of the watchdog (EX_SOFTWARE of sysexits.h)."""


class Check(NamedTuple):
    """The answer to "are you well": yes or no, and why, in words without anything clinical."""

    ok: bool
    why: str


def tune_gc() -> None:
    """Call once, after start-up. What is alive by then stays: it is kept out of collections, which become rare."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*RARE)


@contextmanager
def rare_collections() -> Iterator[None]:
    """Collections of garbage are rare while something long is replayed or read in, and as before afterwards."""
    before = gc.get_threshold()
    gc.set_threshold(*RARE)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM or SIGINT sets, for `Worker.run`. A second signal ends the process the default way."""
    stop = threading.Event()

    def handle(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    return stop


class Watchdog:
    """Ends the process with code 70, after writing the stacks of all threads to stderr, once `age` passes `limit` seconds.

    A call into a client library can hang without limit (KAFKA.md F9); only another thread can notice. `age` tells the
    seconds since the last sign of life. Use as a context manager.
    """

    def __init__(self, age: Callable[[], float], limit: float) -> None:
        self._age = age
        self._limit = limit
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> Watchdog:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(min(1.0, self._limit / 4)):
            if self._age() > self._limit:
                sys.stderr.write(f"watchdog: no beat of the loop for {self._limit:g} s, ending the process\n")
                faulthandler.dump_traceback(all_threads=True)
                os._exit(STALLED)
