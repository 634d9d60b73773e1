"""The drawings of the report as inline SVG: no script, no other host, colours from the page's style, readable in print."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

WIDTH: Final = 640
ROW: Final = 24
"""Height of a row of a forest plot."""


class Bar(NamedTuple):
    """A row of a forest plot: a value with its interval; None where there is none."""

    name: str
    value: float | None
    low: float | None
    high: float | None


class Line(NamedTuple):
    """A line of a chart; `style` is a class of the page's style: `a`, `b` or `c`."""

    name: str
    style: str
    points: Sequence[tuple[float, float]]
    dots: bool = False


def forest(title: str, bars: Sequence[Bar], low: float, high: float, mark: float) -> str:
    """Values with intervals below each other, between `low` and `high`, with a line at `mark`."""
    left, right, height = 250, WIDTH - 60, ROW * len(bars) + 30

    def x(value: float) -> float:
        return left + (min(max(value, low), high) - low) / (high - low) * (right - left)

    parts = [f'<line class="grid" x1="{x(mark):.1f}" y1="4" x2="{x(mark):.1f}" y2="{height - 22}"/>']
    for tick in (low, (low + high) / 2, high):
        parts.append(_text(x(tick), height - 6, f"{tick:.2g}", "middle"))
    for number, bar in enumerate(bars):
        y = ROW * number + 18
        parts.append(_text(left - 10, y + 4, bar.name, "end"))
        if bar.value is None:
            parts.append(_text(left + 6, y + 4, "too few to say", "start"))
            continue
        if bar.low is not None and bar.high is not None:
            parts.append(f'<line class="a" x1="{x(bar.low):.1f}" y1="{y}" x2="{x(bar.high):.1f}" y2="{y}"/>')
        parts.append(f'<circle class="dot a" cx="{x(bar.value):.1f}" cy="{y}" r="4"/>')
        parts.append(_text(right + 12, y + 4, f"{bar.value:.3f}", "start"))
    return _drawing(title, WIDTH, height, parts)


def chart(
    title: str, lines: Sequence[Line], across: tuple[float, float], up: tuple[float, float], words: tuple[str, str]
) -> str:
    """Lines over two axes, with their ranges and names."""
    width, height, left, bottom, top, right = 420, 300, 52, 44, 12, 12

    def at(point: tuple[float, float]) -> str:
        x = left + (point[0] - across[0]) / (across[1] - across[0]) * (width - left - right)
        y = height - bottom - (min(max(point[1], up[0]), up[1]) - up[0]) / (up[1] - up[0]) * (height - bottom - top)
        return f"{x:.1f},{y:.1f}"

    parts = []
    for step in range(5):
        share = step / 4
        value_x, value_y = across[0] + share * (across[1] - across[0]), up[0] + share * (up[1] - up[0])
        x, y = at((value_x, value_y)).split(",")
        parts.append(f'<line class="grid" x1="{left}" y1="{y}" x2="{width - right}" y2="{y}"/>')
        parts.append(_text(left - 6, float(y) + 4, f"{value_y:.2g}", "end"))
        parts.append(_text(float(x), height - bottom + 16, f"{value_x:.2g}", "middle"))
    parts.append(_text((left + width) / 2, height - 8, words[0], "middle"))
    turned = f"translate(12 {(height - bottom) / 2:.0f}) rotate(-90)"
    parts.append(f'<text transform="{turned}" text-anchor="middle">{escape(words[1])}</text>')
    for number, line in enumerate(lines):
        points = " ".join(at(point) for point in line.points)
        parts.append(f'<polyline class="line {line.style}" points="{points}"/>')
        if line.dots:
            for x, y in (at(point).split(",") for point in line.points):
                parts.append(f'<circle class="dot {line.style}" cx="{x}" cy="{y}" r="3.5"/>')
        y_label = top + 14 + 16 * number
        parts.append(
            f'<line class="{line.style}" x1="{left + 10}" y1="{y_label - 4}" x2="{left + 30}" y2="{y_label - 4}"/>'
        )
        parts.append(_text(left + 36, y_label, line.name, "start"))
    return _drawing(title, width, height, parts)


def steps(title: str, edges: Sequence[float], points: Sequence[float], missing: float, top: float) -> str:
    """A step function over its edges, bin by bin at equal width, with the missing value's points apart on the right; `top` is
    the largest points of the card, so that drawings can be compared."""
    width, height, left, right = 300, 130, 8, 46
    bins = len(points)
    span = (width - left - right) / bins
    middle = 52.0

    def y(value: float) -> float:
        return middle - value / top * 42 if top > 0 else middle

    parts = [f'<line class="grid" x1="{left}" y1="{middle}" x2="{width - 4}" y2="{middle}"/>']
    path = []
    for number, value in enumerate(points):
        x = left + number * span
        path.append(f"{x:.1f},{y(value):.1f} {x + span:.1f},{y(value):.1f}")
    parts.append(f'<polyline class="line a" points="{" ".join(path)}"/>')
    every = max(1, -(-len(edges) // 5))
    for number, edge in enumerate(edges):
        if number % every == 0:
            parts.append(_text(left + (number + 1) * span, 112, f"{edge:.3g}", "middle"))
    x = width - right + 10
    parts.append(f'<line class="b" x1="{x}" y1="{y(missing):.1f}" x2="{width - 8}" y2="{y(missing):.1f}"/>')
    parts.append(_text((x + width - 8) / 2, 126, "missing", "middle"))
    return _drawing(title, width, height, parts)


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _drawing(title: str, width: int, height: int, parts: Sequence[str]) -> str:
    told = escape(title)
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{told}">'
        f"<title>{told}</title>{''.join(parts)}</svg>"
    )
