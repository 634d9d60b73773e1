"""A replay over several processes: the same bytes, whatever their number.

Episodes have nothing but control events in common. So a file is split by episode into shares, each with all control events,
and what the processes put out is merged by its places; of a log each partition is a share. What goes between processes lies
in temporary files, so that memory does not grow with it.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from heapq import merge
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Final, NamedTuple, TypeVar
from zlib import crc32

import msgspec
import structlog

from keepwell.cli import _replayed
from keepwell.cli._replayed import Advance, EpisodeCounts, LogPart, batches, counted
from keepwell.cli.main import ELSEWHERE, way_to
from keepwell.contract.keys import episode_of
from keepwell.streams.log import Message, Record
from keepwell.streams.topics import Topics
from keepwell.streams.worker.process import rare_collections
from keepwell.streams.worker.step import Step
from models.registry import Releases
from services.predictor.bootstrap import processor
from services.predictor.settings import PredictorSettings
from services.predictor.step import OutputPlace, PredictorProcessor

Task = TypeVar("Task")
Found = TypeVar("Found")
Value = TypeVar("Value")

SHARES: Final = 4
"""Shares of a file for each process, so that unequal ones even out and progress shows; ours."""


class Processes(NamedTuple):
    """So many processes, each with a log and a predictor by the settings."""

    jobs: int
    settings: PredictorSettings


class PlacedMessage(NamedTuple):
    """A message, and its place among those of all shares."""

    place: OutputPlace
    message: Message


@contextmanager
def of_files(
    processes: Processes, stream: Iterator[Record], now: datetime, out: Path, advance: Advance
) -> Iterator[tuple[Iterator[Sequence[Message]], EpisodeCounts]]:
    """As `keepwell.cli._replayed.of_files`; all processes are done when it begins. Temporary files lie in `out`.

    Raises as `in_processes`.
    """
    counts = EpisodeCounts(Counter(), Counter())
    with _folder(out) as folder, ExitStack() as opened:
        shares = _split(stream, folder, processes.jobs * SHARES)
        tasks = [_FileTask(processes.settings, share.path, now) for share in shares]
        for share, found in zip(shares, in_processes(processes.jobs, _replay_share, tasks), strict=True):
            counts.add(found)
            advance(share.own)
        parts = [opened.enter_context(closing(_read(_put_out(share.path), PlacedMessage))) for share in shares]
        yield ([placed.message] for placed in merge(*parts)), counts


@contextmanager
def of_log(
    processes: Processes, parts: Sequence[LogPart], out: Path | None, advance: Advance
) -> Iterator[Callable[[LogPart], Iterator[Step]]]:
    """As `keepwell.cli._replayed.of_log` for each of some partitions, without the state; all processes are done when it
    begins. Temporary files lie in `out`; None: where the system has them. Raises as `in_processes`."""
    with _folder(out) as folder, ExitStack() as opened:
        tasks = [_LogTask(processes.settings, part, folder / str(part.number)) for part in parts]
        for part, _ in zip(parts, in_processes(processes.jobs, _replay_part, tasks), strict=True):
            advance(part.end)
        yield lambda part: opened.enter_context(closing(_read(folder / str(part.number), Step)))


def in_processes(jobs: int, function: Callable[[Task], Found], tasks: Sequence[Task]) -> Iterator[Found]:
    """What a function of a module makes of each task, in their order, in so many processes at most.

    The first error in this order ends them all and is raised, and so is an interruption. Raises `ChildProcessError` where one
    of them was ended from outside.
    """
    others = set(active_children())
    with ProcessPoolExecutor(min(jobs, len(tasks)), get_context("spawn"), _begin) as pool:
        try:
            for future in [pool.submit(_noting_the_way, function, task) for task in tasks]:
                yield future.result()
        except BaseException as error:
            for process in set(active_children()) - others:
                process.terminate()
            if isinstance(error, BrokenProcessPool) and error.__cause__ is None:
                raise ChildProcessError(
                    "one of the processes was ended from outside, as systems do where memory runs out: try fewer --jobs"
                ) from error
            raise


# ── in each process ─────────────────────────────────────────────────────────────────────────────────────


def _begin() -> None:
    """Leaves Ctrl-C to the first process, which ends the others, and ends with it however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))  # as `keepwell.cli.main` has it
    first = parent_process()
    if first is not None:
        threading.Thread(target=_end_with, args=[first.sentinel], daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def _noting_the_way(function: Callable[[Task], Found], task: Task) -> Found:
    try:
        return function(task)
    except Exception as error:
        error.add_note("\n".join([ELSEWHERE, *way_to(error)]))  # its frames do not come along
        raise


class _FileTask(NamedTuple):
    settings: PredictorSettings
    share: Path
    now: datetime


class _LogTask(NamedTuple):
    settings: PredictorSettings
    part: LogPart
    put_out: Path


@rare_collections()
def _replay_share(task: _FileTask) -> EpisodeCounts:
    """Replays the records of a share into a file beside it."""
    worker = _worker(task.settings)
    with _put_out(task.share).open("xb") as file:
        for batch in batches(_read(task.share, Record)):
            step, places = worker.step_with_places(0, batch)
            for placed in zip(places, step.messages, strict=True):
                _write(file, placed)
    task.share.unlink()
    return counted(worker, task.now)


@rare_collections()
def _replay_part(task: _LogTask) -> None:
    """Replays a partition of a log into a file."""
    with closing(task.settings.open_log(must_exist=True)) as source, task.put_out.open("xb") as file:
        for step in _replayed.of_log(source, _worker(task.settings), Topics(task.settings.topic_prefix), task.part):
            _write(file, step._replace(state={}))


def _worker(settings: PredictorSettings) -> PredictorProcessor:
    return processor(Topics(settings.topic_prefix), settings.model, Releases.of(settings))


# ── between them ────────────────────────────────────────────────────────────────────────────────────────


class _Share(NamedTuple):
    """Records of some episodes, with all control events, in a file; `own` are those that no other share has."""

    path: Path
    own: int


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    with _ended_in_order(), TemporaryDirectory(prefix=".replay-", dir=out) as name:
        yield Path(name)


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Lets SIGTERM end this process as Ctrl-C does, so that neither processes nor files are left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # as a shell tells of a signal
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _split(stream: Iterator[Record], folder: Path, count: int) -> list[_Share]:
    """Splits records by the episode; what is of none goes to every share. So places and order are those of the stream."""
    own = [0] * count
    with ExitStack() as opened:
        files = [opened.enter_context((folder / str(number)).open("xb")) for number in range(count)]
        for record in stream:
            episode = episode_of(record.key or b"")
            if b"/" in episode:  # no key of a control event or an erasure has one there
                number = crc32(episode) % count
                own[number] += 1
                _write(files[number], record)
            else:
                for file in files:
                    _write(file, record)
    return [_Share(folder / str(number), own[number]) for number in range(count)]


def _put_out(share: Path) -> Path:
    return share.with_suffix(".out")


_LENGTH: Final = struct.Struct(">Q")
_encoder: Final = msgspec.msgpack.Encoder()


def _write(file: IO[bytes], value: object) -> None:
    """Adds a value, behind its length."""
    content = _encoder.encode(value)
    file.write(_LENGTH.pack(len(content)))
    file.write(content)


def _read(path: Path, kind: type[Value]) -> Generator[Value, None, None]:
    decoder = msgspec.msgpack.Decoder(kind)
    with path.open("rb") as file:
        while head := file.read(_LENGTH.size):
            yield decoder.decode(file.read(*_LENGTH.unpack(head)))
