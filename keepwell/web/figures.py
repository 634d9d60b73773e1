"""Figures as words, the same on every page and in a terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

Filter = Callable[..., str]

NOTHING: Final = "–"
"""What stands where there is no figure."""


def count(value: float) -> str:
    """A number of things.

    >>> count(12345)
    '12,345'
    """
    return f"{value:,.0f}"


def number(value: float | None, digits: int) -> str:
    """A figure, or a dash where there is none."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def signed(value: float, digits: int) -> str:
    """A figure that may lie on either side of 0."""
    return f"{value:+.{digits}f}"


def share(value: float | None) -> str:
    """A part of one, in per cent.

    >>> share(0.1234), share(None)
    ('12.3%', '–')
    """
    return NOTHING if value is None else f"{value:.1%}"


def percent(value: float) -> str:
    """The same without a decimal."""
    return f"{value:.0%}"


def pixels(value: float) -> str:
    """A place on a drawing."""
    return f"{value:.1f}"


FILTERS: Final[dict[str, Filter]] = {
    "count": count, "number": number, "signed": signed, "share": share, "percent": percent, "px": pixels,
}  # fmt: skip
"""What templates call them."""
