"""The moments of which a simulator told the true risk: each scored exactly there, from what had happened by then."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from keepwell.care.course import Course
from keepwell.care.endings import target
from keepwell.care.episode import Episode, Live
from keepwell.contract.events import decode_accepted, micros
from keepwell.contract.words import HORIZONS
from keepwell.scoring.scorer import Scorer
from training.dataset.replay import Told
from training.dataset.sources import Gathered

Look = TypeVar("Look")
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


class Seen(NamedTuple, Generic[Look]):
    """A moment of which the truth was told, and what was seen there; None where nobody is at risk, as after a declared stop.
    `targets` by `HORIZONS`, None for one that is undetermined. `at` in µs."""

    truth: Truth
    at: int
    targets: tuple[int | None, ...]
    found: Look | None


def moments(truths: Sequence[Truth], gathered: Gathered, scorer: Scorer) -> list[Moment]:
    """Every truth of an episode that was gathered, scored by what had happened by then; outcomes are those known until the
    end of what was gathered."""

    def score(course: Course, at: int, clinic: str) -> ByHorizon:
        return scorer.score(course, at, clinic).risks[: len(HORIZONS)]

    return [moment_of(one, one.found) for one in seen(truths, gathered, score)]


def moment_of(one: Seen[Any], risks: ByHorizon | None) -> Moment:
    """The moment at which a model has these risks."""
    told = one.truth
    return Moment(
        told.episode, one.at, one.targets, risks,
        (told.risk_14d_clinician_unknown, told.risk_30d_clinician_unknown, told.risk_60d_clinician_unknown),
        (told.risk_14d, told.risk_30d, told.risk_60d),
    )  # fmt: skip


def seen(truths: Sequence[Truth], gathered: Gathered, look: Callable[[Course, int, str], Look]) -> Iterator[Seen[Look]]:
    """Every truth of an episode that was gathered, with what `look` sees of the course then: it is given the course, the
    moment and the clinic."""
    of: Mapping[str, list[Truth]] = defaultdict(list)
    for truth in truths:
        of[truth.episode].append(truth)
    for stream in gathered.streams:
        for told in stream.told:
            if told.key in of:
                yield from _of_episode(told, sorted(of[told.key], key=attrgetter("as_of")), gathered, look)


def _of_episode(
    told: Told, truths: Sequence[Truth], gathered: Gathered, look: Callable[[Course, int, str], Look]
) -> Iterator[Seen[Look]]:
    clinic = told.key.partition("/")[0]
    live = Live(Episode(told.key), partial(gathered.instruments.get, clinic))
    events = sorted(map(decode_accepted, told.events), key=attrgetter("time"))
    folded = 0
    looked: list[tuple[Truth, int, Look | None]] = []
    for truth in truths:
        at = micros(truth.as_of)
        while folded < len(events) and micros(events[folded].time) <= at:
            live.fold(events[folded])
            folded += 1
        at_risk = live.episode.history and live.course.standing.state_at(at) == "open"
        looked.append((truth, at, look(live.course, at, clinic) if at_risk else None))
    for event in events[folded:]:
        live.fold(event)
    spells = live.course.standing.spells_at(gathered.now)
    for truth, at, found in looked:
        yield Seen(truth, at, tuple(target(spells, at, days) for days in HORIZONS.values()), found)
