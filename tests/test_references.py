"""What comments and docstrings refer to is there: pages, their sections, facts and rules by number, names of the code."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parents[1]
DESIGN: Final = ROOT / "docs" / "design"
OTHER_CODE: Final = (".toml", ".yml", ".yaml", ".html", ".css", ".sh", ".cjs", "Makefile", "Dockerfile", ".ci/run")
MADE_ELSEWHERE: Final = frozenset(("card.md",))
"""Pages that a command writes somewhere else: the card of a release."""

PAGE: Final = re.compile(r"(?<![\w/*>])((?:\.{1,2}/)*[\w.-]*\w(?:/[\w.-]+)*\.md)\b|\bdocs/[\w/.-]*\w")
SECTION: Final = re.compile(r"\b([A-Z]{4,})(?:\.md)?,? sections? (\d+)(?:(?: and | to |, )(\d+)\b)?")
PART: Final = re.compile(r"\b([A-Z]{4,})\.md \((\w)\)")
LOOSE: Final = re.compile(r"\b(?:CONTRACT|DESIGN)\b(?!\.md|,? sections? \d)")
NUMBERED: Final = re.compile(r"\b[FR]\d{1,2}\b")
DECISION: Final = re.compile(r"\b[Dd]ecisions?[ /](\d{3})\b")
DOTTED: Final = re.compile(r"`((?:keepwell|services|models|training)(?:\.(?!v\d|toml\b)\w+)+)(?![\w.-])")


class Remark(NamedTuple):
    """A comment, a docstring, or a line of a file that is no Python."""

    place: str
    text: str
    python: bool


def tracked() -> list[str]:
    """The files of the repository."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


FILES: Final = tracked()


def remarks(name: str) -> Iterator[Remark]:
    """What a file of code says to who reads it."""
    text = (ROOT / name).read_text("utf-8")
    if not name.endswith(".py"):
        yield from (Remark(f"{name}:{number}", line, False) for number, line in enumerate(text.splitlines(), start=1))
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield Remark(f"{name}:{token.start[0]}", token.string, True)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield Remark(f"{name}:{node.lineno}", " ".join(node.value.value.split()), True)


def missing(remark: Remark) -> list[str]:
    """What a remark refers to and is not there."""
    found = [page[0] for page in PAGE.finditer(remark.text) if not _is_page(page[0])]
    for page, *numbers in SECTION.findall(remark.text):
        found += [f"{page} section {n}" for n in numbers if n and f"\n## {n}. " not in _design(page)]
    found += [
        f"{page}.md ({part})" for page, part in PART.findall(remark.text) if f"\n## ({part}) " not in _design(page)
    ]
    found += [
        f"decision {number}" for number in DECISION.findall(remark.text) if not any(DESIGN.glob(f"*/{number}-*.md"))
    ]
    if remark.python:
        found += [
            each
            for each in NUMBERED.findall(remark.text)
            if not re.search(rf"\| {each} \||\*\*{each}\*\*", _design("KAFKA"))
        ]
        found += [f"{each[0]} without its section" for each in LOOSE.finditer(remark.text)]
        found += [name for name in DOTTED.findall(remark.text) if not _is_name(name)]
    return found


def _is_page(name: str) -> bool:
    name = re.sub(r"^(\.{1,2}/)+", "", name)
    if name in MADE_ELSEWHERE:
        return True
    return (ROOT / name).exists() or any(f"/{each}".endswith(f"/{name}") for each in FILES)


@cache
def _design(page: str) -> str:
    file = DESIGN / f"{page}.md"
    return "\n" + file.read_text("utf-8") if file.exists() else ""


@cache
def _is_name(dotted: str) -> bool:
    """Whether a module has the name, or what is in it."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part, None)
        return found is not None
    return False


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith((".py", *OTHER_CODE))])
def test_what_code_refers_to_is_there(name: str) -> None:
    lacking = {remark.place: gone for remark in remarks(name) if (gone := missing(remark))}
    assert lacking == {}


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("see docs/how-to/fly.md", ["docs/how-to/fly.md"]),
        ("see docs/nowhere", ["docs/nowhere"]),
        ("see ROADMAP.md", ["ROADMAP.md"]),
        ("CONTRACT sections 3 and 9", ["CONTRACT section 9"]),
        ("ROADMAP section 1", ["ROADMAP section 1"]),
        ("as DESIGN promises", ["DESIGN without its section"]),
        ("docs/design/KAFKA.md, F24 and F99, R11, R12", ["F99", "R12"]),
        ("KAFKA.md (d), KAFKA.md (z)", ["KAFKA.md (z)"]),
        ("decision 007, decision 700", ["decision 700"]),
        ("`keepwell.streams.log.Log`, `keepwell.streams.log.Leg`", ["keepwell.streams.log.Leg"]),
        ("CONTRACT section 2, DESIGN section 6, docs/reference, README.md", []),
    ],
)  # fmt: skip
def test_what_is_not_there_is_found(text: str, gone: Sequence[str]) -> None:
    assert missing(Remark("here", text, True)) == gone
