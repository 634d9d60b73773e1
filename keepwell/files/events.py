"""Events in files: JSON lines read and checked as ingest does, for everything that runs the live code offline.

A file has no arrival times, so time is event time: events are taken in the order of their `time`, equal ones in the order
in which they take effect, so that the order of lines does not matter.
"""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, NamedTuple

import zstandard

from keepwell.care.history import RANK
from keepwell.care.instruments import Instruments
from keepwell.contract.control import CLOCK_KEY, tick
from keepwell.contract.decode import Accepted, decode
from keepwell.contract.events import AnyEvent, encode, micros
from keepwell.contract.refusal import Refusal
from keepwell.streams.log import Partition, Record


class Line(NamedTuple):
    """A line of a file, as it stands there. `number` counts from 1."""

    file: str
    number: int
    content: bytes


class Refused(NamedTuple):
    """A line that is not an event of the contract, and why."""

    line: Line
    refusal: Refusal


class FileIntake(NamedTuple):
    """What a set of files holds: accepted events in order of time, refused lines, and how many unknown members."""

    events: list[AnyEvent]
    refused: list[Refused]
    unknown: int


def read_lines(files: Sequence[str]) -> Iterator[Line]:
    """The lines of files in turn (`-`: standard input; `.gz` and `.zst` are unpacked); empty lines are not lines.

    Raises `OSError` where a file cannot be read.
    """
    for name in files:
        with _opened(name) as stream:
            for number, content in enumerate(stream, 1):
                stripped = content.strip()
                if stripped:
                    yield Line(name, number, stripped)


def check_lines(lines: Iterable[Line], instruments: Instruments, now: datetime) -> Iterator[Accepted | Refused]:
    """Checks every line as ingest does. `now` is the clock against which the future is judged."""
    for line in lines:
        checked = decode(line.content, now=now, instruments=instruments)
        yield Refused(line, checked) if isinstance(checked, Refusal) else checked


def take_in(lines: Iterable[Line], instruments: Instruments, now: datetime) -> FileIntake:
    """All that lines hold, checked by `check_lines` and in order of time."""
    events: list[AnyEvent] = []
    refused: list[Refused] = []
    unknown = 0
    for checked in check_lines(lines, instruments, now):
        if isinstance(checked, Refused):
            refused.append(checked)
        else:
            events.append(checked.event)
            unknown += checked.unknown
    events.sort(key=lambda event: (event.time, RANK[type(event)], event.source, event.id))
    return FileIntake(events, refused, unknown)


def with_ticks(events: Sequence[AnyEvent], until: datetime) -> Iterator[AnyEvent]:
    """The events with a tick at every midnight UTC from the first to `until`, and one at `until`.

    Events of the same moment come before the tick.
    """
    if not events:
        return
    midnight = datetime.combine(events[0].time.astimezone(UTC).date(), datetime.min.time(), UTC)
    for event in events:
        while midnight < event.time and midnight <= until:
            yield tick(midnight)
            midnight += timedelta(days=1)
        yield event
    while midnight < until:
        yield tick(midnight)
        midnight += timedelta(days=1)
    yield tick(until)


def records(events: Iterator[AnyEvent], source: Partition) -> Iterator[Record]:
    """The events as they would stand in one partition of `episode-events`."""
    for offset, event in enumerate(events):
        key = CLOCK_KEY if event.subject == "_clock" else event.key.encode()
        yield Record(source, offset, key, encode(event), (), micros(event.time) // 1000)


@contextmanager
def _opened(name: str) -> Iterator[IO[bytes]]:
    path = Path(name)
    if name == "-":
        yield sys.stdin.buffer
    elif path.suffix == ".gz":
        with gzip.open(path, "rb") as stream:
            yield io.BufferedReader(stream)
    elif path.suffix == ".zst":
        with path.open("rb") as packed, zstandard.ZstdDecompressor().stream_reader(packed) as stream:
            yield io.BufferedReader(stream)
    else:
        with path.open("rb") as stream:
            yield stream
