"""The `keepwell` command: gathers the commands, one module each, and turns their errors into words and exit codes."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final

import structlog
import typer

from keepwell.streams.log import LogError

app = typer.Typer(
    name="keepwell",
    help="Notices early, and says in plain words, that a person in psychotherapy is about to stop coming.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

COMMANDS: Final[tuple[str, ...]] = (
    "demo", "up", "ingest", "predictor", "clock", "notify", "replay", "score", "import_csv", "simulate", "train",
    "evaluate", "monitor", "topics", "schema", "doctor",
)  # fmt: skip
"""Modules of this package that hold one command each, as the function `command`; in the order of `--help`."""

GROUPS: Final[tuple[str, ...]] = ("release", "instruments", "keys", "dead_letters")
"""Modules that hold several commands under one name, as the typer app `app`."""

for name in COMMANDS:
    app.command(name.replace("_", "-"))(import_module(f"keepwell.cli.{name}").command)
for name in GROUPS:
    app.add_typer(import_module(f"keepwell.cli.{name}").app, name=name.replace("_", "-"))


def run() -> None:
    """Entry point. Exit 0: done, 1: the work found a problem, 2: wrong use."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # results alone go to standard output
    try:
        app()
    except (LogError, OSError, ValueError) as error:
        print(f"keepwell: {error}", file=sys.stderr)
        raise SystemExit(1) from error


if __name__ == "__main__":
    run()
