"""Writes a simulated world: its events as any clinic would send them, and beside them the true risks that no clinic knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import isnan
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from keepwell.contract.events import micros, rfc3339
from training.simulate.intake import arrive, roster
from training.simulate.landmarks import Landmarks
from training.simulate.life import CUT, Lives
from training.simulate.oracle import HORIZONS, ROLLOUTS, Oracle, Risks
from training.simulate.people import DAY, tables
from training.simulate.presets import PRESETS
from training.simulate.tell import Teller, moment

SETTLED: Final = (HORIZONS[-1] + 100) * DAY
"""Truth is told only of moments so long before the cut, in minutes, that every target is determined by then: near the cut
the determined ones are a selection, of which the true risk is another."""


class Written(NamedTuple):
    """How many lines of each file."""

    events: int
    truths: int


def simulate(
    preset: str, episodes: int, seed: int, out: Path, *, rollouts: int = ROLLOUTS, truth_of: float = 1.0, jobs: int = 2
) -> Written:
    """Writes `events.jsonl` and, unless `rollouts` is 0, `truth.jsonl` to the folder `out`. Roll-outs are the slow part:
    `truth_of` is the share of the clients, drawn at random, of whom the truth is told.

    The same arguments give the same bytes. Raises `KeyError` for a preset that there is not.
    """
    world = PRESETS[preset]
    instruments = tables(world)
    seeds = np.random.SeedSequence([seed, list(PRESETS).index(preset)]).spawn(4)
    life = np.random.default_rng(seeds[0])
    teller = Teller(world, instruments, CUT, int(seeds[2].generate_state(1)[0]))
    staff = roster(world, episodes, life)
    people, arrivals = arrive(world, staff, episodes, life)
    landmarks = Lives(people, arrivals, world, tables=instruments, staff=staff, teller=teller, rng=life).run()
    out.mkdir(parents=True, exist_ok=True)
    told = _write(out / "events.jsonl", teller.lines())
    if not rollouts:
        return Written(told, 0)
    drawn = np.random.default_rng(seeds[3]).random(episodes) < truth_of
    kept = _settled(landmarks.take(drawn[arrivals.client[landmarks.people.id]]))
    found = Oracle(world, instruments, staff).risks(kept, seeds[1], rollouts, jobs)
    return Written(told, _write(out / "truth.jsonl", _truths(kept, found, teller)))


def _settled(landmarks: Landmarks) -> Landmarks:
    """The landmarks whose outcomes the log tells, in order of time."""
    order = np.lexsort((landmarks.people.id, landmarks.at))
    rows = order[landmarks.at[order] + SETTLED <= CUT]
    return landmarks.take(rows)


def _truths(landmarks: Landmarks, found: Risks, teller: Teller) -> Iterator[bytes]:
    rows = zip(
        landmarks.people.id.tolist(), landmarks.at.tolist(), found.known.tolist(), found.unknown.tolist(),
        found.missed.tolist(), strict=True,
    )  # fmt: skip
    for person, at, known, unknown, missed in rows:
        row: dict[str, Any] = {"simulated": True, "episode": teller.key(person), "as_of": rfc3339(micros(moment(at)))}
        for days, risk in zip(HORIZONS, known, strict=True):
            row[f"risk_{days:.0f}d"] = round(risk, 6)
        for days, risk in zip(HORIZONS, unknown, strict=True):
            row[f"risk_{days:.0f}d_clinician_unknown"] = round(risk, 6)
        row["next_visit_missed"] = None if isnan(missed) else round(missed, 6)
        yield msgspec.json.encode(row)


def _write(path: Path, lines: Iterable[bytes]) -> int:
    count = 0
    with path.open("wb") as file:
        for line in lines:
            file.write(line + b"\n")
            count += 1
    return count
