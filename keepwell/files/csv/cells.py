"""A row of a table as a mapping sees it, and what can be wrong with one of its cells."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, Literal
from unicodedata import normalize


class MappingError(ValueError):
    """Mapping and tables do not fit each other, or one of them cannot be read; says where and what to change."""


class CellError(ValueError):
    """A cell cannot be turned into what the mapping asks for. Its words name the columns, never the cell's content."""

    def __init__(
        self, columns: tuple[str, ...], problem: str, asked: Literal["number", "moment"] | None = None, cell: str = ""
    ) -> None:
        super().__init__(problem)
        self.columns = columns
        self.problem = problem
        self.asked = asked
        """What the cell was to be, where another declared form may help."""
        self.cell = cell


class Cells:
    """The cells of one row, those of rows looked up among them, and what rules noticed while they read them."""

    __slots__ = ("_elsewhere", "_own", "doubts", "unnamed")

    def __init__(
        self, own: Mapping[str, str], elsewhere: Callable[[Mapping[str, str], str], str] | None = None
    ) -> None:
        self._own = own
        self._elsewhere = elsewhere
        self.doubts: dict[tuple[tuple[str, ...], str], None] = {}
        """Columns and sentence of every reading that another person might not share."""
        self.unnamed: set[tuple[str, str]] = set()
        """Columns with the contents that decide what becomes of the row, and that the mapping names nowhere."""

    def __getitem__(self, column: str) -> str:
        """The cell of a column, the empty text where there is none."""
        cell = self._own.get(column)
        if cell is not None:
            return cell
        return self._elsewhere(self._own, column) if self._elsewhere is not None else self._own[column]


Make = Callable[[Cells], Any]
"""Makes one value from a row; None where the cells it needs are empty."""

Constant = str | int | float | bool

_JOINT: Final = re.compile(r"(?<=[^\W_])[\s_\-\u00ad\u2010-\u2015\u2212]+(?=([^\W_]))")


@lru_cache(65536)
def alike(content: str) -> str:
    """What contents have in common that differ in case, surrounding blanks, or blanks, hyphens and underscores between
    letters alone.

    >>> alike("No-show") == alike(" no\\u00a0SHOW ") == alike("Noshow")
    True

    What a hyphen may mean with a digit, or at an end, stays:

    >>> [alike(content) for content in ("-1", "1-2", "12", "A-", "A")]
    ['-1', '1-2', '12', 'a-', 'a']
    """
    plain = normalize("NFKC", content).strip().casefold()
    return _JOINT.sub(lambda joint: "-" if joint[1].isdigit() else "", plain)
