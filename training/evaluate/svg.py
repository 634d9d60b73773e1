"""The drawings of the report as inline SVG: no script, no other host, colours from the page's style, readable in print."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil, floor, log10
from typing import Final, NamedTuple

WIDTH, HEIGHT = 420, 300
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 12, 46
TICKS: Final = 6
"""Steps between the ends of an axis, at most, where nothing else is said."""
ROUND: Final = (1, 2, 2.5, 5, 10)
"""Steps that are easy to read, times a power of ten."""
MOST_EDGES: Final = 5
"""Edges of a step function that are written, so that they do not run into each other."""


class Line(NamedTuple):
    """A line of a chart; `style` is a class of the page's style: `a`, `b` or `c`. `spans` are intervals: x, low, high."""

    name: str
    style: str
    points: Sequence[tuple[float, float]]
    dots: bool = False
    spans: Sequence[tuple[float, float, float]] = ()


class Axis(NamedTuple):
    """From where to where, what it is, and values to write with their words; none: round ones."""

    low: float
    high: float
    words: str
    ticks: Sequence[tuple[float, str]] = ()

    def told(self) -> Sequence[tuple[float, str]]:
        """The values to write."""
        if self.ticks:
            return self.ticks
        rough = (self.high - self.low) / TICKS
        power = 10.0 ** floor(log10(rough))
        step = next(power * times for times in ROUND if power * times >= rough)
        first, last = ceil(self.low / step - 1e-9), floor(self.high / step + 1e-9)
        return [(n * step, f"{n * step:.3g}") for n in range(first, last + 1)]


def chart(title: str, lines: Sequence[Line], across: Axis, up: Axis) -> str:
    """Lines over two axes, with what they are below."""

    def x(value: float) -> float:
        return LEFT + _share(value, across) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - _share(value, up) * (HEIGHT - BOTTOM - TOP)

    room = f"{LEFT} {TOP} {WIDTH - LEFT - RIGHT} {HEIGHT - BOTTOM - TOP}"
    left, top, width, height = room.split()
    # A drawing in the drawing cuts off what lies beyond its edges.
    inside = f'<svg x="{left}" y="{top}" width="{width}" height="{height}" viewBox="{room}">'
    parts = []
    for value, words in up.told():
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y(value):.1f}" x2="{WIDTH - RIGHT}" y2="{y(value):.1f}"/>')
        parts.append(_text(LEFT - 6, y(value) + 4, words, "end"))
    for value, words in across.told():
        parts.append(_text(x(value), HEIGHT - BOTTOM + 17, words, "middle"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, across.words, "middle"))
    turned = f"translate(13 {(HEIGHT - BOTTOM + TOP) / 2:.0f}) rotate(-90)"
    parts.append(f'<text transform="{turned}" text-anchor="middle">{escape(up.words)}</text>')
    for line in lines:
        for place, low, high in line.spans:
            at = f"{x(place):.1f}"
            parts.append(f'<line class="{line.style} thin" x1="{at}" y1="{y(low):.1f}" x2="{at}" y2="{y(high):.1f}"/>')
        points = " ".join(f"{x(one):.1f},{y(other):.1f}" for one, other in line.points)
        parts.append(f'{inside}<polyline class="line {line.style}" points="{points}"/></svg>')
        if line.dots:
            for one, other in line.points:
                parts.append(f'<circle class="dot {line.style}" cx="{x(one):.1f}" cy="{y(other):.1f}" r="3.5"/>')
    key = "".join(f'<span class="key {line.style}">{escape(line.name)}</span>' for line in lines)
    return f'{_drawing(title, WIDTH, HEIGHT, parts)}<div class="keys">{key}</div>'


def steps(title: str, edges: Sequence[float], points: Sequence[float], missing: float, top: float) -> str:
    """A step function over its edges, bin by bin at equal width, with the missing value's points apart on the right; `top` is
    the largest points of the card, so that drawings can be compared."""
    width, height, left, right = 300, 140, 38, 54
    span, middle, reach = (width - left - right) / len(points), 60.0, 48.0

    def y(value: float) -> float:
        return middle - value / top * reach if top > 0 else middle

    parts = [f'<rect class="beyond" x="{width - right + 4}" y="4" width="{right - 6}" height="112"/>']
    for value in (top, 0.0, -top):
        parts.append(f'<line class="grid" x1="{left}" y1="{y(value):.1f}" x2="{width - 2}" y2="{y(value):.1f}"/>')
        parts.append(_text(left - 4, y(value) + 4, f"{value:+.1f}" if value else "0", "end"))
    drawn = " ".join(
        f"{left + n * span:.1f},{y(value):.1f} {left + (n + 1) * span:.1f},{y(value):.1f}"
        for n, value in enumerate(points)
    )
    parts.append(f'<polyline class="line a" points="{drawn}"/>')
    every = max(1, -(-len(edges) // MOST_EDGES))
    for n, edge in enumerate(edges):
        if n % every == 0:
            at = left + (n + 1) * span
            parts.append(f'<line class="grid" x1="{at:.1f}" y1="112" x2="{at:.1f}" y2="117"/>')
            parts.append(_text(at, 131, f"{edge:.3g}", "middle"))
    centre = width - right / 2 + 1
    parts.append(f'<line class="b" x1="{centre - 14}" y1="{y(missing):.1f}" x2="{centre + 14}" y2="{y(missing):.1f}"/>')
    parts.append(_text(centre, 131, "missing", "middle"))
    return _drawing(title, width, height, parts)


def _share(value: float, axis: Axis) -> float:
    return (value - axis.low) / (axis.high - axis.low)


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _drawing(title: str, width: int, height: int, parts: Sequence[str]) -> str:
    told = escape(title)
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{told}">'
        f"<title>{told}</title>{''.join(parts)}</svg>"
    )
