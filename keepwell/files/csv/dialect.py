"""How a table's file is written: encoding, delimiter and quotes, told by a mapping or detected from its beginning."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, NamedTuple, cast

from keepwell.files.csv.cells import MappingError

DELIMITERS: Final = (",", ";", "\t", "|")
"""What offices' programs put between cells, and detection looks for."""

_HEAD: Final = 1 << 16
"""Bytes looked at; where they are plain ASCII, as many from the first on that are not."""
_ROWS: Final = 100
"""Rows that the delimiter is detected from."""

_NO_TABLES: Final = {
    b"PK\x03\x04": "a spreadsheet (.xlsx, .ods) or another zip archive",
    b"\xd0\xcf\x11\xe0": "a spreadsheet (.xls) or another Office document",
    b"%PDF": "a PDF document",
    b"\x28\xb5\x2f\xfd": "packed with zstd; unpack it first",
    b"<": "a page of HTML or XML, whatever its name says",
    b"{": "JSON",
}
_BOMS: Final = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_OFFICE: Final = ("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "mac_roman", "cp850")
"""Encodings that office programs of Europe and the Americas write without saying so; the first is their default."""
_WIDE: Final = ("utf_16_le", "utf_16_be", "utf_32_le", "utf_32_be")
_SEPARATOR_LINE: Final = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
"""The first line by which Excel tells itself the delimiter."""


class Declared(NamedTuple):
    """What a mapping says of a file; None is detected."""

    encoding: str | None = None
    delimiter: str | None = None
    quote: str | None = None


class Dialect(NamedTuple):
    """How a file is written."""

    encoding: str
    delimiter: str
    quote: str
    separator_line: bool
    """Whether a line like `sep=;` stands before the header."""
    doubts: tuple[str, ...]
    """What of it was detected and might be otherwise, a sentence each."""

    def __str__(self) -> str:
        marks = {"\t": "tab"}
        quote = "" if self.quote == '"' else f", quotes {self.quote}"
        return f"delimiter {marks.get(self.delimiter, self.delimiter)}, encoding {self.encoding}{quote}"


def detect(path: Path, declared: Declared, wanted: frozenset[str] = frozenset()) -> Dialect:
    """How a file is written, from its beginning. A delimiter is taken that gives the columns `wanted`.

    Raises `MappingError` where the file is empty, or is no table of text.
    """
    head, telling = _sampled(path)
    for magic, what in _NO_TABLES.items():
        if head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(magic):
            raise MappingError(f"{path.name}: is {what}; save the sheet as CSV (UTF-8) and give that file")
    encoding, doubt = _encoding(head, telling, declared.encoding)
    lines = _lines(head, encoding)
    if not any(line.strip(" \t,;|\0") for line in lines):
        raise MappingError(f"{path.name}: is empty: it has no header, and no rows")
    if any("\0" in line for line in lines):
        raise MappingError(
            f"{path.name}: holds NUL bytes when it is read as {encoding}; it is no text, or set `encoding`, such as utf-16"
        )
    told = _SEPARATOR_LINE.fullmatch(lines[0].strip())
    if told:
        declared, lines = declared._replace(delimiter=declared.delimiter or told[1]), lines[1:]
    delimiter, quote, unsure = _marks("".join(lines), declared, wanted)
    return Dialect(encoding, delimiter, quote, told is not None, tuple(filter(None, (doubt, unsure))))


def parsed(text: IO[str], dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, the header first, each with the line it ends in. Raises `csv.Error`."""
    before = 0
    if dialect.separator_line:
        before = 1
        while not _SEPARATOR_LINE.fullmatch(text.readline().strip()):
            before += 1
    reader = csv.reader(text, delimiter=dialect.delimiter, quotechar=dialect.quote, strict=True)
    for cells in reader:
        if any(cell and not cell.isspace() for cell in cells):
            yield before + reader.line_num, cells


@contextmanager
def unpacked(raw: IO[bytes]) -> Iterator[IO[bytes]]:
    """A file's content, unpacked where it is gzip, whatever its name."""
    stream = io.BufferedReader(cast(io.RawIOBase, raw)) if not hasattr(raw, "peek") else raw
    packed = cast(io.BufferedReader, stream).peek(2)[:2] == b"\x1f\x8b"
    yield cast(IO[bytes], gzip.GzipFile(fileobj=stream)) if packed else stream


def columns_by(text: str, delimiter: str, quote: str = '"') -> list[str]:
    """The columns of a header, as a delimiter would have them; none where its quotes are not closed."""
    try:
        return next(csv.reader(io.StringIO(text), delimiter=delimiter, quotechar=quote, strict=True), [])
    except csv.Error:
        return []


def _sampled(path: Path) -> tuple[bytes, bytes]:
    """The head of a file, and the first part of it that is not plain ASCII."""
    try:
        with path.open("rb") as raw, unpacked(raw) as stream:
            head = chunk = stream.read(_HEAD)
            while chunk and chunk.isascii():
                chunk = stream.read(_HEAD)
    except (OSError, EOFError, zlib.error) as error:
        raise MappingError(f"{path.name}: {error}") from error
    return head, chunk


def _lines(head: bytes, encoding: str) -> list[str]:
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head)
    lines = text.splitlines(keepends=True)
    while lines and not lines[0].strip():
        del lines[0]
    return (lines[:-1] if len(head) == _HEAD else lines)[: _ROWS + 1] or lines[:1]


def _encoding(head: bytes, telling: bytes, declared: str | None) -> tuple[str, str]:
    """The encoding, and why it is in doubt. A byte order mark is left out whether it was declared or not."""
    marked = next((encoding for bom, encoding in _BOMS.items() if head.startswith(bom)), None)
    if declared is not None:
        same = marked is not None and codecs.lookup(declared).name.startswith(marked.removesuffix("-sig"))
        return marked if marked is not None and same else declared, ""
    if marked is not None:
        return marked, ""
    from charset_normalizer import from_bytes  # here: it is slow to load, and most commands need no tables

    if b"\0" in head:
        found = from_bytes(head[: len(head) - len(head) % 4], cp_isolation=list(_WIDE)).best()
        return (found.encoding, "") if found is not None else ("utf-8", "")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(_whole_lines(telling))
        return "utf-8", ""
    except UnicodeDecodeError:
        matches = list(from_bytes(_whole_lines(telling), cp_isolation=list(_OFFICE), enable_fallback=False))
    least = min((match.chaos for match in matches), default=1.0)
    likely = [match for match in matches if match.chaos == least]
    for match in likely:
        if _OFFICE[0] in (match.encoding, *match.could_be_from_charset):
            encoding = _OFFICE[0]
            break
    else:
        encoding = likely[0].encoding if likely else _OFFICE[0]
    others = [match.encoding for match in likely if encoding not in (match.encoding, *match.could_be_from_charset)]
    if others or not likely:
        also = f"; it may be {' or '.join(others)}" if others else ""
        return encoding, f"the encoding {encoding} is a guess{also}: look at the letters beyond A-Z, and set `encoding`"
    return encoding, ""


def _whole_lines(part: bytes) -> bytes:
    """A part of a file without the lines that its ends cut."""
    first, last = part.find(b"\n"), part.rfind(b"\n")
    return part[first + 1 : last] if len(part) == _HEAD and first != last else part


def _marks(text: str, declared: Declared, wanted: frozenset[str]) -> tuple[str, str, str]:
    """The delimiter, the quotes, and why the delimiter is in doubt."""
    if declared.delimiter is not None and declared.quote is not None:
        return declared.delimiter, declared.quote, ""
    from clevercsv import Detector  # here: as above

    found = Detector().detect(text, delimiters=list(DELIMITERS))
    guess = (found.delimiter if found is not None else None) or ""
    quote = declared.quote or '"'
    if declared.quote is None and found is not None and found.quotechar == "'" and text.lstrip().startswith("'"):
        quote = "'"
    if declared.delimiter is not None:
        return declared.delimiter, quote, ""
    by_mark = {mark: columns_by(text, mark, quote) for mark in DELIMITERS}
    fitting = [mark for mark, columns in by_mark.items() if wanted and wanted <= set(columns)]
    if guess in fitting or len(fitting) == 1:
        return (guess if guess in fitting else fitting[0]), quote, ""
    if guess:
        return guess, quote, ""
    mark = max(DELIMITERS, key=lambda mark: len(by_mark[mark]))
    one = len(by_mark[mark]) <= 1
    return mark, quote, "" if one else f"the delimiter {mark!r} is a guess: look at the columns, and set `delimiter`"
