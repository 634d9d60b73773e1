"""Finds the `keepwell …` command lines in docs and deployment, and parses them as the command would, without running."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import typer

from keepwell.cli.main import app

FENCE = re.compile(r"^ *```(\w*)[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`keepwell ([a-z][^`\n]*)`")
COMPOSE = re.compile(r"docker compose run (?:--rm |-T )*\w+ ")
SHELLS = ("sh", "bash", "console")


class Line(NamedTuple):
    """One command line: where it stands, the words after `keepwell`, and whether it is whole or only named in a sentence."""

    where: str
    words: tuple[str, ...]
    whole: bool = True


def in_markdown(file: Path) -> Iterator[Line]:
    """The command lines of shell blocks, and those named in the text."""
    text = file.read_text(encoding="utf-8")
    for language, block in FENCE.findall(text):
        if language in SHELLS:
            yield from in_shell(block, file.name)
    for words in INLINE.findall(FENCE.sub("", text)):
        yield Line(file.name, tuple(shlex.split(words)), whole=False)


def in_shell(script: str, where: str) -> Iterator[Line]:
    """The command lines of a script; `$(…)`, pipes and `&&` are taken apart."""
    script = COMPOSE.sub("keepwell ", script.replace("\\\n", " "))
    for match in re.finditer(r"(?:^|[|;&(\s/])keepwell (?=[a-z-])([^\n|;&)>]*)", script):
        yield Line(where, tuple(shlex.split(match[1], comments=True)))


def complaint(line: Line, folder: Path) -> str | None:
    """What is wrong with a command line, or None. `folder` is the working directory: what looks like a file is made there."""
    command: Any = typer.main.get_group(app)
    rest = list(line.words)
    path = ["keepwell"]
    while hasattr(command, "commands"):
        if not rest:
            return f"{' '.join(path)}: a command is missing" if line.whole else None
        if rest[0] not in command.commands:
            return f"{' '.join(path)} has no command {rest[0]}, it has {', '.join(command.commands)}"
        path.append(rest.pop(0))
        command = command.commands[path[-1]]
    for word in rest:
        if re.fullmatch(r"[\w-]+(\.[a-z]+)+", word):
            (folder / word).touch()
    try:
        command.make_context(path[-1], rest)
    except Exception as error:  # typer brings its own click, whose errors have no public name
        if type(error).__name__ == "MissingParameter" and not line.whole:
            return None
        return f"{' '.join(path)}: {getattr(error, 'message', '') or error!r}"
    return None
