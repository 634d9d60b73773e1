"""Simulated worlds as tests read them: through keepwell's own decoder, fold and targets, never the generator's state."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from keepwell.care.endings import Spell, next_visit_missed, target
from keepwell.care.episode import Episode, Live
from keepwell.care.history import effective
from keepwell.care.instruments import Instruments
from keepwell.contract.events import AnyEvent, SessionAttended, decode_accepted, micros
from keepwell.contract.words import HORIZONS
from training.simulate.people import Floats


@dataclass
class Told:
    """One episode of a log."""

    key: str
    events: list[AnyEvent] = field(default_factory=list)
    now: int = 0

    @cached_property
    def live(self) -> Live:
        live = Live(Episode(self.key), partial(Instruments().get, self.key.partition("/")[0]))
        for event in self.events:
            live.fold(event)
        return live

    @cached_property
    def spells(self) -> list[Spell]:
        return self.live.course.standing.spells_at(self.now)

    @property
    def stopped(self) -> bool | None:
        """Whether the first spell ended in a stop; None while undetermined."""
        return None if self.spells[0].ending is None else self.spells[0].stopped

    def sessions(self, until: int) -> int:
        return sum(isinstance(event, SessionAttended) and micros(event.time) <= until for event in self.events)


@dataclass
class Log:
    """A simulated log, by episode."""

    told: dict[str, Told]

    @staticmethod
    def read(path: Path) -> Log:
        found: dict[str, Told] = {}
        grouped: dict[str, list[AnyEvent]] = defaultdict(list)
        for line in path.read_bytes().splitlines():
            event = decode_accepted(line)
            grouped[event.key].append(event)
            now = micros(event.time)
        for key, events in grouped.items():
            found[key] = Told(key, events, now)
        return Log(found)

    @property
    def determined(self) -> list[Told]:
        return [told for told in self.told.values() if told.stopped is not None]

    def stop_rate(self) -> float:
        return float(np.mean([told.stopped for told in self.determined]))


@dataclass
class Truth:
    """A row of truth.jsonl beside what came of it, as keepwell says."""

    row: dict[str, Any]
    told: Told

    @property
    def at(self) -> int:
        return micros(datetime.fromisoformat(self.row["as_of"]))

    def risk(self, horizon: str, suffix: str = "") -> float:
        return float(self.row[f"risk_{horizon}{suffix}"])

    def target(self, horizon: str) -> int | None:
        return target(self.told.spells, self.at, HORIZONS[horizon])

    def next_missed(self) -> int | None:
        return next_visit_missed(effective(self.told.live.episode.history), self.at)


def truths(path: Path, log: Log) -> list[Truth]:
    rows = [json.loads(line) for line in path.read_bytes().splitlines()]
    return [Truth(row, log.told[row["episode"]]) for row in rows]


def expected_auroc(score: Floats, risk: Floats) -> float:
    """AUROC of a score where each row stops with the chance `risk`: free of the chance of who happened to stop."""
    labels = np.repeat((1, 0), len(risk))
    return float(roc_auc_score(labels, np.tile(score, 2), sample_weight=np.concatenate([risk, 1 - risk])))
