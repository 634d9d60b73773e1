"""The shipped release: learnt from simulated clinics by a command that anybody can run, and saying so wherever it can."""

from __future__ import annotations

from pathlib import Path

import msgspec

from keepwell.scoring.scorecard import OUTPUTS
from models.hand_set import POLICY
from models.release import DEFAULT, default, load
from training.evaluate.worlds.table import WorldsTable
from training.fit.fit import FitReport
from training.shipped import BUDGET, EPISODES, JUDGED, WORLDS, Plan, main


def test_it_says_that_it_was_learnt_from_simulated_clinics() -> None:
    [folder] = DEFAULT.iterdir()
    for told in (default().manifest.origin, (folder / "card.md").read_text(encoding="utf-8")):
        assert "all simulated: nothing in it was learnt from people" in told


def test_it_was_fitted_to_what_its_command_simulates() -> None:
    data = default().manifest.data
    assert data is not None
    assert data.episodes >= EPISODES * len(WORLDS) >= 150_000


def test_its_risks_were_calibrated_on_clients_it_had_not_seen() -> None:
    [folder] = DEFAULT.iterdir()
    report = msgspec.json.decode((folder / "report.json").read_bytes(), type=FitReport)
    for output in OUTPUTS:
        found = report.measures[output]
        assert 0.95 <= found.slope <= 1.05 and found.ece <= 0.01
    assert report.line.alerts_per_clinician_week <= BUDGET


def test_making_it_puts_one_release_in_the_place_of_what_was_there(tmp_path: Path) -> None:
    place = tmp_path / "default"
    (place / "sha256-old").mkdir(parents=True)
    plan = Plan(seeds=(11, 12, 13, 14), episodes=300, judged_in=(21,), judged=300, jobs=1)
    digest = main(place, plan)
    [folder] = place.iterdir()
    found = load(folder)
    assert found.digest == digest
    worlds = msgspec.json.decode((folder / "worlds.json").read_bytes(), type=WorldsTable)
    assert worlds.seeds == (21,) and not set(JUDGED) & set(WORLDS)
    assert found.policy.line != POLICY.line and found.policy.skips == POLICY.skips
