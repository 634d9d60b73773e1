"""Features of progress: what the outcome instrument measured last says, in reliable changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keepwell.care.course import Course
from keepwell.contract.say import counted, said
from keepwell.scoring.features.feature import Feature, Value, says, than
from keepwell.scoring.features.in_scale import (
    at_first,
    beside_best,
    beside_cutoff,
    in_first_sessions,
    since_last,
    since_start,
)


def _gain(c: Course, now: int) -> Value:
    p = c.outcome
    return None if p is None or p.count < 2 else p.instrument.gain(p.first, p.last) / p.instrument.reliable_change


def _last_gain(c: Course, now: int) -> Value:
    p = c.outcome
    if p is None or p.previous is None:
        return None
    return p.instrument.gain(p.previous, p.last) / p.instrument.reliable_change


def _early_gain(c: Course, now: int) -> Value:
    p = c.outcome
    return None if p is None or p.early is None else p.early / p.instrument.reliable_change


def _lost_gain(c: Course, now: int) -> Value:
    p = c.outcome
    if p is None or p.count < 2:
        return None
    return (p.best - p.instrument.gain(p.first, p.last)) / p.instrument.reliable_change


def _to_cutoff(c: Course, now: int) -> Value:
    p = c.outcome
    return None if p is None else p.instrument.gain(p.last, p.instrument.cutoff) / p.instrument.reliable_change


def _severity(c: Course, now: int) -> Value:
    p = c.outcome
    return None if p is None else p.instrument.gain(p.first, p.instrument.cutoff) / p.instrument.reliable_change


LEAST_GAIN: Final = 0.5
"""Reliable changes below which nothing is called better or worse; ours."""
_NO_OUTCOME: Final = said("No outcome measured twice yet")
_NONE_YET: Final = said("No outcome measured yet")

PROGRESS: Final[Sequence[Feature]] = (
    Feature("gain", "progress", "reliable changes", _gain,
            lambda v: than(v, LEAST_GAIN, said("Worse than at the start"), said("About the same as at the start"),
                           said("Better than at the start")), _NO_OUTCOME, "outcome", since_start),
    Feature("reliably_improved", "progress", "0/1",
            lambda c, now: None if (g := _gain(c, now)) is None else float(g >= 1),
            says(said("Reliably better than at the start"), said("Not reliably better than at the start")), _NO_OUTCOME,
            "outcome", since_start),
    Feature("deteriorated", "progress", "0/1",
            lambda c, now: None if (g := _gain(c, now)) is None else float(g <= -1),
            says(said("Reliably worse than at the start"), said("Not reliably worse than at the start")), _NO_OUTCOME,
            "outcome", since_start),
    Feature("early_gain", "progress", "reliable changes", _early_gain,
            lambda v: than(v, LEAST_GAIN, said("Worse after the first sessions than at the start"),
                           said("About the same after the first sessions as at the start"),
                           said("Better after the first sessions than at the start")),
            said("No change measured in the first sessions"), "outcome", in_first_sessions, lasting=True),
    Feature("last_gain", "progress", "reliable changes", _last_gain,
            lambda v: than(v, LEAST_GAIN, said("Worse than the time before"), said("About the same as the time before"),
                           said("Better than the time before")), _NO_OUTCOME, "outcome", since_last),
    Feature("lost_gain", "progress", "reliable changes", _lost_gain,
            lambda v: said("Worse than at its best") if v >= LEAST_GAIN else said("About the same as at its best"),
            _NO_OUTCOME, "outcome", beside_best),
    Feature("distance_to_cutoff", "progress", "reliable changes", _to_cutoff,
            lambda v: said("Not past the cut-off yet") if v > 0 else said("Past the cut-off"), _NONE_YET, "outcome",
            beside_cutoff, lasting=True),
    Feature("severity", "progress", "reliable changes", _severity,
            lambda v: said("Not past the cut-off at the start") if v > 0 else said("Past the cut-off at the start"),
            _NONE_YET, "outcome", at_first, lasting=True),
    Feature("sessions_since_outcome", "silence", "sessions", lambda c, now: float(c.since_outcome),
            lambda v: counted(v, "{count} session since the outcome was last measured",
                              "{count} sessions since the outcome was last measured",
                              said("No session since the outcome was last measured")), None, "outcome"),
)  # fmt: skip
