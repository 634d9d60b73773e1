"""The simple rules that a model has to beat: what a clinic can do without one, from what was known at each moment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from keepwell.events import AnyEvent, MeasureCompleted
from training.evaluate.metrics import Vector

SRS_CUTOFF: Final = 36.0
"""Total below which the Session Rating Scale asks for a talk (Duncan et al. 2003, J Brief Ther 3:3)."""
ITEM_CUTOFF: Final = 9.0
"""The same of a single item (Miller & Duncan 2004, administration and scoring manual of ORS and SRS)."""
LEAST_FALL: Final = 1.0
"""Points by which a rating must fall from the one before (Bargmann & Robinson 2012, ICCE manual 2: a fall of a single point
is worth a talk)."""


class Rule(NamedTuple):
    """A rule that flags moments, or, where `ranks`, only orders them."""

    name: str
    title: str
    source: str
    ranks: bool = False


MISSED_TWICE: Final = Rule("missed-twice", "Two visits missed, none attended since", "Usual practice of clinics")
SRS_LOW: Final = Rule("srs-below-36", "Last SRS below 36", "Duncan et al. 2003, J Brief Ther 3:3")
SRS_WARNING: Final = Rule(
    "srs-or-item", "Last SRS below 36, or an item below 9", "Miller & Duncan 2004, scoring manual of ORS and SRS"
)
SRS_FALL: Final = Rule(
    "srs-fall", "Last SRS at least a point below the one before", "Bargmann & Robinson 2012, ICCE manual 2"
)
SRS_ANY: Final = Rule(
    "srs-any", "Any of the three SRS signs", "The three above together: the published advice for the scale"
)
SRS_LOWEST: Final = Rule("srs-lowest", "The lowest last SRS first", "Orders by the scale's total alone", ranks=True)
RULES: Final = (MISSED_TWICE, SRS_LOW, SRS_WARNING, SRS_FALL, SRS_ANY, SRS_LOWEST)

GAP: Final = (
    "OpenFIT's own alert rules are not documented in public as far as we could find; what stands here is what the authors of "
    "the scale publish."
)


def verdicts(frame: pd.DataFrame, events: Iterable[AnyEvent]) -> dict[str, Vector]:
    """Of each row of a landmark table and each rule: 1 flagged, 0 not; of `srs-lowest` a number that is higher the lower the
    last rating, and lowest where there is none. A row without a rating is not flagged: the rules do not know silence."""
    known = _last_rating(frame, events)
    low = (known["total"] < SRS_CUTOFF).to_numpy()
    warning = low | (known["item"] < ITEM_CUTOFF).to_numpy()
    fall = (known["before"] - known["total"] >= LEAST_FALL).to_numpy()
    flags = {
        MISSED_TWICE.name: _missed_in_a_row(frame) >= 2,
        SRS_LOW.name: low,
        SRS_WARNING.name: warning,
        SRS_FALL.name: fall,
        SRS_ANY.name: warning | fall,
    }
    columns: dict[str, Vector] = {name: flag.astype(np.float64) for name, flag in flags.items()}
    columns[SRS_LOWEST.name] = np.nan_to_num(-known["total"].to_numpy(dtype=np.float64), nan=-np.inf)
    return columns


def _missed_in_a_row(frame: pd.DataFrame) -> Vector:
    """Visits missed since one was last attended: what was missed in all, less what was by the last row after a visit."""
    by_then = frame["missed"].where(frame["lost_in_a_row"] == 0)
    before = by_then.groupby(frame["episode"], observed=True).ffill().fillna(0.0)
    return (frame["missed"] - before).to_numpy(dtype=np.float64)


def _last_rating(frame: pd.DataFrame, events: Iterable[AnyEvent]) -> pd.DataFrame:
    """Of each row the newest SRS by then: `total`, lowest `item`, and the total `before` it. As told; NaN where none."""
    told = [
        (event.key, event.time, event.data.scores["total"], min(_items(event), default=np.nan))
        for event in events
        if isinstance(event, MeasureCompleted) and _is_srs(event)
    ]
    ratings = pd.DataFrame(told, columns=["episode", "as_of", "total", "item"])
    ratings["as_of"] = pd.to_datetime(ratings["as_of"], utc=True).astype(frame["as_of"].dtype)
    ratings["episode"] = ratings["episode"].astype(object)
    ratings = ratings.sort_values("as_of", kind="stable")
    ratings["before"] = ratings.groupby("episode")["total"].shift()
    rows = pd.DataFrame(
        {"episode": frame["episode"].astype(str).astype(object), "as_of": frame["as_of"], "row": np.arange(len(frame))}
    )
    found = pd.merge_asof(rows.sort_values("as_of", kind="stable"), ratings, on="as_of", by="episode")
    return found.sort_values("row", ignore_index=True)


def _is_srs(event: MeasureCompleted) -> bool:
    return event.data.instrument == "SRS" and event.data.rater == "client" and "total" in event.data.scores


def _items(event: MeasureCompleted) -> list[float]:
    return [score for scale, score in event.data.scores.items() if scale != "total"]
