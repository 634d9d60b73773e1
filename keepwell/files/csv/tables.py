"""Tables as offices export them, row by row; what a file is not, is said with what was found in it."""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import IO, Final, NamedTuple

from keepwell.files.csv.cells import MappingError, alike
from keepwell.files.csv.dialect import DELIMITERS, Declared, Dialect, columns_by, detect, parsed, unpacked
from keepwell.files.csv.mapping import Table

Opener = Callable[[Path], IO[bytes]]
"""Opens a file for reading, in bytes; a caller may count them."""

_NAMED: Final = 30
"""Columns named in a sentence at most, each of at most as many letters."""


class Row(NamedTuple):
    """A row, by the line it ends in."""

    path: Path
    line: int
    cells: Mapping[str, str]


class TableFile:
    """One file of a table."""

    def __init__(self, path: Path, table: Table, wanted: frozenset[str], open_file: Opener) -> None:
        """Raises `MappingError` where the file is no table with the columns `wanted`."""
        self.path = path
        self._table = table
        self._open = open_file
        self.dialect: Final[Dialect] = detect(path, Declared(table.encoding, table.delimiter, table.quote), wanted)
        with path.open("rb") as raw, unpacked(raw) as unzipped:
            self.columns: Final = next(self._parsed(unzipped), (0, []))[1]
        if not self.columns:
            raise MappingError(f"{path.name}: is empty: it has no header, and no rows")
        self._check(wanted)

    def rows(self) -> Iterator[tuple[Row, str]]:
        """Every row that is not blank, with what is wrong with it as a row (empty: nothing). Raises `MappingError`."""
        width = len(self.columns)
        empty = frozenset(self._table.empty)
        with self._open(self.path) as raw, unpacked(raw) as unzipped:
            for line, cells in islice(self._parsed(unzipped), 1, None):
                if empty or any(map(str.isspace, cells)):
                    cells = ["" if cell.isspace() or cell.strip() in empty else cell for cell in cells]  # noqa: PLW2901
                damage = ""
                if len(cells) < width or any(cells[width:]):
                    damage = f"the row has {len(cells)} cells, the header {width}"
                elif "\0" in "".join(cells):
                    damage = "the row holds NUL bytes"
                yield Row(self.path, line, dict(zip(self.columns, cells, strict=False))), damage

    def _parsed(self, unzipped: IO[bytes]) -> Iterator[tuple[int, list[str]]]:
        """The rows as they stand, the header first, each with the line it ends in."""
        line = 0
        try:
            with io.TextIOWrapper(unzipped, self.dialect.encoding, newline="") as text:
                for line, cells in parsed(text, self.dialect):
                    yield line, cells
        except UnicodeDecodeError as error:
            raise MappingError(
                f"{self.path.name}: after line {line}: not in the encoding {self.dialect.encoding}; "
                "set `encoding` for the table"
            ) from error
        except csv.Error as error:
            what = "a quote is opened and not closed" if str(error) in _UNCLOSED else str(error)
            raise MappingError(
                f"{self.path.name}: the row that begins in line {line + 1}: {what}; mend it, or set `quote` for the table"
            ) from error
        except (OSError, EOFError, zlib.error) as error:
            raise MappingError(f"{self.path.name}: after line {line}: {error}") from error

    def _check(self, wanted: frozenset[str]) -> None:
        for column in sorted(wanted):
            if self.columns.count(column) > 1:
                raise MappingError(f"{self.path.name}: has more than one column `{column}`; {self._found()}")
            if column not in self.columns:
                raise MappingError(
                    f"{self.path.name}: has no column `{column}`, which the mapping uses; "
                    f"{self._found()}{self._advice(column)}"
                )

    def _found(self) -> str:
        return f"its columns are {named(self.columns)} ({self.dialect})"

    def _advice(self, column: str) -> str:
        header = self.dialect.delimiter.join(self.columns)
        for mark in DELIMITERS:
            if column in columns_by(header, mark) and mark != self.dialect.delimiter:
                return f". With the delimiter {mark!r} it would be there: set `delimiter` for the table"
        if len(self.columns) == 1:
            return ". It is one column alone: set `delimiter` for the table, or export it with one"
        near = [name for name in self.columns if alike(name) == alike(column)]
        near = near or get_close_matches(column, self.columns, 1)
        return f". Is `{near[0]}` meant?" if near else ""


def named(columns: Sequence[str]) -> str:
    """Columns in a sentence, shortened where there are many."""
    plain = ["".join(letter if letter.isprintable() else "?" for letter in name) for name in columns[:_NAMED]]
    short = [f"`{name[:_NAMED]}…`" if len(name) > _NAMED else f"`{name}`" for name in plain]
    more = [f"and {len(columns) - _NAMED} more"] if len(columns) > _NAMED else []
    return ", ".join([*short, *more])


_UNCLOSED: Final = ("unexpected end of data", "field larger than field limit (131072)")
