"""`keepwell import-csv`: a clinic's own tables to events, by a mapping that holds no code."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, Annotated, Final

import msgspec
import typer

from keepwell.care.instruments import Instruments as KnownInstruments
from keepwell.cli._common import failed, progress
from keepwell.cli._offline import Instruments, registrations
from keepwell.files.csv.importer import Problem, Summary, import_csv
from keepwell.files.csv.mapping import load_mapping
from keepwell.files.csv.values import MappingError

_SHOWN: Final = 20
"""Problems told one by one; the rest are counted."""


def command(
    mapping: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The mapping, TOML.")],
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="The tables, .csv or .csv.gz.")],
    out: Annotated[Path, typer.Option(help="Where the events go, as JSON lines.")],
    strict: Annotated[bool, typer.Option(help="Write nothing and exit 1 when a row cannot be mapped.")] = False,
    instruments: Instruments = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Turn a clinic's own tables into events of the contract, sorted by time."""
    told = 0

    def tell(problem: Problem) -> None:
        nonlocal told
        told += 1
        if told <= _SHOWN:
            print(problem, file=sys.stderr)

    try:
        known = KnownInstruments.of(registrations(instruments))
        with progress() as bar:

            def open_file(path: Path) -> IO[bytes]:
                return bar.open(path, "rb", description=path.name)

            summary = import_csv(
                load_mapping(mapping),
                files,
                out,
                instruments=known,
                on_problem=tell,
                strict=strict,
                open_file=open_file,
            )
    except MappingError as error:
        print(f"keepwell: {error}", file=sys.stderr)
        raise typer.Exit(2) from error
    if told > _SHOWN:
        print(f"… and {told - _SHOWN} more", file=sys.stderr)
    _report(summary, out, as_json)
    if strict and summary.problems:
        failed(f"nothing was written to {out}, because of --strict")


def _report(summary: Summary, out: Path, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(summary).decode())
        return
    for name, number in summary.types.items():
        print(f"{number:>10,}  {name}")
    print(
        f"{summary.events:>10,}  events in {out}, from {summary.rows:,} rows ({summary.unused:,} not used, "
        f"{summary.repeats:,} repeats, {summary.problems:,} problems)"
    )
