"""How a clinic's own tables become events: the mapping, read from TOML and turned into functions of a row. Holds no code."""

from __future__ import annotations

import codecs
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec

from keepwell.contract.events import EVENT_TYPES
from keepwell.files.csv.values import Condition, Get, Make, MappingError, Shared, columns_of_condition, condition, value


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of file. With `key`, its rows can be looked up from other tables that have a column of that name."""

    file: str
    delimiter: Annotated[str, msgspec.Meta(min_length=1, max_length=1)] = ","
    encoding: str = "utf-8-sig"
    empty: tuple[str, ...] = ()
    where: dict[str, Condition] = {}
    key: str | None = None
    latest_by: str | None = None


class Rule(NamedTuple):
    """One event from one row, ready to be applied."""

    table: str
    first: bool
    """Whether only the earliest of the events that share an `id` is meant, such as the first of several last rows."""
    matches: Callable[[Get], bool]
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

    tables: Mapping[str, Table]
    rules: tuple[Rule, ...]


def load_mapping(path: Path) -> CsvMapping:
    """Reads a mapping. Raises `MappingError` naming the place in the file and what to change."""
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MappingError(f"{path.name}: {error}") from error
    try:
        document = msgspec.convert(raw, _Document)
    except msgspec.ValidationError as error:
        raise MappingError(f"{path.name}: {error}") from error
    for name, table in document.tables.items():
        try:
            codecs.lookup(table.encoding)
        except LookupError as error:
            raise MappingError(f"{path.name}: tables.{name}.encoding: {error}") from error
        for column in columns_of_condition(table.where):
            if column.partition(".")[0] in document.tables:
                raise MappingError(f"{path.name}: tables.{name}.where can only look at the table's own columns")
    rules = []
    for number, raw_rule in enumerate(document.events, start=1):
        place = f"{path.name}: events {number} ({raw_rule.table})"
        if raw_rule.table not in document.tables:
            raise MappingError(f"{place}: there is no table of that name")
        rules.append(_rule(raw_rule, document, place))
    return CsvMapping(document.tables, tuple(rules))


class _RawRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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
    """A mapping as written. `source`, `subject` and `zone` hold for every rule that does not name its own."""

    tables: dict[str, Table]
    events: list[_RawRule]
    zone: str | None = None
    source: str | None = None
    subject: str | None = None
    maps: dict[str, dict[str, str | int | float | bool]] = {}


# ── a rule ──────────────────────────────────────────────────────────────────────────────────────────────


def _rule(raw: _RawRule, document: _Document, place: str) -> Rule:
    looked_at = (*columns_of_condition(raw.where), *columns_of_condition(raw.unless))
    columns: dict[str, tuple[str, ...]] = {"": looked_at}
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
    make = _object(given, "$", columns, Shared(document.zone, document.maps), place)
    wanted = condition(raw.where)
    unwanted = [condition({column: test}) for column, test in raw.unless.items()]
    return Rule(
        table=raw.table,
        first=raw.first,
        matches=lambda get: wanted(get) and not any(test(get) for test in unwanted),
        make=lambda get: {"specversion": "1.0", **_full_type(make(get))},
        columns=columns,
    )


def _full_type(event: dict[str, Any]) -> dict[str, Any]:
    """`session.attended` in a mapping is short for `keepwell.session.attended.v1`."""
    full = f"keepwell.{event.get('type')}.v1"
    return event | {"type": full} if full in EVENT_TYPES else event


def _object(
    spec: Mapping[str, Any], path: str, columns: dict[str, tuple[str, ...]], shared: Shared, place: str
) -> Make:
    members: list[tuple[str, Make]] = []
    for name, part in spec.items():
        below = f"{path}.{name}"
        if isinstance(part, dict) and not part.keys() & {"text", "cases"}:
            members.append((name, _object(part, below, columns, shared, place)))
        elif isinstance(part, bool | int | float):
            members.append((name, _constant(part)))
        elif isinstance(part, str | dict):
            make, columns[below] = value(part, shared, f"{place}: {below}")
            members.append((name, make))
        else:
            raise MappingError(f"{place}: {below} must be a text, a number, true or false, or a table")

    def build(get: Get) -> dict[str, Any] | None:
        made = {name: content for name, make in members if (content := make(get)) is not None}
        return made if made or path in ("$", "$.data") else None

    return build


def _constant(number: bool | int | float) -> Make:
    return lambda _: number
