"""Which moments are looked at together: landmarks, sessions so far, quarters, fairness groups.

Everything that names a landmark asks here, the comparison with the truth too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.dataset.landmarks import AFTER_MISS, AFTER_MISS_DAYS, after_sessions

Mask = NDArray[np.bool_]

LANDMARK_SESSIONS: Final = (1, 2, 3, 5, 8)
SESSION_BANDS: Final = ((0, 0), (1, 1), (2, 2), (3, 3), (4, 5), (6, 8), (9, 12), (13, None))
POOLED, BOOKING, AFTER_MISSED = "pooled", "booking", "missed-10d"


class MomentGroup(NamedTuple):
    """Moments under one name."""

    name: str
    title: str
    rows: Mask


def everything(frame: pd.DataFrame) -> MomentGroup:
    """All moments together."""
    return MomentGroup(POOLED, "All moments", np.ones(len(frame), dtype=np.bool_))


def landmarks(frame: pd.DataFrame) -> Iterator[MomentGroup]:
    """The moments by which models are usually compared; one a client and landmark, or few."""
    yield MomentGroup(BOOKING, "At the first booking", first_bookings(frame))
    last, session = after_sessions(frame), frame["session"].to_numpy()
    for number in LANDMARK_SESSIONS:
        yield MomentGroup(after_session(number), f"After session {number}", last & (session == number))
    after_miss = (frame["kind"] == AFTER_MISS).to_numpy(dtype=np.bool_)
    yield MomentGroup(AFTER_MISSED, "Ten days after a missed visit, none attended since", after_miss)


def after_session(number: int) -> str:
    """The name of the landmark after a session."""
    return f"session-{number}"


def at_landmarks(frame: pd.DataFrame) -> Mask:
    """The moments at any landmark: the first booking, after every session, ten days after a missed visit."""
    return first_bookings(frame) | after_sessions(frame) | (frame["kind"] == AFTER_MISS).to_numpy(dtype=np.bool_)


def first_bookings(frame: pd.DataFrame) -> Mask:
    """The first booking of each episode, before any session."""
    booked = (frame["kind"] == "booked") & (frame["session"] == 0)
    first = booked & (booked.groupby(frame["episode"].cat.codes).cumsum() == 1)
    return first.to_numpy(dtype=np.bool_)


def due_after_miss(frame: pd.DataFrame) -> pd.Series[pd.Timestamp]:
    """For each row the moment ten days after the visit missed last, where none was attended, cancelled or missed since;
    NaT elsewhere. `training.dataset.landmarks` puts its row at the first tick from there on."""
    missed = frame["as_of"].where(frame["kind"] == "missed").groupby(frame["episode"].cat.codes).ffill()
    return missed.where(frame["last_visit_missed"] == 1) + pd.Timedelta(days=AFTER_MISS_DAYS)


def sessions(frame: pd.DataFrame) -> Iterator[MomentGroup]:
    """All moments by how many sessions were attended by then."""
    attended = frame["session"].to_numpy()
    for low, high in SESSION_BANDS:
        name = f"{low}+" if high is None else str(low) if low == high else f"{low}-{high}"
        yield MomentGroup(name, name, (attended >= low) & (attended <= (np.inf if high is None else high)))


def quarters(frame: pd.DataFrame) -> Iterator[MomentGroup]:
    """All moments by the quarter they lie in: what drifts shows here."""
    moment = frame["as_of"].dt
    names = (moment.year.astype(str) + "-Q" + moment.quarter.astype(str)).to_numpy(dtype=object)
    for name in sorted(set(names)):
        yield MomentGroup(name, name, names == name)


def fair_groups(frame: pd.DataFrame, fairness: pd.DataFrame) -> Iterator[MomentGroup]:
    """The groups of each fairness attribute, named `<attribute>=<value>`."""
    episodes = frame["episode"].astype(str)
    for attribute in sorted(fairness.columns):
        values = episodes.map(fairness[attribute]).to_numpy(dtype=object)
        for value in sorted({value for value in values if isinstance(value, str)}):
            yield MomentGroup(f"{attribute}={value}", f"{attribute.replace('_', ' ')}: {value}", values == value)
