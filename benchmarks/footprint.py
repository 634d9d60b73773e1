"""What a piece of work costs in a process of its own: time, and the most memory that it and its children held."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, NamedTuple

from joblib.externals.loky import get_reusable_executor

EVERY: Final = 0.5
"""Seconds between two looks at the memory. Looking walks all pages, which takes some milliseconds a gigabyte."""
PROC: Final = Path("/proc")

Work = Callable[..., Iterator[Any]]
"""A generator: what it does from one `yield` to the next is a piece of work, and what it yields is the result of that."""


class Cost(NamedTuple):
    """Seconds by the clock, processor seconds, and bytes at the peak; the last two of all processes together."""

    seconds: float
    cpu: float
    peak: int


def costs(work: Work, *arguments: Any) -> list[tuple[Any, Cost]]:
    """The result of each piece of work and its cost. Pages that processes share count once (PSS, which Linux alone tells).

    Raises `RuntimeError` where the work breaks off; why stands on standard error.
    """
    context = get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(ours, work, arguments))
    process.start()
    ours.close()
    try:
        return list(_watched(theirs, process.pid or 0))
    finally:
        process.join()
        if process.exitcode:
            raise RuntimeError(f"{work.__name__} broke off")


def _watched(results: Connection, pid: int) -> Iterator[tuple[Any, Cost]]:
    """What the process sends when it begins and after each piece, with what was spent in between."""
    began: float = results.recv()
    spent = sum(map(cpu, family(pid)))
    while True:
        peak = 0
        while not results.poll(EVERY):
            peak = max(peak, sum(map(held, family(pid))))
        before, spent = spent, sum(map(cpu, family(pid)))
        try:
            result, ended = results.recv()
        except EOFError:
            return
        yield result, Cost(ended - began, spent - before, peak)
        began = ended


def family(pid: int) -> list[int]:
    """A process and all below it, those that still are."""
    found = [pid]
    for each in found:
        with suppress(OSError):
            for thread in (PROC / str(each) / "task").iterdir():
                found += map(int, (thread / "children").read_text().split())
    return found


def held(pid: int) -> int:
    """Bytes that a process holds, its part of what it shares with others; 0 if it is gone."""
    with suppress(OSError):
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def cpu(pid: int) -> float:
    """Processor seconds of a process so far; 0 if it is gone."""
    with suppress(OSError):
        told = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _run(out: Connection, work: Work, arguments: tuple[Any, ...]) -> None:
    out.send(time.perf_counter())
    for result in work(*arguments):
        out.send((result, time.perf_counter()))
    # A process of multiprocessing does not end them at its exit, but waits until they have been idle for minutes.
    get_reusable_executor().shutdown()
