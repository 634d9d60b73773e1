"""What an import finds out about whole tables: contents that nothing matched, and forms that would read their cells."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from keepwell.files.csv.cells import CellError
from keepwell.files.csv.moments import likely_formats
from keepwell.files.csv.numbers import likely_forms

_CONTENTS: Final = 20
"""Contents of a column that are listed at most: with more, it is no list of statuses but may be anything, a name too."""
_LETTERS: Final = 40
"""The longest content that is listed, for the same reason."""
_KEPT: Final = 500
"""Cells of one column from which a form is suggested."""


class Unmatched(msgspec.Struct, frozen=True):
    """What a column of statuses held that the mapping names nowhere. `contents` is empty where it is no list of statuses."""

    table: str
    column: str
    rows: int
    contents: dict[str, int]

    def __str__(self) -> str:
        said = ", ".join(f"{content!r} {count:,}" for content, count in self.contents.items())
        told = said or "more contents, or longer ones, than statuses have; they are not listed"
        return f"{self.table}, column `{self.column}`: nothing in the mapping matches {self.rows:,} rows: {told}"


class Findings:
    """Gathers them while rows are read. Memory stays small whatever the columns hold."""

    def __init__(self) -> None:
        self._contents: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self._rows: Counter[tuple[str, str]] = Counter()
        self._unread: defaultdict[tuple[Literal["number", "moment"], str, str], set[str]] = defaultdict(set)

    def unnamed(self, table: str, column: str, content: str) -> None:
        """Takes a content that decides what becomes of its row, and that the mapping does not name."""
        place = table, column
        self._rows[place] += 1
        contents = self._contents[place]
        if content in contents or len(contents) <= _CONTENTS:
            contents[content] += 1

    def unread(self, table: str, error: CellError) -> None:
        """Takes a cell that is no number, or no moment, of the form declared."""
        if error.asked is not None:
            cells = self._unread[error.asked, table, error.columns[0] if error.columns else ""]
            if len(cells) < _KEPT:
                cells.add(error.cell)

    def unmatched(self) -> list[Unmatched]:
        """By column, what nothing matched, the most frequent first."""
        found = []
        for (table, column), contents in sorted(self._contents.items()):
            listed = len(contents) <= _CONTENTS and max(map(len, contents)) <= _LETTERS
            counts = sorted(contents.items(), key=lambda item: (-item[1], item[0])) if listed else []
            found.append(Unmatched(table, column, self._rows[table, column], dict(counts)))
        return found

    def hints(self) -> Iterator[str]:
        """Lines for the mapping that would read the cells that were not read. None is ever taken by itself."""
        numbers: defaultdict[str, set[str]] = defaultdict(set)
        for (asked, table, column), cells in sorted(self._unread.items()):
            if asked == "number":
                numbers[table] |= cells
                continue
            formats = [f"format = {msgspec.json.encode(form).decode()}" for form in likely_formats(cells) if form]
            if formats:
                yield f"{table}, column `{column}`: its moments read with `{'` or with `'.join(formats)}`; say which"
        for table, cells in numbers.items():
            forms = [f"{' and '.join(form.lines)} (as {form.example})" for form in likely_forms(cells)]
            if forms:
                yield f"table {table}: its numbers read with {', or with '.join(forms)}; add it under [tables.{table}]"
