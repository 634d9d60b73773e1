"""Where lines, points and bands lie on the drawings of a course; `pages/svg.html` writes them down as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from services.clinician.telling import parsed
from services.clinician.views import Measure, Point, ScoreAt

LINE: Final = (148, 40)
"""Width and height of a course line in a row."""
CHART: Final = (360, 168)
"""Width and height of a chart: letters of 12 units can be read on a phone."""
MARGIN: Final = 5
"""Room around a course line, so that its dots are whole."""
LEFT: Final = 34
BOTTOM: Final = 24
TOP: Final = 12
RIGHT: Final = 14
LEAST_TOP: Final = 0.2
"""Least end of the scale of risks, so that small moves do not look large; ours."""
LEAST_APART: Final = 11.0
"""Nearest that two numbers beside a chart stand to each other."""


class Frame(NamedTuple):
    """A drawing: its size, where its plot lies, and the scales of it: moments across, numbers up."""

    width: int
    height: int
    left: float
    top: float
    right: float
    bottom: float
    start: datetime
    end: datetime
    low: float
    high: float

    def x(self, moment: datetime) -> float:
        """Where a moment lies across; in the middle where there is only one."""
        span = (self.end - self.start).total_seconds()
        part = (moment - self.start).total_seconds() / span if span > 0 else 0.5
        return round(self.left + part * (self.right - self.left), 1)

    def y(self, value: float) -> float:
        """Where a value lies up; what lies beyond the scale is drawn at its end."""
        span = self.high - self.low
        part = (min(max(value, self.low), self.high) - self.low) / span if span > 0 else 0.5
        return round(self.bottom - part * (self.bottom - self.top), 1)


class Ratings(NamedTuple):
    """A measure over time. `dots` are x, y; `band` is the y of its upper end and its height; `ticks` are y and value."""

    frame: Frame
    line: str
    dots: tuple[tuple[float, float], ...]
    cutoff: float | None
    band: tuple[float, float] | None
    ticks: tuple[tuple[float, float], ...]


class RiskSteps(NamedTuple):
    """The 30-day risk over time: lines in steps, one for each stretch in which there was one."""

    frame: Frame
    lines: tuple[str, ...]


def in_order(points: Sequence[Point]) -> tuple[Point, ...]:
    """Ratings, the oldest first."""
    return tuple(sorted(points, key=lambda point: parsed(point.at)))


def ratings(measure: Measure, *, small: bool = False) -> Ratings | None:
    """A measure in its own scale; None without a rating. `small`: the course line of a row, without numbers."""
    points = in_order(measure.points)
    if not points:
        return None
    start, end = parsed(points[0].at), parsed(points[-1].at)
    width, height = LINE if small else CHART
    room = (MARGIN, MARGIN, width - MARGIN, height - MARGIN) if small else (LEFT, TOP, width - RIGHT, height - BOTTOM)
    frame = Frame(width, height, *room, start, end, measure.low, measure.high)
    dots = tuple((frame.x(parsed(point.at)), frame.y(point.value)) for point in points)
    band = None
    if measure.usual is not None:
        upper = frame.y(measure.usual[1])
        band = upper, round(max(frame.y(measure.usual[0]) - upper, 1.0), 1)
    wanted = [measure.low, measure.high] if measure.cutoff is None else [measure.low, measure.high, measure.cutoff]
    ticks: list[tuple[float, float]] = []
    for value in wanted:
        if all(abs(frame.y(value) - at) >= LEAST_APART for at, _ in ticks):
            ticks.append((frame.y(value), value))
    cutoff = None if measure.cutoff is None else frame.y(measure.cutoff)
    return Ratings(frame, path(dots), dots, cutoff, band, tuple(ticks))


def steps(scores: Sequence[ScoreAt], until: datetime | None = None) -> RiskSteps | None:
    """The 30-day risk over time, on a scale of its own; None where there never was one. The last one holds to `until`."""
    known = sorted(scores, key=lambda score: parsed(score.as_of))
    risks = [score.risk.d30 for score in known if score.risk is not None]
    if not risks:
        return None
    width, height = CHART
    room = (LEFT, TOP, width - RIGHT, height - BOTTOM)
    high = max(LEAST_TOP, 1.15 * max(risks))
    last = parsed(known[-1].as_of)
    end = last if until is None else max(until, last)
    frame = Frame(width, height, *room, parsed(known[0].as_of), end, 0.0, high)
    lines: list[list[tuple[float, float]]] = [[]]
    for score in known:
        at = frame.x(parsed(score.as_of))
        if lines[-1]:
            lines[-1].append((at, lines[-1][-1][1]))
        if score.risk is None:
            lines.append([])
        elif not lines[-1] or lines[-1][-1] != (at, frame.y(score.risk.d30)):
            lines[-1].append((at, frame.y(score.risk.d30)))
    if lines[-1] and lines[-1][-1][0] < frame.x(end):
        lines[-1].append((frame.x(end), lines[-1][-1][1]))
    if len(lines[-1]) == 1:
        at, up = lines[-1][0]
        lines[-1] = [(at - 4, up), (at + 4, up)]
    return RiskSteps(frame, tuple(path(line) for line in lines if line))


def path(points: Sequence[tuple[float, float]]) -> str:
    """Points as SVG has them.

    >>> path([(1.0, 2.0), (3.5, 4.0)])
    '1,2 3.5,4'
    """
    return " ".join(f"{across:g},{up:g}" for across, up in points)
