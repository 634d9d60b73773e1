"""Which rows a rule is for: conditions on the contents of columns, which a mapping names once for all its rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from keepwell.files.csv.cells import CellError, Cells, alike
from keepwell.files.csv.numbers import PLAIN, NumberForm


class NumberRange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A condition on a number: the cell, less the cell of `minus` where given, between the ends. Empty cells fail."""

    at_least: float | None = None
    at_most: float | None = None
    minus: str | None = None


Condition = str | list[str] | NumberRange
"""A cell's content, one of several, or a range. `""` is an empty cell, `"*"` one that is not empty."""

ANYTHING: Final = "*"


class ColumnContents(NamedTuple):
    """What a mapping knows of the contents of one column."""

    named: frozenset[str] = frozenset()
    """As conditions write them. A cell that is one of these is no other, however alike."""
    known: frozenset[str] = frozenset()
    """What they, and the keys of maps, have in common with contents alike."""
    open: bool = False
    """Whether some rule takes whatever content it does not name."""

    def names(self, cell: str) -> bool:
        """Whether the mapping says what becomes of a row with this content."""
        return self.open or cell == "" or alike(cell) in self.known


class Reading(NamedTuple):
    """How the cells of a table's rows are read: vocabularies by column, forms of numbers by table."""

    table: str
    forms: Mapping[str, NumberForm]
    vocabularies: Mapping[str, ColumnContents]

    def form_of(self, columns: tuple[str, ...]) -> NumberForm:
        """The form of numbers of a column, which is that of the table it stands in; the plain one of a mapping's own text."""
        if not columns:
            return PLAIN
        other, dot, _ = columns[0].partition(".")
        return self.forms[other if dot and other in self.forms else self.table]

    def number(self, cell: str, columns: tuple[str, ...]) -> float:
        """The number in a cell. Raises `CellError`."""
        form = self.form_of(columns)
        number = form.read(cell)
        if number is None:
            raise CellError(columns, f"not a number of the form {form.example}", "number", cell)
        return number


class Conditions:
    """All of `where` and none of `unless`."""

    def __init__(
        self, where: Mapping[str, Condition], unless: Mapping[str, Condition] | None = None, *, reading: Reading
    ) -> None:
        self.columns = (*columns_of_condition(where), *columns_of_condition(unless or {}))
        self._where = [(column, _test(column, wanted, reading)) for column, wanted in where.items()]
        self._unless = [_test(column, unwanted, reading) for column, unwanted in (unless or {}).items()]
        self._closed = {
            column: reading.vocabularies.get(column, ColumnContents())
            for column, wanted in where.items()
            if is_closed(wanted)
        }

    def hold(self, cells: Cells) -> bool:
        """Whether they hold for a row. Raises `CellError` where a range meets a cell that is no number."""
        return all(test(cells) for _, test in self._where) and not any(test(cells) for test in self._unless)

    def unnamed(self, cells: Cells) -> list[tuple[str, str]]:
        """Columns and contents for whose sake alone they do not hold, where the mapping names these contents nowhere."""
        if not self._closed or any(test(cells) for test in self._unless):
            return []
        failed = [column for column, test in self._where if not test(cells)]
        told = all(column in self._closed and not self._closed[column].names(cells[column]) for column in failed)
        return [(column, cells[column]) for column in failed] if told else []


def columns_of_condition(tests: Mapping[str, Condition]) -> Iterator[str]:
    """The columns that a condition looks at."""
    for column, wanted in tests.items():
        yield column
        if isinstance(wanted, NumberRange) and wanted.minus:
            yield wanted.minus


def contents_of(wanted: Condition) -> list[str]:
    """The contents that a condition names."""
    return [] if isinstance(wanted, NumberRange) else [wanted] if isinstance(wanted, str) else wanted


def is_closed(wanted: Condition) -> bool:
    """Whether a condition takes some contents alone."""
    return ANYTHING not in contents_of(wanted) and any(contents_of(wanted))


def _test(column: str, wanted: Condition, reading: Reading) -> Callable[[Cells], bool]:
    if isinstance(wanted, NumberRange):
        return _range_test(column, wanted, reading)
    contents = frozenset(contents_of(wanted))
    anything = ANYTHING in contents
    forms = frozenset(alike(content) for content in contents if content)
    elsewhere = reading.vocabularies.get(column, ColumnContents()).named

    def test(cells: Cells) -> bool:
        cell = cells[column]
        if cell in contents:
            return True
        return cell != "" and (anything or (cell not in elsewhere and alike(cell) in forms))

    return test


def _range_test(column: str, wanted: NumberRange, reading: Reading) -> Callable[[Cells], bool]:
    columns = (column, wanted.minus) if wanted.minus else (column,)

    def test(cells: Cells) -> bool:
        found = [cells[name] for name in columns]
        if "" in found:
            return False
        first, *less = (reading.number(cell, (name,)) for cell, name in zip(found, columns, strict=True))
        difference = first - sum(less)
        return (wanted.at_least is None or difference >= wanted.at_least) and (
            wanted.at_most is None or difference <= wanted.at_most
        )

    return test
