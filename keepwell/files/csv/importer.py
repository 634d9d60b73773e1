"""A clinic's own tables to events of the contract, in the order of time; every row that cannot be one is named."""

from __future__ import annotations

import csv
import gzip
import io
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from fnmatch import fnmatch
from heapq import merge
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, cast

import msgspec

from keepwell.care.instruments import Instruments
from keepwell.contract.decode import decode
from keepwell.contract.events import AnyEvent, decode_accepted, encode, micros
from keepwell.contract.refusal import Refusal
from keepwell.files.csv.mapping import CsvMapping, Rule, Table
from keepwell.files.csv.values import CellError, Get, MappingError, columns_of_condition, condition

Opener = Callable[[Path], IO[bytes]]
"""Opens a file for reading, in bytes; a caller may count them."""

_RUN: Final = 200_000
"""Events sorted in memory at a time (about 100 MB); longer imports are merged from sorted files."""


class Problem(NamedTuple):
    """A row that did not become an event. Holds no content of the row."""

    file: str
    line: int
    columns: tuple[str, ...]
    detail: str

    def __str__(self) -> str:
        column = f" column {', '.join(f'`{name}`' for name in self.columns)}:" if self.columns else ""
        return f"{self.file}:{self.line}:{column} {self.detail}"


class Summary(msgspec.Struct):
    """What an import did. `unused` are rows of tables with rules that no rule took; `repeats` share an id and a meaning
    with an earlier event, and were left out."""

    rows: int = 0
    unused: int = 0
    events: int = 0
    repeats: int = 0
    problems: int = 0
    types: dict[str, int] = {}


def import_csv(
    mapping: CsvMapping,
    files: Sequence[Path],
    out: Path,
    *,
    instruments: Instruments,
    on_problem: Callable[[Problem], None],
    strict: bool = False,
    open_file: Opener = lambda path: path.open("rb"),
) -> Summary:
    """Writes the events of `files` to `out` as JSON lines, sorted by time, and says what came of the rows.

    `out` is replaced at the end or not at all: with `strict`, not where there was a problem. The same files and mapping
    give the same bytes. Raises `MappingError` where files, tables and columns do not fit each other.
    """
    importer = _Import(mapping, _assign(mapping, files), instruments, on_problem, open_file)
    partial = out.with_name(out.name + ".partial")
    try:
        with partial.open("wb") as target:
            importer.write(target)
        if not (strict and importer.summary.problems):
            partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return importer.summary


def _assign(mapping: CsvMapping, files: Sequence[Path]) -> dict[str, list[Path]]:
    """The files of each table, by name; every file and every table must have its other."""
    by_name = sorted(files, key=lambda path: (path.name, path))
    found = {
        name: [path for path in by_name if fnmatch(path.name, table.file)] for name, table in mapping.tables.items()
    }
    for name, paths in found.items():
        if not paths:
            raise MappingError(f"table {name}: none of the files given is named `{mapping.tables[name].file}`")
    for path in by_name:
        if not any(path in paths for paths in found.values()):
            raise MappingError(f"{path.name}: no table of the mapping has a file of this name")
    return found


class _Row(NamedTuple):
    path: Path
    line: int
    cells: Mapping[str, str]


class _Import:
    """One import: reads tables, applies rules, sorts, and leaves out repeats."""

    def __init__(
        self,
        mapping: CsvMapping,
        files: Mapping[str, Sequence[Path]],
        instruments: Instruments,
        on_problem: Callable[[Problem], None],
        open_file: Opener,
    ) -> None:
        self.summary = Summary()
        self._mapping = mapping
        self._files = files
        self._instruments = instruments
        self._on_problem = on_problem
        self._open = open_file
        self._lookups: dict[str, dict[str, Mapping[str, str]]] = {}
        self._now = datetime.now(UTC)

    def write(self, target: IO[bytes]) -> None:
        for name, table in self._mapping.tables.items():
            if table.key is not None:
                self._lookups[name] = self._lookup(name, table, table.key)
        types: Counter[str] = Counter()
        with ExitStack() as stack:
            for event in self._without_repeats(_sorted(self._entries(), stack)):
                target.write(encode(event) + b"\n")
                types[event.type] += 1
        self.summary.events = types.total()
        self.summary.types = dict(sorted(types.items()))

    def _problem(self, row: _Row, columns: tuple[str, ...], detail: str) -> None:
        self.summary.problems += 1
        self._on_problem(Problem(row.path.name, row.line, columns, detail))

    # ── rows to events ──────────────────────────────────────────────────────────────────────────────────

    def _entries(self) -> Iterator[bytes]:
        """Every event as one line that sorts by time, then by rule, file and row."""
        for name in self._mapping.tables:
            rules = [(number, rule) for number, rule in enumerate(self._mapping.rules) if rule.table == name]
            if not rules:
                continue
            needed = [column for _, rule in rules for used in rule.columns.values() for column in used]
            for number, row in self._rows(name, needed):
                self.summary.rows += 1
                taken = False
                for place, rule in rules:
                    event = self._apply(rule, row)
                    taken = taken or event is not None
                    if isinstance(event, msgspec.Struct):
                        order = b"%020d %06d %06d %012d " % (micros(event.time), place, number, row.line)
                        yield order + encode(event) + b"\n"
                self.summary.unused += not taken

    def _apply(self, rule: Rule, row: _Row) -> AnyEvent | Problem | None:
        """The event of a rule, None where the rule is not for this row, or the problem, which was told already."""
        get = self._getter(row.cells)
        try:
            if not rule.matches(get):
                return None
            made = rule.make(get)
        except CellError as error:
            return self._told(row, error.columns, error.problem)
        outcome = decode(msgspec.json.encode(made), now=self._now, instruments=self._instruments)
        if isinstance(outcome, Refusal):
            return self._told(row, rule.columns_of(outcome.path), f"{outcome.path}: {outcome.detail}")
        if outcome.unknown:
            return self._told(
                row, (), "the mapping gives `data` a member that the contract does not have for this type"
            )
        return outcome.event

    def _told(self, row: _Row, columns: tuple[str, ...], detail: str) -> Problem:
        self._problem(row, columns, detail)
        return Problem(row.path.name, row.line, columns, detail)

    def _getter(self, cells: Mapping[str, str]) -> Get:
        def get(column: str) -> str:
            cell = cells.get(column)
            if cell is not None:
                return cell
            table, _, name = column.partition(".")
            other = self._lookups[table].get(cells[cast(str, self._mapping.tables[table].key)])
            return other[name] if other else ""

        return get

    def _without_repeats(self, entries: Iterable[bytes]) -> Iterator[AnyEvent]:
        seen: dict[tuple[str, str], int] = {}
        for entry in entries:
            _, place, number, line, value = entry.split(b" ", 4)
            event = decode_accepted(value)
            identity, meaning = (event.source, event.id), hash(value)
            rule = self._mapping.rules[int(place)]
            if identity not in seen:
                seen[identity] = meaning
                yield event
            elif rule.first or seen[identity] == meaning:
                self.summary.repeats += 1
            else:
                row = _Row(self._files[rule.table][int(number)], int(line), {})
                self._problem(row, rule.columns_of("$.id"), "another row makes a different event of the same `id`")

    # ── files to rows ───────────────────────────────────────────────────────────────────────────────────

    def _lookup(self, name: str, table: Table, key: str) -> dict[str, Mapping[str, str]]:
        found: dict[str, Mapping[str, str]] = {}
        told_later = any(rule.table == name for rule in self._mapping.rules)
        needed = [key, *([table.latest_by] if table.latest_by else [])]
        for _, row in self._rows(name, needed, tell=not told_later):
            former = found.get(row.cells[key])
            if former is None:
                found[row.cells[key]] = row.cells
            elif table.latest_by is None:
                self._problem(row, (key,), "another row has this key; set `where` or `latest_by` on the table")
            elif _order(row.cells[table.latest_by]) > _order(former[table.latest_by]):
                found[row.cells[key]] = row.cells
        return found

    def _rows(self, name: str, needed: Iterable[str], tell: bool = True) -> Iterator[tuple[int, _Row]]:
        """The rows of a table that pass its `where`, each with the number of its file. Tells of rows that are damaged."""
        table = self._mapping.tables[name]
        passes = condition(table.where)
        wanted = {*needed, *columns_of_condition(table.where)}
        for number, path in enumerate(self._files[name]):
            for row, damage in self._read(path, table, wanted):
                try:
                    if damage:
                        raise CellError((), damage)
                    if passes(row.cells.__getitem__):
                        yield number, row
                except CellError as error:
                    if tell:
                        self._problem(row, error.columns, error.problem)

    def _read(self, path: Path, table: Table, wanted: set[str]) -> Iterator[tuple[_Row, str]]:
        """Every row, with what is wrong with it as a row (empty: nothing)."""
        with self._open(path) as raw:
            unpacked = cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if path.suffix == ".gz" else raw
            text = io.TextIOWrapper(unpacked, table.encoding, newline="")
            reader = csv.reader(text, delimiter=table.delimiter, strict=True)
            try:
                header = next(reader, [])
                self._check_header(path, header, wanted)
                for cells in filter(None, reader):
                    plain = ("" if cell in table.empty else cell for cell in cells)
                    row = _Row(path, reader.line_num, dict(zip(header, plain, strict=False)))
                    fits = len(cells) == len(header)
                    yield row, "" if fits else f"the row has {len(cells)} cells, the header {len(header)}"
            except (csv.Error, UnicodeDecodeError, EOFError, OSError) as error:
                what = "not in the table's encoding" if isinstance(error, UnicodeDecodeError) else str(error)
                raise MappingError(f"{path.name}: after line {reader.line_num}: {what}") from error

    def _check_header(self, path: Path, header: Sequence[str], wanted: set[str]) -> None:
        tables = self._mapping.tables
        for column in sorted(wanted):
            if header.count(column) > 1:
                raise MappingError(f"{path.name}: has more than one column `{column}`")
        for column in sorted(wanted - set(header)):
            other, _, _ = column.partition(".")
            key = tables[other].key if other in tables else None
            if key is None:
                raise MappingError(f"{path.name}: has no column `{column}`, which the mapping uses")
            if key not in header:
                raise MappingError(f"{path.name}: has no column `{key}` to look up `{column}` by")
            looked_up = next(iter(self._lookups.get(other, {}).values()), {column.partition(".")[2]: ""})
            if column.partition(".")[2] not in looked_up:
                raise MappingError(f"{path.name}: table {other} has no column to look up as `{column}`")


def _order(cell: str) -> tuple[int, float, str]:
    """Numbers by size, then other texts by their letters; empty cells first."""
    try:
        return (1, float(cell), "")
    except ValueError:
        return (2 if cell else 0, 0.0, cell)


def _sorted(entries: Iterator[bytes], stack: ExitStack) -> Iterator[bytes]:
    """The entries in order. What does not fit in memory is sorted in parts, kept in nameless files, and merged."""
    runs: list[Any] = []
    run: list[bytes] = []
    for entry in entries:
        run.append(entry)
        if len(run) == _RUN:
            runs.append(_spill(sorted(run), stack))
            run = []
    run.sort()
    yield from merge(*runs, run)


def _spill(run: Sequence[bytes], stack: ExitStack) -> IO[bytes]:
    file = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  # the stack closes it
    file.writelines(run)
    file.seek(0)
    return file
