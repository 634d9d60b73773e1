"""A cell: one group of moments, and how good the risks are in it. By landmark, session number, quarter and fairness group."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from training.evaluate.metrics import NONE, Estimate, Ints, Vector, discrimination, mean_of
from training.evaluate.moments import MomentGroup
from training.evaluate.reliability import Reliability, reliability
from training.fit.measures import ece

LEAST_EVENTS: Final = 10
"""Rows of either class below which a cell has no figures: they would be noise."""
LEAST_CLIENTS: Final = 50
"""Clients below which a fairness group or a clinic is not shown: figures would be noise, and could point at persons."""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one group. `ece` is the expected calibration error, 0 at best; `skill` the Brier skill against the group's
    own rate. `gap` says why figures are missing."""

    name: str
    title: str
    rows: int
    clients: int
    positive: int
    auroc: Estimate = NONE
    average_precision: Estimate = NONE
    skill: float | None = None
    calibration: Reliability = Reliability()
    ece: float | None = None
    gap: str | None = None


class FairCell(msgspec.Struct, frozen=True, kw_only=True):
    """A cell of a fairness group, with what its people meet at the line: share of moments above it, of those followed by a
    stop (`found`) and of the others (`needless`); and the observed rate less the mean risk."""

    cell: Cell
    observed_less_expected: Estimate = NONE
    flagged: Estimate = NONE
    found: Estimate = NONE
    needless: Estimate = NONE


def cell(group: MomentGroup, target: Vector, risk: Vector, client: Ints) -> Cell:
    """The figures of a group, over its rows whose target is known."""
    rows = group.rows & ~np.isnan(target)
    truth, given, who = target[rows], risk[rows], client[rows]
    base = Cell(
        name=group.name, title=group.title, rows=len(truth), clients=len(np.unique(who)), positive=int(truth.sum())
    )
    if (gap := too_few(truth)) is not None:
        return msgspec.structs.replace(base, gap=gap)
    auroc, average_precision = discrimination(truth, given, who)
    rate = float(truth.mean())
    return msgspec.structs.replace(
        base, auroc=auroc, average_precision=average_precision,
        skill=1 - float(np.mean((given - truth) ** 2)) / (rate * (1 - rate)),
        calibration=reliability(truth, given, who), ece=ece(truth, given),
    )  # fmt: skip


def too_few(target: Vector) -> str | None:
    """Why there are no figures, where either outcome is too rare."""
    positive = float(target.sum())
    if min(positive, len(target) - positive) < LEAST_EVENTS:
        return f"fewer than {LEAST_EVENTS} moments of either outcome"
    return None


def fair_cell(group: MomentGroup, target: Vector, risk: Vector, client: Ints, line: float) -> FairCell:
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
