"""The moments at which the true risk is told: copies of people as they stood there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.simulate.people import Floats, People


@dataclass(frozen=True)
class Landmarks:
    """A row a moment."""

    people: People
    at: Floats
    """Minutes."""
    weights: Floats
    """Of `people.NODES`: what the episode's own log says of the effect of a clinician nobody knows. Rows sum to 1."""

    def __len__(self) -> int:
        return len(self.at)

    def take(self, rows: Any) -> Landmarks:
        return Landmarks(self.people.take(rows), self.at[rows], self.weights[rows])

    @staticmethod
    def joined(parts: Sequence[Landmarks]) -> Landmarks:
        return Landmarks(
            People.joined([part.people for part in parts]),
            np.concatenate([part.at for part in parts]),
            np.concatenate([part.weights for part in parts]),
        )
