"""The leave-worlds-out judge: who is judged by whom, what is counted, and that the table says what was found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from pandas.testing import assert_frame_equal
from typer.testing import CliRunner

from keepwell.care.moments import STAGES
from models.release import default
from training.dataset import FEATURE_COLUMNS
from training.dataset.sources import gather
from training.evaluate.moments import BOOKING, POOLED
from training.evaluate.report import encode
from training.evaluate.truth import moments, read_truths
from training.evaluate.worlds import WorldsTable, as_html, as_markdown
from training.evaluate.worlds.__main__ import app
from training.evaluate.worlds.entrants import RELEASE, Entrant, entrants, first, hidden, of_rows, risks_of, variants
from training.evaluate.worlds.judge import KINDS, Figures, OfTruth, OfWorld, Setting, expected_auroc, of_world
from training.evaluate.worlds.table import mean_over, table_of
from training.evaluate.worlds.world import JudgedWorld, Place, world_of
from training.fit.measures import auroc
from training.simulate import simulate

PLACE = Place("community", 120, 80, 4)
SHIPPED = {RELEASE: default()}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def world(kept: Path) -> JudgedWorld:
    return world_of(PLACE, 5, kept)


def test_nobody_is_judged_of_whom_anything_may_be_learnt(world: JudgedWorld) -> None:
    local, judged = set(world.local.frame["client"].cat.categories), set(world.moments["client"])
    assert len(local) > 80 and len(judged) > 20
    assert not local & judged
    assert set(world.moments["clinic"]) <= set(world.local.frame["clinic"].cat.categories)


def test_a_world_that_is_kept_is_the_world_that_was_made(kept: Path, world: JudgedWorld) -> None:
    again, anew = world_of(PLACE, 5, kept), world_of(PLACE, 5)
    for other in (again, anew):
        assert_frame_equal(world.moments, other.moments)
        assert_frame_equal(world.local.frame, other.local.frame)
        assert world.local.about == other.local.about
    assert len(list(kept.iterdir())) == 1


def test_a_model_is_scored_at_the_moment_itself(world: JudgedWorld, tmp_path: Path) -> None:
    simulate(PLACE.preset, 200, 5, tmp_path, rollouts=4, truth_of=80 / 200)
    told = moments(
        read_truths(tmp_path / "truth.jsonl"), gather([tmp_path / "events.jsonl"], (), None, {}), default().scorer
    )
    at_risk = [one for one in told if one.model is not None and one.targets[1] is not None]
    alone = Entrant(name=RELEASE, title="", how="as it is", start=RELEASE)
    risks = risks_of(alone, world, SHIPPED)
    assert [one.model[1] for one in at_risk if one.model is not None] == pytest.approx(risks.tolist(), abs=0)
    assert [one.clinician_unknown[1] for one in at_risk] == world.moments["unknown"].tolist()
    assert [one.targets[1] for one in at_risk] == world.moments["target"].tolist()


def test_fewer_local_episodes_are_among_the_more(world: JudgedWorld) -> None:
    few, many = first(world.local, 30), first(world.local, 60)
    assert few.about.counts.episodes == pytest.approx(30, abs=2)
    assert set(few.frame["client"]) < set(many.frame["client"])
    assert len(few.fairness) == few.about.counts.episodes
    assert first(world.local, 10_000).about.counts.rows == len(world.local.frame)


def test_a_hidden_feature_tells_nothing_in_training_and_in_judging(world: JudgedWorld) -> None:
    found, names = (
        hidden(world.local, ["alliance_*"]).frame,
        [name for name in FEATURE_COLUMNS if name.startswith("alliance_")],
    )
    assert names and world.local.frame[names].notna().any(axis=None)
    assert found[names].isna().all(axis=None)
    assert_frame_equal(found.drop(columns=names), world.local.frame.drop(columns=names))
    blind = Entrant(name="blind", title="", how="as it is", start=RELEASE, without=["*"])
    assert len(set(risks_of(blind, world, SHIPPED))) <= len(STAGES) < len(world.moments)


def test_rows_are_those_of_moments_of_decision_or_all_alike(world: JudgedWorld) -> None:
    local = world.local
    assert of_rows(local, "as they are") is local
    assert of_rows(local, "moments").about.counts.rows == local.frame["moment"].notna().sum() < len(local.frame)
    alike = of_rows(local, "alike").frame
    assert len(alike) == len(local.frame) and alike["moment"].notna().all()


def test_an_expected_area_is_that_of_all_that_may_happen() -> None:
    rng = np.random.default_rng(1)
    chance, risk = rng.random(400) ** 3, np.round(rng.random(400), 1)
    happened = [auroc((rng.random(400) < chance).astype(float), risk) for _ in range(400)]
    assert expected_auroc(chance, risk) == pytest.approx(np.mean(happened), abs=4 * float(np.std(happened)) / 20)
    sure = (rng.random(400) < chance).astype(float)
    assert expected_auroc(sure, risk) == pytest.approx(auroc(sure, risk), abs=1e-12)


def test_who_cannot_be_fitted_is_the_release_as_it_is_or_nothing(world: JudgedWorld) -> None:
    chosen = [one for one in entrants([20]) if one.name in (RELEASE, "none-20", "recalibrated-100")]
    chosen = [one if one.name == RELEASE else replace(one, local=3) for one in chosen]
    found = of_world(world, chosen, SHIPPED)
    assert set(found.refused) == {"none-20", "recalibrated-100"}
    assert found.figures["recalibrated-100"] == found.figures[RELEASE]
    assert np.isnan(found.figures["none-20"][POOLED].auroc)


def test_a_fit_goes_on_from_the_release_and_hears_its_options(world: JudgedWorld) -> None:
    by_name = {one.name: one for one in (*entrants([120]), *variants(120))}
    chosen = [by_name[name] for name in (RELEASE, "none-120", "release-120", "logistic-120", "lightgbm-120")]
    found = of_world(world, chosen, SHIPPED)
    areas = [found.figures[one.name][POOLED].auroc for one in chosen]
    assert not found.refused
    # Begun at a release with few clients, regression alone is the usual way.
    assert len(set(areas)) == len(areas) - 1 and areas[2] == areas[3]


def test_the_truth_is_beside_every_figure(world: JudgedWorld) -> None:
    found = of_world(world, [one for one in entrants([20]) if one.name == RELEASE], SHIPPED)
    rows = {kind: one.rows for kind, one in found.truth.items()}
    assert rows[POOLED] == len(world.moments) >= sum(rows[kind] for kind in KINDS if kind != POOLED)
    assert found.truth[POOLED].known > found.truth[POOLED].unknown > found.figures[RELEASE][POOLED].auroc > 0.55
    assert rows[BOOKING] == len(set(world.moments["client"]))


def made_up(seed: int, **areas: float) -> OfWorld:
    figures = {name: dict.fromkeys(KINDS, Figures(area, 1.1, -0.2, 0.01, area, 0.02)) for name, area in areas.items()}
    truth = dict.fromkeys(KINDS, OfTruth(100, 20, 0.8, 0.9))
    return OfWorld(seed, 60, truth, figures, {"b": "too few"} if seed == 2 else {})


@pytest.fixture
def table() -> WorldsTable:
    nothing = float("nan")
    found = [made_up(1, a=0.65, b=0.7), made_up(2, a=0.75, b=nothing), made_up(3, a=0.7, b=0.6)]
    chosen = (
        Entrant(name="a", title="the first", how="as it is", start=RELEASE, against=("b", "not judged")),
        Entrant(name="b", title="the second", how="fitted", local=60),
    )
    return table_of(found, Setting(PLACE, (1, 2, 3), chosen, SHIPPED))


def test_figures_are_means_over_the_worlds_that_have_them(table: WorldsTable) -> None:
    a, b = table.entrants
    assert (a.at(POOLED).worlds, a.refused, b.at(POOLED).worlds, b.refused) == (3, 0, 2, 1)
    assert a.at(POOLED).auroc.value == pytest.approx(0.7) and b.at(POOLED).auroc.value == pytest.approx(0.65)
    assert a.at(POOLED).of_unknown.value == pytest.approx(0.2 / 0.3)
    assert a.at(POOLED).of_known.value == pytest.approx(0.2 / 0.4)
    assert a.at(POOLED).intercept.value == pytest.approx(0.2)
    assert b.by_world == (0.7, None, 0.6)


def test_two_entrants_are_compared_world_by_world(table: WorldsTable) -> None:
    (one,) = table.versus
    assert (one.first, one.second, one.better, one.worlds) == ("a", "b", 1, 2)
    assert one.difference.value == pytest.approx(0.025)
    assert one.difference.low == pytest.approx(-0.05) and one.difference.high == pytest.approx(0.1)


def test_of_one_world_there_is_no_interval() -> None:
    assert mean_over(np.array([0.7])).low is None
    assert mean_over(np.array([np.nan])).value is None


def test_a_table_is_told_in_words_and_read_back(table: WorldsTable) -> None:
    assert msgspec.json.decode(encode(table), type=WorldsTable).entrants[1].title == "the second"
    for words in (as_markdown(table), as_html(table)):
        assert "the first" in words
        assert "0.700" in words
        assert "1 of 2" in words
        assert "simulated" in words
    assert "| the second (not fitted in 1) | 0.650" in as_markdown(table)


def test_every_name_is_one_entrants_and_is_compared_with_one_that_there_is() -> None:
    found = (*entrants([300, 6_000], ["one-world"]), *variants(6_000, ["alliance_*"]))
    names = [one.name for one in found]
    assert len(set(names)) == len(names)
    assert {other for one in found for other in one.against} <= set(names)


def test_the_command_writes_the_same_bytes_again(kept: Path, tmp_path: Path) -> None:
    told = []
    for name in ("first", "second"):
        line = (
            f"--out {tmp_path / name} --worlds 2 --first-seed 5 --preset community --local 120 --judged 80 --rollouts 4"
        )
        ran = CliRunner().invoke(app, f"{line} --only release --keep {kept}".split())
        assert ran.exit_code == 0, ran.output
        told.append([(tmp_path / name / file).read_bytes() for file in ("worlds.json", "worlds.md")])
    assert told[0] == told[1]
    table = msgspec.json.decode(told[0][0], type=WorldsTable)
    assert (table.seeds, table.releases) == ((5, 6), {RELEASE: default().digest})
    assert [one.worlds for one in table.entrants[0].kinds[:1]] == [2]
