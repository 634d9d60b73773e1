"""Events in files: JSON lines read and checked as ingest does, for everything that runs the live code offline.

A file has no arrival times, so time is event time: events are taken in the order of their `time`, equal ones in the order
in which they take effect, so that the order of lines does not matter.
"""

from __future__ import annotations

import codecs
import gzip
import io
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, cast

import msgspec
import zstandard

from keepwell.care.history import RANK
from keepwell.care.instruments import Instruments
from keepwell.contract.control import tick
from keepwell.contract.decode import MAX_BYTES, Accepted, decode
from keepwell.contract.events import AnyEvent, encode, micros
from keepwell.contract.keys import record_key
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


class NoEventAccepted(ValueError):
    """Files that held no event: a run over them is a failure, and says for what reasons, by place."""

    def __init__(self, files: Sequence[str], refused: Sequence[Refused], lines: int) -> None:
        first = "".join(
            f"\n  {line.file}:{line.number}: {refusal.path}: {refusal.detail}" for line, refusal in refused[:FIRST]
        )
        more = f"\n  … and {lines - FIRST:,} more" if lines > FIRST else ""
        what = f"all {lines:,} lines were refused" if lines else "there is no line in it"
        super().__init__(f"{', '.join(files)}: nothing was accepted: {what}{first}{more}")


FIRST: Final = 5
"""Refused lines told one by one where nothing was accepted."""


class FileIntake(NamedTuple):
    """What a set of files holds: accepted events in order of time, refused lines, and how many unknown members."""

    events: list[AnyEvent]
    refused: list[Refused]
    unknown: int


class UnreadableFile(ValueError):
    """A file that cannot be read as JSON lines; names the file, the place and what to change."""


def read_lines(files: Sequence[str]) -> Iterator[Line]:
    """The lines of files in turn (`-`: standard input; what is gzip or zstd is unpacked); empty lines are not lines.

    Of a line longer than an event may be, only the beginning is kept, by which it is refused. Raises `UnreadableFile` where a
    file is damaged, is no UTF-8 or is one JSON array, and `OSError` where it cannot be opened.
    """
    for name in files:
        number, begun = 0, False
        try:
            with _opened(name) as stream:
                for number, content in enumerate(_bounded(stream), 1):
                    stripped = content.strip()
                    if not begun:
                        stripped = _beginning(Line(name, number, stripped))
                        begun = bool(stripped)
                    if stripped:
                        yield Line(name, number, stripped)
        except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError) as error:
            raise UnreadableFile(
                f"{name}: after line {number}: the packed file is cut off or damaged ({error}); fetch or pack it again"
            ) from error


def check_lines(lines: Iterable[Line], instruments: Instruments, now: datetime) -> Iterator[Accepted | Refused]:
    """Checks every line as ingest does. `now` is the clock against which the future is judged."""
    for line in lines:
        if len(line.content) > MAX_BYTES:
            yield Refused(
                line, Refusal("too_large", "$", f"The line is longer than the {MAX_BYTES} bytes of an event.")
            )
            continue
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
        yield Record(source, offset, record_key(event, 0, offset), encode(event), (), micros(event.time) // 1000)


# ── bytes to lines ──────────────────────────────────────────────────────────────────────────────────────

_KEPT: Final = MAX_BYTES + 1
_CHUNK: Final = 1 << 16
_WIDE: Final = {
    codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF32_BE: "UTF-32", codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16", b"{\0": "UTF-16", b"\0{": "UTF-16",
}  # fmt: skip
"""How a file begins that is text, but no UTF-8; without a byte order mark, by its first brace."""


@contextmanager
def _opened(name: str) -> Iterator[IO[bytes]]:
    """A file's content, unpacked by what it begins with, or else by its name."""
    with ExitStack() as stack:
        if name == "-":
            raw = io.BufferedReader(cast(io.RawIOBase, sys.stdin.buffer))
            stack.callback(raw.detach)  # standard input is not ours to close
        else:
            raw = io.BufferedReader(stack.enter_context(Path(name).open("rb", buffering=0)))
        magic = raw.peek(4)[:4]
        packed = next((suffix for start, suffix in _PACKED.items() if magic.startswith(start)), Path(name).suffix)
        if packed == ".gz":
            yield io.BufferedReader(stack.enter_context(gzip.GzipFile(fileobj=raw)))
        elif packed == ".zst":
            yield io.BufferedReader(_Unpacked(raw), _CHUNK)
        else:
            if other := next((name for start, name in _OTHERWISE.items() if magic.startswith(start)), None):
                raise UnreadableFile(f"{name}: is packed as {other}: unpack it, or pack it as .gz or .zst")
            yield raw


_OTHERWISE: Final = {b"BZh": "bzip2", b"\xfd7zX": "xz", b"PK\x03\x04": "zip"}
_PACKED: Final = {b"\x1f\x8b": ".gz", zstandard.FRAME_HEADER: ".zst"}


class _Unpacked(io.RawIOBase):
    """zstd frames, unpacked one after the other. Raises `EOFError` where the last is cut off."""

    def __init__(self, packed: IO[bytes]) -> None:
        self._packed = packed
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._unread = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fills a buffer and returns how far; 0 is the end."""
        while not self._ready:
            chunk = self._unread or self._packed.read(_CHUNK)
            if not chunk:
                if not self._frame.eof:
                    raise EOFError("its last frame has no end")
                return 0
            if self._frame.eof:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            self._ready = memoryview(self._frame.decompress(chunk))
            self._unread = self._frame.unused_data if self._frame.eof else b""
        part = self._ready[: len(buffer)]
        buffer[: len(part)] = part
        self._ready = self._ready[len(part) :]
        return len(part)


def _bounded(stream: IO[bytes]) -> Iterator[bytes]:
    """The lines of a stream, the longest of them cut to `_KEPT` bytes, so that memory stays bounded."""
    while line := stream.readline(_KEPT):
        yield line
        while len(line) == _KEPT and not line.endswith(b"\n"):
            line = stream.readline(_KEPT)


def _beginning(line: Line) -> bytes:
    """The first line without a byte order mark. Raises `UnreadableFile` where it shows that the file is no JSON lines."""
    place = f"{line.file}:{line.number}"
    for mark, encoding in _WIDE.items():
        if line.content.startswith(mark):
            raise UnreadableFile(f"{place}: the file is {encoding}; save it as UTF-8 (iconv -f {encoding} -t UTF-8)")
    content = line.content.removeprefix(codecs.BOM_UTF8).strip()
    if content.startswith(b"[") and _is_array(content):
        raise UnreadableFile(f"{place}: the file is one JSON array; write one event a line, as jq -c '.[]' does")
    return content


def _is_array(first: bytes) -> bool:
    """Whether a first line begins an array of events, rather than being one bad line among good ones."""
    try:
        found = msgspec.json.decode(first)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return True
    return isinstance(found, list) and any(isinstance(one, dict) for one in found)
