"""Step functions of all outputs compiled into one scorecard: centred, so that points speak against the average row.

A fit that began at a release's scorecard adds to it: the sum of two step functions is a step function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from keepwell.scoring.scorecard import OUTPUTS, STAGE, Pairs, Points, Scorecard, Term
from training.fit.bins import Bins
from training.fit.calibrate import Calibration
from training.fit.steps import Steps

Table = NDArray[np.float64]
Vector = NDArray[np.float64]

DIGITS: Final = 12
"""Decimals of points: as many as keep the sum of all terms within 1e-9 of the estimator's."""


def compile_card(
    bins: Bins,
    steps: Sequence[Steps],
    calibrations: Sequence[Calibration],
    column: Callable[[str], Vector],
    start: Scorecard | None,
) -> Scorecard:
    """The scorecard of step functions, added to those of `start`, with a calibration by stage: of `OUTPUTS`, or of all but
    the last, which the card then leaves out.

    `column` gives the values of a feature in the rows over which the mean of each term's points is zero.
    """
    width = len(steps)
    base = np.array([one.base for one in steps])
    learnt = {
        name: (edges, np.column_stack([one.points[place] for one in steps]))
        for place, (name, edges) in enumerate(zip(bins.features, bins.edges, strict=True))
    }
    begun: dict[str, tuple[tuple[float, ...], Table]] = {}
    if start is not None:
        outputs = len(start.outputs)
        told = np.arange(width) < outputs  # what the start does not tell begins at nothing
        base = base + np.asarray(start.base)[:width] * told
        for term in start.terms:
            begun[term.feature] = term.edges, np.array([*term.points, term.missing])[:, :width] * told
    begun.setdefault(STAGE, ((), np.zeros((2, width))))  # by it the calibration is found, whether or not it has points
    names = [*learnt, *(name for name in begun if name not in learnt)]
    terms = []
    for name in names:
        edges, table = _sum([one[name] for one in (learnt, begun) if name in one])
        values = column(name)
        places = np.searchsorted(np.array(edges), values, side="right")
        mean = table[np.where(np.isnan(values), len(table) - 1, places)].mean(axis=0)
        base = base + mean
        terms.append(_term(name, edges, table - mean))
    left_out: tuple[Literal["next"], ...] | msgspec.UnsetType = msgspec.UNSET if width == len(OUTPUTS) else ("next",)
    told_terms = tuple(term for term in terms if term.feature == STAGE or _says_something(term))
    return Scorecard(base=_points(base), terms=told_terms, left_out=left_out, stages=_stages(calibrations))


def _sum(parts: Sequence[tuple[tuple[float, ...], Table]]) -> tuple[tuple[float, ...], Table]:
    """The sum of step functions of one feature, on the edges of all."""
    every = tuple(sorted({edge for edges, _ in parts for edge in edges}))
    starts = np.array([-np.inf, *every])
    rows = sum(table[np.searchsorted(np.asarray(edges), starts, side="right")] for edges, table in parts)
    return every, np.vstack([rows, sum(table[-1:] for _, table in parts)])


def _stages(calibrations: Sequence[Calibration]) -> tuple[Pairs, ...]:
    found = np.array([[one.intercepts, one.slopes] for one in calibrations])  # outputs, two, stages
    pairs = [[(float(one[0]), float(one[1])) for one in found[:, :, stage]] for stage in range(found.shape[2])]
    return tuple((*one, *[(0.0, 1.0)] * (len(OUTPUTS) - len(one))) for one in pairs)


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
