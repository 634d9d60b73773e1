"""`keepwell import-csv`: a clinic's own tables to events, by a mapping that holds no code, or a draft of such a mapping."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Annotated, Final, NamedTuple

import msgspec
import typer

from keepwell.care.instruments import Instruments as KnownInstruments
from keepwell.cli._common import failed, progress
from keepwell.cli._offline import Instruments, registrations
from keepwell.files.csv.cells import MappingError
from keepwell.files.csv.importer import RowProblem, Summary, import_csv
from keepwell.files.csv.mapping import load_mapping

_SHOWN: Final = 20
"""Problems told one by one, and doubts; the rest are counted."""


def command(
    *,
    names: Annotated[
        list[Path],
        typer.Argument(
            metavar="MAPPING FILE…",
            exists=True,
            dir_okay=False,
            help="The mapping (TOML), then the tables (.csv, .csv.gz); with --draft the tables alone.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Where the events go, as JSON lines; with --draft, where the draft goes.")
    ] = None,
    draft: Annotated[
        bool, typer.Option("--draft", help="Write a draft of a mapping for the tables, on standard output or to --out.")
    ] = False,
    strict: Annotated[
        bool, typer.Option(help="Write nothing and exit 1 where a row cannot be mapped, or nothing matches its status.")
    ] = False,
    instruments: Instruments = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Turn a clinic's own tables into events of the contract, sorted by time."""
    try:
        if draft:
            _draft(names, out)
            return
        if len(names) < 2:
            raise typer.BadParameter("name the mapping, then at least one table", param_hint="MAPPING FILE…")
        if out is None:
            raise typer.BadParameter("name a file for the events", param_hint="--out")
        known = KnownInstruments.of(registrations(instruments))
        _import(_Run(names[0], names[1:], out, known, strict, as_json))
    except MappingError as error:
        print(f"keepwell: {error}", file=sys.stderr)
        raise typer.Exit(2) from error


class _Run(NamedTuple):
    mapping: Path
    files: Sequence[Path]
    out: Path
    instruments: KnownInstruments
    strict: bool
    as_json: bool


def _draft(files: Sequence[Path], out: Path | None) -> None:
    from keepwell.files.csv.draft import draft_mapping

    drafted = draft_mapping(files)
    if out is None:
        print(drafted.text, end="")
    else:
        out.write_text(drafted.text, "utf-8")
    for warning in drafted.warnings:
        print(warning, file=sys.stderr)


def _import(run: _Run) -> None:
    problems = _Told()
    with progress() as bar:

        def open_file(path: Path) -> IO[bytes]:
            return bar.open(path, "rb", description=path.name)

        summary = import_csv(
            load_mapping(run.mapping),
            run.files,
            run.out,
            instruments=run.instruments,
            on_problem=problems,
            strict=run.strict,
            open_file=open_file,
        )
    problems.end()
    for hint in summary.hints:
        print(f"keepwell: {hint}", file=sys.stderr)
    print(msgspec.json.encode(summary).decode() if run.as_json else words(summary, run.out))
    if not summary.events:
        failed(f"no row became an event: nothing was written to {run.out}")
    if run.strict and not summary.clean:
        failed(f"nothing was written to {run.out}, because of --strict")


class _Told:
    """Problems and doubts on standard error, the first of each one by one."""

    def __init__(self) -> None:
        self._counts = {False: 0, True: 0}

    def __call__(self, problem: RowProblem) -> None:
        self._counts[problem.doubt] += 1
        if self._counts[problem.doubt] <= _SHOWN:
            print(problem, file=sys.stderr)

    def end(self) -> None:
        """Counts what was not shown."""
        for doubt, count in self._counts.items():
            if count > _SHOWN:
                print(f"… and {count - _SHOWN} more {'doubtful times' if doubt else 'problems'}", file=sys.stderr)


def words(summary: Summary, out: Path) -> str:
    """The summary for people, a line each: files as they were read, events by type, what nothing matched."""
    lines = []
    for read in summary.files:
        mark = {"\t": "tab"}.get(read.delimiter, read.delimiter)
        lines.append(f"{read.rows:>10,}  rows of {read.file}: {read.columns} columns by {mark} in {read.encoding}")
        lines += [f"{'':>12}{doubt}" for doubt in read.doubts]
    lines += [f"{number:>10,}  {name}" for name, number in summary.types.items()]
    lines.append(
        f"{summary.events:>10,}  events in {out}, from {summary.rows:,} rows ({summary.unused:,} not used, "
        f"{summary.repeats:,} repeats, {summary.problems:,} problems, {summary.doubts:,} doubtful times)"
    )
    return "\n".join([*lines, *map(str, summary.unmatched)])
