"""The moments of which a simulator told the true risk: each scored exactly there, from what had happened by then."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import msgspec

from keepwell.care.endings import target
from keepwell.care.episode import Episode, Live
from keepwell.contract.events import decode_accepted, micros
from keepwell.contract.words import HORIZONS
from keepwell.scoring.scorecard import Scorer
from training.dataset.replay import Told
from training.dataset.sources import Gathered

ByHorizon = tuple[float, ...]
"""A figure for each of `HORIZONS`."""


class Truth(msgspec.Struct, frozen=True):
    """A row of `truth.jsonl`."""

    episode: str
    as_of: datetime
    risk_14d: float
    risk_30d: float
    risk_60d: float
    risk_14d_clinician_unknown: float
    risk_30d_clinician_unknown: float
    risk_60d_clinician_unknown: float


class Moment(NamedTuple):
    """A moment of which the truth was told; risks and targets by `HORIZONS`. `at` in µs; a target that is undetermined is
    None. `model` is None where the release has no risk, as after a declared stop."""

    episode: str
    at: int
    targets: tuple[int | None, ...]
    model: ByHorizon | None
    clinician_unknown: ByHorizon
    clinician_known: ByHorizon


def read_truths(path: Path) -> list[Truth]:
    """The rows of a file. Raises `OSError`, and `ValueError` where it is no truth."""
    try:
        return [msgspec.json.decode(line, type=Truth) for line in path.read_bytes().splitlines() if line.strip()]
    except msgspec.MsgspecError as error:
        raise ValueError(f"{path}: {error}") from error


def moments(truths: Sequence[Truth], gathered: Gathered, scorer: Scorer) -> list[Moment]:
    """Every truth of an episode that was gathered, scored by what had happened by then; outcomes are those known until the
    end of what was gathered."""
    of: Mapping[str, list[Truth]] = defaultdict(list)
    for truth in truths:
        of[truth.episode].append(truth)
    return [
        moment
        for stream in gathered.streams
        for told in stream.told
        if told.key in of
        for moment in _of_episode(told, sorted(of[told.key], key=attrgetter("as_of")), gathered, scorer)
    ]


def _of_episode(told: Told, truths: Sequence[Truth], gathered: Gathered, scorer: Scorer) -> Iterator[Moment]:
    clinic = told.key.partition("/")[0]
    live = Live(Episode(told.key), partial(gathered.instruments.get, clinic))
    events = sorted(map(decode_accepted, told.events), key=attrgetter("time"))
    folded = 0
    scored: list[tuple[Truth, int, ByHorizon | None]] = []
    for truth in truths:
        at = micros(truth.as_of)
        while folded < len(events) and micros(events[folded].time) <= at:
            live.fold(events[folded])
            folded += 1
        risks = None
        if live.episode.history and live.course.standing.state_at(at) == "open":
            risks = scorer.score(live.course, at, clinic).risks[: len(HORIZONS)]
        scored.append((truth, at, risks))
    for event in events[folded:]:
        live.fold(event)
    spells = live.course.standing.spells_at(gathered.now)
    for truth, at, risks in scored:
        yield Moment(
            told.key, at, tuple(target(spells, at, days) for days in HORIZONS.values()), risks,
            (truth.risk_14d_clinician_unknown, truth.risk_30d_clinician_unknown, truth.risk_60d_clinician_unknown),
            (truth.risk_14d, truth.risk_30d, truth.risk_60d),
        )  # fmt: skip
