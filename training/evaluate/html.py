"""The parts that pages are made of: the document with its style, tables, bars, and figures as text. Everything is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Final, NamedTuple

from training.evaluate.metrics import Estimate
from training.evaluate.style import STYLE

TITLES: Final = {"14d": "within 14 days", "30d": "within 30 days", "60d": "within 60 days", "next": "next visit missed"}
"""What the outputs are called."""
NOTHING: Final = "–"
GAP: Final = "gap"
CLOSE: Final = 20.0
"""Per cent of a scale nearer to its mark than which its low end is not written."""


class Bar(NamedTuple):
    """A row of a forest plot; a figure that could not be had is a gap, with the reason."""

    name: str
    figure: Estimate
    gap: str | None = None
    words: str | None = None
    """What stands beside it; default: the figure with its interval."""


class Scale(NamedTuple):
    """Of a forest plot: its ends, where a line stands, and what is measured."""

    low: float
    high: float
    mark: float
    words: str
    mark_words: str


def document(title: str, body: str) -> str:
    """A whole page that asks no other host for anything. `title` is plain text, `body` is HTML."""
    told = escape(title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{told}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{STYLE}</style></head>\n'
        f"<body><main>\n<h1>{told}</h1>\n{body}\n</main></body></html>\n"
    )


def section(name: str, title: str, *parts: str) -> str:
    """A section with a heading that can be linked to."""
    return f'<section id="{name}"><h2>{escape(title)}</h2>{"".join(parts)}</section>'


def paragraph(words: str) -> str:
    """A paragraph of plain words."""
    return f"<p>{escape(words)}</p>"


def notes(items: Iterable[str]) -> str:
    """A list in small print."""
    return f"<ul class='small'>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], words: bool = False) -> str:
    """A table that scrolls by itself where it is too wide. A cell that begins with "gap" takes the place of all after it.
    `words`: cells are sentences, not figures."""
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(f"<tr>{''.join(_cells(row, len(head)))}</tr>" for row in rows)
    style = "words" if words else "figures"
    return f'<div class="wide"><table class="{style}"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def details(summary: str, body: str) -> str:
    """What is there for those who want it."""
    return f"<details><summary>{escape(summary)}</summary>{body}</details>"


def gap(why: str) -> str:
    """Something that is not there, said where it would stand."""
    return f'<p class="gap">{escape(why)}</p>'


def forest(bars: Sequence[Bar], scale: Scale) -> str:
    """Figures with their intervals below each other, on one scale."""

    def at(value: float) -> float:
        return 100 * (min(max(value, scale.low), scale.high) - scale.low) / (scale.high - scale.low)

    rows = []
    for bar in bars:
        mark = f'<i class="mark" style="left:{at(scale.mark):.1f}%"></i>'
        found, drawn = bar.figure, ""
        if found.value is None:
            drawn = f'<em class="gap">{escape(bar.gap or "too few to say")}</em>'
        else:
            if found.low is not None and found.high is not None:
                left, right = at(found.low), at(found.high)
                drawn = f'<i class="span" style="left:{left:.1f}%;width:{right - left:.1f}%"></i>'
            drawn += f'<b style="left:{at(found.value):.1f}%"></b>'
        rows.append(
            f'<tr><th scope="row">{escape(bar.name)}</th><td class="track"><div>{mark}{drawn}</div></td>'
            f"<td>{escape(bar.words or estimate(found))}</td></tr>"
        )
    low = f'<span style="left:0">{scale.low:g}</span>' if at(scale.mark) > CLOSE else ""
    ends = (
        f'{low}<span class="end">{scale.high:g}</span>'
        f'<span class="middle" style="left:{at(scale.mark):.1f}%">{scale.mark:g} {escape(scale.mark_words)}</span>'
    )
    foot = f'<tr class="axis"><th>{escape(scale.words)}</th><td class="track"><div>{ends}</div></td><td></td></tr>'
    return f'<table class="forest"><tbody>{"".join(rows)}{foot}</tbody></table>'


def number(value: float | None, digits: int) -> str:
    """A figure, or a dash where there is none."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def share(value: float | None) -> str:
    """A part of one, in per cent."""
    return NOTHING if value is None else f"{value:.1%}"


def estimate(found: Estimate | None, digits: int = 3, signed: bool = False) -> str:
    """A figure with its interval."""
    if found is None or found.value is None:
        return NOTHING
    value = f"{found.value:+.{digits}f}" if signed else f"{found.value:.{digits}f}"
    return f"{value} {interval(found, digits)}".strip()


def shares(found: Estimate | None) -> str:
    """A part of one with its interval, in per cent."""
    if found is None or found.value is None:
        return NOTHING
    around = "" if found.low is None or found.high is None else f" ({100 * found.low:.0f}–{100 * found.high:.0f})"
    return f"{found.value:.1%}{around}"


def interval(found: Estimate, digits: int = 3) -> str:
    """The interval alone; nothing where there is none."""
    return "" if found.low is None or found.high is None else f"({found.low:.{digits}f} to {found.high:.{digits}f})"


def _cells(row: Sequence[str], columns: int) -> Iterator[str]:
    for place, text in enumerate(row):
        if place == 0:
            yield f'<th scope="row">{escape(text)}</th>'
        elif text.startswith(GAP):
            yield f'<td class="gap" colspan="{columns - place}">{escape(text)}</td>'
            return  # what would follow is not there either
        else:
            yield f"<td>{escape(text)}</td>"
