"""Numbers as offices write them: read by a declared form, never by guessing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from math import isfinite
from typing import Final, Literal, NamedTuple

Decimal = Literal[".", ","]
Thousands = Literal[".", ",", " ", "'"]


class NumberForm(NamedTuple):
    """The marks of a table's numbers. A blank stands for every kind of blank, an apostrophe for the curly one too."""

    decimal: Decimal = "."
    thousands: Thousands | None = None

    def read(self, cell: str) -> float | None:
        """The number; None where the cell is none of this form, or not finite.

        >>> NumberForm(",", ".").read("1.234,5")
        1234.5
        >>> NumberForm(",", ".").read("34.6") is None
        True
        """
        if cell.isdecimal() and cell.isascii():
            return float(cell)
        match = _pattern(self).fullmatch(cell.strip())
        if match is None:
            return None
        whole = re.sub(r"\D", "", match["whole"])
        number = float(
            f"{'-' if match['sign'] in _MINUS else ''}{whole or 0}.{match['part'] or 0}{match['power'] or ''}"
        )
        return number if isfinite(number) else None

    @property
    def example(self) -> str:
        """A number as it looks in this form."""
        return f"1{self.thousands or ''}234{self.decimal}5"

    @property
    def lines(self) -> list[str]:
        """The form as a mapping declares it."""
        marks = {
            "decimal": self.decimal if self.decimal != "." or not self.thousands else None,
            "thousands": self.thousands,
        }
        return [f'{name} = "{mark}"' for name, mark in marks.items() if mark]


PLAIN: Final = NumberForm()
"""Where a mapping declares nothing."""

FORMS: Final[tuple[NumberForm, ...]] = (
    PLAIN, NumberForm(","), NumberForm(",", "."), NumberForm(",", " "), NumberForm(",", "'"), NumberForm(".", ","),
    NumberForm(".", " "), NumberForm(".", "'"),
)  # fmt: skip
"""Every form that can be declared, but for a decimal comma or point twice; the simplest first."""


def likely_forms(cells: Iterable[str]) -> list[NumberForm]:
    """The simplest forms that read every one of some cells: none, one, or several where the cells do not tell.

    >>> [form.lines for form in likely_forms(["34,6", "7"])]
    [['decimal = ","']]
    >>> [form.lines for form in likely_forms(["1,234"])]
    [['decimal = ","'], ['thousands = ","']]
    """
    kept = set(cells)
    found: list[tuple[NumberForm, list[float]]] = []
    for form in FORMS:
        numbers = [number for cell in sorted(kept) if (number := form.read(cell)) is not None]
        if len(numbers) == len(kept) and all(numbers != others for _, others in found):
            found.append((form, numbers))
    return [form for form, _ in found] if kept else []


_MINUS: Final = ("-", "\u2212")
_GROUPS: Final = {".": r"\.", ",": ",", " ": "[ \u00a0\u2009\u202f]", "'": "['\u2019]"}


@lru_cache
def _pattern(form: NumberForm) -> re.Pattern[str]:
    grouped = rf"[0-9]{{1,3}}(?:{_GROUPS[form.thousands]}[0-9]{{3}})+|" if form.thousands else ""
    return re.compile(
        rf"(?P<sign>[+\-\u2212]?)(?={re.escape(form.decimal)}?[0-9])(?P<whole>{grouped}[0-9]*)"
        rf"(?:{re.escape(form.decimal)}(?P<part>[0-9]*))?(?P<power>[eE][+\-]?[0-9]+)?"
    )
