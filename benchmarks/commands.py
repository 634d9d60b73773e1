"""What it costs to call a command: processor time of `keepwell --help`, and the memory of the smallest service."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Final

from benchmarks.figures import Figure, Plan, at_most
from benchmarks.footprint import PROC
from keepwell.streams.log import Partition
from keepwell.streams.sqlite.log import SqliteLog
from keepwell.streams.topics import Topics, partitions_of

KEEPWELL: Final = (sys.executable, "-m", "keepwell.cli.main")
TIMER: Final = (
    "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
    "used = resource.getrusage(resource.RUSAGE_CHILDREN); print(used.ru_utime + used.ru_stime)"
)
PATIENCE: Final = 60.0
"""Seconds that a clock may take to write its first tick."""


def measure(plan: Plan) -> list[Figure]:
    """`--help` as often as there are rounds, and one clock that has written a tick."""
    called = [processor_seconds("--help") for _ in range(plan.rounds)]
    return [
        Figure("keepwell --help", called, "CPU s", at_most(0.3)),
        Figure("keepwell clock, at its peak", [clock_peak(plan.folder / "commands.db") / 1e6], "MB", at_most(60)),
    ]


def processor_seconds(*words: str) -> float:
    """User and system time of a command from its start to its end, of a process that has just begun to live."""
    done = subprocess.run([sys.executable, "-c", TIMER, *KEEPWELL, *words], capture_output=True, text=True, check=True)
    return float(done.stdout)


def clock_peak(database: Path) -> int:
    """Bytes that a clock held at most once it had written its first tick, pages shared with others included."""
    command = [*KEEPWELL, "clock", "--log", f"sqlite:///{database}", "--port", "0"]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        _wait_for_a_tick(database)
        lines = (PROC / str(running.pid) / "status").read_text("utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    finally:
        running.terminate()
        running.wait()


def _wait_for_a_tick(database: Path) -> None:
    episodes = Topics().episodes
    deadline = time.monotonic() + PATIENCE
    with closing(SqliteLog(database)) as log:
        while time.monotonic() < deadline:
            if partitions_of(log, episodes) and log.bounds(Partition(episodes, 0))[1] > 0:
                return
            time.sleep(0.05)
    raise TimeoutError("the clock has written no tick")
