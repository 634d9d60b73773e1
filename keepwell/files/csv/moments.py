"""Moments as offices write them: read by a declared format and zone, and told where the clocks make a time doubtful."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import product
from typing import Final
from zoneinfo import ZoneInfo

from keepwell.files.csv.cells import CellError

ISO: Final = "ISO 8601"
"""What is said for no format at all."""

_DAYS: Final = (
    "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%y", "%d/%m/%y",
    "%m/%d/%y", "%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%B %d, %Y",
)  # fmt: skip
_HOURS: Final = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", ", %H:%M", "T%H:%M", "T%H:%M:%S")
_FORMATS: Final = (None, *("".join(parts) for parts in product(_DAYS, _HOURS)))
_SERIAL: Final = re.compile(r"[2-7]\d{4}(?:[.,]\d+)?")
"""Day numbers of spreadsheets from 1954 to 2118, with the time of day as a fraction."""


def read(cell: str, form: str | None, columns: tuple[str, ...]) -> datetime:
    """The moment in a cell, by `strptime`'s format or ISO 8601; naive where it has no offset. Raises `CellError`."""
    try:
        return datetime.strptime(cell, form) if form else datetime.fromisoformat(cell)
    except ValueError:
        problem = f"not a moment of the form {form or ISO}"
        if _SERIAL.fullmatch(cell.strip()):
            problem += (
                "; it looks like a day number of a spreadsheet: export the column as a date, or write "
                '`{ text = "1899-12-30T00:00", plus_days = ["{column}"] }`'
            )
            raise CellError(columns, problem) from None
        raise CellError(columns, problem, "moment", cell) from None


def placed(local: datetime, zone: ZoneInfo) -> tuple[datetime, str]:
    """A local time in its zone, and a sentence where the clocks were changed there, so that it is none or two moments.

    The reading is the one by the clock before the change: of two moments, the first.

    >>> placed(datetime(2026, 3, 29, 1, 30), ZoneInfo("Europe/London"))[1]
    'this time does not exist in Europe/London, where the clocks skip it; read as 2026-03-29T02:30+01:00'
    """
    first, second = (local.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return first, ""
    reading = first.astimezone(UTC).astimezone(zone)
    taken = reading.isoformat(timespec="minutes")
    if reading.replace(tzinfo=None, fold=0) == local:
        return first, f"this time occurs twice in {zone.key}, where the clocks go back; read as the first, {taken}"
    return first, f"this time does not exist in {zone.key}, where the clocks skip it; read as {taken}"


def likely_formats(cells: Iterable[str]) -> list[str | None]:
    """The formats that read every one of some cells; None is ISO 8601. Several where the cells do not tell them apart.

    >>> likely_formats(["03.03.2026 14:00"]), likely_formats(["02/03/2026", "13/03/2026"])
    (['%d.%m.%Y %H:%M'], ['%d/%m/%Y'])
    >>> likely_formats(["02/03/2026"])
    ['%d/%m/%Y', '%m/%d/%Y']
    """
    found: list[str | None] = []
    kept = set(cells)
    for form in _FORMATS if kept else ():
        try:
            for cell in kept:
                read(cell, form, ())
        except CellError:
            continue
        found.append(form)
    return found
