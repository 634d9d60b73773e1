"""Features of progress: what the outcome instrument measured last says, in reliable changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keepwell.care.course import Course
from keepwell.scoring.features.feature import Feature, Value, counted, number, says
from keepwell.scoring.features.in_scale import at_first, beside_best, beside_cutoff, since_last, since_start


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


def _rc(v: float) -> str:
    size = number(abs(v))
    return "the reliable change" if size == "1" else f"{size} times the reliable change"


_NO_OUTCOME = "No outcome measured twice yet"

PROGRESS: Final[Sequence[Feature]] = (
    Feature("gain", "progress", "reliable changes", _gain,
            lambda v: f"{'Better' if v >= 0 else 'Worse'} than at the start by {_rc(v)}", _NO_OUTCOME, "outcome",
            since_start),
    Feature("reliably_improved", "progress", "0/1",
            lambda c, now: None if (g := _gain(c, now)) is None else float(g >= 1),
            says("Reliably better than at the start", "Not reliably better than at the start"), _NO_OUTCOME, "outcome",
            since_start),
    Feature("deteriorated", "progress", "0/1",
            lambda c, now: None if (g := _gain(c, now)) is None else float(g <= -1),
            says("Reliably worse than at the start", "Not reliably worse than at the start"), _NO_OUTCOME, "outcome",
            since_start),
    Feature("early_gain", "progress", "reliable changes", _early_gain,
            lambda v: f"{'Gain' if v >= 0 else 'Loss'} in the first sessions of {_rc(v)}",
            "No change measured in the first sessions", "outcome"),
    Feature("last_gain", "progress", "reliable changes", _last_gain,
            lambda v: f"{'Better' if v >= 0 else 'Worse'} than at the last measure by {_rc(v)}", _NO_OUTCOME, "outcome",
            since_last),
    Feature("lost_gain", "progress", "reliable changes", _lost_gain,
            lambda v: f"Below the best measure so far by {_rc(v)}", _NO_OUTCOME, "outcome", beside_best),
    Feature("distance_to_cutoff", "progress", "reliable changes", _to_cutoff,
            lambda v: f"{_rc(v)} {'short of' if v > 0 else 'past'} the cut-off", "No outcome measured yet", "outcome",
            beside_cutoff),
    Feature("severity", "progress", "reliable changes", _severity,
            lambda v: f"Began {_rc(v)} {'short of' if v > 0 else 'past'} the cut-off", "No outcome measured yet",
            "outcome", at_first),
    Feature("sessions_since_outcome", "silence", "sessions", lambda c, now: float(c.since_outcome),
            lambda v: f"{counted(v, 'session', 'sessions')} since the outcome was last measured", "", "outcome"),
)  # fmt: skip
