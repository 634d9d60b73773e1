"""Where a fit begins: near a release with few data, away from it with many, and one exact scorecard either way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest

from keepwell.care.moments import STAGES
from keepwell.scoring.scorecard import HEADLINE, NEXT, OUTPUTS, Offsets, Scorecard, Term
from keepwell.scoring.scorer import Scorer, calibrated
from keepwell.testing.made_up import made_up_clinic
from models.hand_set import scorecard
from models.release import default
from training.dataset import FEATURE_COLUMNS, Dataset, InMemory, build
from training.fit.fit import Beginning, Fitted, Options, fit
from training.fit.refuse import LEAST_BEGUN, LEAST_STOPS, NotFitted, check
from training.fit.sample import sample_of
from training.fit.start import at_nothing, start_at

POLICY = default().policy


def begun(card: Scorecard, **options: object) -> Options:
    return Options(budget=20, start=Beginning("sha256:begun", card), **options)  # type: ignore[arg-type]  # names of options


def log_odds(card: Scorecard, dataset: Dataset) -> np.ndarray:
    table = dataset.matrix([term.feature for term in card.terms])
    return np.asarray(calibrated(card, table, Scorer(card).logits(table)))


def away(card: Scorecard, start: Scorecard, dataset: Dataset) -> float:
    """How far the order of the headline's log-odds, whatever their level, lies from that of the start: 0 is the same."""
    here, there = (log_odds(one, dataset)[:, HEADLINE] for one in (card, start))
    return float(1 - np.corrcoef(here, there)[0, 1])


@pytest.fixture(scope="module")
def few() -> Dataset:
    """A clinic with some fifty stops."""
    return build(InMemory(made_up_clinic(160, 5, datetime(2024, 1, 1, tzinfo=UTC), 500)))


@pytest.fixture(scope="module")
def theirs(fitted: Fitted) -> Scorecard:
    """The card that fits begin at: one fitted to another clinic."""
    return fitted.card


@pytest.fixture(scope="module")
def of_few(few: Dataset, theirs: Scorecard) -> Fitted:
    return fit(few, POLICY, begun(theirs))


# ── the start itself ────────────────────────────────────────────────────────────────────────────────────


def test_at_nothing_every_log_odds_is_what_is_learnt() -> None:
    start = at_nothing(3)
    stage, rows, none = np.array([0, 3, 7]), np.arange(3), np.zeros((3, len(OUTPUTS)))
    assert not start.offset(stage, rows, HEADLINE, none).any()
    assert (start.scale(stage, rows, HEADLINE) == 1).all()


def test_with_nothing_learnt_the_log_odds_are_those_of_the_release(theirs: Scorecard, few: Dataset) -> None:
    start, sample = start_at(theirs, few), sample_of(few)
    rows, none = np.arange(len(few.frame)), np.zeros((len(few.frame), len(OUTPUTS)))
    for output in range(len(OUTPUTS)):
        found = start.offset(sample.stage, rows, output, none)
        assert np.abs(found - log_odds(theirs, few)[:, output]).max() < 1e-12


def test_what_is_learnt_and_what_is_usual_are_added_to_the_sum(theirs: Scorecard, few: Dataset) -> None:
    start, sample = start_at(theirs, few), sample_of(few)
    rows, none = np.arange(len(few.frame)), np.zeros((len(few.frame), len(OUTPUTS)))
    scale = start.scale(sample.stage, rows, HEADLINE)
    assert len(set(scale)) > 1  # by stage
    more = start.offset(sample.stage, rows, HEADLINE, none + 0.5) - start.offset(sample.stage, rows, HEADLINE, none)
    assert np.abs(more - 0.5 * scale).max() < 1e-12


def test_a_card_without_the_second_target_starts_it_at_nothing(theirs: Scorecard, few: Dataset) -> None:
    start = start_at(msgspec.structs.replace(theirs, left_out=("next",)), few)
    assert not start.sums[:, NEXT].any() and start.sums[:, HEADLINE].any()
    assert (start.pairs[:, NEXT] == (0.0, 1.0)).all()


# ── a fit that begins there ─────────────────────────────────────────────────────────────────────────────


def test_the_scorecard_is_the_estimator_with_the_terms_of_the_start(of_few: Fitted, few: Dataset) -> None:
    values = few.matrix()
    columns = [FEATURE_COLUMNS.index(term.feature) for term in of_few.card.terms]
    assert of_few.estimator.start is not None
    found = Scorer(of_few.card).risks(values[:, columns])
    assert np.abs(found - of_few.estimator.risks(values, FEATURE_COLUMNS)).max() <= 1e-9
    rng = np.random.default_rng(6)  # and for values that no row had
    drawn = values[rng.integers(0, len(values), 2000)] + rng.normal(0, 3, (2000, values.shape[1]))
    drawn[rng.random(drawn.shape) < 0.2] = np.nan
    drawn[:, FEATURE_COLUMNS.index("stage")] = rng.integers(0, len(STAGES), 2000)
    found = Scorer(of_few.card).risks(drawn[:, columns])
    assert np.abs(found - of_few.estimator.risks(drawn, FEATURE_COLUMNS)).max() <= 1e-9


def test_few_data_leave_it_near_the_start_and_many_that_differ_move_it(
    of_few: Fitted, theirs: Scorecard, few: Dataset, dataset: Dataset
) -> None:
    assert away(of_few.card, theirs, few) < 0.03
    # A start that says the contrary of what its clinic does.
    start = Scorecard(base=theirs.base, terms=_turned(theirs), stages=theirs.pairs)
    moved = fit(dataset, POLICY, begun(start))
    assert away(moved.card, start, dataset) > 0.5
    assert moved.report.measures["30d"].auroc > 0.65
    loss = min(one.log_loss for one in moved.report.choice.trials)
    assert loss < moved.report.choice.unlearnt - 0.01


def _turned(card: Scorecard) -> tuple[Term, ...]:
    """The terms with their points turned round."""

    def turned(points: tuple[float, ...]) -> tuple[float, float, float, float]:
        a, b, c, d = (-point for point in points)
        return a, b, c, d

    return tuple(
        msgspec.structs.replace(term, points=tuple(map(turned, term.points)), missing=turned(term.missing))
        for term in card.terms
    )


def test_it_says_where_it_began(of_few: Fitted, fitted: Fitted) -> None:
    assert of_few.report.begun == "sha256:begun" and fitted.report.begun is None
    assert fitted.estimator.start is None


def test_it_is_calibrated_on_clients_it_had_not_seen(of_few: Fitted) -> None:
    for name in OUTPUTS[:NEXT]:
        found = of_few.report.measures[name]
        assert 0.9 <= found.slope <= 1.1 and abs(found.intercept) < 0.1, name


def test_a_start_that_knows_nothing_of_the_next_visit_gets_it_from_the_data(
    theirs: Scorecard, dataset: Dataset
) -> None:
    found = fit(dataset, POLICY, begun(msgspec.structs.replace(theirs, left_out=("next",))))
    assert found.card.outputs == OUTPUTS and "next" in found.report.measures
    values = dataset.matrix()
    table = dataset.matrix([term.feature for term in found.card.terms])
    assert np.abs(Scorer(found.card).risks(table) - found.estimator.risks(values, FEATURE_COLUMNS)).max() <= 1e-9


def test_data_without_bookings_leave_out_what_the_start_knows_of_the_next_visit(
    theirs: Scorecard, few: Dataset
) -> None:
    without = replace(few, frame=few.frame.assign(target_next=np.nan))
    found = fit(without, POLICY, begun(theirs))
    assert found.card.outputs == OUTPUTS[:NEXT]
    values = few.matrix()
    risks = Scorer(found.card).risks(few.matrix([term.feature for term in found.card.terms]))
    assert np.isnan(risks[:, NEXT]).all()
    assert np.abs(risks - found.estimator.risks(values, FEATURE_COLUMNS))[:, :NEXT].max() <= 1e-9


def test_a_start_without_stages_and_without_the_stage_among_its_features_does_as_well(few: Dataset) -> None:
    found = fit(few, POLICY, begun(scorecard()))
    assert "stage" in {term.feature for term in found.card.terms} and found.card.stages is not msgspec.UNSET
    values = few.matrix()
    table = few.matrix([term.feature for term in found.card.terms])
    assert np.abs(Scorer(found.card).risks(table) - found.estimator.risks(values, FEATURE_COLUMNS)).max() <= 1e-9


def test_offsets_of_the_release_it_begins_at_are_no_part_of_it(theirs: Scorecard, few: Dataset) -> None:
    names = list(few.frame["clinician"].cat.categories)
    scorer = Scorer(theirs, Offsets(active=True, clinics={}, clinicians=dict.fromkeys(names, (1.0,) * 4)))
    assert np.array_equal(start_at(scorer.card, few).sums, start_at(theirs, few).sums)


# ── refusals ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_fit_that_begins_at_a_release_takes_fewer_stops(few: Dataset) -> None:
    sample = sample_of(few)
    assert LEAST_BEGUN <= sample.stops() < LEAST_STOPS
    with pytest.raises(NotFitted, match=f"at least {LEAST_STOPS} are needed"):
        check(sample)
    assert check(sample, begun=True) == {}


def test_and_refuses_where_even_those_are_not_there(theirs: Scorecard) -> None:
    fewer = build(InMemory(made_up_clinic(40, 5, datetime(2024, 1, 1, tzinfo=UTC), 500)))
    assert 0 < sample_of(fewer).stops() < LEAST_BEGUN
    with pytest.raises(NotFitted, match=f"at least {LEAST_BEGUN} are needed to fit a model"):
        fit(fewer, POLICY, begun(theirs))
