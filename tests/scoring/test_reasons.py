"""From the parts of a sum to sentences: each once, what changed lately first, and together the whole sum."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given, settings

from keepwell.care.course import Course
from keepwell.contract.events import AnyEvent, Feedback
from keepwell.contract.say import render
from keepwell.scoring.features import BY_NAME, FEATURES
from keepwell.scoring.reasons import LEAST_POINTS, OTHER, Ground, Reasons, pushing, raising, said_of
from keepwell.scoring.scorer import Scored
from models.release import default
from tests.episodes import INTERPRET, lived, on, opened, srs, story
from tests.strategies import episode_logs

SCORER: Final = default().scorer
REASONS: Final = Reasons(SCORER.told)


def scored(course: Course, day: float, **points: float) -> tuple[Reasons, Scored]:
    """A score that rests on these features by so many points."""
    features = [BY_NAME[name] for name in points]
    values = [feature.read(course, on(day)) for feature in features]
    return Reasons(features), Scored((0.5,) * 4, features, values, list(points.values()))


def ground(name: str, value: float | None, points: float) -> Ground:
    return Ground(BY_NAME[name], value, points, said_of(BY_NAME[name], value, Course(INTERPRET)))


def test_what_is_told_in_the_same_words_is_one_reason_whatever_its_pillar() -> None:
    course = lived(story((0, opened()))).course
    reasons, score = scored(course, 1, bond_level=0.3, goals_level=-0.1, alliance_drop=0.2)
    assert [(one.feature, one.points, one.text) for one in reasons.of(score, course)] == [
        ("bond_level", 0.4, "No alliance rating yet (raises the risk)")
    ]


def test_what_is_told_in_the_same_words_and_comes_to_nothing_is_left_to_the_other_parts() -> None:
    course = lived(story((0, opened()))).course
    reasons, score = scored(course, 1, bond_level=0.3, goals_level=-0.28)
    [rest] = reasons.of(score, course)
    assert (rest.feature, rest.points, rest.value) == (OTHER, 0.02, None)


def test_the_pillar_rated_lowest_and_that_pillar_are_told_once() -> None:
    course = lived(story((0, opened()), *((7.0 * n, srs(9, 9, 9, 9)) for n in (1, 2)), (21, srs(9, 9, 5, 9)))).course
    reasons, score = scored(course, 22, lowest_pillar_level=0.3, bond_drop=0.2)
    assert [(one.points, one.text) for one in reasons.of(score, course)] == [
        (0.5, "SRS bond 5 of 10; usually about 9 (raises the risk)")
    ]


def test_in_an_alert_what_changed_lately_leads_of_the_three_strongest_and_nothing_that_lowers_the_risk_is_there() -> (
    None
):
    found = [
        ground("missed", 2.0, 0.9), ground("bond_level", None, 0.8), ground("nothing_booked", 1.0, 0.3),
        ground("skips_in_a_row", 2.0, 0.2), ground("homework_falling", 2.0, 0.1), ground("mandated", 1.0, 0.7),
        ground("gain", 1.0, -0.6),
    ]  # fmt: skip
    assert [one.feature.name for one in raising(found)] == [
        "nothing_booked", "skips_in_a_row", "missed", "homework_falling", "bond_level",
    ]  # fmt: skip


def test_what_was_known_at_the_start_is_told_in_an_alert_where_there_is_nothing_else() -> None:
    assert [one.feature.name for one in raising([ground("mandated", 1.0, 0.7)])] == ["mandated"]


def test_a_wish_that_lapsed_is_not_told_as_one_that_is_open() -> None:
    wish = Feedback(pillar="tasks", sentiment="neutral", wants_change="format")
    course = lived(story((0, opened()), (1, wish))).course
    feature = BY_NAME["wish_recent"]
    told = [render(said_of(feature, feature.read(course, on(day)), course)) for day in (2, 90)]
    assert told == ["Would like another approach, clinician or format", "No open wish for a change"]


def test_what_is_missing_is_told_in_an_alert_after_what_was_known_at_the_start() -> None:
    found = [ground("bond_level", None, 0.8), ground("mandated", 1.0, 0.2)]
    assert [one.feature.name for one in raising(found)] == ["mandated", "bond_level"]


def test_a_reason_says_which_way_it_pushes_in_every_language() -> None:
    words = BY_NAME["missed"].words(2)
    assert render(pushing(words, 0.1)) == "2 visits missed so far (raises the risk)"
    assert render(pushing(words, -0.1), "de") == "Bisher 2 Termine verpasst (senkt das Risiko)"


def test_a_feature_that_is_never_absent_says_so() -> None:
    with pytest.raises(ValueError, match="missed is never absent"):
        said_of(BY_NAME["missed"], None, Course(INTERPRET))


def test_most_features_tell_what_changed_lately() -> None:
    told = [feature for feature in FEATURES if not feature.background]
    assert 10 < sum(feature.lasting for feature in told) < len(told) / 2


@settings(deadline=None, max_examples=75)
@given(episode_logs())
def test_no_sentence_is_told_twice_and_all_add_up_to_the_sum(events: list[AnyEvent]) -> None:
    live = lived(events)
    score = SCORER.score(live.course, live.episode.latest, "north")
    told = REASONS.of(score, live.course)
    words = [one.text.rpartition(" (")[0] for one in told]
    assert len(set(words)) == len(words)
    assert sum(one.points for one in told) == pytest.approx(sum(score.points), abs=0.0005 * (len(told) + 1))
    named = [one for one in told if one.feature != OTHER]
    assert all(abs(one.points) >= LEAST_POINTS - 0.0005 for one in named)
    for one in REASONS.grounds(score, live.course):
        assert one.words == said_of(one.feature, one.value, live.course)
