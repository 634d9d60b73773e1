"""Running sums: what a course keeps of numbers that come one by one."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt


@dataclass(slots=True)
class Mean:
    """A running mean, the newest value, and what was usual before it."""

    count: int = 0
    mean: float = 0.0
    last: float = 0.0
    usual: float = 0.0

    def add(self, value: float) -> None:
        self.count += 1
        self.usual = self.mean
        self.mean += (value - self.mean) / self.count
        self.last = value


@dataclass(slots=True)
class Spread:
    """Values against the first of them: what they were on average, and how far apart they lie.

    >>> told = Spread()
    >>> for value in (4.0, 6.0, 8.0):
    ...     told.add(value)
    >>> told.mean, told.usual, told.deviation
    (6.0, 5.0, 2.0)
    """

    count: int = 0
    first: float = 0.0
    last: float = 0.0
    away: float = 0.0
    """How far they lie from the first, added up: sums of differences lose no digits where the values are alike."""
    squares: float = 0.0
    """The same, each squared."""

    def add(self, value: float) -> None:
        self.last = value
        self.count += 1
        if self.count == 1:
            self.first = value
        elif away := value - self.first:
            self.away += away
            self.squares += away * away

    @property
    def mean(self) -> float:
        """Of at least one value."""
        return self.first + self.away / self.count

    @property
    def usual(self) -> float:
        """The mean of all but the newest of at least two values."""
        return self.first + (self.away - (self.last - self.first)) / (self.count - 1)

    @property
    def deviation(self) -> float:
        """The standard deviation (of a sample) of at least two values."""
        return sqrt(max(self.squares - self.away * self.away / self.count, 0.0) / (self.count - 1))
