"""The examples run, and their pages show what they say and print."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.gallery import PAGES, SCRIPTS, file_of, page

OUTPUT = re.compile(r"^```text\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
HELD = 0.8
"""Share of the printed lines that have to be those of the page. Another processor may round otherwise, and so now and then
choose another split or order; what a fit changes, changes most lines."""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_an_example_runs_and_its_page_shows_what_it_says_and_prints(script: Path) -> None:
    now, kept = page(script), file_of(script).read_text(encoding="utf-8")
    assert OUTPUT.sub("", now) == OUTPUT.sub("", kept), "run `make docs`"
    printed, shown = ("\n".join(OUTPUT.findall(text)).splitlines() for text in (now, kept))
    assert printed
    held = [line for line, before in zip(printed, shown, strict=False) if alike(line, before)]
    assert len(held) >= HELD * max(len(printed), len(shown)), "run `make docs`"


def test_every_page_has_its_script() -> None:
    assert {file_of(script) for script in SCRIPTS} == set(PAGES.glob("*.md"))


def test_a_line_with_another_word_or_figure_is_not_alike() -> None:
    assert alike("AUROC 0.80  of 393", "AUROC 0.81  of 393")
    assert not alike("AUROC 0.80  of 393", "AUROC 0.60  of 393")
    assert not alike("AUROC 0.80  of 393", "ECE 0.80  of 393")


def alike(one: str, other: str) -> bool:
    """Whether two lines have the same words, and figures that differ by a rounding."""
    if words(one) != words(other):
        return False
    return numbers(one) == pytest.approx(numbers(other), rel=0.02, abs=0.02)


def words(line: str) -> list[str]:
    """A line without its figures, and without bars and blanks, which follow them."""
    return NUMBER.sub("#", line.replace("█", "")).split()


def numbers(line: str) -> list[float]:
    return [float(number) for number in NUMBER.findall(line)]
