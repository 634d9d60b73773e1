"""From the parts of a sum to sentences: what a score says of its reasons."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from keepwell.contract.outputs import Reason
from keepwell.scoring.features import Value
from keepwell.scoring.scorecard import Part

LEAST_POINTS: Final = 0.05
"""Log-odds below which a part is not worth a sentence."""
KEPT_REASONS: Final = 20_000
"""Reasons kept ready, about 10 MB; counts and ratings repeat, durations do not."""
POINT_DIGITS: Final = 3


class Reasons:
    """Makes reasons. The same feature and value make the same reason, so sentences are kept ready."""

    def __init__(self) -> None:
        self._ready: dict[tuple[str, Value, float], Reason] = {}

    def of(self, parts: Iterable[Part]) -> tuple[Reason, ...]:
        """The reasons that parts make, in their order."""
        return tuple([self._of(part) for part in parts])

    def _of(self, part: Part) -> Reason:
        key = (part.feature.name, part.value, part.points)
        found = self._ready.get(key)
        if found is None:
            if len(self._ready) >= KEPT_REASONS:
                self._ready.clear()
            found = self._ready[key] = _reason(part)
        return found


def words_of(part: Part) -> str:
    """A part in plain words; of a missing value, what its absence means."""
    return part.feature.missing if part.value is None else part.feature.words(part.value)


def _reason(part: Part) -> Reason:
    value = None if part.value is None else round(part.value, POINT_DIGITS)
    return Reason(
        feature=part.feature.name,
        pillar=part.feature.pillar,
        value=value,
        points=round(part.points, POINT_DIGITS),
        text=words_of(part),
    )
