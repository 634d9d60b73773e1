"""What the commands share: results as words or JSON, failures, progress on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

if TYPE_CHECKING:
    from rich.progress import Progress


def say(result: Mapping[str, Any], as_json: bool) -> None:
    """Prints a result on standard output: one JSON object, or a line for each member."""
    if as_json:
        print(msgspec.json.encode(result).decode())
        return
    for name, value in result.items():
        words = name.replace("_", " ")
        if isinstance(value, Mapping):
            told = (f"{key} ({each})" if isinstance(each, str) else f"{key} {each}" for key, each in value.items())
            print(f"{words}: " + (", ".join(told) or "none"))
        else:
            print(f"{words}: {value}")


def failed(message: str) -> NoReturn:
    """Ends the command with exit code 1: the work found a problem."""
    print(f"keepwell: {message}", file=sys.stderr)
    raise SystemExit(1)


def progress() -> Progress:
    """A progress bar on standard error, shown on a terminal only, gone at the end."""
    from rich.console import Console  # most commands have no bar, and rich takes longer to import than they take to run
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)
