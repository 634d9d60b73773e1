"""Writes a simulated world: its events as any clinic would send them, and beside them the true risks that no clinic knows."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from math import isnan
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from keepwell.contract.events import micros, rfc3339
from training.simulate.course import Roster
from training.simulate.drawn import draw
from training.simulate.intake import arrive, roster
from training.simulate.landmarks import Landmarks
from training.simulate.life import CUT, Lives
from training.simulate.oracle import HORIZONS, ROLLOUTS, Oracle
from training.simulate.people import DAY, Ints, Tables, tables
from training.simulate.presets import PRESETS, World
from training.simulate.tell import Teller, moment

DRAWN: Final = "drawn"
"""The preset whose worlds are drawn by the seed."""
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
    lived = _live(preset, episodes, seed)
    out.mkdir(parents=True, exist_ok=True)
    told = _write(out / "events.jsonl", _merged(one.teller.timed() for one in lived))
    if not rollouts:
        return Written(told, 0)
    return Written(told, _write(out / "truth.jsonl", _merged(_truths(one, rollouts, jobs, truth_of) for one in lived)))


def events_of(preset: str, episodes: int, seed: int) -> list[bytes]:
    """The lines of `events.jsonl`, in memory."""
    return list(_merged(one.teller.timed() for one in _live(preset, episodes, seed)))


class Lived(NamedTuple):
    """Clinics of one mechanism, lived up to the cut."""

    world: World
    tables: Tables
    staff: Roster
    landmarks: Landmarks
    teller: Teller
    client: Ints
    """Who each person is."""
    rollouts: np.random.SeedSequence
    drawing: np.random.SeedSequence
    """Of those of whom the truth is told."""


def _live(preset: str, episodes: int, seed: int) -> list[Lived]:
    if preset != DRAWN:
        world = PRESETS[preset]
        seeds = np.random.SeedSequence([seed, list(PRESETS).index(preset)]).spawn(4)
        life = np.random.default_rng(seeds[0])
        teller = Teller(world, tables(world), CUT, int(seeds[2].generate_state(1)[0]))
        return [_lived(world, roster(world, episodes, life), episodes, life, teller=teller, seeds=seeds)]
    clinics = draw(seed, episodes)
    lived = []
    for number, clinic in enumerate(clinics):
        seeds = np.random.SeedSequence([seed, len(PRESETS), number]).spawn(4)
        teller = Teller(
            clinic.world, tables(clinic.world), CUT, int(seeds[2].generate_state(1)[0]),
            clinic=clinic.name, label=f"{number + 1}-",
        )  # fmt: skip
        life = np.random.default_rng(seeds[0])
        lived.append(_lived(clinic.world, clinic.staff, clinic.episodes, life, teller=teller, seeds=seeds))
    return lived


def _lived(
    world: World, staff: Roster, episodes: int, life: np.random.Generator, *, teller: Teller,
    seeds: Sequence[np.random.SeedSequence],
) -> Lived:  # fmt: skip
    instruments = tables(world)
    people, arrivals = arrive(world, staff, episodes, life)
    landmarks = Lives(people, arrivals, world, tables=instruments, staff=staff, teller=teller, rng=life).run()
    return Lived(world, instruments, staff, landmarks, teller, arrivals.client, seeds[1], seeds[3])


def _settled(landmarks: Landmarks) -> Landmarks:
    """The landmarks whose outcomes the log tells, in order of time."""
    order = np.lexsort((landmarks.people.id, landmarks.at))
    rows = order[landmarks.at[order] + SETTLED <= CUT]
    return landmarks.take(rows)


def _truths(lived: Lived, rollouts: int, jobs: int, truth_of: float) -> Iterator[tuple[float, bytes]]:
    """The minute of each settled landmark of some clients, and what is true of it."""
    drawn = np.random.default_rng(lived.drawing).random(len(lived.client)) < truth_of
    landmarks = _settled(lived.landmarks.take(drawn[lived.client[lived.landmarks.people.id]]))
    found = Oracle(lived.world, lived.tables, lived.staff).risks(landmarks, lived.rollouts, rollouts, jobs)
    rows = zip(
        landmarks.people.id.tolist(), landmarks.at.tolist(), found.known.tolist(), found.unknown.tolist(),
        found.missed.tolist(), strict=True,
    )  # fmt: skip
    for person, at, known, unknown, missed in rows:
        row: dict[str, Any] = {
            "simulated": True, "episode": lived.teller.key(person), "as_of": rfc3339(micros(moment(at))),
        }  # fmt: skip
        for days, risk in zip(HORIZONS, known, strict=True):
            row[f"risk_{days:.0f}d"] = round(risk, 6)
        for days, risk in zip(HORIZONS, unknown, strict=True):
            row[f"risk_{days:.0f}d_clinician_unknown"] = round(risk, 6)
        row["next_visit_missed"] = None if isnan(missed) else round(missed, 6)
        yield at, msgspec.json.encode(row)


def _merged(parts: Iterable[Iterable[tuple[float, bytes]]]) -> Iterator[bytes]:
    """The lines of all parts in order of time; of two at the same minute that of the earlier part first."""
    return (line for _, line in heapq.merge(*parts, key=itemgetter(0)))


def _write(path: Path, lines: Iterable[bytes]) -> int:
    count = 0
    with path.open("wb") as file:
        for line in lines:
            file.write(line + b"\n")
            count += 1
    return count
