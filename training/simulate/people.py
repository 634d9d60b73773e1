"""The state of many people in therapy at once, as arrays: nothing in it but what the log shows, and the clinician's effect.

Times are minutes since `EPOCH`, whole numbers in floats; NaN is never, or nothing booked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from keepwell.care.instruments import KNOWN, Instrument
from training.simulate.presets import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

EPOCH: Final = datetime(2023, 1, 2, tzinfo=UTC)
"""When the first episode may open; a Monday."""
HOUR: Final = 60.0
DAY: Final = 1440.0
"""Minutes."""

NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(7)
"""Gauss-Hermite quadrature of a standard normal effect."""
PRIOR: Final[Floats] = NODE_WEIGHTS / NODE_WEIGHTS.sum()


@dataclass
class People:
    """One element (or row) a person. `take` copies the chosen ones."""

    id: Ints
    clinic: Ints
    clinician: Ints
    effect: Floats
    """The clinician's, on the logit of not coming back."""
    intake: Floats
    """Strain from what is known at the opening."""
    planned: Floats
    outcome: Ints
    """Row of the tables of outcome instruments."""
    rhythm: Floats
    """Days between sessions as agreed."""

    starts: Floats
    """Start of the visit that is booked."""
    since: Floats
    """When it was booked or moved."""
    moved: Bools
    lost_at: Floats
    """When a visit was lost with nothing booked since."""
    hour: Floats
    """Start of that visit, where the hours after it are kept (`standing`)."""
    lost_logit: Floats
    """Logit of not coming back from there, without the clinician's effect."""
    cap: Floats
    """Minutes from then within which whoever comes back has booked."""
    last: Floats
    """End of the last session of the spell."""
    sign: Floats
    """Last sign: the opening, a session attended or missed."""

    sessions: Ints
    missed: Ints
    row: Ints
    lost: Bools
    """Whether any visit was lost after a first session."""
    clinic_cancelled: Ints
    ratings: Ints
    level: Floats
    """Expected rating of goals, tasks and bond, three columns, by the person's own course."""
    fall: Floats
    """How far the last rating lay below it."""
    rated: Floats
    """Mean of the last rating."""
    repair: Ints
    """-1, 0 or 1 as the last repair went; 0 without one."""
    noted: Ints
    """An open rupture that was noted: 0 none, 1 withdrawal, 2 confrontation."""
    noted_age: Ints
    measured: Ints
    first_score: Floats
    score: Floats
    skips: Ints
    reviews: Ints
    homework: Floats
    homework_mean: Floats
    due: Bools
    """Homework was agreed and not reviewed."""
    late: Floats
    """Minutes, last time."""
    negative_at: Floats
    wish_at: Floats
    handover_at: Floats
    falling: Ints
    """Reviews of homework in a row that were each less done than the one before."""
    signals: Floats
    """When each of what `voices` remembers last happened, a column each; no column where a world has none of them."""

    def __len__(self) -> int:
        return len(self.id)

    def take(self, rows: Any) -> People:
        """A copy of the chosen rows."""
        return People(**{name: getattr(self, name)[rows] for name in NAMES})

    @staticmethod
    def joined(parts: Sequence[People]) -> People:
        return People(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in NAMES})

    def put(self, rows: Any, others: People) -> None:
        """Writes people back to their rows."""
        for name in NAMES:
            getattr(self, name)[rows] = getattr(others, name)


NAMES: Final = tuple(found.name for found in fields(People))


@dataclass(frozen=True)
class Tables:
    """The outcome instruments of a world as columns to index by `People.outcome`."""

    instruments: tuple[Instrument, ...]
    low: Floats
    high: Floats
    better: Floats
    """1 where higher is better, else -1."""
    change: Floats
    cutoff: Floats
    unit: Floats

    def gain(self, people: People) -> Floats:
        """Improvement since the first score in reliable changes; 0 where measured fewer than two times."""
        gain = self.better[people.outcome] * (people.score - people.first_score) / self.change[people.outcome]
        return np.where(people.measured > 1, gain, 0.0)

    def recovered(self, people: People) -> Bools:
        """Reliably better, and past the cut-off."""
        past = self.better[people.outcome] * (people.score - self.cutoff[people.outcome]) >= 0
        return (self.gain(people) >= 1) & past


def tables(world: World) -> Tables:
    found = tuple(KNOWN[name] for name in world.outcomes)
    return Tables(
        found,
        low=np.array([i.low for i in found]),
        high=np.array([i.high for i in found]),
        better=np.array([1.0 if i.higher_is_better else -1.0 for i in found]),
        change=np.array([i.reliable_change for i in found]),
        # Where low is good the cut-off itself is still clinical.
        cutoff=np.array([i.cutoff if i.higher_is_better else i.cutoff - 1 for i in found]),
        unit=np.array([0.1 if i.name == "ORS" else 1.0 for i in found]),
    )
