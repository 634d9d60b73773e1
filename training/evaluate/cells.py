"""A cell: one group of moments, and how good the risks are in it. By landmark, session number, quarter and fairness group."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.evaluate.metrics import Estimate, Ints, Vector, discrimination, mean_of
from training.fit.measures import measures

Mask = NDArray[np.bool_]

LEAST_EVENTS: Final = 10
"""Rows of either class below which a cell has no figures: they would be noise."""
LEAST_CLIENTS: Final = 50
"""Clients below which a fairness group is not shown: figures would be noise, and could point at persons."""
LANDMARK_SESSIONS: Final = (1, 2, 3, 5, 8)
SESSION_BANDS: Final = ((0, 0), (1, 1), (2, 2), (3, 3), (4, 5), (6, 8), (9, 12), (13, None))


class Group(NamedTuple):
    """Moments under one name."""

    name: str
    title: str
    rows: Mask


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one group. `slope` and `intercept` of calibration are 1 and 0 at best, `ece` is 0; `skill` is the Brier
    skill against the group's own rate. `gap` says why figures are missing."""

    name: str
    title: str
    rows: int
    clients: int
    positive: int
    auroc: Estimate = Estimate(value=None)
    average_precision: Estimate = Estimate(value=None)
    skill: float | None = None
    slope: float | None = None
    intercept: float | None = None
    ece: float | None = None
    gap: str | None = None


class FairCell(msgspec.Struct, frozen=True, kw_only=True):
    """A cell of a fairness group, with what its people meet at the line: share of moments above it, of those followed by a
    stop (`found`) and of the others (`needless`); and the observed rate less the mean risk."""

    cell: Cell
    observed_less_expected: Estimate = Estimate(value=None)
    flagged: Estimate = Estimate(value=None)
    found: Estimate = Estimate(value=None)
    needless: Estimate = Estimate(value=None)


def cell(group: Group, target: Vector, risk: Vector, client: Ints) -> Cell:
    """The figures of a group, over its rows whose target is known."""
    rows = group.rows & ~np.isnan(target)
    truth, given, who = target[rows], risk[rows], client[rows]
    positive, clients = int(truth.sum()), len(np.unique(who))
    base = Cell(name=group.name, title=group.title, rows=len(truth), clients=clients, positive=positive)
    if min(positive, len(truth) - positive) < LEAST_EVENTS:
        return msgspec.structs.replace(base, gap=f"fewer than {LEAST_EVENTS} moments of either outcome")
    auroc, average_precision = discrimination(truth, given, who)
    found = measures(truth, given)
    return msgspec.structs.replace(
        base, auroc=auroc, average_precision=average_precision, skill=found.skill, slope=found.slope,
        intercept=found.intercept, ece=found.ece,
    )  # fmt: skip


def fair_cell(group: Group, target: Vector, risk: Vector, client: Ints, line: float) -> FairCell:
    """The figures of a fairness group; none where it has fewer than `LEAST_CLIENTS` clients."""
    rows = group.rows & ~np.isnan(target)
    clients = len(np.unique(client[rows]))
    if clients < LEAST_CLIENTS:
        # Not even its counts are told.
        hidden = Cell(name=group.name, title=group.title, rows=0, clients=0, positive=0)
        return FairCell(cell=msgspec.structs.replace(hidden, gap=f"fewer than {LEAST_CLIENTS} clients: not shown"))
    truth, given, who = target[rows], risk[rows], client[rows]
    above = (given >= line).astype(np.float64)
    stopped = truth == 1
    return FairCell(
        cell=cell(group, target, risk, client),
        observed_less_expected=mean_of(truth - given, who),
        flagged=mean_of(above, who),
        found=mean_of(above[stopped], who[stopped]),
        needless=mean_of(above[~stopped], who[~stopped]),
    )


def everything(frame: pd.DataFrame) -> Group:
    """All moments together."""
    return Group("pooled", "All moments", np.ones(len(frame), dtype=np.bool_))


def landmarks(frame: pd.DataFrame) -> Iterator[Group]:
    """The moments by which models are usually compared; one a client and landmark, or few."""
    kind, session = frame["kind"].to_numpy(), frame["session"].to_numpy()
    booked = pd.Series(kind == "booked") & (session == 0)
    first = booked & (booked.groupby(frame["episode"].cat.codes.to_numpy()).cumsum() == 1)
    yield Group("booking", "At the first booking", first.to_numpy(dtype=np.bool_))
    for number in LANDMARK_SESSIONS:
        yield Group(f"session-{number}", f"After session {number}", (kind == "session") & (session == number))
    yield Group("missed-10d", "Ten days after a missed visit, none attended since", kind == "missed_10d")


def sessions(frame: pd.DataFrame) -> Iterator[Group]:
    """All moments by how many sessions were attended by then."""
    attended = frame["session"].to_numpy()
    for low, high in SESSION_BANDS:
        name = f"{low}+" if high is None else str(low) if low == high else f"{low}-{high}"
        yield Group(name, name, (attended >= low) & (attended <= (np.inf if high is None else high)))


def quarters(frame: pd.DataFrame) -> Iterator[Group]:
    """All moments by the quarter they lie in: what drifts shows here."""
    moment = frame["as_of"].dt
    names = (moment.year.astype(str) + "-Q" + moment.quarter.astype(str)).to_numpy(dtype=object)
    for name in sorted(set(names)):
        yield Group(name, name, names == name)


def fair_groups(frame: pd.DataFrame, fairness: pd.DataFrame) -> Iterator[Group]:
    """The groups of each fairness attribute, named `<attribute>=<value>`."""
    episodes = frame["episode"].astype(str)
    for attribute in sorted(fairness.columns):
        values = episodes.map(fairness[attribute]).to_numpy(dtype=object)
        for value in sorted({value for value in values if isinstance(value, str)}):
            yield Group(f"{attribute}={value}", f"{attribute.replace('_', ' ')}: {value}", values == value)
