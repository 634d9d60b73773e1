"""What `keepwell simulate` writes: valid events in order, the same for the same seed, and truth that says it is simulated."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from keepwell.care.instruments import Instruments
from keepwell.cli.main import app
from keepwell.contract.decode import Accepted, decode
from keepwell.contract.events import CONTROL_TYPES, EVENT_TYPES, EpisodeOpened, decode_accepted
from training.simulate import PRESETS, simulate
from training.simulate.intake import FAIRNESS, arrive, roster
from training.simulate.people import DAY


@pytest.mark.parametrize("preset", PRESETS)
def test_every_event_is_one_that_the_contract_accepts(preset: str, folders: dict[str, Path]) -> None:
    lines = (folders[preset] / "events.jsonl").read_bytes().splitlines()
    now = decode_accepted(lines[-1]).time + timedelta(seconds=1)
    for line in lines:
        result = decode(line, now=now, instruments=Instruments())
        assert isinstance(result, Accepted), (result, line)
        assert result.unknown == 0


@pytest.mark.parametrize("preset", PRESETS)
def test_the_events_come_in_order_of_time_under_ids_of_their_own(preset: str, folders: dict[str, Path]) -> None:
    events = [decode_accepted(line) for line in (folders[preset] / "events.jsonl").read_bytes().splitlines()]
    assert all(one.time <= following.time for one, following in pairwise(events))
    assert len({(event.source, event.id) for event in events}) == len(events)
    untold = {"keepwell.alert.actioned.v1", "keepwell.event.retracted.v1", "keepwell.client.erased.v1"} | CONTROL_TYPES
    assert {event.type for event in events} == EVENT_TYPES.keys() - untold


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    first, again, other = (tmp_path / name for name in ("first", "again", "other"))
    simulate("clinic", 60, 1, first, rollouts=4, jobs=1)
    simulate("clinic", 60, 1, again, rollouts=4, jobs=2)
    simulate("clinic", 60, 2, other, rollouts=4)
    for name in ("events.jsonl", "truth.jsonl"):
        assert (first / name).read_bytes() == (again / name).read_bytes() != (other / name).read_bytes()


def test_the_events_do_not_depend_on_whether_the_truth_is_told(tmp_path: Path) -> None:
    simulate("clinic", 40, 1, tmp_path / "with", rollouts=2)
    simulate("clinic", 40, 1, tmp_path / "without", rollouts=0)
    assert (tmp_path / "with/events.jsonl").read_bytes() == (tmp_path / "without/events.jsonl").read_bytes()
    assert not (tmp_path / "without/truth.jsonl").exists()


def test_every_truth_says_that_it_is_simulated(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app,
        [
            "simulate",
            "--preset",
            "clinic",
            "--episodes",
            "50",
            "--seed",
            "1",
            "--rollouts",
            "2",
            "--out",
            str(tmp_path),
        ],
    )
    assert result.exit_code == 0
    rows = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_bytes().splitlines()]
    assert rows
    for row in rows:
        assert row["simulated"] is True
        assert {"episode", "as_of", "next_visit_missed"} <= set(row)
        for horizon in ("14d", "30d", "60d"):
            assert 0 <= row[f"risk_{horizon}"] <= 1
            assert 0 <= row[f"risk_{horizon}_clinician_unknown"] <= 1


@pytest.mark.parametrize("preset", ["clinic", "drawn"])
def test_the_truth_can_be_told_of_a_share_of_the_clients(preset: str, tmp_path: Path) -> None:
    """A client's episodes are told of together, and the log is the same."""
    told = {}
    for share in (1.0, 0.3):
        simulate(preset, 400, 3, tmp_path / str(share), rollouts=1, truth_of=share, jobs=1)
        rows = (tmp_path / str(share) / "truth.jsonl").read_bytes().splitlines()
        told[share] = {json.loads(row)["episode"] for row in rows}
    logs = [(tmp_path / str(share) / "events.jsonl").read_bytes() for share in (1.0, 0.3)]
    assert logs[0] == logs[1]
    assert told[0.3] < told[1.0]
    assert 0.2 < len(told[0.3]) / len(told[1.0]) < 0.4
    opened = [decode_accepted(line) for line in logs[0].splitlines() if b"episode.opened" in line]
    client = {one.key: f"{one.clinic}/{one.data.client_id}" for one in opened if isinstance(one, EpisodeOpened)}
    assert not {client[one] for one in told[0.3]} & {client[one] for one in told[1.0] - told[0.3]}


def test_a_preset_that_there_is_not_is_wrong_use(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["simulate", "--preset", "moon", "--episodes", "5", "--out", str(tmp_path)])
    assert result.exit_code == 2


@pytest.mark.parametrize("preset", ["clinic", "community"])
def test_fairness_attributes_change_nothing_but_in_the_shifted_world(preset: str) -> None:
    assert _longest_gap(preset) < 4.5
    assert _longest_gap("shifted") > 10


def _longest_gap(preset: str) -> float:
    """The largest difference that a fairness attribute makes in what is known at the opening, in standard errors."""
    world, n, rng = PRESETS[preset], 20_000, np.random.default_rng(4)
    people, arrivals = arrive(world, roster(world, n, rng), n, rng)
    wait = (people.starts - people.since) / DAY
    gaps = []
    for name, shares in FAIRNESS.items():
        for group in shares:
            rows = np.array([told[name] == group for told in arrivals.fairness])
            for value in (wait, people.intake, people.effect):
                error = value.std() * np.sqrt(1 / rows.sum() + 1 / (~rows).sum())
                gaps.append(abs(value[rows].mean() - value[~rows].mean()) / error)
    return float(max(gaps))
