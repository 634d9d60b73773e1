"""The options of commands that run the live code over files: which files, and which moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from keepwell.contract.events import InstrumentRegistered
from keepwell.files import events as files
from keepwell.files.events import Line
from keepwell.files.instruments import read_registrations


def read_lines(names: Sequence[str]) -> Iterator[Line]:
    """The lines of the files that arguments name. Raises what `check_files` raises before any is read."""
    check_files(names)
    return files.read_lines(names)


def check_files(names: Iterable[str | Path]) -> None:
    """Raises `typer.BadParameter` where an argument names no file; a pipe is one, and so is `-`, standard input."""
    for name in map(str, names):
        if name != "-" and not Path(name).exists():
            raise typer.BadParameter(f"{name}: no such file")
        if Path(name).is_dir():
            raise typer.BadParameter(f"{name}: is a folder; name the files in it")


Instruments = Annotated[
    Path | None,
    typer.Option("--instruments", help="TOML file of the clinics' own instruments, as instruments register reads it."),
]


def registrations(file: Path | None) -> list[InstrumentRegistered]:
    """The registrations that a file of instruments asks for, made before all events. Raises `typer.BadParameter`."""
    if file is None:
        return []
    try:
        return read_registrations(file)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error), param_hint="--instruments") from error


def moment(text: str | None) -> datetime | None:
    """The moment of an option. Raises `typer.BadParameter` where it is none."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a moment; use RFC 3339, such as 2026-03-02T10:00:00Z") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
