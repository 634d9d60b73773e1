"""The parts that pages are made of: the document with its style, tables, and figures as text."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from training.evaluate.metrics import Estimate
from training.evaluate.style import STYLE


def document(title: str, body: str) -> str:
    """A whole page that asks no other host for anything. `title` is plain text, `body` is HTML."""
    told = escape(title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{told}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{STYLE}</style></head>\n'
        f"<body><main>\n<h1>{told}</h1>\n{body}\n</main></body></html>\n"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of plain text."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class='wide'><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"


def number(value: float | None, digits: int) -> str:
    """A number with so many digits; a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def share(value: float | None) -> str:
    """A share as a percentage."""
    return "–" if value is None else f"{value:.1%}"


def estimate(found: Estimate | None, signed: bool = False) -> str:
    """A figure and its interval."""
    if found is None or found.value is None:
        return "–"
    value = f"{found.value:+.3f}" if signed else f"{found.value:.3f}"
    return f"{value} {interval(found)}".strip()


def interval(found: Estimate) -> str:
    """The interval of a figure."""
    return "" if found.low is None or found.high is None else f"({found.low:.3f} to {found.high:.3f})"
