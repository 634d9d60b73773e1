"""Step functions of all outputs compiled into one scorecard: centred, so that points speak against the average row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from keepwell.scoring.scorecard import OUTPUTS, Points, Scorecard, Term
from training.fit.bins import Bins, Codes
from training.fit.calibrate import SESSION_EDGES, Calibration
from training.fit.steps import Steps

Table = NDArray[np.float64]

DIGITS: Final = 12
"""Decimals of points: as many as keep the sum of all terms within 1e-9 of the estimator's."""
SESSIONS: Final = "sessions"
"""The feature in whose term the calibration by session number is."""


def compile_card(bins: Bins, steps: Sequence[Steps], calibrations: Sequence[Calibration], codes: Codes) -> Scorecard:
    """The scorecard of step functions with their calibration taken up into the points: those of `OUTPUTS`, or of all but the
    last, which the card then leaves out.

    `codes` are the rows over which the mean of each term's points is zero.
    """
    base = np.array([c.intercept + c.slope * s.base for c, s in zip(calibrations, steps, strict=True)])
    tables = [
        np.column_stack([c.slope * s.points[column] for c, s in zip(calibrations, steps, strict=True)])
        for column in range(len(bins.features))
    ]
    terms = []
    for column, (feature, edges, table) in enumerate(zip(bins.features, bins.edges, tables, strict=True)):
        mean = table[codes[:, column]].mean(axis=0)
        base += mean
        centred = edges, table - mean
        terms.append(_term(feature, *(_with_shifts(*centred, calibrations) if feature == SESSIONS else centred)))
    if SESSIONS not in bins.features:
        terms.append(_term(SESSIONS, *_with_shifts((), np.zeros((2, len(calibrations))), calibrations)))
    left_out: tuple[Literal["next"], ...] | msgspec.UnsetType = (
        msgspec.UNSET if len(steps) == len(OUTPUTS) else ("next",)
    )
    told = tuple(term for term in terms if _says_something(term))
    return Scorecard(base=_points(base), terms=told, left_out=left_out)


def _with_shifts(
    edges: tuple[float, ...], table: Table, calibrations: Sequence[Calibration]
) -> tuple[tuple[float, ...], Table]:
    """The term of session number with the shifts of calibration added. The number of sessions is never missing."""
    every = tuple(sorted({*edges, *map(float, SESSION_EDGES)}))
    starts = np.array([-np.inf, *every])
    of_term = np.searchsorted(np.asarray(edges, dtype=np.float64), starts, side="right")
    of_shift = np.searchsorted(np.asarray(SESSION_EDGES, dtype=np.float64), starts, side="right")
    shifts = np.column_stack([calibration.shifts for calibration in calibrations])
    return every, np.vstack([table[of_term] + shifts[of_shift], table[-1:]])


def _term(feature: str, edges: tuple[float, ...], table: Table) -> Term:
    """A term, without the edges on both sides of which all points are the same."""
    rows = [_points(row) for row in table[:-1]]
    told = [place for place in range(1, len(rows)) if rows[place] != rows[place - 1]]
    return Term(
        feature=feature,
        edges=tuple(edges[place - 1] for place in told),
        points=tuple(rows[place] for place in (0, *told)),
        missing=_points(table[-1]),
    )


def _points(row: NDArray[np.float64]) -> Points:
    d14, d30, d60, *following = (round(float(value), DIGITS) + 0.0 for value in row)
    return d14, d30, d60, following[0] if following else 0.0


def _says_something(term: Term) -> bool:
    return any(any(points) for points in (*term.points, term.missing))
