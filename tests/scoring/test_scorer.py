"""A scorecard at work: points by bin, sums that can be read out, and the same risk from an episode as from a table."""

from __future__ import annotations

from itertools import pairwise
from math import exp, log
from typing import Final

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepwell.care.episode import Live
from keepwell.care.moments import STAGES, stage
from keepwell.contract.events import AnyEvent
from keepwell.scoring.features import FEATURES
from keepwell.scoring.scorecard import HEADLINE, OUTPUTS, Offsets, Scorecard, Term
from keepwell.scoring.scorer import BLOCK, Scorer
from models.hand_set import scorecard
from tests.episodes import booked, card_of_all, lived, measured, on, opened, story, weekly
from tests.strategies import DAY, episode_logs

ZERO = (0.0, 0.0, 0.0, 0.0)
TERM = Term(
    feature="sessions", edges=(1, 3), points=((0.1, 0.2, 0.3, 0.4), (1, 2, 3, 4), (-1, -2, -3, -4)),
    missing=(9, 8, 7, 6),
)  # fmt: skip
CARD = Scorecard(base=(-4, -3, -2, -1), terms=(TERM,))


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def logit(p: float) -> float:
    return log(p / (1 - p))


def attended(sessions: int) -> Live:
    return lived(story((0, opened()), *weekly(sessions)))


def row(live: Live, card: Scorecard, now: int) -> list[float]:
    """The values of a card's features, as a table holds them."""
    by_name = {feature.name: feature for feature in FEATURES}
    values = [by_name[term.feature].read(live.course, now) for term in card.terms]
    return [np.nan if value is None else value for value in values]


def points_of(value: float | None) -> tuple[float, ...]:
    """The row of `TERM` that a value takes: a bin has its lower edge and leaves its upper one."""
    if value is None:
        return TERM.missing
    return TERM.points[0 if value < 1 else 1 if value < 3 else 2]


# ── points ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("sessions", [0, 1, 2, 3, 5])
def test_a_score_is_the_base_and_the_points_of_each_output(sessions: int) -> None:
    card = Scorecard(base=(-4, -3, -2, -1), terms=(TERM,), calibration=((0.5, 1.0), (0.0, 0.5), (0.0, 2.0), (1.0, 1.0)))
    found = Scorer(card).score(attended(sessions).course, on(60)).risks
    points = points_of(sessions)
    plain = [sigmoid(a + b * (base + p)) for (a, b), base, p in zip(card.calibration, card.base, points, strict=True)]
    held = [min(plain[:2]), plain[1], max(plain[1:3]), plain[3]]
    assert found == pytest.approx(held, abs=1e-12)


def test_a_missing_value_takes_the_points_of_its_absence() -> None:
    term = msgspec.structs.replace(TERM, feature="alliance_level")
    scored = Scorer(Scorecard(base=ZERO, terms=(term,))).score(attended(1).course, on(8))
    assert list(zip(scored.values, scored.points, strict=True)) == [(None, 8)]
    assert scored.risks[3] == pytest.approx(sigmoid(6))


def test_horizons_are_coherent_whatever_the_points_say_and_the_headline_is_not_moved() -> None:
    term = Term(feature="sessions", edges=(), points=((3, 1, -2, -5),))
    scored = Scorer(Scorecard(base=ZERO, terms=(term,))).score(attended(1).course, on(8))
    assert scored.risks == pytest.approx((sigmoid(1), sigmoid(1), sigmoid(1), sigmoid(-5)))


def test_a_card_without_the_second_target_tells_no_risk_of_it_and_a_whole_card_does_not_mention_it() -> None:
    card = msgspec.json.decode(msgspec.json.encode(CARD)[:-1] + b',"left_out":["next"]}', type=Scorecard)
    live, table = attended(2), np.array([[2.0]])
    assert card.outputs == OUTPUTS[:3] and CARD.outputs == OUTPUTS
    assert np.isnan(Scorer(card).score(live.course, on(60)).risks[3]) and np.isnan(Scorer(card).risks(table)[0, 3])
    assert Scorer(card).score(live.course, on(60)).risks[:3] == Scorer(CARD).score(live.course, on(60)).risks[:3]
    assert b"left_out" not in msgspec.json.encode(CARD)


def test_extreme_log_odds_are_chances_without_overflow() -> None:
    for size in (-1e6, 1e6):
        term = Term(feature="sessions", edges=(), points=((size,) * 4,))
        scorer = Scorer(Scorecard(base=ZERO, terms=(term,)))
        assert all(0 <= risk <= 1 for risk in scorer.score(attended(1).course, on(8)).risks)


# ── parts ───────────────────────────────────────────────────────────────────────────────────────────────


@settings(deadline=None, max_examples=60)
@given(episode_logs(), st.sampled_from((0, DAY, 40 * DAY)))
def test_the_parts_sum_to_the_log_odds_of_the_headline(events: list[AnyEvent], later: int) -> None:
    live = lived(events)
    for card in (scorecard(), card_of_all()):
        scored = Scorer(card).score(live.course, live.episode.latest + later)
        intercept, slope = card.calibration[HEADLINE]
        total = intercept + slope * card.base[HEADLINE] + sum(scored.points)
        assert logit(scored.risks[HEADLINE]) == pytest.approx(total, abs=1e-9)


def test_each_part_has_its_feature_its_value_and_its_points_in_the_order_of_the_card() -> None:
    silent = Term(feature="missed", edges=(), points=(ZERO,))
    scored = Scorer(Scorecard(base=ZERO, terms=(silent, TERM))).score(attended(2).course, on(15))
    names = [feature.name for feature in scored.features]
    parts = list(zip(names, scored.values, scored.points, strict=True))
    assert parts == [("missed", 0.0, 0.0), ("sessions", 2.0, 2.0)]


# ── tables ──────────────────────────────────────────────────────────────────────────────────────────────


@settings(deadline=None, max_examples=40)
@given(st.lists(episode_logs(), min_size=1, max_size=3), st.sampled_from((0, DAY, 40 * DAY)))
def test_a_table_gives_to_the_last_bit_the_risks_that_single_episodes_give(
    logs: list[list[AnyEvent]], later: int
) -> None:
    lives = [lived(log) for log in logs]
    for card in (scorecard(), card_of_all()):
        scorer = Scorer(card)
        singly = [scorer.score(live.course, live.episode.latest + later).risks for live in lives]
        table = np.array([row(live, card, live.episode.latest + later) for live in lives])
        assert scorer.risks(table).tolist() == [list(risks) for risks in singly]


def test_a_table_takes_the_offsets_of_its_rows_as_single_episodes_do() -> None:
    live = attended(3)
    offsets = Offsets(active=True, clinics={"north": (0.1, -0.2, 0.3, 0.4)}, clinicians={})
    scorer = Scorer(scorecard(), offsets)
    singly = scorer.score(live.course, live.episode.latest, "north").risks
    table = np.array([row(live, scorer.card, live.episode.latest)])
    assert scorer.risks(table, np.array([offsets.of("north", None)])).tolist() == [list(singly)]
    assert scorer.risks(table).tolist() != [list(singly)]


def test_a_table_puts_a_value_at_an_edge_and_a_missing_one_where_an_episode_puts_it() -> None:
    values = [-1e9, 0.0, 0.999, 1.0, 2.999, 3.0, 1e9, np.nan]
    found = Scorer(CARD).risks(np.array(values)[:, None])
    for value, risks in zip(values, found, strict=True):
        points = points_of(None if np.isnan(value) else value)
        plain = [sigmoid(base + p) for base, p in zip(CARD.base, points, strict=True)]
        assert risks == pytest.approx([min(plain[:2]), plain[1], max(plain[1:3]), plain[3]])


def test_a_row_of_a_long_table_has_the_risks_that_it_has_alone() -> None:
    values = np.random.default_rng(1).normal(2, 3, (2 * BLOCK + 7, 1))
    values[::5] = np.nan
    found = Scorer(CARD).risks(values)
    for place in (0, BLOCK - 1, BLOCK, 2 * BLOCK - 1, 2 * BLOCK, len(values) - 1):
        assert found[place].tolist() == Scorer(CARD).risks(values[place : place + 1])[0].tolist()


def test_a_table_of_extreme_log_odds_gives_chances_without_overflow() -> None:
    for size in (-1e6, 1e6):
        term = Term(feature="sessions", edges=(), points=((size,) * 4,))
        found = Scorer(Scorecard(base=ZERO, terms=(term,))).risks(np.zeros((1, 1)))
        assert ((found >= 0) & (found <= 1)).all()


def test_a_table_without_rows_gives_none() -> None:
    assert Scorer(CARD).risks(np.empty((0, 1))).shape == (0, len(OUTPUTS))


def test_a_table_with_another_number_of_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        Scorer(CARD).risks(np.zeros((3, 2)))


# ── stages and offsets ──────────────────────────────────────────────────────────────────────────────────


def staged(card: Scorecard) -> Scorecard:
    """The card with a calibration of its own at each stage and output; its terms are to know the stage."""
    stages = tuple(
        tuple((0.05 * place - 0.02 * output, 0.8 + 0.05 * place + 0.01 * output) for output in range(len(OUTPUTS)))
        for place in range(len(STAGES))
    )
    return msgspec.structs.replace(card, stages=stages)


BY_STAGE: Final = staged(card_of_all())
USUAL_HERE: Final = Offsets(
    active=True,
    clinics={"north": (0.1, -0.2, 0.3, 0.4)},
    clinicians={f"north/c-{n}": (0.01 * n, -0.07 * n, 0.05 * n, 0.3) for n in range(9)},
)


def test_each_stage_has_its_own_calibration() -> None:
    silent = Term(feature="stage", edges=(), points=(ZERO,))
    stages = tuple(((0.1 * place, 1.0 + place),) * len(OUTPUTS) for place in range(len(STAGES)))
    scorer = Scorer(Scorecard(base=(-1.0,) * 4, terms=(silent,), stages=stages))
    for place in range(len(STAGES)):
        assert scorer.risks(np.array([[float(place)]]))[0] == pytest.approx(sigmoid(0.1 * place - 1.0 - place))
    one = scorer.score(attended(1).course, on(7.5)).risks[HEADLINE]
    assert one == pytest.approx(sigmoid(0.1 * STAGES.index("session_1") - 1.0 - STAGES.index("session_1")))


@settings(deadline=None, max_examples=40)
@given(st.lists(episode_logs(), min_size=1, max_size=3), st.sampled_from((0, DAY, 40 * DAY)))
def test_with_stages_and_offsets_a_table_gives_to_the_last_bit_what_single_episodes_give(
    logs: list[list[AnyEvent]], later: int
) -> None:
    scorer = Scorer(BY_STAGE, USUAL_HERE)
    lives = [lived(log) for log in logs]
    singly = [scorer.score(live.course, live.episode.latest + later, "north").risks for live in lives]
    table = np.array([row(live, BY_STAGE, live.episode.latest + later) for live in lives])
    added = np.array([USUAL_HERE.of("north", live.course.clinician) for live in lives])
    assert scorer.risks(table, added).tolist() == [list(risks) for risks in singly]


@settings(deadline=None, max_examples=60)
@given(episode_logs(), st.sampled_from((0, DAY, 40 * DAY)), st.sampled_from(("north", "south")))
def test_with_stages_and_offsets_the_parts_sum_to_the_log_odds_of_the_headline(
    events: list[AnyEvent], later: int, clinic: str
) -> None:
    live = lived(events)
    now = live.episode.latest + later
    scored = Scorer(BY_STAGE, USUAL_HERE).score(live.course, now, clinic)
    intercept, slope = BY_STAGE.pairs[stage(live.course, now)][HEADLINE]
    assert [one.name for one in scored.features[-2:]] == ["clinic_usual", "clinician_usual"]
    assert scored.values[-2:] == [None, None]
    clinics, clinicians = USUAL_HERE.parts(clinic, live.course.clinician)
    assert list(scored.points[-2:]) == [clinics[HEADLINE] * slope, clinicians[HEADLINE] * slope]
    total = intercept + slope * BY_STAGE.base[HEADLINE] + sum(scored.points)
    assert logit(scored.risks[HEADLINE]) == pytest.approx(total, abs=1e-9)


# ── the hand-set card on plain stories ──────────────────────────────────────────────────────────────────


def test_what_is_known_to_raise_the_risk_raises_it() -> None:
    scorer = Scorer(scorecard())
    steady = [(0.0, opened()), *weekly(4), (28.0, booked("next", 35)), (28.0, measured("SRS", 38))]
    lost = [*steady[:-2], (28.0, measured("SRS", 30))]
    now = on(29)
    calm, worse = (scorer.score(lived(story(*told)).course, now).risks for told in (steady, lost))
    assert all(low < high for low, high in zip(calm, worse, strict=True))
    weeks = [scorer.score(lived(story(*lost)).course, on(29 + 7 * week)).risks[HEADLINE] for week in range(4)]
    assert all(earlier <= later for earlier, later in pairwise(weeks))
