"""Other ways to raise alerts over the same log: published rules, and one line on a risk at the ends of sessions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit  # type: ignore[import-untyped]  # scipy has no types

from keepwell.care.endings import DAY, spell_of
from keepwell.contract.events import Event
from keepwell.scoring.scorecard import HEADLINE
from training.dataset import Dataset
from training.dataset.landmarks import after_sessions
from training.dataset.table import NONE
from training.evaluate.alerts import DeclaredStop, Ground, first_by_spell
from training.evaluate.metrics import Ints, Vector
from training.evaluate.oracle import named
from training.evaluate.replays import AlertMoment
from training.evaluate.rules import (
    MISSED_TWICE,
    SRS_FALL,
    SRS_LOW,
    SRS_OPENFIT,
    SimpleRule,
    fell,
    low,
    missed_in_a_row,
    ratings,
)
from training.evaluate.truth import Moment

QUIET_DAYS: Final = 21
"""After an alert of an episode none follows for so long, where a stream is quieted: three weekly sessions; ours, as in the
measurement that issue 10 begins with."""
RULES_AS_ALERTS: Final = (MISSED_TWICE, SRS_LOW, SRS_FALL, SRS_OPENFIT)
LINES: Final = tuple(np.round(expit(np.linspace(logit(0.01), logit(0.6), 28)), 4).tolist())
"""Lines of a curve: risks in equal steps of log-odds; ours."""
SESSION: Final = "session-"
"""How the names of landmarks after sessions begin."""


class Ranked(NamedTuple):
    """Moments with a risk each, by episode and time. `at` in µs."""

    episode: Sequence[str]
    at: Sequence[int]
    risk: Vector


class Reach(NamedTuple):
    """Stops told of in time, and strictly before the last session."""

    in_time: int
    before: int


def rule_streams(frame: pd.DataFrame, events: Iterable[Event]) -> dict[str, list[AlertMoment]]:
    """What each of `RULES_AS_ALERTS` raises: whenever it holds by a visit that was just missed, or by a rating just given."""
    missed = (frame["kind"] == "missed").to_numpy(dtype=np.bool_) & (missed_in_a_row(frame) >= 2)
    rows = frame[missed]
    rated = ratings(events)
    below, fallen = low(rated), fell(rated)
    found = {MISSED_TWICE.name: _stream(MISSED_TWICE, rows["episode"], rows["as_of"])}
    for rule, holds in ((SRS_LOW, below), (SRS_FALL, fallen), (SRS_OPENFIT, below | fallen)):
        found[rule.name] = _stream(rule, rated["episode"][holds], rated["as_of"][holds])
    return found


def session_ends(dataset: Dataset, risk: Vector) -> Ranked:
    """The moment after every session, when a talk is possible, with the risk of its row."""
    return _ranked(dataset, after_sessions(dataset.frame), risk)


def absences(dataset: Dataset, risk: Vector) -> Ranked:
    """Every row of somebody who is absent, with its risk."""
    return _ranked(dataset, (dataset.frame["signal_absent_since"] != NONE).to_numpy(dtype=np.bool_), risk)


def truth_ranks(truth: Sequence[Moment], dataset: Dataset) -> dict[str, Ranked]:
    """The moments after sessions of which the truth was told, by whose risk it is."""
    found = named(truth, dataset.frame)
    places = found.loc[found["landmark"].str.startswith(SESSION), "moment"].tolist()
    scored = [one for one in truth if one.model is not None]
    told = sorted((scored[place] for place in places), key=lambda one: (one.episode, one.at))
    risks = {
        "model": [one.model[HEADLINE] if one.model is not None else np.nan for one in told],
        "clinician_unknown": [one.clinician_unknown[HEADLINE] for one in told],
        "clinician_known": [one.clinician_known[HEADLINE] for one in told],
    }
    episodes, moments = [one.episode for one in told], [one.at for one in told]
    return {who: Ranked(episodes, moments, np.array(risk, dtype=np.float64)) for who, risk in risks.items()}


def over_line(ranked: Ranked, line: float, *, quiet: bool) -> list[AlertMoment]:
    """An alert at each moment whose risk is at or above the line."""
    return _told(ranked, np.flatnonzero(ranked.risk >= line), quiet)


def as_many(ranked: Ranked, count: int, *, quiet: bool) -> list[AlertMoment]:
    """So many alerts at the moments of highest risk, or somewhat fewer where a quiet time allows no line that comes to it;
    all that there can be where that is fewer."""
    order = np.argsort(-ranked.risk, kind="stable")
    if not quiet:
        return _told(ranked, np.sort(order[:count]), quiet)
    least, most = 0, len(order)
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (
            (middle, most)
            if len(_told(ranked, np.sort(order[:middle]), quiet)) <= count
            else (least, middle - 1)
        )  # fmt: skip
    return _told(ranked, np.sort(order[:least]), quiet)


def half_each(ranked: Ranked, absent: Ranked, count: int, *, quiet: bool) -> list[AlertMoment]:
    """So many alerts, half of them after sessions and half in absence, each half at its moments of highest risk; somewhat
    fewer where the two meet within a quiet time."""
    half = count // 2
    told = as_many(ranked, count - half, quiet=quiet) + as_many(absent, half, quiet=quiet)
    return quieted(told) if quiet else told


def reaching(ranked: Ranked, ground: Ground, in_time: int, *, quiet: bool) -> list[AlertMoment] | None:
    """The alerts of the highest line by which so many stops are told of in time; None where no line is low enough."""
    best = sorted(_highest_in_time(ranked, ground), reverse=True)
    if not 0 < in_time <= len(best):
        return None
    return over_line(ranked, best[in_time - 1], quiet=quiet)


def quieted(stream: Iterable[AlertMoment]) -> list[AlertMoment]:
    """A stream in which no alert follows another of its episode sooner than `QUIET_DAYS`."""
    last: dict[str, int] = {}
    kept = []
    for alert in sorted(stream, key=lambda one: (one.episode, one.at)):
        if alert.episode not in last or alert.at - last[alert.episode] >= QUIET_DAYS * DAY:
            last[alert.episode] = alert.at
            kept.append(alert)
    return kept


def reach_of(stream: Iterable[AlertMoment], ground: Ground) -> Reach:
    """How many stops a stream tells of while there is something to repair."""
    first = first_by_spell(stream, ground)
    told = [(first.get((stop.episode, stop.start)), stop) for stop in ground.stops]
    return Reach(sum(stop.in_time(at) for at, stop in told), sum(stop.before(at) for at, stop in told))


def reachable(ranked: Ranked, ground: Ground) -> int:
    """How many stops have a moment in time at all."""
    return len(_highest_in_time(ranked, ground))


def _highest_in_time(ranked: Ranked, ground: Ground) -> list[float]:
    """Of each stop with a moment in time, the highest risk among these moments."""
    stops: Mapping[tuple[str, int], DeclaredStop] = {(stop.episode, stop.start): stop for stop in ground.stops}
    best: dict[tuple[str, int], float] = {}
    for episode, at, risk in zip(ranked.episode, ranked.at, ranked.risk.tolist(), strict=True):
        spell = spell_of(ground.found[episode].spells, at)
        stop = stops.get((episode, spell.start)) if spell is not None else None
        if stop is not None and stop.in_time(at):
            key = (episode, stop.start)
            best[key] = max(best.get(key, risk), risk)
    return list(best.values())


def _ranked(dataset: Dataset, rows: NDArray[np.bool_], risk: Vector) -> Ranked:
    frame = dataset.frame[rows]
    return Ranked(frame["episode"].astype(str).tolist(), frame["as_of"].astype("int64").tolist(), risk[rows])


def _told(ranked: Ranked, places: Ints, quiet: bool) -> list[AlertMoment]:
    told = [AlertMoment(ranked.episode[place], "risk", ranked.at[place]) for place in places.tolist()]
    return quieted(told) if quiet else told


def _stream(rule: SimpleRule, episodes: pd.Series[str], moments: pd.Series[pd.Timestamp]) -> list[AlertMoment]:
    pairs = zip(episodes.astype(str).tolist(), moments.astype("int64").tolist(), strict=True)
    return [AlertMoment(episode, rule.name, at) for episode, at in pairs]
