"""Offsets of clinics and clinicians: shrunk by how little is known, never in order of size, used where later clients gain."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pandas as pd
import pytest

from keepwell.care.course import Course
from keepwell.care.episode import Live
from keepwell.contract.say import render
from keepwell.scoring.reasons import said_of
from keepwell.scoring.scorecard import HEADLINE, OUTPUTS, Offsets, Scorecard
from keepwell.scoring.scorer import Scorer
from models.release import default
from tests.episodes import INTERPRET, lived, on, opened, story
from training.dataset import Dataset
from training.fit.fit import CALMER, Fitted, Options, Seats, fit
from training.fit.logit import expit
from training.fit.measures import auroc
from training.fit.offsets import LEAST_CLIENTS, Pooled, crossed, pool, usual_of_all
from training.fit.sample import sample_of

CARD = Scorecard(base=(-3.0, -2.0, -1.0, -2.0), terms=())


def drawn(groups: int, clients: int, rows: int, spread: float) -> tuple[np.ndarray, ...]:
    """Group, client, target, logits and the true offsets; a client's rows have one outcome."""
    rng = np.random.default_rng(11)
    truth = rng.normal(0, spread, groups)
    client = np.repeat(np.arange(groups * clients), rows)
    group = client // clients
    outcome = rng.random(groups * clients) < expit(-1 + truth[np.arange(groups * clients) // clients])
    return group, client, outcome[client].astype(float), np.full(len(client), -1.0), truth


def pooled(groups: int, group: np.ndarray, client: np.ndarray, target: np.ndarray, logits: np.ndarray) -> Pooled:
    return pool(group, groups, client, target=target, logits=logits, scale=np.ones(len(target)))


def test_offsets_are_near_the_truth_and_nearer_than_unshrunk_ones() -> None:
    group, client, target, logits, truth = drawn(60, 40, 6, 0.6)
    found = pooled(60, group, client, target, logits)
    raw = found.offsets / 0.75
    assert np.corrcoef(found.offsets, truth)[0, 1] > 0.7
    assert np.mean((found.offsets - truth) ** 2) < np.mean((raw - truth) ** 2)
    assert found.between == pytest.approx(0.6, abs=0.2)


def test_where_groups_do_not_differ_offsets_are_small() -> None:
    group, client, target, logits, _ = drawn(60, 40, 6, 0.0)
    found = pooled(60, group, client, target, logits)
    assert found.between < 0.25 and np.sqrt(np.mean(found.offsets**2)) < 0.12


def test_a_group_with_few_clients_has_none() -> None:
    group, client, target, logits, _ = drawn(20, LEAST_CLIENTS - 1, 6, 1.0)
    assert not pooled(20, group, client, target, logits).offsets.any()


def test_one_group_has_nothing_to_be_compared_with() -> None:
    group, client, target, logits, _ = drawn(1, 100, 6, 1.0)
    assert not pooled(1, group, client, target, logits).offsets.any()


def test_offsets_count_by_their_scale() -> None:
    group, client, target, logits, _ = drawn(60, 40, 6, 0.6)
    one = pooled(60, group, client, target, logits).offsets
    two = pool(group, 60, client, target=target, logits=logits, scale=np.full(len(target), 2.0)).offsets
    assert two == pytest.approx(one / 2, abs=0.02)


def test_offsets_are_stored_by_name_and_used_where_later_clients_gain(fitted: Fitted, dataset: Dataset) -> None:
    offsets = fitted.offsets
    assert offsets.active == (fitted.report.gain > 0)
    assert list(offsets.clinicians) == sorted(offsets.clinicians)
    known = set(dataset.frame["clinician"].cat.categories)
    assert set(offsets.clinicians) <= known
    few = sample_of(dataset).frame.groupby("clinician", observed=True)["client"].nunique()
    assert all(few[name] >= LEAST_CLIENTS for name in offsets.clinicians)


# ── in the fit ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def divided(dataset: Dataset) -> Dataset:
    """The clinic, where besides who stopped half of the clients of every other clinician did, whatever was told of them."""
    frame = dataset.frame
    rng = np.random.default_rng(5)
    drawn = pd.Series(rng.random(len(frame["client"].cat.categories)) < 0.5, frame["client"].cat.categories)
    more = frame["client"].map(drawn).astype(bool) & (frame["clinician"].cat.codes % 2 == 1)
    targets = {
        f"target_{one}": frame[f"target_{one}"].mask(more & frame[f"target_{one}"].notna(), 1.0) for one in OUTPUTS
    }
    return replace(dataset, frame=frame.assign(**targets))


def fitted_to(dataset: Dataset, seats: Seats) -> Fitted:
    return fit(dataset, default().policy, Options(learner="logistic", budget=0.25, seats=seats))


@pytest.fixture(scope="module")
def auto(divided: Dataset) -> Fitted:
    return fitted_to(divided, "auto")


def test_where_clinicians_differ_what_is_usual_is_used_and_makes_risks_of_others_clients_better(
    auto: Fitted, divided: Dataset
) -> None:
    report = auto.report
    assert auto.offsets.active and report.gain > 0.005 and report.calmer in CALMER
    assert report.spread["30d"] > 0.4
    assert report.with_offsets["30d"].auroc > report.without_offsets["30d"].auroc + 0.02
    assert report.measures == report.with_offsets
    odd = divided.frame.groupby("clinician", observed=True)["clinician"].first().cat.codes % 2 == 1
    found = {name: row[HEADLINE] for name, row in auto.offsets.clinicians.items()}
    assert np.mean([found[name] for name in found if odd[name]]) > 0.2
    assert np.mean([found[name] for name in found if not odd[name]]) < -0.2
    assert auto.offsets.clinics == {}  # a clinic alone has nothing to be compared with


def test_a_part_of_what_is_usual_is_that_part_of_every_offset(divided: Dataset) -> None:
    sample = sample_of(divided)
    logits = np.full((len(sample.client), len(OUTPUTS)), -1.0)
    whole = usual_of_all(sample, logits, np.ones_like(logits))
    half = whole.times(0.5)
    assert whole.clinicians.any() and np.array_equal(half.clinicians, whole.clinicians / 2)
    assert half.added(sample) == pytest.approx(whole.added(sample) / 2)


def test_offsets_for_a_row_are_made_of_other_clients(divided: Dataset) -> None:
    sample = sample_of(divided)
    logits = np.full((len(sample.client), len(OUTPUTS)), -1.0)
    before = crossed(sample, logits, np.ones_like(logits))
    client = sample.client == sample.client[0]
    targets = np.where(client[:, None], 1.0 - sample.targets, sample.targets)
    after = crossed(sample._replace(targets=targets), logits, np.ones_like(logits))
    assert np.array_equal(before[client], after[client]) and not np.array_equal(before, after)


@pytest.mark.parametrize("seats", ["off", "aside"])
def test_where_it_is_not_to_be_used_it_is_not(divided: Dataset, auto: Fitted, seats: Seats) -> None:
    found = fitted_to(divided, seats)
    assert not found.offsets.active and found.report.measures == found.report.without_offsets
    assert found.report.measures["30d"].auroc < auto.report.measures["30d"].auroc
    stored = bool(found.offsets.clinicians)
    assert stored == (seats == "off")  # a release for other clinics holds none of these


def test_whoever_asks_for_it_has_it_used_though_later_clients_do_not_gain(dataset: Dataset) -> None:
    frame = dataset.frame.assign(
        clinician=dataset.frame["clinician"].where(dataset.frame["clinician"].isna(), "north/c-1")
    )
    alone = replace(dataset, frame=frame.assign(clinician=frame["clinician"].cat.remove_unused_categories()))
    found, left = (fitted_to(alone, seats) for seats in ("on", "auto"))
    assert found.report.gain == 0 and found.offsets.active and not left.offsets.active


def test_scoring_with_the_offsets_gives_the_calibrated_sum(auto: Fitted, divided: Dataset) -> None:
    """What is stored is added before calibration; out of fold the mean of the risks is the share of stops."""
    sample, scorer = sample_of(divided), Scorer(auto.card, auto.offsets)
    known = sample.judged(HEADLINE)
    seats = zip(divided.frame["clinic"], divided.frame["clinician"].astype(str).str.partition("/")[2], strict=True)
    added = np.array([auto.offsets.of(*seat) for seat in seats])
    table = divided.matrix([term.feature for term in auto.card.terms])
    risks = scorer.risks(table, added)[known, HEADLINE]
    target = sample.targets[known, HEADLINE]
    assert risks.mean() == pytest.approx(target.mean(), abs=0.02)
    assert auroc(target, risks) > auroc(target, scorer.risks(table)[known, HEADLINE]) + 0.02


# ── at scoring ──────────────────────────────────────────────────────────────────────────────────────────


def of(active: bool) -> Scorer:
    offsets = Offsets(active=active, clinics={"north": (0.1,) * 4}, clinicians={"north/c-4": (0.0, 0.5, 0.7, 0.2)})
    return Scorer(CARD, offsets)


def episode() -> Live:
    return lived(story((0, opened(clinician_id="c-4"))))


def test_an_active_offset_is_added_and_told_in_the_sum_without_a_value() -> None:
    scored = of(active=True).score(episode().course, on(1), "north")
    assert scored.risks[1] == pytest.approx(1 / (1 + np.exp(2.0 - 0.6)))
    names = [feature.name for feature in scored.features]
    assert list(zip(names, scored.values, scored.points, strict=True)) == [
        ("clinic_usual", None, 0.1), ("clinician_usual", None, 0.5),
    ]  # fmt: skip
    assert [render(said_of(feature, None, Course(INTERPRET))) for feature in scored.features] == [
        "What is usual at this clinic",
        "What is usual with this clinician",
    ]


@pytest.mark.parametrize("clinic", [None, "south"])
def test_an_unknown_clinic_adds_nothing(clinic: str | None) -> None:
    found = of(active=True).score(episode().course, on(1), clinic)
    assert found.risks == Scorer(CARD).score(episode().course, on(1)).risks
    assert not any(found.points)


def test_an_offset_that_is_not_active_changes_nothing() -> None:
    assert of(active=False).score(episode().course, on(1), "north") == Scorer(CARD).score(episode().course, on(1))
    assert of(active=False).offsets is None


def test_offsets_have_a_figure_for_each_output() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"active":true,"clinics":{"north":[1,2,3]},"clinicians":{}}', type=Offsets)
    assert len(of(active=True).offsets.of("north", None)) == len(OUTPUTS)  # type: ignore[union-attr]  # it is active
