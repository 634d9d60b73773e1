"""The table as words: Markdown for a model card or a terminal, HTML for a report. Both are templates below `pages`."""

from __future__ import annotations

from functools import cache
from typing import Final

from jinja2 import Environment
from markupsafe import Markup

from keepwell.web.pages import environment
from training.evaluate.figures import FILTERS
from training.evaluate.worlds.table import AtKind, WorldAim, WorldsTable

FIGURES: Final = {
    "auroc": "AUROC", "of_unknown": "Part of the truth, clinician unknown", "of_known": "Part of the truth, clinician known",
    "slope": "Calibration slope", "ece": "Calibration error (ECE)", "intercept": "Off in the large (log-odds)",
}  # fmt: skip
"""The tables that are shown, by member of `AtKind`, with their titles."""
DIGITS: Final = {"auroc": 3, "ece": 4}
"""Digits that a figure is told with, where not two."""


def as_markdown(table: WorldsTable) -> str:
    """The whole as Markdown, without a heading of its own above level 3."""
    return _environment().get_template("worlds.md").render(table=table, titles=_titles(table)).rstrip("\n") + "\n"


def as_html(table: WorldsTable) -> Markup:
    """The same as the inside of a section of a report."""
    return Markup(_environment().get_template("worlds.html").render(table=table, titles=_titles(table)))


def _titles(table: WorldsTable) -> dict[str, str]:
    return {one.name: one.title for one in table.entrants}


@cache
def _environment() -> Environment:
    return environment("training.evaluate", FILTERS, figures=FIGURES, told=told, bounds=bounds)


def told(one: AtKind, figure: str, whole: bool = True) -> str:
    """A figure at a kind of moment; with its interval where the `whole` is wanted."""
    found = getattr(one, figure)
    value, digits = found.value, DIGITS.get(figure, 2)
    if not whole and value is not None:
        return f"{value:.{digits}f}"
    return FILTERS["estimate"](found, digits)


def bounds(aim: WorldAim) -> str:
    """What an aim asks for."""
    if aim.low is not None and aim.high is not None:
        return f"{aim.low:g} to {aim.high:g}"
    return f"at least {aim.low:g}" if aim.low is not None else f"at most {aim.high:g}"
