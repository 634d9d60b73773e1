"""What the alerts of a release ask of clinicians and what they give: burden, what follows, stops told of in time, repeats.

The alerts come from the predictor's own step over the same events, not from a threshold on risks.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Final, NamedTuple

import msgspec
import numpy as np
import pandas as pd

from keepwell.care.course import HOUR
from keepwell.care.endings import DAY, WINDOW, spell_of, target
from keepwell.contract.control import tick
from keepwell.contract.events import InstrumentRegistered, encode, micros
from keepwell.streams.log import Partition, Record
from keepwell.streams.worker.step import Processor
from training.dataset.sources import Gathered, Stream
from training.evaluate.definitions import EpisodeOutcome
from training.evaluate.metrics import Estimate, Ints, Vector, mean_of, quartiles
from training.fit.line import IN_TIME_HOURS

HORIZON: Final = 30
"""Days within which a stop makes an alert a true one."""
WEEK_DAYS: Final = 7
ALL: Final = "all"
"""All kinds but `safety`, which is no forecast and never held back."""
SAFETY: Final = "safety"
LATER: Final = 60
"""Days within which something else may follow an alert; the longest horizon."""
REPEAT_DAYS: Final = 7
"""An alert so soon after another of the same episode is a repeat; ours, as the quiet time of a policy."""
BATCH: Final = 5000
"""Records a step of the predictor, which bounds memory."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Raised(NamedTuple):
    """An alert when it was raised. `at` in µs."""

    episode: str
    kind: str
    at: int


class Burden(msgspec.Struct, frozen=True, kw_only=True):
    """Of the alerts of one kind, or of all but `safety`.

    `precision`: share followed by a stop within 30 days; `followed`: within 60; `times_usual`: that share in terms of the
    share at all moments at which somebody decides. `recall`: share of the stops told of before they were declared; `in_time`:
    by `IN_TIME_HOURS` after the last session attended; `before`: before that session, while there was still one to talk in.
    `lead_days`: from the first alert of a spell to the declaration of its stop: lower quartile, median, upper quartile.
    `repeats`: share that came within `REPEAT_DAYS` of another of the same episode; `each` and `most`: alerts an episode, on
    average and at most, among those alerted.
    """

    kind: str
    raised: int
    per_clinician_week: float | None
    per_100_sessions: float | None
    precision: Estimate
    followed: Estimate
    times_usual: float | None
    recall: float | None
    in_time: float | None
    before: float | None
    lead_days: tuple[float, float, float] | None
    repeats: float | None
    each: float | None
    most: int


class Alerts(msgspec.Struct, frozen=True, kw_only=True):
    """The alerts at the line of the release's policy. A clinician-week is a week in which something happened with at least
    one of a clinician's open episodes."""

    line: float
    clinician_weeks: int
    sessions: int
    """Attended."""
    stops: int
    kinds: tuple[Burden, ...]


class _AlertRecord(msgspec.Struct):
    episode: str
    kind: str
    status: str
    at: datetime


def replayed(worker: Processor, gathered: Gathered, topic: str) -> list[Raised]:
    """The alerts that a predictor without memory raises to `topic` over what was gathered, in its order, with its ticks."""
    raised = []
    for number, stream in enumerate(gathered.streams):
        records = _records(gathered.registrations, stream, Partition("", number))
        while batch := list(islice(records, BATCH)):
            for message in worker.step(number, batch).messages:
                if message.topic == topic and message.value is not None:
                    alert = msgspec.json.decode(message.value, type=_AlertRecord)
                    if alert.status == "raised":
                        raised.append(Raised(alert.episode, alert.kind, micros(alert.at)))
    return raised


def _records(registrations: Sequence[InstrumentRegistered], stream: Stream, source: Partition) -> Iterator[Record]:
    """The events and ticks of a stream as they would stand in a partition; what happened at a tick's moment comes first.

    Instruments are registered before everything, as every measure of the table is read by them too.
    """
    told = [
        (place, 0, key, value)
        for key, places, values, _ in stream.told
        for place, value in zip(places, values, strict=True)
    ]
    told.sort(key=lambda one: one[0])
    ticks = (
        (place, 1, "", encode(tick(EPOCH + timedelta(microseconds=moment))))
        for place, moment in zip(stream.ticks.places.tolist(), stream.ticks.moments.tolist(), strict=True)
    )
    registered = ((-1, 0, "", encode(event)) for event in registrations)
    for offset, (_, _, key, value) in enumerate(heapq.merge(registered, told, ticks, key=lambda one: one[:2])):
        yield Record(source, offset, key.encode() or None, value, (), 0)


def judged(
    alerts: Sequence[Raised], found: Mapping[str, EpisodeOutcome], frame: pd.DataFrame, line: float, now: int
) -> Alerts:
    """The alerts of a replay, judged by what came of them. Only what is settled by `now` (µs) is judged."""
    weeks, sessions = clinician_weeks(frame), sum(outcome.sessions for outcome in found.values())
    clients = dict(zip(frame["episode"].astype(str), frame["client"].cat.codes.tolist(), strict=True))
    stops = [
        (episode, spell.start, spell.closed_at, spell.last_attended)
        for episode, outcome in found.items()
        for spell in outcome.spells
        if spell.stopped and spell.closed_at is not None
    ]
    kinds = [ALL, *sorted({alert.kind for alert in alerts})]
    usual = _usual(frame)
    burdens = []
    for kind in kinds:
        of_kind = [alert for alert in alerts if alert.kind == kind or (kind == ALL and alert.kind != SAFETY)]

        def followed(days: int, of_kind: Sequence[Raised] = of_kind) -> Estimate:
            settled = now - (days + WINDOW // DAY) * DAY
            true = [
                (value, clients.get(alert.episode, -1))
                for alert in of_kind
                if alert.at <= settled and (value := target(found[alert.episode].spells, alert.at, days)) is not None
            ]
            return mean_of(*_columns(true))

        within = followed(LATER)
        first = _first_by_spell(of_kind, found)
        leads = [
            (closed - first[episode, start]) / DAY
            for episode, start, closed, _ in stops
            if first.get((episode, start), closed) < closed
        ]
        late = IN_TIME_HOURS * HOUR
        in_time = sum(
            first.get((episode, start), closed) <= (last or start) + late for episode, start, closed, last in stops
        )
        before = sum(first.get((episode, start), closed) < (last or start) for episode, start, closed, last in stops)
        repeats, counts = _repeats(of_kind)
        burdens.append(
            Burden(
                kind=kind,
                raised=len(of_kind),
                per_clinician_week=len(of_kind) / weeks if weeks else None,
                per_100_sessions=100 * len(of_kind) / sessions if sessions else None,
                precision=followed(HORIZON),
                followed=within,
                times_usual=within.value / usual if within.value is not None and usual else None,
                recall=len(leads) / len(stops) if stops else None,
                in_time=in_time / len(stops) if stops else None,
                before=before / len(stops) if stops else None,
                lead_days=quartiles(leads),
                repeats=repeats / len(of_kind) if of_kind else None,
                each=sum(counts) / len(counts) if counts else None,
                most=max(counts, default=0),
            )
        )
    return Alerts(line=line, clinician_weeks=weeks, sessions=sessions, stops=len(stops), kinds=tuple(burdens))


def _usual(frame: pd.DataFrame) -> float | None:
    """The share of moments at which somebody decides that a stop follows within 60 days."""
    known = frame.loc[frame["moment"].notna(), f"target_{LATER}d"].dropna()
    return float(known.mean()) if len(known) else None


def _repeats(alerts: Sequence[Raised]) -> tuple[int, list[int]]:
    """How many came within `REPEAT_DAYS` of another of the episode, and the number of each alerted episode."""
    by_episode: dict[str, list[int]] = {}
    for alert in alerts:
        by_episode.setdefault(alert.episode, []).append(alert.at)
    repeats = sum(
        then - one < REPEAT_DAYS * DAY for moments in by_episode.values() for one, then in pairwise(sorted(moments))
    )
    return repeats, [len(moments) for moments in by_episode.values()]


def _columns(pairs: Sequence[tuple[int, int]]) -> tuple[Vector, Ints]:
    """Values and clients of pairs."""
    table = np.array(pairs, dtype=np.int64).reshape(len(pairs), 2)
    return table[:, 0].astype(np.float64), table[:, 1]


def clinician_weeks(frame: pd.DataFrame) -> int:
    """Pairs of a clinician (or a clinic's rows without one) and a week with a row."""
    seat = frame["clinician"].astype(object).where(frame["clinician"].notna(), frame["clinic"].astype(object))
    week = frame["as_of"].astype("int64") // (WEEK_DAYS * DAY)
    return int(pd.DataFrame({"seat": seat, "week": week}).drop_duplicates().shape[0])


def _first_by_spell(alerts: Iterable[Raised], found: Mapping[str, EpisodeOutcome]) -> dict[tuple[str, int], int]:
    """The moment of the first alert in each spell, by episode and the spell's start."""
    first: dict[tuple[str, int], int] = {}
    for alert in alerts:
        spell = spell_of(found[alert.episode].spells, alert.at)
        if spell is not None:
            key = (alert.episode, spell.start)
            first[key] = min(first.get(key, alert.at), alert.at)
    return first
