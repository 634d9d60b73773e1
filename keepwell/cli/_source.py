"""The events that a command learns from or judges by: files, or the accepted events of a log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import typer

from keepwell.cli._offline import check_files
from keepwell.settings import Settings
from keepwell.streams.topics import Topics
from training.dataset import FromLog


def check_source(files: Sequence[str] | None, log: str | None, beside: Sequence[str | Path] = ()) -> None:
    """Raises `typer.BadParameter` unless either files or a log are named, and where a file, or one `beside`, is missing."""
    if bool(files) == (log is not None):
        raise typer.BadParameter("name either FILES or --log")
    check_files([*(files or ()), *beside])


@contextmanager
def opened(files: Sequence[str] | None, settings: Settings) -> Iterator[Sequence[str] | FromLog]:
    """The files, or without any the log that settings name, open for as long as it is read. Raises `LogError`."""
    if files:
        yield files
        return
    with closing(settings.open_log(must_exist=True)) as log:
        yield FromLog(log, Topics(settings.topic_prefix))
