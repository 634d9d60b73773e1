"""Splits of the landmark table in which no client's rows are on both sides, whatever it is split by.

A person's rows are alike, and a person comes back: a row of theirs in training would tell the answer of another in testing.
Assignment is by a hash of the group's name and a seed, so it does not depend on the order of rows, and a group stays where
it is when data are added.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keepwell.care.endings import DAY, WINDOW
from keepwell.contract.words import HORIZONS

Group = Literal["client", "clinician", "clinic", "world"]
"""`world`: what simulated clinics share, whose names differ in the last part only."""
Mask = NDArray[np.bool_]

EMBARGO_DAYS: Final = max(HORIZONS.values()) + WINDOW // DAY
"""How long before a split in time training ends: the longest horizon, and the time a stop takes to be declared."""


class Split(NamedTuple):
    """Masks of the rows to train and to test on. Rows may be in neither."""

    train: Mask
    test: Mask


def hold_out(frame: pd.DataFrame, by: Group = "client", share: float = 0.25, seed: int = 0) -> Split:
    """Holds out about a share of the groups. Where a group is not the client, rows of clients that are seen in testing
    leave training; rows without a known clinician are only trained on."""
    groups = frame[by]
    drawn = np.array([_draw(name, seed) < share for name in groups.cat.categories], dtype=np.bool_)
    return _split(frame, _of_groups(groups, drawn))


def folds(frame: pd.DataFrame, by: Group = "client", k: int = 5, seed: int = 0) -> Iterator[Split]:
    """Each of `k` folds of groups held out in turn, otherwise as `hold_out`. Raises `ValueError` for fewer groups."""
    groups = (worlds(frame) if by == "world" else frame[by]).cat.remove_unused_categories()
    names = list(groups.cat.categories)
    if len(names) < k:
        raise ValueError(f"{len(names)} groups by {by} cannot make {k} folds")
    order = np.argsort([_draw(name, seed) for name in names])
    fold = np.empty(len(names), dtype=np.int64)
    fold[order] = np.arange(len(names)) % k
    for n in range(k):
        yield _split(frame, _of_groups(groups, fold == n))


def by_time(frame: pd.DataFrame, at: datetime, embargo_days: int = EMBARGO_DAYS) -> Split:
    """Tests on clients whose first episode opened at `at` or later, trains on rows of the others that lie at least
    `embargo_days` before it, so that what is trained on was decided by then."""
    moment = pd.Timestamp(at)
    first = frame.groupby("client", observed=True)["opened_at"].transform("min")
    known = frame["as_of"] < moment - pd.Timedelta(days=embargo_days)
    new = first >= moment
    return Split((~new & known).to_numpy(), new.to_numpy())


def worlds(frame: pd.DataFrame) -> pd.Series[str]:
    """The world of each row: the name of its clinic without the last part."""
    clinics = frame["clinic"].cat
    found = [str(name).rpartition("-")[0] or str(name) for name in clinics.categories]
    names, codes = np.unique(found, return_inverse=True)
    return pd.Series(pd.Categorical.from_codes(codes[clinics.codes], categories=pd.Index(names, dtype="str")))


def _split(frame: pd.DataFrame, test: Mask) -> Split:
    clients = frame["client"].cat.codes.to_numpy()
    seen = np.isin(clients, clients[test])
    return Split(~seen, test)


def _of_groups(groups: pd.Series[Any], chosen: Mask) -> Mask:
    """The rows whose group is chosen; those without a group are not."""
    codes = groups.cat.codes.to_numpy()
    mask: Mask = np.append(chosen, False)[codes]  # code -1, no group, reads the last
    return mask


def _draw(name: str, seed: int) -> float:
    """A number from 0 to 1 that depends on the name and the seed only."""
    return int.from_bytes(hashlib.sha256(f"{seed}\n{name}".encode()).digest()[:8]) / 2**64
