"""How a clinic's own tables become events: the mapping, read from TOML and turned into functions of a row. Holds no code."""

from __future__ import annotations

import codecs
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import msgspec

from keepwell.contract.events import EVENT_TYPES
from keepwell.contract.refusal import misfit
from keepwell.files.csv.cells import Make, MappingError, alike
from keepwell.files.csv.conditions import (
    ANYTHING,
    ColumnContents,
    Condition,
    Conditions,
    NumberRange,
    Reading,
    columns_of_condition,
    contents_of,
)
from keepwell.files.csv.numbers import Decimal, NumberForm, Thousands
from keepwell.files.csv.values import Shared, Value, columns_of, value

OneCharacter = Annotated[str, msgspec.Meta(min_length=1, max_length=1)]

FILL_IN: Final = "<fill in: "
"""How a text begins that a draft leaves to a person; a mapping that still holds one is refused."""


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of file. With `key`, its rows can be looked up from other tables that have a column of that name."""

    file: str
    delimiter: OneCharacter | None = None
    quote: OneCharacter | None = None
    encoding: str | None = None
    decimal: Decimal | None = None
    thousands: Thousands | None = None
    empty: tuple[str, ...] = ()
    where: dict[str, Condition] = {}
    left_out: dict[str, Condition] = {}
    """Contents, by column, that no rule is meant to take."""
    key: str | None = None
    latest_by: str | None = None


class TableReader(NamedTuple):
    """A table with what its rows are read by."""

    table: Table
    reading: Reading
    passes: Conditions
    """Its `where`."""


class Rule(NamedTuple):
    """One event from one row, ready to be applied."""

    table: str
    first: bool
    """Whether only the earliest of the events that share an `id` is meant, such as the first of several last rows."""
    applies: Conditions
    make: Make
    columns: Mapping[str, tuple[str, ...]]
    """By JSON path of the event, the columns that it is made from; under `""` those that the conditions look at."""

    def columns_of(self, path: str) -> tuple[str, ...]:
        """The columns behind a place in the event; none where the mapping says nothing of it."""
        place = path.removesuffix("[...]")
        above = max((known for known in self.columns if known and place.startswith(known)), key=len, default=None)
        if above is not None:
            return self.columns[above]
        below = (used for known, used in self.columns.items() if known.startswith(place + "."))
        return tuple(dict.fromkeys(column for used in below for column in used))


class CsvMapping(NamedTuple):
    """A whole mapping."""

    tables: Mapping[str, TableReader]
    rules: tuple[Rule, ...]


def load_mapping(path: Path) -> CsvMapping:
    """Reads a mapping. Raises `MappingError` naming the place in the file and what to change."""
    try:
        raw = tomllib.loads(path.read_text("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MappingError(f"{path.name}: {error}") from error
    missing = list(_left_to_fill_in(raw, ""))
    if missing:
        raise MappingError(f"{path.name}: left to fill in: {'; '.join(missing)}")
    try:
        document = msgspec.convert(raw, _Document)
    except msgspec.ValidationError as error:
        raise MappingError(f"{path.name}: {misfit(error, _Document, raw)}") from error
    for name, table in document.tables.items():
        _check_table(name, table, document, path.name)
    for number, raw_rule in enumerate(document.events, start=1):
        if raw_rule.table not in document.tables:
            raise MappingError(f"{path.name}: events {number} ({raw_rule.table}): there is no table of that name")
    readings = {name: document.reading(name, f"{path.name}: ") for name in document.tables}
    return CsvMapping(
        {
            name: TableReader(table, readings[name], Conditions(table.where, reading=readings[name]))
            for name, table in document.tables.items()
        },
        tuple(
            _rule(raw_rule, document, readings[raw_rule.table], f"{path.name}: events {number} ({raw_rule.table})")
            for number, raw_rule in enumerate(document.events, start=1)
        ),
    )


class RawRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule as written. Every test of `where` must hold, and none of `unless`."""

    table: str
    type: str | dict[str, Any]
    id: str
    time: str | dict[str, Any]
    source: str | None = None
    subject: str | None = None
    data: dict[str, Any] = {}
    corrects: str | None = None
    where: dict[str, Condition] = {}
    unless: dict[str, Condition] = {}
    first: bool = False


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping as written. What stands at the top holds for every table and rule that does not say otherwise."""

    tables: dict[str, Table]
    events: list[RawRule]
    zone: str | None = None
    source: str | None = None
    subject: str | None = None
    decimal: Decimal | None = None
    thousands: Thousands | None = None
    maps: dict[str, dict[str, str | int | float | bool]] = {}

    def form(self, table: Table) -> NumberForm:
        """The form of a table's numbers: both marks from the table where it names one, else from the top."""
        at = table if table.decimal is not None or table.thousands is not None else self
        return NumberForm(at.decimal or ".", at.thousands)

    def reading(self, name: str, place: str) -> Reading:
        """How the rows of a table are read. Raises `MappingError`."""
        forms = {other: self.form(table) for other, table in self.tables.items()}
        rules = [rule for rule in self.events if rule.table == name]
        values = [one for rule in rules for one in _values_in([rule.type, rule.time, rule.data])]
        named: defaultdict[str, set[str]] = defaultdict(set)
        for tests in _conditions_on(self.tables[name], rules, values):
            for column, wanted in tests.items():
                named[column].update(contents_of(wanted))
        mapped: defaultdict[str, set[str]] = defaultdict(set)
        for one in values:
            columns = columns_of(one.text)
            if one.map is not None and len(columns) == 1:
                mapped[columns[0]].update(one.map_in(self.maps, place))
        opened = set(_opened(self.tables[name], rules))
        vocabularies = {
            column: ColumnContents(
                frozenset(contents), frozenset(map(alike, contents | mapped[column])), column in opened
            )
            for column, contents in named.items()
        }
        return Reading(name, forms, vocabularies)


def _conditions_on(
    table: Table, rules: Sequence[RawRule], values: Sequence[Value]
) -> Iterator[Mapping[str, Condition]]:
    yield table.where
    yield table.left_out
    for rule in rules:
        yield rule.where
        yield rule.unless
    for one in values:
        for case in one.cases or ():
            yield case.where


def _opened(table: Table, rules: Sequence[RawRule]) -> Iterator[str]:
    """The columns of which some rule takes contents that no condition names."""
    for tests in (table.where, *(rule.where for rule in rules)):
        for column, wanted in tests.items():
            if isinstance(wanted, NumberRange) or ANYTHING in contents_of(wanted):
                yield column
    for rule in rules:
        for column, unwanted in rule.unless.items():
            if column not in rule.where and ANYTHING not in contents_of(unwanted):
                yield column
    for column, contents in table.left_out.items():
        if ANYTHING in contents_of(contents):
            yield column


def _check_table(name: str, table: Table, document: _Document, file: str) -> None:
    place = f"{file}: tables.{name}"
    try:
        codecs.lookup(table.encoding or "utf-8")
    except LookupError as error:
        raise MappingError(f"{place}.encoding: {error}") from error
    form = document.form(table)
    if form.decimal == form.thousands:
        raise MappingError(f"{place}: decimal and thousands are the same mark, `{form.decimal}`; change one of them")
    for column in columns_of_condition(table.where):
        if column.partition(".")[0] in document.tables:
            raise MappingError(f"{place}.where can only look at the table's own columns")


def _left_to_fill_in(raw: Any, place: str) -> Iterator[str]:
    if isinstance(raw, str) and FILL_IN in raw:
        yield f"{place}: {raw[raw.index(FILL_IN) + len(FILL_IN) :].rstrip('>')}"
    elif isinstance(raw, dict):
        for name, part in raw.items():
            yield from _left_to_fill_in(part, f"{place}.{name}" if place else name)
    elif isinstance(raw, list):
        for number, part in enumerate(raw, start=1):
            yield from _left_to_fill_in(part, f"{place} {number}")


# ── a rule ──────────────────────────────────────────────────────────────────────────────────────────────


class _Builder(NamedTuple):
    """What the parts of one rule are made with, and the columns found while they are."""

    shared: Shared
    place: str
    columns: dict[str, tuple[str, ...]]

    def object(self, spec: Mapping[str, Any], path: str) -> Make:
        """The function that makes an object of an event. Raises `MappingError`."""
        members: list[tuple[str, Make]] = []
        for name, part in spec.items():
            below = f"{path}.{name}"
            if _is_object(part):
                members.append((name, self.object(part, below)))
            elif isinstance(part, bool | int | float):
                members.append((name, _constant(part)))
            elif isinstance(part, str | dict):
                make, self.columns[below] = value(part, self.shared, f"{self.place}: {below}")
                members.append((name, make))
            else:
                raise MappingError(f"{self.place}: {below} must be a text, a number, true or false, or a table")

        def build(cells: Any) -> dict[str, Any] | None:
            made = {name: content for name, make in members if (content := make(cells)) is not None}
            return made if made or path in ("$", "$.data") else None

        return build


def _rule(raw: RawRule, document: _Document, reading: Reading, place: str) -> Rule:
    applies = Conditions(raw.where, raw.unless, reading=reading)
    time = {"text": raw.time} if isinstance(raw.time, str) else raw.time
    parts: dict[str, Any] = {
        "type": raw.type,
        "id": raw.id,
        "source": raw.source or document.source,
        "subject": raw.subject or document.subject,
        "time": time | {"as": "time"},
        "corrects": raw.corrects,
        "data": raw.data,
    }
    given = {name: spec for name, spec in parts.items() if spec is not None}
    builder = _Builder(Shared(reading, document.zone, document.maps), place, {"": applies.columns})
    make = builder.object(given, "$")
    return Rule(
        table=raw.table,
        first=raw.first,
        applies=applies,
        make=lambda cells: {"specversion": "1.0", **_full_type(make(cells))},
        columns=builder.columns,
    )


def _full_type(event: dict[str, Any]) -> dict[str, Any]:
    """`session.attended` in a mapping is short for `keepwell.session.attended.v1`."""
    full = f"keepwell.{event.get('type')}.v1"
    return event | {"type": full} if full in EVENT_TYPES else event


def _is_object(part: Any) -> bool:
    """Whether a table in a rule is an object of the event, rather than a value."""
    return isinstance(part, dict) and not part.keys() & {"text", "cases"}


def _values_in(part: Any) -> Iterator[Value]:
    """The values in a part of a rule. One that is wrong is left out: building the rule refuses it, with its place."""
    if isinstance(part, list):
        for below in part:
            yield from _values_in(below)
    elif _is_object(part):
        for below in part.values():
            yield from _values_in(below)
    elif isinstance(part, dict):
        try:
            found = Value.written(part, "")
        except MappingError:
            return
        yield found
        yield from _values_in([*found.plus_days, *found.plus_minutes])


def _constant(number: bool | int | float) -> Make:
    return lambda _: number
