"""The `keepwell` command: finds the module of a command when it is called, and turns errors into words and exit codes."""

from __future__ import annotations

import sys
import traceback
from collections import UserDict
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from keepwell.streams.log import LogError

COMMANDS: Final[Mapping[str, str]] = {
    "demo": "Send a made-up clinic through intake, ingest and predictor",
    "up": "Run every service in one process, until Ctrl-C or SIGTERM",
    "ingest": "Take events in over HTTP, check and normalise everything that arrives",
    "predictor": "Fold accepted events into episodes; publish a score for each",
    "clock": "Tell every partition the time, so that silence is noticed",
    "erasure": "Carry erasures out: delete what the log holds of a client",
    "notify": "Post every alert to a webhook",
    "clinician": "Follow scores, alerts and events into a database, and serve what clinicians see and answer",
    "replay": "Run the live code over FILES, or over a log",
    "score": "Score episodes of FILES at chosen moments",
    "import-csv": "Turn a clinic's own tables into events of the contract",
    "simulate": "Simulate clinics",
    "train": "Train a release on events, or recalibrate one",
    "evaluate": "Judge RELEASE on events it was not fitted to",
    "monitor": "Watch a release in use",
    "topics": "Create the topics that are missing, and show how many records each one holds",
    "schema": "Print or write the contract",
    "doctor": "Check release, settings, services, log, topics, lag, clock and dead letters",
    "erase": "Erase a client: write the event, wait until log, state and scores have obeyed",
    "release": "List, verify, sign, publish, promote and compare releases of the model",
    "instruments": "Register clinics' own instruments in the log, and list them",
    "keys": "Issue, rotate, revoke and list the clinics' API keys",
    "users": "Add, list and remove the people who use the clinician's side, and the tokens of their programs",
    "dead-letters": "List, show, replay and drop records that were refused",
}
"""What `keepwell --help` lists, in its order: the first words of each command's own help, as a test holds. A command is the
module of its name in this package (`-` is `_`), which holds a function `command` or, for several, a typer app `app`."""


class _OnCall(UserDict[str, Any]):
    """The commands by name, each made when it is first asked for."""

    def __getitem__(self, name: str) -> Any:
        if self.data[name] is None:
            self.data[name] = _load(name)
        return self.data[name]


class Commands(TyperGroup):
    """A group that imports a command only when it is called or asked for: `--help` needs none of them."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _OnCall(dict.fromkeys(COMMANDS))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Lists the commands from `COMMANDS`."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


app = typer.Typer(
    cls=Commands,
    name="keepwell",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,  # rich takes longer to import than a page of help to print
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # its import costs every other command 10 ms

        print(version("keepwell"))
        raise typer.Exit


@app.callback()
def keepwell(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version, then end.")
    ] = False,
) -> None:
    """Notices early, and says in plain words, that a person in psychotherapy is about to stop coming."""


def run() -> None:
    """Entry point. Exit 0: done, 1: the work found a problem, 2: wrong use."""
    try:
        app()
    except (LogError, OSError, ValueError) as error:
        from keepwell.settings import WrongSettings  # not above: `--help` does without pydantic

        print("\n".join(f"keepwell: {line}" for line in in_words(error).splitlines()), file=sys.stderr)
        raise SystemExit(2 if isinstance(error, WrongSettings) else 1) from error
    except Exception as error:
        print(_fault(error), file=sys.stderr)
        raise SystemExit(1) from error


def in_words(error: Exception) -> str:
    """What an error says, without the number that the operating system has for it.

    >>> in_words(FileNotFoundError(2, "No such file or directory", "events.jsonl"))
    'events.jsonl: No such file or directory'
    """
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _load(name: str) -> Any:
    """The click command of a name."""
    module = import_module(f"keepwell.cli.{name.replace('-', '_')}")
    import structlog  # after the command, of which most bring it along; `--help` does without

    # Only results go to standard output. Asked at each line, as who runs a command within a process may put it elsewhere.
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
    if hasattr(module, "app"):
        group = typer.main.get_group(module.app)
        group.name = name
        return group
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(name)(module.command)
    return typer.main.get_command(alone)


ELSEWHERE: Final = "in another process:"
"""How the note of an error begins that says the way to it there."""


def way_to(error: Exception) -> list[str]:
    """The lines of Keepwell that an error came by, in another process too."""
    home = Path(__file__).parents[2]
    here = [
        f"{Path(frame.filename).relative_to(home)}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(home)
    ]
    notes = (note for note in getattr(error, "__notes__", ()) if note.startswith(ELSEWHERE))
    return here + [line for note in notes for line in note.splitlines()]


def _fault(error: Exception) -> str:
    """What to say of an error that nobody foresaw: its class and the way to it, but no message, which can quote a payload."""
    return "\n  ".join(
        [
            f"keepwell: {type(error).__name__}: a fault of Keepwell. Please report the command and these lines:",
            *way_to(error),
        ]
    )


if __name__ == "__main__":
    run()
