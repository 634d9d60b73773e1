"""What a measurement is told to do, and what it gives back."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from keepwell.streams.worker.process import tune_gc


class Plan(NamedTuple):
    """The size of a run. `kafka` is the address of a broker; None leaves out what needs one. `folder` is for what is written.

    `events` for rates, `episodes` for memory and restore, `rows` for learning (about as many), `seconds` a window of latency
    at `rate` events a second; `rounds` is how often each is repeated, those that are compared by turns. `clinicians` of
    a clinic have `caseload` open episodes together.
    """

    folder: Path
    kafka: str | None = None
    events: int = 20_000
    episodes: int = 24_000
    seconds: float = 5.0
    rate: float = 300.0
    rounds: int = 3
    rows: int = 1_000_000
    clinicians: int = 500
    caseload: int = 20_000


class Aim(NamedTuple):
    """The aim of a figure (DESIGN section 6): at most or at least so much."""

    kind: str
    bound: float

    def __str__(self) -> str:
        return f"{self.kind} {self.bound:,g}"

    def met(self, value: float) -> bool:
        """Whether a value reaches the aim."""
        return value <= self.bound if self.kind == "≤" else value >= self.bound


class Figure(NamedTuple):
    """One row of the table: the median of `samples`, one a round."""

    what: str
    samples: Sequence[float]
    unit: str
    aim: Aim | None = None

    @property
    def value(self) -> float:
        return median(self.samples)


class Mark(NamedTuple):
    """A moment: of the clock, and of the processor time that this process has used. Both in seconds."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> Mark:
        return cls(time.perf_counter(), time.process_time())


def at_most(bound: float) -> Aim:
    return Aim("≤", bound)


def at_least(bound: float) -> Aim:
    return Aim("≥", bound)


@contextmanager
def tuned_gc() -> Iterator[None]:
    """The collector as a running service has it, put back at the end: every contender of a comparison gets the same."""
    before = gc.get_threshold()
    tune_gc()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
