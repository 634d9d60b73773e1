"""The simple rules that a model has to beat: what a clinic can do without one, from what was known at each moment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
import numpy as np
import pandas as pd

from keepwell.care.instruments import SRS, plain
from keepwell.contract.events import Event, MeasureCompleted
from training.constants import constants
from training.evaluate.metrics import Vector
from training.fit.sample import Mask

SRS_CUTOFF: Final = 36.0
"""Total below which the Session Rating Scale asks for a talk (Duncan et al. 2003, J Brief Ther 3:3)."""
ITEM_CUTOFF: Final = 9.0
"""The same of a single item (Miller & Duncan 2004, administration and scoring manual of ORS and SRS)."""
LEAST_FALL: Final = 1.0
"""Points by which a rating must fall from the one before (OpenFIT's rule; Bargmann & Robinson 2012, ICCE manual 2: a fall of
a single point is worth a talk)."""
DIGITS: Final = 6
"""Digits that a difference of ratings keeps, so that 36.1 - 35.1 is a point."""


class SimpleRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule that flags moments, or, where `ranks`, only orders them."""

    name: str
    title: str
    source: str
    ranks: bool = False


class _Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    gap: str
    rules: tuple[SimpleRule, ...]


_FILE: Final = constants(__file__, _Rules)
RULES: Final = _FILE.rules
MISSED_TWICE, SRS_LOW, SRS_FALL, SRS_OPENFIT, SRS_WARNING, SRS_LOWEST = RULES
GAP: Final = _FILE.gap
"""What is not here, and why."""


def verdicts(frame: pd.DataFrame, events: Iterable[Event]) -> dict[str, Vector]:
    """Of each row of a landmark table and each rule: 1 flagged, 0 not; of `srs-lowest` a number that is higher the lower the
    last rating, and lowest where there is none. A row without a rating is not flagged: the rules do not know silence."""
    known = _last_rating(frame, events)
    below, fallen = low(known), fell(known)
    flags = {
        MISSED_TWICE.name: missed_in_a_row(frame) >= 2,
        SRS_LOW.name: below,
        SRS_FALL.name: fallen,
        SRS_OPENFIT.name: below | fallen,
        SRS_WARNING.name: below | (known["item"] < ITEM_CUTOFF).to_numpy(),
    }
    columns: dict[str, Vector] = {name: flag.astype(np.float64) for name, flag in flags.items()}
    columns[SRS_LOWEST.name] = np.nan_to_num(-known["total"].to_numpy(dtype=np.float64), nan=-np.inf)
    return columns


def ratings(events: Iterable[Event]) -> pd.DataFrame:
    """Every SRS in time order, as told: `episode`, `as_of`, `total`, lowest `item`, total `before`; NaN where none."""
    told = [
        (event.key, event.time, scores.pop("total"), min(scores.values(), default=np.nan))
        for event in events
        if isinstance(event, MeasureCompleted) and "total" in (scores := _srs(event))
    ]
    found = pd.DataFrame(told, columns=["episode", "as_of", "total", "item"])
    found["as_of"] = pd.to_datetime(found["as_of"], utc=True).dt.as_unit("us")
    found["episode"] = found["episode"].astype(object)
    found = found.sort_values("as_of", kind="stable", ignore_index=True)
    found["before"] = found.groupby("episode")["total"].shift()
    return found


def low(known: pd.DataFrame) -> Mask:
    """Where the rating of a row lies below the scale's cut-off."""
    return (known["total"] < SRS_CUTOFF).to_numpy(dtype=np.bool_)


def fell(known: pd.DataFrame) -> Mask:
    """Where it lies a point or more below the one before."""
    return ((known["before"] - known["total"]).round(DIGITS) >= LEAST_FALL).to_numpy(dtype=np.bool_)


def missed_in_a_row(frame: pd.DataFrame) -> Vector:
    """Visits missed since one was last attended: what was missed in all, less what was by the last row after a visit."""
    by_then = frame["missed"].where(frame["lost_in_a_row"] == 0)
    before = by_then.groupby(frame["episode"], observed=True).ffill().fillna(0.0)
    return (frame["missed"] - before).to_numpy(dtype=np.float64)


def _last_rating(frame: pd.DataFrame, events: Iterable[Event]) -> pd.DataFrame:
    """Of each row the newest of `ratings` by then."""
    told = ratings(events)
    told["as_of"] = told["as_of"].astype(frame["as_of"].dtype)
    rows = pd.DataFrame(
        {"episode": frame["episode"].astype(str).astype(object), "as_of": frame["as_of"], "row": np.arange(len(frame))}
    )
    found = pd.merge_asof(rows.sort_values("as_of", kind="stable"), told, on="as_of", by="episode")
    return found.sort_values("row", ignore_index=True)


def _srs(event: MeasureCompleted) -> dict[str, float]:
    """What can be read of a client's SRS; nothing of any other measure."""
    asked = event.data.rater == "client" and plain(event.data.instrument) == plain(SRS.name)
    return SRS.readable(event.data.scores) if asked else {}
