"""Small numbers of supervision: what is shown of a count, and of a total beside its parts, so that none below five is told.

Every figure that is shown comes from what may be shown, never from the counts themselves: a total is the sum of its shown
parts and of one more, the sum of those that are hidden, shown by the same rule. So there is nothing that could be had by
subtracting: whoever takes the parts from their total gets that one rounded sum of several small counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

FEWEST: Final = 5
"""Counts below it are hidden, others rounded to a multiple of it."""


def shown(count: int) -> int | None:
    """A count as it may be shown: None where it is small, as 0 is too, else the nearest multiple of five.

    >>> [shown(count) for count in (0, 4, 5, 12, 13)]
    [None, None, 5, 10, 15]
    """
    return FEWEST * ((count + FEWEST // 2) // FEWEST) if count >= FEWEST else None


def total(counts: Sequence[int]) -> int | None:
    """The total of parts that are shown beside it; None where neither any of them nor those that are hidden come to five.

    Where the hidden ones are all as large as a hidden one can be, their rounded sum would tell, so the multiple below is
    taken.

    >>> total([23, 3, 18]), total([23, 3, 4]), total([4, 4]), total([2, 2])
    (45, 30, 5, None)
    """
    hidden = [count for count in counts if count < FEWEST]
    rest = shown(sum(hidden))
    if rest is not None and rest - FEWEST // 2 >= (FEWEST - 1) * len(hidden):
        rest -= FEWEST
    found = sum(shown(count) or 0 for count in counts) + (rest or 0)
    return found or None


def of_parts(part: int, others: int) -> int | None:
    """One of two counts that make up a total; None where either is small, as the other is its complement.

    >>> of_parts(12, 7), of_parts(12, 2), of_parts(2, 12)
    (10, None, None)
    """
    return shown(part) if others >= FEWEST else None
