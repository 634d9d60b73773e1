"""A clinic's own tables to events of the contract, in the order of time; every row that cannot be one is named."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from fnmatch import fnmatch
from heapq import merge
from pathlib import Path
from typing import IO, Any, Final, Literal, NamedTuple, cast

import msgspec

from keepwell.care.instruments import Instruments
from keepwell.contract.decode import decode
from keepwell.contract.events import AnyEvent, decode_accepted, encode, micros
from keepwell.contract.refusal import Refusal
from keepwell.files.csv.cells import CellError, Cells, MappingError
from keepwell.files.csv.findings import Findings, Unmatched
from keepwell.files.csv.mapping import CsvMapping, Rule, Table
from keepwell.files.csv.numbers import NumberForm
from keepwell.files.csv.tables import Opener, Row, TableFile, named

_RUN: Final = 200_000
"""Events sorted in memory at a time (about 100 MB); longer imports are merged from sorted files."""


class RowProblem(NamedTuple):
    """A row that did not become an event, or, as a `doubt`, one whose event rests on a reading that may be another.

    Holds no content of the row, but for the moment that was read where the clocks make it doubtful.
    """

    file: str
    line: int
    columns: tuple[str, ...]
    detail: str
    doubt: bool = False

    def __str__(self) -> str:
        column = f" column {', '.join(f'`{name}`' for name in self.columns)}:" if self.columns else ""
        return f"{self.file}:{self.line}:{column} {self.detail}"


class TableRead(msgspec.Struct):
    """A file as it was read. `rows` are those that pass the table's `where`; `doubts` say what was guessed of it."""

    file: str
    table: str
    columns: int
    delimiter: str
    encoding: str
    rows: int = 0
    doubts: tuple[str, ...] = ()


class Summary(msgspec.Struct):
    """What an import did. `unused` are rows of tables with rules that no rule took; `repeats` share an id and a meaning
    with an earlier event, and were left out; `doubts` are rows whose time the clocks make doubtful."""

    rows: int = 0
    unused: int = 0
    events: int = 0
    repeats: int = 0
    problems: int = 0
    doubts: int = 0
    types: dict[str, int] = {}
    files: list[TableRead] = []
    unmatched: list[Unmatched] = []
    hints: list[str] = []

    @property
    def clean(self) -> bool:
        """Whether every row became what the mapping says, and the mapping says it of every row."""
        return not self.problems and not self.unmatched


def import_csv(
    mapping: CsvMapping,
    files: Sequence[Path],
    out: Path,
    *,
    instruments: Instruments,
    on_problem: Callable[[RowProblem], None],
    strict: bool = False,
    open_file: Opener = lambda path: path.open("rb"),
) -> Summary:
    """Writes the events of `files` to `out` as JSON lines, sorted by time, and says what came of the rows.

    `out` is replaced at the end or not at all: not where there is no event, and with `strict` not where the summary is not
    clean. The same files and mapping give the same bytes. Raises `MappingError` where files, tables and columns do not fit
    each other, or a file cannot be read.
    """
    importer = _Import(mapping, _assign(mapping, files), instruments, on_problem, open_file)
    partial = out.with_name(out.name + ".partial")
    try:
        with partial.open("wb") as target:
            importer.write(target)
        if importer.summary.events and (importer.summary.clean or not strict):
            partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return importer.summary


def _assign(mapping: CsvMapping, files: Sequence[Path]) -> dict[str, list[Path]]:
    """The files of each table, by name; every file and every table must have its other."""
    by_name = sorted(files, key=lambda path: (path.name, path))
    found = {
        name: [path for path in by_name if fnmatch(path.name, reader.table.file)]
        for name, reader in mapping.tables.items()
    }
    for name, paths in found.items():
        if not paths:
            raise MappingError(f"table {name}: none of the files given is named `{mapping.tables[name].table.file}`")
    for path in by_name:
        if not any(path in paths for paths in found.values()):
            raise MappingError(f"{path.name}: no table of the mapping has a file of this name")
    return found


class _Import:
    """One import: reads tables, applies rules, sorts, and leaves out repeats."""

    def __init__(
        self,
        mapping: CsvMapping,
        files: Mapping[str, Sequence[Path]],
        instruments: Instruments,
        on_problem: Callable[[RowProblem], None],
        open_file: Opener,
    ) -> None:
        self.summary = Summary()
        self._mapping = mapping
        self._files = files
        self._instruments = instruments
        self._on_problem = on_problem
        self._open = open_file
        self._lookups: dict[str, dict[str, Mapping[str, str]]] = {}
        self._columns: dict[str, Sequence[str]] = {}
        self._findings = Findings()
        self._now = datetime.now(UTC)

    def write(self, target: IO[bytes]) -> None:
        for name, reader in self._mapping.tables.items():
            if reader.table.key is not None:
                self._lookups[name] = self._lookup(name, reader.table, reader.table.key)
        types: Counter[str] = Counter()
        with ExitStack() as stack:
            for event in self._without_repeats(_sorted(self._entries(), stack)):
                target.write(encode(event) + b"\n")
                types[event.type] += 1
        self.summary.events = types.total()
        self.summary.types = dict(sorted(types.items()))
        self.summary.unmatched = self._findings.unmatched()
        self.summary.hints = list(self._findings.hints())

    def _problem(self, row: Row, columns: tuple[str, ...], detail: str) -> None:
        self.summary.problems += 1
        self._on_problem(RowProblem(row.path.name, row.line, columns, detail))

    # ── rows to events ──────────────────────────────────────────────────────────────────────────────────

    def _entries(self) -> Iterator[bytes]:
        """Every event as one line that sorts by time, then by rule, file and row."""
        for name in self._mapping.tables:
            rules = [(number, rule) for number, rule in enumerate(self._mapping.rules) if rule.table == name]
            if not rules:
                continue
            needed = {column for _, rule in rules for used in rule.columns.values() for column in used}
            for number, row in self._rows(name, needed):
                self.summary.rows += 1
                cells = Cells(row.cells, self._elsewhere)
                taken = False
                for place, rule in rules:
                    event = self._apply(rule, row, cells)
                    taken = taken or event is not None
                    if isinstance(event, msgspec.Struct):
                        order = b"%020d %06d %06d %012d " % (micros(event.time), place, number, row.line)
                        yield order + encode(event) + b"\n"
                self.summary.unused += not taken
                self._noticed(name, row, cells)

    def _apply(self, rule: Rule, row: Row, cells: Cells) -> AnyEvent | Literal["told"] | None:
        """The event of a rule, None where the rule is not for this row; a row that cannot be one is told."""
        try:
            if not rule.applies.hold(cells):
                cells.unnamed.update(rule.applies.unnamed(cells))
                return None
            made = rule.make(cells)
        except CellError as error:
            self._findings.unread(rule.table, error)
            self._problem(row, error.columns, error.problem)
            return "told"
        outcome = decode(msgspec.json.encode(made), now=self._now, instruments=self._instruments)
        if isinstance(outcome, Refusal):
            self._problem(row, rule.columns_of(outcome.path), f"{outcome.path}: {outcome.detail}")
            return "told"
        if outcome.unknown:
            self._problem(row, (), "the mapping gives `data` a member that the contract does not have for this type")
            return "told"
        return outcome.event

    def _noticed(self, table: str, row: Row, cells: Cells) -> None:
        for column, content in sorted(cells.unnamed):
            self._findings.unnamed(table, column, content)
        for columns, detail in cells.doubts:
            self._on_problem(RowProblem(row.path.name, row.line, columns, detail, doubt=True))
        self.summary.doubts += bool(cells.doubts)

    def _elsewhere(self, own: Mapping[str, str], column: str) -> str:
        """The cell of a column of another table, looked up by that table's key."""
        table, _, name = column.partition(".")
        other = self._lookups[table].get(own[cast(str, self._mapping.tables[table].table.key)])
        return other[name] if other else ""

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
                row = Row(self._files[rule.table][int(number)], int(line), {})
                self._problem(row, rule.columns_of("$.id"), "another row makes a different event of the same `id`")

    # ── files to rows ───────────────────────────────────────────────────────────────────────────────────

    def _lookup(self, name: str, table: Table, key: str) -> dict[str, Mapping[str, str]]:
        found: dict[str, Mapping[str, str]] = {}
        told_later = any(rule.table == name for rule in self._mapping.rules)
        form = self._mapping.tables[name].reading.form_of((key,))
        needed = {key, *([table.latest_by] if table.latest_by else [])}
        for _, row in self._rows(name, needed, tell=not told_later):
            former = found.get(row.cells[key])
            if former is None:
                found[row.cells[key]] = row.cells
            elif table.latest_by is None:
                self._problem(row, (key,), "another row has this key; set `where` or `latest_by` on the table")
            elif _order(row.cells[table.latest_by], form) > _order(former[table.latest_by], form):
                found[row.cells[key]] = row.cells
        return found

    def _rows(self, name: str, needed: set[str], tell: bool = True) -> Iterator[tuple[int, Row]]:
        """The rows of a table that pass its `where`, each with the number of its file. Where `tell`, what is wrong with
        others, and how the files were read, is told."""
        reader = self._mapping.tables[name]
        wanted = {*needed, *reader.passes.columns}
        for number, path in enumerate(self._files[name]):
            file = TableFile(path, reader.table, self._own(wanted), self._open)
            self._columns[name] = file.columns
            self._check_looked_up(path, file.columns, wanted)
            dialect = file.dialect
            read = TableRead(
                path.name, name, len(file.columns), dialect.delimiter, dialect.encoding, doubts=dialect.doubts
            )
            for row, damage in file.rows():
                try:
                    if damage:
                        raise CellError((), damage)
                    cells = Cells(row.cells)
                    if not reader.passes.columns or reader.passes.hold(cells):
                        read.rows += 1
                        yield number, row
                    elif tell:
                        cells.unnamed.update(reader.passes.unnamed(cells))
                        self._noticed(name, row, cells)
                except CellError as error:
                    if tell:
                        self._findings.unread(name, error)
                        self._problem(row, error.columns, error.problem)
            if tell:
                self.summary.files.append(read)

    def _own(self, wanted: Iterable[str]) -> frozenset[str]:
        """The columns that a file itself must have, keys by which others are looked up included."""
        own = set()
        for column in wanted:
            other, dot, _ = column.partition(".")
            key = self._mapping.tables[other].table.key if dot and other in self._mapping.tables else None
            own.add(column if key is None else key)
        return frozenset(own)

    def _check_looked_up(self, path: Path, header: Sequence[str], wanted: Iterable[str]) -> None:
        for column in sorted(wanted):
            other, dot, name = column.partition(".")
            if dot and other in self._lookups and column not in header and name not in self._columns[other]:
                raise MappingError(
                    f"{path.name}: table {other} has no column to look up as `{column}`; its columns are "
                    f"{named(self._columns[other])}"
                )


def _order(cell: str, form: NumberForm) -> tuple[int, float, str]:
    """Numbers by size, then other texts by their letters; empty cells first."""
    number = form.read(cell)
    return (1, number, "") if number is not None else (2 if cell else 0, 0.0, cell)


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
