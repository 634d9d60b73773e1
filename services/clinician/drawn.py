"""Pieces of pages that are drawn once for as long as they would say the same."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import timedelta
from time import monotonic
from typing import Final, Generic, TypeVar

LIFE: Final = timedelta(minutes=10)
"""What nobody asks for is let go of when anything is asked for after twice so long, that of an erased client too; ours."""
MOST: Final = 2_048
"""Pieces of one age, of two; a row of a list has 2 to 9 kB. Ours."""

Piece = TypeVar("Piece")


class Drawn(Generic[Piece]):
    """Pieces by everything that they follow from, those asked for lately. For any thread: two that ask for one at the same
    time may both draw it, and get the same. `clock` counts seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._young: dict[Hashable, Piece] = {}
        self._old: dict[Hashable, Piece] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, follows_from: Hashable, draw: Callable[[], Piece]) -> Piece:
        """The piece that follows from these, drawn now if it is not kept."""
        self._age()
        young, old = self._young, self._old
        piece = young.get(follows_from)
        if piece is None:
            piece = old.get(follows_from) or draw()
            young[follows_from] = piece
        return piece

    def _age(self) -> None:
        """Lets go of what nobody asked for since the pieces before were young."""
        passed = self._clock() - self._began
        if passed >= LIFE.total_seconds() or len(self._young) >= MOST:
            self._old = self._young if passed < 2 * LIFE.total_seconds() else {}
            self._young, self._began = {}, self._clock()
