"""What a stream of alerts asks of clinicians, and what it gives: which stops it tells of and when, and what follows."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keepwell.care.endings import DAY, spell_of, target
from keepwell.care.moments import STAGES
from keepwell.contract.words import Horizon
from keepwell.scoring.scorecard import OUTPUTS
from training.dataset import Dataset
from training.evaluate.definitions import HOUR, EpisodeOutcome
from training.evaluate.metrics import Estimate, Ints, Vector, mean_of, quartiles, ratio_of
from training.evaluate.replays import AlertMoment
from training.fit.line import IN_TIME_HOURS
from training.fit.sample import SETTLING_DAYS, sample_of

Matrix = NDArray[np.float64]

FOLLOWED: Final[Mapping[Horizon, int]] = {"30d": 30, "60d": 60}
"""Days within which a stop that follows an alert is looked for, by the output of that horizon."""
WEEK_DAYS: Final = 7
REPEAT_DAYS: Final = 7
"""An alert sooner than this after another of the same client is a repeat; from issue 10."""
PER_SESSIONS: Final = 100


class Burden(msgspec.Struct, frozen=True, kw_only=True):
    """One stream of alerts: those of a kind, of several together, of a rule, or of one line on a risk.

    What it asks: `raised` (escalations are in `escalated` alone) per 100 sessions attended and per clinician-week; `repeats`
    is the share that come less than 7 days after another of the same client; `per_episode` and `most` are the mean and the
    greatest number of an episode among those with any.

    What it gives: of the stops of those who came to a session, `in_time` had an alert by 20 hours after the last one attended
    ended, `strictly_before` before that one began, `at_all` before the declaration, each within the same spell of care.
    `recall` is `at_all` of all stops. `lead_days`: from the first alert of a spell to the declaration of its stop, lower
    quartile, median, upper quartile.

    What follows: `precision` and `precision_60d` are the shares followed by a stop within 30 and 60 days. `times_any` and
    `times_alike` are these in parts of what follows all moments at which somebody decides, and those of them at which the
    person stood where the one with the alert did (`keepwell.care.moments.STAGES`), by horizon.
    """

    kind: str
    raised: int
    escalated: int
    per_100_sessions: Estimate
    per_clinician_week: float | None
    repeats: Estimate
    per_episode: float | None
    most: int
    in_time: Estimate
    strictly_before: Estimate
    at_all: Estimate
    recall: Estimate
    lead_days: tuple[float, float, float] | None
    precision: Estimate
    precision_60d: Estimate
    times_any: Mapping[str, Estimate]
    times_alike: Mapping[str, Estimate]


class DeclaredStop(NamedTuple):
    """A stop, with the spell of care that it ends, in µs. `began` and `last` are of the last session attended in it, None
    where none was."""

    episode: str
    start: int
    closed_at: int
    began: int | None
    last: int | None

    @property
    def deadline(self) -> int | None:
        """Until when an alert is in time."""
        return None if self.last is None else self.last + IN_TIME_HOURS * HOUR

    def in_time(self, at: int | None) -> bool:
        """Whether something told at a moment of the spell (µs; None: nothing was) was told in time."""
        return at is not None and self.deadline is not None and at <= self.deadline

    def before(self, at: int | None) -> bool:
        """Whether it was told strictly before the last session."""
        return at is not None and self.began is not None and at < self.began


class Ground(NamedTuple):
    """What alerts over one log are judged by: what became of every episode, whose it is, and what follows moments alike."""

    found: Mapping[str, EpisodeOutcome]
    client: Mapping[str, int]
    """A number by episode; -1 for one without a row."""
    stops: Sequence[DeclaredStop]
    sessions: int
    weeks: int
    """Clinician-weeks: those in which something happened with at least one of a clinician's open episodes."""
    settled: Sequence[int]
    """By `FOLLOWED`, until when an alert's outcome counts (µs)."""
    moments: Mapping[str, tuple[list[int], list[int]]]
    """By episode, the moments of its rows in time order (µs) and the stage at each."""
    rates: Matrix
    """By stage and `FOLLOWED`, the share of moments of decision that a stop follows; NaN where none is known. The last row
    is of all stages."""


class StreamFacts(NamedTuple):
    """One stream as rows to count: alerts, stops, episodes. The `…_of` are numbers of clusters, in which rows are no
    independent draws: clients, or whole worlds."""

    alert_of: Ints
    followed: Matrix
    """By `FOLLOWED`: 1 a stop followed, 0 none did, NaN not known."""
    any_rate: Matrix
    alike_rate: Matrix
    repeated: Vector
    escalated: int
    stop_of: Ints
    came: Vector
    in_time: Vector
    before: Vector
    at_all: Vector
    lead: Vector
    """Days; NaN where there is none."""
    alerted: Ints
    """Alerts of each episode with any."""
    episode_of: Ints
    sessions: Vector
    weeks: int


def ground_of(dataset: Dataset, found: Mapping[str, EpisodeOutcome], now: int) -> Ground:
    """The ground of one log, of which outcomes are known until `now` (µs)."""
    frame = dataset.frame
    clients = dict(zip(frame["episode"].astype(str), frame["client"].cat.codes.tolist(), strict=True))
    moments: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    stages = frame["stage"].to_numpy(dtype=np.int64)
    rows = zip(frame["episode"].astype(str), frame["as_of"].astype("int64").tolist(), stages.tolist(), strict=True)
    for episode, at, stage in rows:
        moments[episode][0].append(at)
        moments[episode][1].append(stage)
    return Ground(
        found=found,
        client={episode: clients.get(episode, -1) for episode in found},
        stops=[
            DeclaredStop(episode, spell.start, spell.closed_at, began, spell.last_attended)
            for episode, outcome in found.items()
            for spell, began in zip(outcome.spells, outcome.began, strict=True)
            if spell.stopped and spell.closed_at is not None
        ],
        sessions=sum(outcome.sessions for outcome in found.values()),
        weeks=clinician_weeks(frame),
        settled=[now - SETTLING_DAYS[output] * DAY for output in FOLLOWED],
        moments=dict(moments),
        rates=_rates(dataset, stages),
    )


def facts_of(stream: Sequence[AlertMoment], ground: Ground) -> StreamFacts:
    """The rows of a stream of one log, in clusters of its clients."""
    raised = sorted((alert for alert in stream if alert.status == "raised"), key=lambda one: one.at)
    shape = (len(raised), len(FOLLOWED))
    followed = [_followed(alert, ground) for alert in raised]
    alike = [_alike(alert, ground) for alert in raised]
    first = first_by_spell(raised, ground)
    told = [first.get((stop.episode, stop.start)) for stop in ground.stops]
    pairs = list(zip(told, ground.stops, strict=True))
    return StreamFacts(
        alert_of=_ints(ground.client[alert.episode] for alert in raised),
        followed=np.array(followed, dtype=np.float64).reshape(shape),
        any_rate=np.tile(ground.rates[-1], (len(raised), 1)),
        alike_rate=np.array(alike, dtype=np.float64).reshape(shape),
        repeated=_repeated(raised, ground),
        escalated=len(stream) - len(raised),
        stop_of=_ints(ground.client[stop.episode] for stop in ground.stops),
        came=_flags(stop.last is not None for stop in ground.stops),
        in_time=_flags(stop.in_time(at) for at, stop in pairs),
        before=_flags(stop.before(at) for at, stop in pairs),
        at_all=_flags(at is not None for at in told),
        lead=np.array([np.nan if at is None else (stop.closed_at - at) / DAY for at, stop in pairs], dtype=np.float64),
        alerted=_ints(Counter(alert.episode for alert in raised).values()),
        episode_of=_ints(ground.client[episode] for episode in ground.found),
        sessions=np.array([outcome.sessions for outcome in ground.found.values()], dtype=np.float64),
        weeks=ground.weeks,
    )


def joined(parts: Sequence[StreamFacts]) -> StreamFacts:
    """The rows of several logs, each of which is one cluster."""
    fields: dict[str, Any] = {}
    for name, columns in zip(StreamFacts._fields, zip(*parts, strict=True), strict=True):
        if name in ("escalated", "weeks"):
            fields[name] = sum(columns)
        elif name.endswith("_of"):
            fields[name] = np.repeat(np.arange(len(parts)), [len(column) for column in columns])
        else:
            fields[name] = np.concatenate(columns)
    return StreamFacts(**fields)


def burden_of(kind: str, facts: StreamFacts) -> Burden:
    """The figures of a stream."""
    raised = len(facts.alert_of)
    came = facts.came == 1
    ratios = {name: _times(facts, getattr(facts, f"{name}_rate")) for name in ("any", "alike")}
    month, season = (_mean(facts.followed[:, place], facts.alert_of) for place in range(len(FOLLOWED)))
    return Burden(
        kind=kind,
        raised=raised,
        escalated=facts.escalated,
        per_100_sessions=ratio_of(
            np.r_[np.full(raised, float(PER_SESSIONS)), np.zeros(len(facts.sessions))],
            np.r_[np.zeros(raised), facts.sessions],
            np.r_[facts.alert_of, facts.episode_of],
        ),
        per_clinician_week=raised / facts.weeks if facts.weeks else None,
        repeats=mean_of(facts.repeated, facts.alert_of),
        per_episode=float(facts.alerted.mean()) if raised else None,
        most=int(facts.alerted.max(initial=0)),
        in_time=mean_of(facts.in_time[came], facts.stop_of[came]),
        strictly_before=mean_of(facts.before[came], facts.stop_of[came]),
        at_all=mean_of(facts.at_all[came], facts.stop_of[came]),
        recall=mean_of(facts.at_all, facts.stop_of),
        lead_days=quartiles(facts.lead[~np.isnan(facts.lead)].tolist()),
        precision=month,
        precision_60d=season,
        times_any=ratios["any"],
        times_alike=ratios["alike"],
    )


def first_by_spell(alerts: Iterable[AlertMoment], ground: Ground) -> dict[tuple[str, int], int]:
    """The moment of the first alert in each spell, by episode and the spell's start. What is told between a stop and a return
    is in none."""
    first: dict[tuple[str, int], int] = {}
    for alert in alerts:
        spell = spell_of(ground.found[alert.episode].spells, alert.at)
        if spell is not None:
            key = (alert.episode, spell.start)
            first[key] = min(first.get(key, alert.at), alert.at)
    return first


def clinician_weeks(frame: pd.DataFrame) -> int:
    """Pairs of a clinician (or a clinic's rows without one) and a week with a row."""
    seat = frame["clinician"].astype(object).where(frame["clinician"].notna(), frame["clinic"].astype(object))
    week = frame["as_of"].astype("int64") // (WEEK_DAYS * DAY)
    return int(pd.DataFrame({"seat": seat, "week": week}).drop_duplicates().shape[0])


def _rates(dataset: Dataset, stages: Ints) -> Matrix:
    sample, place_of = sample_of(dataset), {name: place for place, name in enumerate(OUTPUTS)}
    rates = np.full((len(STAGES) + 1, len(FOLLOWED)), np.nan)
    for column, output in enumerate(FOLLOWED):
        known, happened = sample.judged(place_of[output]), sample.targets[:, place_of[output]]
        for place in range(len(STAGES) + 1):
            rows = known & (stages == place) if place < len(STAGES) else known
            if rows.any():
                rates[place, column] = happened[rows].mean()
    return rates


def _followed(alert: AlertMoment, ground: Ground) -> list[float]:
    spells = ground.found[alert.episode].spells
    found = [
        target(spells, alert.at, days) if alert.at <= settled else None
        for days, settled in zip(FOLLOWED.values(), ground.settled, strict=True)
    ]
    return [np.nan if value is None else float(value) for value in found]


def _alike(alert: AlertMoment, ground: Ground) -> Sequence[float]:
    """What follows moments at which people stand where this one did, by the newest row by then."""
    moments, stages = ground.moments.get(alert.episode, ([], []))
    row = bisect_right(moments, alert.at) - 1
    found: list[float] = ground.rates[stages[row]].tolist() if row >= 0 else [np.nan] * len(FOLLOWED)
    return found


def _repeated(raised: Sequence[AlertMoment], ground: Ground) -> Vector:
    """Of each alert, in time order, whether another of the same client came less than `REPEAT_DAYS` before."""
    last: dict[int | str, int] = {}
    flags = []
    for alert in raised:
        number = ground.client[alert.episode]
        client = number if number >= 0 else alert.episode
        flags.append(client in last and alert.at - last[client] < REPEAT_DAYS * DAY)
        last[client] = alert.at
    return _flags(flags)


def _times(facts: StreamFacts, rates: Matrix) -> dict[str, Estimate]:
    """What followed in parts of what follows at these rates, by horizon, over alerts of which both are known."""
    found: dict[str, Estimate] = {}
    for place, output in enumerate(FOLLOWED):
        known = ~np.isnan(facts.followed[:, place] + rates[:, place])
        found[output] = ratio_of(facts.followed[known, place], rates[known, place], facts.alert_of[known])
    return found


def _mean(values: Vector, of: Ints) -> Estimate:
    known = ~np.isnan(values)
    return mean_of(values[known], of[known])


def _flags(values: Iterable[bool]) -> Vector:
    return np.array(list(values), dtype=np.float64)


def _ints(values: Iterable[int]) -> Ints:
    return np.array(list(values), dtype=np.int64)
