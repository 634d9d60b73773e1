"""The whole evaluation of a small simulated clinic: the page and the figures, the same each time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from keepwell.cli.main import app
from models.release import default
from training.dataset import build
from training.evaluate import challengers as models
from training.evaluate.cells import LEAST_CLIENTS, cell, fair_cell
from training.evaluate.challengers import BOOSTING, challengers, out_of_fold
from training.evaluate.moments import MomentGroup, landmarks
from training.simulate import simulate

EPISODES = 120


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    simulate("community", EPISODES, 5, folder, rollouts=4)
    return folder


@pytest.fixture(scope="module", autouse=True)
def few_trees() -> Iterator[None]:
    """Challengers are there to be compared with; that they are good is not asked here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "TREES", 3)
        yield


def judge(world: Path, out: Path, *more: str) -> Any:
    events = str(world / "events.jsonl")
    told = CliRunner().invoke(app, ["evaluate", default().digest, events, "--out", str(out), "--json", *more])
    assert told.exit_code == 0, told.output
    return json.loads(told.stdout)


@pytest.fixture(scope="module")
def judged(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")
    judge(world, out, "--truth", str(world / "truth.jsonl"))
    return out


def test_the_same_input_gives_the_same_bytes(world: Path, judged: Path, tmp_path: Path) -> None:
    judge(world, tmp_path, "--truth", str(world / "truth.jsonl"))
    for name in ("report.json", "report.html"):
        assert (tmp_path / name).read_bytes() == (judged / name).read_bytes()


def test_a_challenger_stands_beside_the_release_with_the_difference(judged: Path) -> None:
    found = json.loads((judged / "report.json").read_text())["challengers"]
    assert BOOSTING in {one["name"] for one in found}
    for one in found:
        difference = one["release"]["value"] - one["other"]["value"]
        assert one["release_less_other"]["value"] == pytest.approx(difference, abs=1e-5)


def test_the_page_asks_no_other_host_and_runs_no_script(judged: Path) -> None:
    html = (judged / "report.html").read_text()
    assert not re.search(r"https?://|<script|<link|@import|url\(", html)
    assert html.count("<svg") > 20
    assert " style=" not in html  # the page's own policy would not apply it
    drawn = html.count('role="img"')
    assert (
        drawn > 20
        and html.count("<title id=") == html.count("<desc id=") == html.count("The figures</summary>") == drawn
    )


def test_the_page_says_on_top_that_the_data_are_simulated(judged: Path) -> None:
    html = (judged / "report.html").read_text()
    assert html.index("Simulated data.") < html.index("In short")
    assert json.loads((judged / "report.json").read_text())["data"]["simulated"] == EPISODES


def test_a_gap_stands_as_a_gap(judged: Path) -> None:
    report = json.loads((judged / "report.json").read_text())
    gaps = [item for item in report["disclosures"] if item["told"] is None]
    assert {"17", "19"} <= {item["number"] for item in gaps if item["standard"] == "TRIPOD+AI"}
    assert sum(item["standard"] == "HTI-1" for item in report["disclosures"]) == 31
    assert (judged / "report.html").read_text().count("gap: to be written") == len(gaps)


def test_no_pseudonym_reaches_the_report(judged: Path) -> None:
    for name in ("report.json", "report.html"):
        assert not re.search(r"sim-clinic|\bp-\d+\b|\bep-\d+\b|\bc-\d+\b", (judged / name).read_text())


def test_the_truth_is_no_worse_than_the_model_by_more_than_noise(judged: Path) -> None:
    oracle = json.loads((judged / "report.json").read_text())["oracle"]
    pooled = oracle["near"][0]
    assert pooled["rows"] > 200
    assert pooled["auroc"]["clinician_known"]["high"] > pooled["auroc"]["model"]["value"]


def test_a_small_group_is_not_shown_not_even_counted() -> None:
    rows = LEAST_CLIENTS - 1
    target, risk, client = (np.arange(rows) % 2).astype(np.float64), np.linspace(0, 1, rows), np.arange(rows)
    found = fair_cell(MomentGroup("a", "a", np.ones(rows, np.bool_)), target, risk, client, 0.5)
    assert (found.cell.rows, found.cell.clients, found.flagged.value) == (0, 0, None)
    shown = fair_cell(
        MomentGroup("a", "a", np.ones(rows + 1, np.bool_)), np.r_[target, 1], np.r_[risk, 1], np.r_[client, rows], 0.5
    )
    assert shown.cell.clients == LEAST_CLIENTS and shown.flagged.value is not None


def test_a_cell_with_few_events_has_a_gap_and_no_figure() -> None:
    target = np.r_[np.ones(9), np.zeros(100)]
    found = cell(MomentGroup("a", "a", np.ones(109, np.bool_)), target, np.linspace(0.1, 0.9, 109), np.arange(109))
    assert found.positive == 9 and found.auroc.value is None and found.gap is not None


def test_an_episode_has_one_first_booking_and_one_third_session(world: Path) -> None:
    frame = build([world / "events.jsonl"]).frame
    groups = {group.name: group.rows for group in landmarks(frame)}
    for name in ("booking", "session-3"):
        assert not frame["episode"][groups[name]].duplicated().any()
        assert groups[name].any()


def test_a_challenger_is_never_asked_of_a_client_it_was_fitted_on() -> None:
    clients = pd.Categorical([f"c-{n // 4}" for n in range(120)])
    seen: list[set[int]] = []

    class Spy:
        def fit(self, values: Any, target: Any) -> Spy:
            self.known = set((values[:, 0] // 4).astype(int).tolist())
            return self

        def predict_proba(self, values: Any) -> Any:
            asked = set((values[:, 0] // 4).astype(int).tolist())
            seen.append(asked)
            assert not asked & self.known
            return np.tile([0.5, 0.5], (len(values), 1))

    frame = pd.DataFrame({"client": clients})
    risk = out_of_fold(Spy, frame, np.arange(120.0)[:, None], (np.arange(120) % 2).astype(np.float64))
    assert not np.isnan(risk).any()
    assert set().union(*seen) == set(range(30))


def test_a_feature_that_nobody_told_stops_no_challenger() -> None:
    frame = pd.DataFrame({"client": pd.Categorical([f"c-{n // 4}" for n in range(600)])})
    values = np.column_stack([np.arange(600.0), np.full(600, np.nan)])
    risk = out_of_fold(challengers()[BOOSTING], frame, values, (np.arange(600) % 2).astype(np.float64))
    assert not np.isnan(risk).any()
