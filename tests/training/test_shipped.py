"""The shipped release: learnt from simulated clinics by a command that anybody can run, and saying so wherever it can."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest

from keepwell.alerting.signals import Signals
from keepwell.scoring.scorecard import OUTPUTS
from models.hand_set import POLICY
from models.release import DEFAULT, default, load
from training import shipped
from training.dataset import FEATURE_COLUMNS, Dataset
from training.evaluate.worlds.table import WorldsTable
from training.fit.card import line_told
from training.fit.fit import FitReport
from training.fit.line import AlertLine, line_of
from training.fit.sample import Sample
from training.shipped import BUDGET, EPISODES, JUDGED, WORLDS, Plan, joined, lined_again, main, worlds


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
    assert report.line.chosen_by == f"budget of {BUDGET:g} alerts of risk and silence per 100 sessions"


def test_making_it_puts_one_release_in_the_place_of_what_was_there(tmp_path: Path) -> None:
    place = tmp_path / "default"
    (place / "sha256-old").mkdir(parents=True)
    plan = Plan(seeds=(11, 12, 13, 14), episodes=300, judged_in=(21,), lined_in=(15,), judged=300, jobs=1)
    digest = main(place, plan)
    [folder] = place.iterdir()
    found = load(folder)
    assert found.digest == digest
    worlds = msgspec.json.decode((folder / "worlds.json").read_bytes(), type=WorldsTable)
    assert worlds.seeds == (21,) and not set(JUDGED) & set(WORLDS)
    assert found.policy.line != POLICY.line and found.policy.quiet_days == POLICY.quiet_days
    lines_alone_are_chosen_anew(place, plan)


def lines_alone_are_chosen_anew(place: Path, plan: Plan) -> None:
    """As making the whole would, and nothing else is touched."""
    [folder] = place.iterdir()
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    lined_again(place, plan)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    digest = lined_again(place, plan._replace(lined_in=(11,)))
    [other] = place.iterdir()
    found = load(other)
    assert found.digest == digest and other != folder
    after = {file.name: file.read_bytes() for file in other.iterdir()}
    assert {name for name in after if after[name] != before[name]} == {
        "manifest.json", "policy.json", "report.json", "card.md"
    }  # fmt: skip
    line = msgspec.json.decode(after["report.json"], type=FitReport).line
    assert (line.line, line.absent) == (found.policy.line, found.policy.absent)
    assert line_told(line) in after["card.md"].decode()


# ── many worlds as one table ────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def two(kept: Path) -> Dataset:
    return worlds(Plan(episodes=60, keep=kept, jobs=1), (31, 32))


def test_of_a_world_the_moments_stay_and_nothing_else(two: Dataset) -> None:
    assert two.frame["moment"].notna().all()
    assert two.about.counts.rows == len(two.frame)
    assert set(two.frame.dtypes[list(FEATURE_COLUMNS)].astype(str)) == {"float32"}


def test_two_worlds_are_one_table_with_the_counts_and_the_fingerprint_of_both(two: Dataset, kept: Path) -> None:
    parts = [Dataset.read(folder) for folder in sorted(kept.iterdir())]
    whole = joined(parts)
    assert whole.about.counts == two.about.counts and whole.about.fingerprint == two.about.fingerprint
    assert len(whole.frame) == sum(len(part.frame) for part in parts)
    assert whole.about.counts.episodes == sum(part.about.counts.episodes for part in parts)
    assert whole.about.counts.positive["30d"] == sum(part.about.counts.positive["30d"] for part in parts)
    assert whole.about.as_of == max(part.about.as_of for part in parts)
    assert whole.about.fingerprint not in {part.about.fingerprint for part in parts}
    assert joined(parts[::-1]).about.fingerprint != whole.about.fingerprint
    assert whole.fairness.index.is_unique and set(whole.frame["episode"]) <= set(whole.fairness.index)
    assert whole.frame["episode"].nunique() == sum(part.frame["episode"].nunique() for part in parts)


def test_a_world_that_was_kept_is_read_and_gives_the_same_table(
    two: Dataset, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "simulate", None)  # whoever simulates again fails
    again = worlds(Plan(episodes=60, keep=kept, jobs=1), (31, 32))
    pd.testing.assert_frame_equal(again.frame, two.frame)
    assert again.about == two.about


def test_two_processes_make_the_same_table(two: Dataset) -> None:
    again = worlds(Plan(episodes=60, jobs=2), (31, 32))
    pd.testing.assert_frame_equal(again.frame, two.frame)
    assert again.about == two.about


def test_its_lines_are_chosen_on_every_row_that_live_alerts_look_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(DEFAULT, tmp_path / "default")
    counted: list[Sample] = []

    def noting(sample: Sample, *arguments: Any, **options: Any) -> AlertLine:
        counted.append(sample)
        return line_of(sample, *arguments, **options)

    monkeypatch.setattr(shipped, "line_of", noting)
    lined_again(tmp_path / "default", Plan(episodes=60, lined_in=(31,), jobs=1))
    [sample] = counted
    deciding = sample.signals[:, Signals._fields.index("deciding")] == 1
    assert (deciding & ~sample.decisive).sum() > deciding.sum() / 4, "live, a line may be crossed at any of them"
