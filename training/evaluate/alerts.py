"""What the alerts of a release ask of clinicians and what they give: burden, precision, recall, lead time.

The alerts come from the predictor's own step over the same events, not from a threshold on risks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
import pandas as pd

from keepwell.endings import DAY, spell_of, target
from training.evaluate.definitions import Outcome
from training.fit.sample import SETTLING_DAYS

HORIZON: Final = 30
"""Days within which a stop makes an alert a true one."""
WEEK_DAYS: Final = 7
ALL: Final = "all"


class Raised(NamedTuple):
    """An alert when it was raised. `at` in µs."""

    episode: str
    kind: str
    at: int


class Burden(msgspec.Struct, frozen=True, kw_only=True):
    """Of the alerts of one kind, or of all.

    `precision`: share followed by a stop within 30 days; `recall`: share of the stops told of before they were declared;
    `in_time`: the same before the last session attended, while there was still a session to talk in. `lead_days`: from the
    first alert of a spell to the declaration of its stop: lower quartile, median, upper quartile.
    """

    kind: str
    raised: int
    per_clinician_week: float | None
    precision: float | None
    recall: float | None
    in_time: float | None
    lead_days: tuple[float, float, float] | None


class Alerts(msgspec.Struct, frozen=True, kw_only=True):
    """The alerts at the line of the release's policy. A clinician-week is a week in which something happened with at least
    one of a clinician's open episodes."""

    line: float
    clinician_weeks: int
    stops: int
    kinds: tuple[Burden, ...]


def judged(
    alerts: Sequence[Raised], found: Mapping[str, Outcome], frame: pd.DataFrame, line: float, now: int
) -> Alerts:
    """The alerts of a replay, judged by what came of them. Only what is settled by `now` (µs) is judged."""
    weeks = clinician_weeks(frame)
    settled = now - SETTLING_DAYS["30d"] * DAY
    stops = [
        (episode, spell.start, spell.closed_at, spell.last_attended)
        for episode, outcome in found.items()
        for spell in outcome.spells
        if spell.stopped and spell.closed_at is not None
    ]
    kinds = [ALL, *sorted({alert.kind for alert in alerts})]
    burdens = []
    for kind in kinds:
        of_kind = [alert for alert in alerts if kind in (ALL, alert.kind)]
        true = [
            value
            for alert in of_kind
            if alert.at <= settled and (value := target(found[alert.episode].spells, alert.at, HORIZON)) is not None
        ]
        first = _first_by_spell(of_kind, found)
        leads = [
            (closed - first[episode, start]) / DAY
            for episode, start, closed, _ in stops
            if first.get((episode, start), closed) < closed
        ]
        in_time = sum(first.get((episode, start), closed) < (last or start) for episode, start, closed, last in stops)
        burdens.append(
            Burden(
                kind=kind,
                raised=len(of_kind),
                per_clinician_week=len(of_kind) / weeks if weeks else None,
                precision=float(np.mean(true)) if true else None,
                recall=len(leads) / len(stops) if stops else None,
                in_time=in_time / len(stops) if stops else None,
                lead_days=_quartiles(leads),
            )
        )
    return Alerts(line=line, clinician_weeks=weeks, stops=len(stops), kinds=tuple(burdens))


def clinician_weeks(frame: pd.DataFrame) -> int:
    """Pairs of a clinician (or a clinic's rows without one) and a week with a row."""
    seat = frame["clinician"].astype(object).where(frame["clinician"].notna(), frame["clinic"].astype(object))
    week = frame["as_of"].astype("int64") // (WEEK_DAYS * DAY)
    return int(pd.DataFrame({"seat": seat, "week": week}).drop_duplicates().shape[0])


def _first_by_spell(alerts: Iterable[Raised], found: Mapping[str, Outcome]) -> dict[tuple[str, int], int]:
    """The moment of the first alert in each spell, by episode and the spell's start."""
    first: dict[tuple[str, int], int] = {}
    for alert in alerts:
        spell = spell_of(found[alert.episode].spells, alert.at)
        if spell is not None:
            key = (alert.episode, spell.start)
            first[key] = min(first.get(key, alert.at), alert.at)
    return first


def _quartiles(days: Sequence[float]) -> tuple[float, float, float] | None:
    if not days:
        return None
    low, median, high = np.percentile(days, (25, 50, 75)).tolist()
    return low, median, high
