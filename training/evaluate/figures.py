"""Estimates as words: figures with their intervals, for pages and for the terminal."""

from __future__ import annotations

from typing import Final

from keepwell.web.drawings import Bar
from keepwell.web.figures import NOTHING, Filter
from training.evaluate.metrics import Estimate

TITLES: Final = {"14d": "within 14 days", "30d": "within 30 days", "60d": "within 60 days", "next": "next visit missed"}
"""What the outputs are called."""


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


def middle(found: tuple[float, float, float] | None) -> str:
    """A median, with the quartiles around it."""
    return NOTHING if found is None else "{1:.0f} ({0:.0f} to {2:.0f})".format(*found)


def bar(name: str, found: Estimate, gap: str | None = None) -> Bar:
    """An estimate as a row of a forest plot."""
    return Bar(name, found.value, found.low, found.high, estimate(found), gap)


FILTERS: Final[dict[str, Filter]] = {
    "estimate": estimate, "shares": shares, "interval": interval, "middle": middle,
}  # fmt: skip
"""What templates call them."""
