"""Recalibration: a release fitted to a new clinic with few data, by intercept and slope of each output, shrunk to none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np

from keepwell.scoring.scorecard import OUTPUTS, Offsets, Pairs, Scorecard
from keepwell.scoring.scorer import Scorer, calibrated, coherent
from training.dataset import Dataset
from training.fit.bins import Matrix
from training.fit.logit import Prior, clustering, expit, fit
from training.fit.measures import Measures, measures
from training.fit.offsets import crossed, usual_of_all
from training.fit.refuse import NotFitted, check_sessions
from training.fit.sample import Sample, sample_of

LEAST_STOPS: Final = 5
"""Episodes that stopped, below which not even the intercept is moved; ours."""
ENOUGH_STOPS: Final = 100
"""From so many on, shrinkage hardly matters; below, the command says that it does."""
PRIOR: Final = Prior(np.array([0.0, 1.0]), np.array([0.6, 0.2]))
"""Intercept and slope before any data. Clinics differ in base rate by somewhat more than half in log-odds (10 to 45 %), in
slope by some tenths (Van Calster et al. 2019, BMC Med 17:230); the figures are ours."""
LEAST_SLOPE: Final = 0.1


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """What was moved in one output. `weight`: what a row was worth, as rows of a client are alike. `before` and `after` are
    measures on the same rows that were recalibrated to; None where only one class is known."""

    intercept: float
    slope: float
    weight: float
    before: Measures | None
    after: Measures | None


class PooledOffsets(NamedTuple):
    """The offsets of clinics and clinicians, as a release stores them; the standard deviation between clinicians by output,
    in log-odds; and by output what offsets made of the one half of the clients are worth on the other."""

    offsets: Offsets
    spread: dict[str, float]
    measures: dict[str, Measures | None]


class Recalibrated(NamedTuple):
    """The scorecard with its new calibration, the shift of each output that it has, the number of episodes that stopped, the
    risks of every row by `OUTPUTS`, and the offsets that are in those, where they were asked for. `left_out`: the release
    before added offsets of its own, and this one does not. `calibrated_for`: see `calibrated_clinics`."""

    card: Scorecard
    shifts: dict[str, Shift]
    stops: int
    risks: Matrix
    pooled: PooledOffsets | None
    left_out: bool
    calibrated_for: tuple[str, ...]


def calibrated_clinics(sample: Sample, offsets: bool) -> tuple[str, ...]:
    """The clinics to which risks of these rows are calibrated, so that they may be told there as frequencies: those with
    `ENOUGH_STOPS`, if there is but one or each has an offset of its own. What all have in common is nobody's."""
    found = sample.stops_by_clinic()
    return tuple(
        sorted(clinic for clinic, stops in found.items() if stops >= ENOUGH_STOPS and (offsets or len(found) == 1))
    )


def recalibrate(dataset: Dataset, scorer: Scorer, use_offsets: bool = False) -> Recalibrated:
    """Recalibrates a scorecard. Raises `NotFitted` where no session is told of, and below `LEAST_STOPS`, saying how many
    there are and are needed.

    Offsets that the scorer has are left out; with `use_offsets` others are made of these rows. The log-odds that they are
    made of are not out of fold, as those of a fit are: the rows' own outcomes moved them. But they did so by an intercept and
    a slope of each output alone, the same for every row, which takes up next to nothing of what sets one clinician's clients
    apart from another's. What all have in common is in the intercept: an offset is the difference from the clinics of these
    rows, not from those that the release was fitted to, and a clinic that is alone has none.
    """
    card = scorer.card
    sample = sample_of(dataset).without(one for one in OUTPUTS if one not in card.outputs)
    check_sessions(sample)
    stops = sample.stops()
    if stops < LEAST_STOPS:
        raise NotFitted(
            f"{stops} episodes stopped with a known outcome; at least {LEAST_STOPS} are needed to recalibrate, about "
            f"{ENOUGH_STOPS} to trust the slope. Use the release as it is, or wait for more data"
        )
    table = dataset.matrix([term.feature for term in card.terms])
    sums = scorer.logits(table)
    logits = calibrated(card, table, sums)
    found = [_shift(sample, logits, output) for output in range(len(OUTPUTS))]
    moves = [(float(shift[0]), float(shift[1])) for shift, _ in found]
    moved = _moved(card, moves)
    before, after = scorer.risks(table), Scorer(moved).risks(table)
    shifts: dict[str, Shift] = {
        name: Shift(
            intercept=moves[output][0],
            slope=moves[output][1],
            weight=found[output][1],
            before=_measured(sample, before, output),
            after=_measured(sample, after, output),
        )
        for output, name in enumerate(OUTPUTS)
        if name in card.outputs
    }
    pooled = None
    if use_offsets:
        pooled, added = _pooled(sample, calibrated(moved, table, sums), _slopes(moved, sample))
        after = Scorer(moved).risks(table, added)
    return Recalibrated(
        moved, shifts, stops, after, pooled, left_out=scorer.offsets is not None and not use_offsets,
        calibrated_for=calibrated_clinics(sample, use_offsets),
    )  # fmt: skip


def _moved(card: Scorecard, moves: Sequence[tuple[float, float]]) -> Scorecard:
    """The card with each calibration followed by another intercept and slope, one pair an output."""

    def after(pairs: Pairs) -> Pairs:
        return tuple((m + s * a, s * b) for (m, s), (a, b) in zip(moves, pairs, strict=True))

    if card.stages is msgspec.UNSET:
        return msgspec.structs.replace(card, calibration=after(card.calibration))
    return msgspec.structs.replace(card, stages=tuple(map(after, card.stages)))


def _slopes(card: Scorecard, sample: Sample) -> Matrix:
    """By how much an offset counts in each row's log-odds."""
    found: Matrix = np.asarray(card.pairs)[sample.stage, :, 1]
    return found


def _pooled(sample: Sample, logits: Matrix, scale: Matrix) -> tuple[PooledOffsets, Matrix]:
    """The offsets of calibrated log-odds, and what they add to the sum of each row."""
    usual = usual_of_all(sample, logits, scale)
    risks = coherent(expit(logits + scale * crossed(sample, logits, scale)))
    worth: dict[str, Measures | None] = {name: _measured(sample, risks, output) for output, name in enumerate(OUTPUTS)}
    return PooledOffsets(usual.told(sample, active=True), usual.spread, worth), usual.added(sample)


def _shift(sample: Sample, logits: Matrix, output: int) -> tuple[np.ndarray, float]:
    """Intercept and slope of an output, and what a row weighed. Without rows nothing moves."""
    known = sample.judged(output)
    target = sample.targets[known, output]
    design = np.column_stack([np.ones(len(target)), logits[known, output]])
    weight = 1 / clustering(design, target, PRIOR.mean, sample.client[known]) if len(target) else 1.0
    found = fit(design, target, PRIOR, weight)
    found[1] = max(found[1], LEAST_SLOPE)
    return found, weight


def _measured(sample: Sample, risks: Matrix, output: int) -> Measures | None:
    known = sample.judged(output)
    target = sample.targets[known, output]
    if not len(target) or target.min() == target.max():
        return None
    return measures(target, risks[known, output])
