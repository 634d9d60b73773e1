"""One value from a row of a table: texts with columns in them, maps, numbers, bands, moments, and conditions on rows."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import isfinite
from typing import Any, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

Get = Callable[[str], str]
"""A row: gives the cell of a column, the empty text where there is none."""
Make = Callable[[Get], Any]
"""Makes one value from a row; None where the cells it needs are empty."""


Constant = str | int | float | bool


class MappingError(ValueError):
    """The mapping itself is wrong; says where and what to change."""


class CellError(ValueError):
    """A cell cannot be turned into what the mapping asks for. Names the columns, never the cell's content."""

    def __init__(self, columns: tuple[str, ...], problem: str) -> None:
        super().__init__(problem)
        self.columns = columns
        self.problem = problem


class Shared(NamedTuple):
    """What all values of a mapping share: the time zone, and maps by name."""

    zone: str | None
    maps: Mapping[str, Mapping[str, Constant]]


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A condition on a number: the cell, less the cell of `minus` where given, between the ends. Empty cells fail."""

    at_least: float | None = None
    at_most: float | None = None
    minus: str | None = None


Condition = str | list[str] | Range
"""A cell's content, one of several, or a range. `""` is an empty cell, `"*"` one that is not empty."""


def condition(tests: Mapping[str, Condition]) -> Callable[[Get], bool]:
    """Whether a row passes every test. Raises `CellError` where a range meets a cell that is no number."""
    ready = [(column, _test(column, wanted)) for column, wanted in tests.items()]
    return lambda get: all(test(get) for _, test in ready)


def columns_of_condition(tests: Mapping[str, Condition]) -> Iterator[str]:
    """The columns that a condition looks at."""
    for column, wanted in tests.items():
        yield column
        if isinstance(wanted, Range) and wanted.minus:
            yield wanted.minus


class _Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    where: dict[str, Condition]
    value: Constant


class _Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"as_": "as"}):
    text: str = ""
    cases: tuple[_Case, ...] | None = None
    as_: Literal["text", "number", "integer", "boolean", "time"] = "text"
    map: dict[str, Constant] | str | None = None
    otherwise: Constant | None = None
    bands: tuple[int, ...] | None = None
    format: str | None = None
    zone: str | None = None
    plus_days: tuple[float | str | dict[str, Any], ...] = ()
    plus_minutes: tuple[float | str | dict[str, Any], ...] = ()


# ── values ─────────────────────────────────────────────────────────────────────────────────────────────

_COLUMN: Final = re.compile(r"\{([^{}]+)\}")


def value(raw: str | dict[str, Any], shared: Shared, place: str) -> tuple[Make, tuple[str, ...]]:
    """The function that makes a value, and the columns it looks at. Raises `MappingError` naming `place`."""
    try:
        spec = _Value(raw) if isinstance(raw, str) else msgspec.convert(raw, _Value)
    except msgspec.ValidationError as error:
        raise MappingError(f"{place}: {error}") from error
    if spec.cases is not None:
        return _chosen(spec.cases, spec.otherwise)
    text, columns = _template(spec.text)
    if spec.as_ == "time":
        make, more = _time(spec, text, columns, shared, place)
        return make, columns + more
    if spec.map is not None:
        table = shared.maps.get(spec.map) if isinstance(spec.map, str) else spec.map
        if table is None:
            raise MappingError(f"{place}: there is no map of that name under [maps]")
        return _mapped(table, spec.otherwise, text, columns), columns
    if spec.bands is not None:
        return _banded(spec.bands, text, columns), columns
    convert = {"text": lambda cell, _: cell, "number": _number, "integer": _integer, "boolean": _boolean}[spec.as_]

    def make_plain(get: Get) -> Any:
        cell = text(get)
        return spec.otherwise if cell is None else convert(cell, columns)

    return make_plain, columns


def _template(template: str) -> tuple[Callable[[Get], str | None], tuple[str, ...]]:
    """A text with `{column}` in it. None where a column is empty, so that an optional member is left out."""
    columns = tuple(_COLUMN.findall(template))
    pieces = _COLUMN.split(template)

    def fill(get: Get) -> str | None:
        out = []
        for index, piece in enumerate(pieces):
            cell = get(piece) if index % 2 else piece
            if index % 2 and not cell:
                return None
            out.append(cell)
        return "".join(out)

    return fill, columns


def _chosen(cases: tuple[_Case, ...], otherwise: Constant | None) -> tuple[Make, tuple[str, ...]]:
    ready = [(condition(case.where), case.value) for case in cases]

    def make(get: Get) -> Any:
        return next((content for applies, content in ready if applies(get)), otherwise)

    return make, tuple(column for case in cases for column in columns_of_condition(case.where))


def _mapped(
    table: Mapping[str, Constant],
    otherwise: Constant | None,
    text: Callable[[Get], str | None],
    columns: tuple[str, ...],
) -> Make:
    def make(get: Get) -> Any:
        cell = text(get)
        if cell is not None and cell in table:
            return table[cell]
        if cell is not None and otherwise is None:
            raise CellError(columns, "the map has no entry for this content; add one, or `otherwise`")
        return otherwise

    return make


def _banded(starts: tuple[int, ...], text: Callable[[Get], str | None], columns: tuple[str, ...]) -> Make:
    """Bands from each start to below the next, named `18-24`, `65+`, `<18`, as fairness reports want them."""
    names = [
        f"<{starts[0]}",
        *(f"{low}-{high - 1}" for low, high in pairwise(starts)),
        f"{starts[-1]}+",
    ]

    def make(get: Get) -> str | None:
        cell = text(get)
        return None if cell is None else names[bisect_right(starts, _number(cell, columns))]

    return make


def _number(cell: str, columns: tuple[str, ...]) -> float:
    try:
        number = float(cell)
    except ValueError:
        number = float("nan")
    if not isfinite(number) or "_" in cell:
        raise CellError(columns, "not a number")
    return number


def _integer(cell: str, columns: tuple[str, ...]) -> int:
    number = _number(cell, columns)
    if not number.is_integer():
        raise CellError(columns, "not a whole number")
    return int(number)


def _boolean(cell: str, columns: tuple[str, ...]) -> bool:
    meaning = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(cell.lower())
    if meaning is None:
        raise CellError(columns, "not true/false, yes/no or 1/0; use a `map`")
    return meaning


def _test(column: str, wanted: Condition) -> Callable[[Get], bool]:
    if isinstance(wanted, Range):
        return _range_test(column, wanted)
    contents = frozenset([wanted] if isinstance(wanted, str) else wanted)
    anything = "*" in contents
    return lambda get: (cell := get(column)) in contents or (anything and cell != "")


def _range_test(column: str, wanted: Range) -> Callable[[Get], bool]:
    def test(get: Get) -> bool:
        cells = [get(column), get(wanted.minus) if wanted.minus else "0"]
        if "" in cells:
            return False
        difference = _number(cells[0], (column,)) - _number(cells[1], (wanted.minus or column,))
        return (wanted.at_least is None or difference >= wanted.at_least) and (
            wanted.at_most is None or difference <= wanted.at_most
        )

    return test


# ── a moment ────────────────────────────────────────────────────────────────────────────────────────────


def _time(
    spec: _Value, text: Callable[[Get], str | None], columns: tuple[str, ...], shared: Shared, place: str
) -> tuple[Make, tuple[str, ...]]:
    """A moment from a text, moved by days (of the calendar, in its zone) and minutes (of the clock)."""
    zone = spec.zone or shared.zone
    try:
        tz = ZoneInfo(zone) if zone else None
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise MappingError(f"{place}: there is no time zone of the name given as `zone`") from error
    days = [value(part, shared, place) for part in _as_numbers(spec.plus_days)]
    minutes = [value(part, shared, place) for part in _as_numbers(spec.plus_minutes)]
    more = tuple(column for _, used in (*days, *minutes) for column in used)

    def make(get: Get) -> str | None:
        cell = text(get)
        shifts = [[part(get) for part, _ in parts] for parts in (days, minutes)]
        if cell is None or None in shifts[0] + shifts[1]:
            return None
        moment = _moment(cell, spec.format, columns)
        try:
            moment += timedelta(days=sum(shifts[0]))
            if moment.tzinfo is None:
                if tz is None:
                    raise CellError(columns, "the moment has no offset; set `zone`")
                moment = moment.replace(tzinfo=tz)
            return (moment.astimezone(UTC) + timedelta(minutes=sum(shifts[1]))).isoformat()
        except (OverflowError, ValueError) as error:
            if isinstance(error, CellError):
                raise
            raise CellError(columns + more, "the moment lies outside of what a calendar holds") from None

    return make, more


def _as_numbers(parts: tuple[float | str | dict[str, Any], ...]) -> Iterator[dict[str, Any]]:
    for part in parts:
        if isinstance(part, dict):
            yield {"as": "number"} | part
        else:
            yield {"text": str(part), "as": "number"}


def _moment(cell: str, form: str | None, columns: tuple[str, ...]) -> datetime:
    try:
        return datetime.strptime(cell, form) if form else datetime.fromisoformat(cell)
    except ValueError:
        raise CellError(columns, f"not a moment of the form {form or 'ISO 8601'}") from None
