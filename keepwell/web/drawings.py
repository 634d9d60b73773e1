"""What drawings show and where on them it lies; `pages/svg.html` writes them down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import ClassVar, Final, Literal, NamedTuple

TICKS: Final = 6
"""Steps between the ends of an axis, at most, where nothing else is said."""
ROUND: Final = (1, 2, 2.5, 5, 10)
"""Steps that are easy to read, times a power of ten."""
MOST_EDGES: Final = 5
"""Edges of a step function that are written, so that they do not run into each other."""
CLOSE: Final = 20.0
"""Per cent of a scale nearer to its mark than which its low end is not written."""

Style = Literal["a", "b", "c"]
"""A class of the page's style."""
Row = tuple[str, ...]


class DrawnSeries(NamedTuple):
    """A line of a chart. `spans` are intervals: x, low, high."""

    name: str
    style: Style
    points: Sequence[tuple[float, float]]
    dots: bool = False
    spans: Sequence[tuple[float, float, float]] = ()


class Axis(NamedTuple):
    """From where to where, what it is, and values to write with their words; none: round ones.

    >>> [words for _, words in Axis(0, 0.5, "risk").told()]
    ['0', '0.1', '0.2', '0.3', '0.4', '0.5']
    """

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

    def part(self, value: float) -> float:
        """Where a value lies, from 0 at the low end to 1 at the high one."""
        return (value - self.low) / (self.high - self.low)

    def in_words(self, value: float) -> str:
        """A value as it is written, with the axis' own words where it has some."""
        return dict(self.ticks).get(value, f"{value:.3g}")


@dataclass(frozen=True)
class Chart:
    """Lines over two axes. `name` is an id, unique on its page."""

    WIDTH: ClassVar = 420
    HEIGHT: ClassVar = 300
    LEFT: ClassVar = 58
    TOP: ClassVar = 12
    right: ClassVar = WIDTH - 14
    bottom: ClassVar = HEIGHT - 46

    name: str
    title: str
    series: Sequence[DrawnSeries]
    across: Axis
    up: Axis

    @property
    def words(self) -> str:
        """What is drawn, for those who do not see it."""
        lines = ", ".join(line.name for line in self.series)
        return f"Lines: {lines}. Across: {self.across.words}. Up: {self.up.words}. The figures stand below."

    def x(self, value: float) -> float:
        """Where a value lies across."""
        return self.LEFT + self.across.part(value) * (self.right - self.LEFT)

    def y(self, value: float) -> float:
        """Where a value lies up."""
        return self.bottom - self.up.part(value) * (self.bottom - self.TOP)

    def path(self, line: DrawnSeries) -> str:
        """The points of a line as SVG has them."""
        return " ".join(f"{self.x(across):.1f},{self.y(up):.1f}" for across, up in line.points)

    def rows(self) -> Iterator[Row]:
        """The figures: of which line, where across, and what, with its interval."""
        for line in self.series:
            spans = {place: f" ({low:.3g} to {high:.3g})" for place, low, high in line.spans}
            for across, up in line.points:
                yield line.name, self.across.in_words(across), self.up.in_words(up) + spans.get(across, "")


@dataclass(frozen=True)
class Stairs:
    """A step function: `points` between and beyond `edges`, and what a missing value has. `top` is the largest points of all
    that are drawn beside each other, so that they can be compared. `name` is an id, unique on its page."""

    WIDTH: ClassVar = 300
    HEIGHT: ClassVar = 140
    LEFT: ClassVar = 38
    RIGHT: ClassVar = 54
    MIDDLE: ClassVar = 60.0
    REACH: ClassVar = 48.0
    end: ClassVar = WIDTH - RIGHT
    apart: ClassVar = WIDTH - RIGHT / 2 + 1

    name: str
    title: str
    edges: Sequence[float]
    points: Sequence[float]
    missing: float
    top: float

    def y(self, value: float) -> float:
        """Where points lie up."""
        return self.MIDDLE - value / self.top * self.REACH if self.top > 0 else self.MIDDLE

    def told(self) -> Sequence[tuple[float, str]]:
        """The points to write."""
        return [(value, f"{value:+.1f}" if value else "0") for value in (self.top, 0.0, -self.top)]

    def path(self) -> str:
        """The steps as SVG has them."""
        return " ".join(
            f"{self._at(n):.1f},{self.y(value):.1f} {self._at(n + 1):.1f},{self.y(value):.1f}"
            for n, value in enumerate(self.points)
        )

    def marks(self) -> Iterator[tuple[float, str]]:
        """The edges to write, and where."""
        every = max(1, -(-len(self.edges) // MOST_EDGES))
        return ((self._at(n + 1), f"{edge:.3g}") for n, edge in enumerate(self.edges) if n % every == 0)

    def rows(self) -> Iterator[Row]:
        """The figures: from which value to which, and the points."""
        ends = [f"{edge:.4g}" for edge in self.edges]
        for n, value in enumerate(self.points):
            low, high = ends[n - 1] if n else None, ends[n] if n < len(ends) else None
            if low is None:
                where = "all" if high is None else f"below {high}"
            else:
                where = f"{low} or more" if high is None else f"{low} to below {high}"
            yield where, f"{value:+.3f}"
        yield "missing", f"{self.missing:+.3f}"

    def _at(self, edge: int) -> float:
        return self.LEFT + edge * (self.end - self.LEFT) / len(self.points)


class Bar(NamedTuple):
    """A row of a forest plot: a figure with its interval, in words too; or why it could not be had."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    words: str
    gap: str | None = None


class Forest(NamedTuple):
    """Figures on one scale: its ends, where a line stands, what is measured and what the line is."""

    bars: Sequence[Bar]
    low: float
    high: float
    mark: float
    words: str
    mark_words: str

    def at(self, value: float) -> float:
        """Where a value lies, in per cent of the scale; what lies beyond an end is drawn there."""
        return 100 * (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)

    def told(self) -> Iterator[tuple[float, str, str]]:
        """What is written below the scale, where, and how it is anchored there."""
        if self.at(self.mark) > CLOSE:
            yield 0.0, f"{self.low:g}", "start"
        yield 100.0, f"{self.high:g}", "end"
        yield self.at(self.mark), f"{self.mark:g} {self.mark_words}", "middle"
