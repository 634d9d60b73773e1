"""The `keepwell` command itself: what it lists, what each command loads, and what becomes of a fault."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from keepwell.cli import main
from keepwell.cli.main import COMMANDS, app
from services.catalogue import SERVICES

NEVER = (
    "fastapi",
    "fsspec",
    "joblib",
    "kafka",
    "numpy",
    "pandas",
    "pyarrow",
    "scipy",
    "sklearn",
    "sqlalchemy",
    "starlette",
    "uvicorn",
)
"""What only the services of HTTP, the predictor and training need: hundreds of milliseconds, and tens of MB."""
NOT_FOR_HELP = (*NEVER, "asyncio", "httpx", "msgspec", "prometheus_client", "pydantic", "rich", "structlog")

group: Any = typer.main.get_group(app)


def everything(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """A command and all below it, with their full names."""
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from everything(below, f"{path} {name}")


def loaded(folder: Path, *words: str) -> set[str]:
    """The modules that a process has imported once a command has ended well."""
    script = (
        "import sys; from keepwell.cli.main import run\n"
        "try: run()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print(*sorted(sys.modules), file=open('modules', 'w'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return set((folder / "modules").read_text("utf-8").split())


def test_help_loads_no_command_and_nothing_that_a_command_needs(tmp_path: Path) -> None:
    modules = loaded(tmp_path, "--help")
    assert modules.isdisjoint(NOT_FOR_HELP)
    assert {name for name in modules if name.startswith("keepwell.cli.")} == {"keepwell.cli.main"}


@pytest.mark.parametrize(
    "words",
    ["clock --once", "topics", "keys issue north", "keys list", "dead-letters list", "schema"],
)
def test_a_command_loads_nothing_of_the_services_that_it_does_not_run(words: str, tmp_path: Path) -> None:
    if words.startswith("dead-letters"):
        loaded(tmp_path, "topics")
    assert loaded(tmp_path, *words.split()).isdisjoint(NEVER)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_the_first_words_of_their_own_help(name: str) -> None:
    assert group.commands[name].help.startswith(COMMANDS[name])


def test_every_module_of_a_command_is_listed() -> None:
    files = Path(main.__file__).parent.glob("[a-z]*.py")
    assert {file.stem.replace("_", "-") for file in files} - {"main"} == set(COMMANDS)


@pytest.mark.parametrize(("path", "command"), list(everything(group, "keepwell")))
def test_every_command_explains_itself_without_rich(path: str, command: Any) -> None:
    assert command.rich_markup_mode is None
    assert command.help
    done = CliRunner().invoke(app, [*path.split()[1:], "--help"])
    assert (done.exit_code, done.output.split("\n")[0].startswith(f"Usage: {path}")) == (0, True)


def test_every_command_prints_its_result_as_json_too_but_those_that_stay_up() -> None:
    without = {
        path
        for path, command in everything(group, "keepwell")
        if not hasattr(command, "commands") and "--json" not in {name for each in command.params for name in each.opts}
    }
    assert without == {"keepwell demo", "keepwell up", *(f"keepwell {row.name}" for row in SERVICES)}


def test_a_key_that_was_revoked_is_told_as_json(tmp_path: Path) -> None:
    def told(words: str) -> Any:
        where = ["--keys", str(tmp_path / "keys.json"), "--json"]
        return json.loads(CliRunner().invoke(app, [*words.split(), *where]).stdout)

    key = told("keys issue north")
    token = key.pop("token")
    revoked = told(f"keys revoke {key['id']}")
    assert revoked == key | {"valid": False} and token not in str(revoked)


def test_the_version_is_that_of_the_package() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.output) == (0, version("keepwell") + "\n")


@pytest.mark.parametrize("words", ["nope", "topics --nope", "topics extra", "keys", "release show", "up --port x", ""])
def test_wrong_use_ends_with_2(words: str) -> None:
    assert CliRunner().invoke(app, words.split()).exit_code == 2


def test_a_fault_is_told_in_a_sentence_without_what_it_quotes(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def broken(_: object) -> None:
        raise KeyError("a pseudonym")

    monkeypatch.setattr(sys, "argv", ["keepwell", "keys", "list"])
    monkeypatch.setattr("keepwell.web.keys.KeyFile.all", broken)
    with pytest.raises(SystemExit) as end:
        main.run()
    told = capsys.readouterr().err
    assert end.value.code == 1
    assert "Please report" in told
    assert "keepwell/cli/keys.py:" in told
    assert "pseudonym" not in told
