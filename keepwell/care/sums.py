"""Running sums: what a course keeps of numbers that come one by one."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt


@dataclass(slots=True)
class Mean:
    """A running mean, the newest value, what was usual before it, and how far the values lie apart."""

    count: int = 0
    mean: float = 0.0
    last: float = 0.0
    usual: float = 0.0
    """The mean of all but the newest."""
    squares: float = 0.0
    """Squared deviations from the mean, added up as they come (Welford 1962, Technometrics 4:419)."""

    def add(self, value: float) -> None:
        self.count += 1
        step = value - self.mean
        self.usual = self.mean
        self.mean += step / self.count
        self.squares += step * (value - self.mean)
        self.last = value

    @property
    def spread(self) -> float:
        """The standard deviation (of a sample) of at least two values.

        >>> usual = Mean()
        >>> for value in (4.0, 6.0, 8.0):
        ...     usual.add(value)
        >>> usual.mean, usual.usual, usual.spread
        (6.0, 5.0, 2.0)
        """
        return sqrt(self.squares / (self.count - 1))
