"""One value from a row of a table: texts with columns in them, maps, numbers, bands and moments."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, timedelta
from itertools import pairwise
from typing import Any, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from keepwell.contract.refusal import misfit
from keepwell.files.csv import moments
from keepwell.files.csv.cells import CellError, Cells, Constant, Make, MappingError, alike
from keepwell.files.csv.conditions import Condition, Conditions, Reading

Text = Callable[[Cells], str | None]


class Shared(NamedTuple):
    """What all values of a rule share: how cells are read, the time zone, and maps by name."""

    reading: Reading
    zone: str | None
    maps: Mapping[str, Mapping[str, Constant]]


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value for rows of some kind."""

    where: dict[str, Condition]
    value: Constant


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"as_": "as"}):
    """A value as a mapping writes it."""

    text: str = ""
    cases: tuple[Case, ...] | None = None
    as_: Literal["text", "number", "integer", "boolean", "time"] = "text"
    map: dict[str, Constant] | str | None = None
    otherwise: Constant | None = None
    bands: tuple[int, ...] | None = None
    format: str | None = None
    zone: str | None = None
    plus_days: tuple[float | str | dict[str, Any], ...] = ()
    plus_minutes: tuple[float | str | dict[str, Any], ...] = ()

    @classmethod
    def written(cls, raw: str | dict[str, Any], place: str) -> Value:
        """Raises `MappingError` naming `place`."""
        try:
            return cls(raw) if isinstance(raw, str) else msgspec.convert(raw, cls)
        except msgspec.ValidationError as error:
            raise MappingError(f"{place}{misfit(error, cls, raw).removeprefix('$')}") from error

    def map_in(self, maps: Mapping[str, Mapping[str, Constant]], place: str) -> Mapping[str, Constant]:
        """The map that it names, or holds; empty without one. Raises `MappingError`."""
        found = maps.get(self.map) if isinstance(self.map, str) else self.map or {}
        if found is None:
            raise MappingError(f"{place}: there is no map of that name under [maps]")
        return found


def value(raw: str | dict[str, Any], shared: Shared, place: str) -> tuple[Make, tuple[str, ...]]:
    """The function that makes a value, and the columns it looks at. Raises `MappingError` naming `place`."""
    spec = Value.written(raw, place)
    constants = [spec.otherwise, *(case.value for case in spec.cases or ()), *spec.map_in(shared.maps, place).values()]
    for constant in constants:
        if isinstance(constant, str) and ("{" in constant or "}" in constant):
            raise MappingError(
                f"{place}: `{constant}` is taken as it stands; columns in braces are filled in in `text` only"
            )
    if spec.cases is not None:
        return _chosen(spec.cases, spec.otherwise, shared)
    text, columns = _template(spec.text, place)
    if spec.as_ == "time":
        make, more = _time(spec, text, columns, shared, place)
        return make, columns + more
    if spec.map is not None:
        return _mapped(spec.map_in(shared.maps, place), spec.otherwise, text, columns), columns
    if spec.bands is not None:
        return _banded(spec.bands, text, columns, shared.reading), columns
    read = _reader(spec.as_, columns, shared.reading)

    def read_cell(cells: Cells) -> Any:
        cell = text(cells)
        return spec.otherwise if cell is None else read(cell)

    return read_cell, columns


def columns_of(template: str) -> tuple[str, ...]:
    """The columns in a text."""
    return tuple(_COLUMN.findall(template))


_COLUMN: Final = re.compile(r"\{([^{}]+)\}")


def _template(template: str, place: str) -> tuple[Text, tuple[str, ...]]:
    """A text with `{column}` in it. None where a column is empty, so that an optional member is left out."""
    pieces = _COLUMN.split(template)
    for piece in pieces[::2]:
        if "{" in piece or "}" in piece:
            what = "closed" if "{" in piece else "opened"
            raise MappingError(
                f"{place}: `{template}` has a brace that is not {what} around a column's name; write {{column}}"
            )

    def fill(cells: Cells) -> str | None:
        out = []
        for index, piece in enumerate(pieces):
            cell = cells[piece] if index % 2 else piece
            if index % 2 and not cell:
                return None
            out.append(cell)
        return "".join(out)

    return fill, tuple(pieces[1::2])


def _reader(kind: str, columns: tuple[str, ...], reading: Reading) -> Callable[[str], Any]:
    def integer(cell: str) -> int:
        number = reading.number(cell, columns)
        if not number.is_integer():
            raise CellError(columns, "not a whole number")
        return int(number)

    def boolean(cell: str) -> bool:
        meaning = _BOOLEANS.get(alike(cell))
        if meaning is None:
            raise CellError(columns, "not true/false, yes/no or 1/0; use a `map`")
        return meaning

    readers: dict[str, Callable[[str], Any]] = {
        "number": lambda cell: reading.number(cell, columns),
        "integer": integer,
        "boolean": boolean,
    }
    return readers.get(kind, lambda cell: cell)


_BOOLEANS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _chosen(cases: tuple[Case, ...], otherwise: Constant | None, shared: Shared) -> tuple[Make, tuple[str, ...]]:
    ready = [(Conditions(case.where, reading=shared.reading), case.value) for case in cases]

    def make(cells: Cells) -> Any:
        for conditions, content in ready:
            if conditions.hold(cells):
                return content
        if otherwise is None:
            cells.unnamed.update(told for conditions, _ in ready for told in conditions.unnamed(cells))
        return otherwise

    return make, tuple(column for conditions, _ in ready for column in conditions.columns)


def _mapped(table: Mapping[str, Constant], otherwise: Constant | None, text: Text, columns: tuple[str, ...]) -> Make:
    """By the content as it stands, else by the one key that is alike."""
    by_form: dict[str, list[Constant]] = {}
    for key, content in table.items():
        by_form.setdefault(alike(key), []).append(content)

    def make(cells: Cells) -> Any:
        cell = text(cells)
        if cell is None:
            return otherwise
        if cell in table:
            return table[cell]
        found = by_form.get(alike(cell), [])
        if len(found) == 1:
            return found[0]
        if otherwise is None:
            if len(columns) == 1:
                cells.unnamed.add((columns[0], cell))
            raise CellError(columns, "the map has no entry for this content; add one, or `otherwise`")
        return otherwise

    return make


def _banded(starts: tuple[int, ...], text: Text, columns: tuple[str, ...], reading: Reading) -> Make:
    """Bands from each start to below the next, named `18-24`, `65+`, `<18`, as fairness reports want them."""
    names = [
        f"<{starts[0]}",
        *(f"{low}-{high - 1}" for low, high in pairwise(starts)),
        f"{starts[-1]}+",
    ]

    def make(cells: Cells) -> str | None:
        cell = text(cells)
        return None if cell is None else names[bisect_right(starts, reading.number(cell, columns))]

    return make


# ── a moment ────────────────────────────────────────────────────────────────────────────────────────────


def _time(
    spec: Value, text: Text, columns: tuple[str, ...], shared: Shared, place: str
) -> tuple[Make, tuple[str, ...]]:
    """A moment from a text, moved by days (of the calendar, in its zone) and minutes (of the clock)."""
    zone = _zone(spec.zone or shared.zone, place)
    days = [value(part, shared, place) for part in _as_numbers(spec.plus_days)]
    minutes = [value(part, shared, place) for part in _as_numbers(spec.plus_minutes)]
    more = tuple(column for _, used in (*days, *minutes) for column in used)

    def make(cells: Cells) -> str | None:
        cell = text(cells)
        shifts = [[part(cells) for part, _ in parts] for parts in (days, minutes)]
        if cell is None or None in shifts[0] + shifts[1]:
            return None
        moment = moments.read(cell, spec.format, columns)
        try:
            moment += timedelta(days=sum(shifts[0]))
            if moment.tzinfo is None:
                if zone is None:
                    raise CellError(columns, "the moment has no offset; set `zone`")
                moment, doubt = moments.placed(moment, zone)
                if doubt:
                    cells.doubts[columns + more, doubt] = None
            return (moment.astimezone(UTC) + timedelta(minutes=sum(shifts[1]))).isoformat()
        except (OverflowError, ValueError) as error:
            if isinstance(error, CellError):
                raise
            raise CellError(columns + more, "the moment lies outside of what a calendar holds") from None

    return make, more


def _zone(name: str | None, place: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise MappingError(f"{place}: there is no time zone of the name given as `zone`") from error


def _as_numbers(parts: tuple[float | str | dict[str, Any], ...]) -> Iterator[dict[str, Any]]:
    for part in parts:
        if isinstance(part, dict):
            yield {"as": "number"} | part
        else:
            yield {"text": str(part), "as": "number"}
