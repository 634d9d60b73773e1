"""Ruptures: a fall against the person's own course opens one, noise and an even low rater do not, and each is followed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

import msgspec
import pytest

from keepwell.care.alliance import PRIOR_MEAN, REPAIR_SESSIONS, Alliance, Rupture
from keepwell.care.endings import DAY
from keepwell.care.history import Measure
from keepwell.care.instruments import SRS, Instrument
from keepwell.contract.events import Attended, Contact, Data, Feedback, Measured, RepairAttempt, RuptureNote
from tests.episodes import Happening, lived, measured, on, opened, srs, story

EVEN = (9.2, 9.2, 9.2, 9.2)


def rated(*ratings: Sequence[float]) -> list[Happening]:
    """Weekly sessions, each with a rating of goals, tasks, bond and overall."""
    told: list[Happening] = [(0, opened())]
    for week, rating in enumerate(ratings, 1):
        told += [(7 * week, Attended()), (7 * week, srs(*rating))]
    return told


def alliance(told: Sequence[Happening]) -> Alliance:
    return lived(story(*told)).course.alliance


def only(told: Sequence[Happening]) -> Rupture:
    """The one rupture of a story."""
    [rupture] = alliance(told).ruptures
    return rupture


# ── opening ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_fall_against_the_own_course_opens_a_rupture_of_the_fallen_pillar() -> None:
    rupture = only(rated(EVEN, EVEN, EVEN, EVEN, (9.2, 9.2, 5, 9.2)))
    assert (rupture.pillar, rupture.kind, rupture.evidence) == ("bond", "withdrawal", "chart")
    assert (rupture.opened_at, rupture.scale, rupture.event) == (on(35), "bond", (0, "e-10"))
    assert (rupture.low, rupture.closed_at, rupture.repaired) == (5, None, False)
    assert rupture.before == pytest.approx(9.17, abs=0.05)


@pytest.mark.parametrize(
    ("fallen", "pillar"), [((5, 9.2, 9.2, 9.2), "goals"), ((9.2, 5, 9.2, 9.2), "tasks"), ((9.2, 9.2, 9.2, 3), "goals")]
)
def test_the_pillar_is_the_one_that_fell_and_where_none_did_the_lowest(fallen: tuple[float, ...], pillar: str) -> None:
    assert only(rated(EVEN, EVEN, EVEN, EVEN, fallen)).pillar == pillar


def test_a_pillar_is_named_before_the_total_even_where_the_total_fell_more_steeply() -> None:
    assert only(rated(EVEN, EVEN, EVEN, EVEN, (5, 5, 4, 5))).pillar == "bond"


def test_a_rise_opens_nothing() -> None:
    assert alliance(rated(*[(7, 7, 7, 7)] * 6, (10, 10, 10, 10))).open is None


def test_a_trifle_below_a_very_even_course_opens_nothing() -> None:
    assert alliance(rated(*[EVEN] * 20, (9.2, 9.2, 8.3, 9.2))).ruptures == []


def test_an_even_low_rater_is_in_no_rupture_once_the_first_sessions_have_passed() -> None:
    told = alliance(rated(*[(6.5, 6.5, 6.5, 6.5)] * 20))
    assert told.below_cutoff
    assert told.ruptures == []
    very_low = alliance(rated(*[(5, 5, 5, 5)] * 20))
    assert [rupture for rupture in very_low.ruptures if rupture.opened_at > on(7)] == []
    assert very_low.open is None


def test_below_the_published_cutoff_a_smaller_fall_suffices_and_counts_as_weaker_evidence() -> None:
    unpublished = msgspec.structs.replace(SRS, item_cutoff=None)
    falls = [(9.2, 9.2, round(9.2 - tenths / 10, 1), 9.2) for tenths in range(1, 60)]
    found = [(_evidence(SRS, fall), _evidence(unpublished, fall)) for fall in falls]
    assert list(dict.fromkeys(found)) == [((), ()), (("cutoff",), ()), (("chart",), ("chart",))]


def _evidence(instrument: Instrument, fall: Sequence[float]) -> tuple[str, ...]:
    return tuple(rupture.evidence for rupture in _rated_by(instrument, *[EVEN] * 8, fall).ruptures)


def _rated_by(instrument: Instrument, *ratings: Sequence[float]) -> Alliance:
    told = Alliance()
    for week, rating in enumerate(ratings):
        scores = dict(zip(("goals", "tasks", "bond", "overall"), rating, strict=True))
        entry = Measure(week * 7 * DAY, f"e-{week}", 0, None, instrument.name, scores, "client", None)
        told.take_measure(entry, instrument, instrument.readable(scores))
    return told


def test_an_instrument_without_an_item_cutoff_has_no_published_warning_line() -> None:
    told = [(7.0, measured("WAI-SR", goals=4, tasks=4, bond=4))]
    assert not alliance(told).below_cutoff
    assert alliance(told).of("total") is not None


@pytest.mark.parametrize("noted_by", ["client", "clinician", "observer"])
def test_a_reported_rupture_counts_as_it_is(noted_by: str) -> None:
    note = RuptureNote(kind="confrontation", pillar="tasks", noted_by=noted_by)  # type: ignore[arg-type]  # one of the contract's words
    rupture = only([(0, opened()), (7, note)])
    assert (rupture.pillar, rupture.kind, rupture.evidence) == ("tasks", "confrontation", "reported")
    assert rupture.scale is None


def test_a_reported_rupture_without_a_pillar_takes_the_lowest_rated_one_and_else_the_bond() -> None:
    note = RuptureNote(kind="withdrawal")
    assert only([*rated((9.5, 9.1, 9.5, 9.5)), (8, note)]).pillar == "tasks"
    assert only([(8, note)]).pillar == "bond"


def test_a_note_on_an_open_rupture_tells_its_kind_and_pillar_and_gives_it_more_time() -> None:
    told = rated(EVEN, EVEN, EVEN, EVEN, (9.2, 9.2, 5, 9.2), (9.2, 9.2, 5, 9.2))
    rupture = only([*told, (43, RuptureNote(kind="confrontation", pillar="goals"))])
    assert (rupture.kind, rupture.pillar, rupture.waited) == ("confrontation", "goals", 0)


@pytest.mark.parametrize(
    ("happening", "kind"),
    [
        (Contact(direction="inbound", purpose="complaint"), "confrontation"),
        (Contact(direction="inbound", purpose="other"), "withdrawal"),
        (Feedback(pillar="pace", sentiment="negative"), "confrontation"),
        (Feedback(pillar="pace", sentiment="positive"), "withdrawal"),
    ],
)
@pytest.mark.parametrize(("day", "near"), [(21, True), (20.99, False)])
def test_friction_within_two_weeks_makes_a_measured_rupture_a_confrontation(
    happening: Data, kind: str, day: float, near: bool
) -> None:
    told = rated(EVEN, EVEN, EVEN, EVEN, (9.2, 9.2, 5, 9.2))
    assert only([*told, (day, happening)]).kind == (kind if near else "withdrawal")


def test_only_the_client_rates_the_alliance() -> None:
    low = Measured(instrument="SRS", scores={"bond": 1.0, "total": 10.0}, rater="clinician")
    told = alliance([*rated(EVEN, EVEN, EVEN), (22, low)])
    assert told.ruptures == []
    assert told.series["SRS"]["bond"].given.count == 3


# ── following ───────────────────────────────────────────────────────────────────────────────────────────

FALLEN = [*[EVEN] * 4, (9.2, 9.2, 5, 9.2)]


def test_a_rupture_is_repaired_when_most_of_the_fall_is_regained() -> None:
    half = only(rated(*FALLEN, (9.2, 9.2, 7.0, 9.2)))
    assert half.closed_at is None
    most = only(rated(*FALLEN, (9.2, 9.2, 7.2, 9.2)))
    assert (most.repaired, most.closed_at) == (True, on(42))


def test_what_is_to_be_regained_is_counted_from_the_lowest_point() -> None:
    rupture = only(rated(*FALLEN, (9.2, 9.2, 2, 9.2), (9.2, 9.2, 5.4, 9.2)))
    assert (rupture.low, rupture.closed_at) == (2, None)
    assert only(rated(*FALLEN, (9.2, 9.2, 2, 9.2), (9.2, 9.2, 5.8, 9.2))).repaired


def test_a_rupture_is_given_up_after_five_sessions_without_repair() -> None:
    fallen = (9.2, 9.2, 5, 9.2)
    waiting = only(rated(*FALLEN, *[fallen] * REPAIR_SESSIONS))
    assert (waiting.waited, waiting.closed_at) == (REPAIR_SESSIONS, None)
    given_up = only(rated(*FALLEN, *[fallen] * (REPAIR_SESSIONS + 1)))
    assert (given_up.closed_at, given_up.repaired) == (on(7 * 11), False)


def test_the_fifth_rating_after_the_opening_can_still_repair_it() -> None:
    fallen = (9.2, 9.2, 5, 9.2)
    assert only(rated(*FALLEN, *[fallen] * (REPAIR_SESSIONS - 1), EVEN)).repaired


def test_the_expected_level_stands_still_while_a_rupture_is_open() -> None:
    before = alliance(rated(*FALLEN)).series["SRS"]["bond"].level
    during = alliance(rated(*FALLEN, (9.2, 9.2, 5, 9.2), (9.2, 9.2, 4, 9.2))).series["SRS"]["bond"]
    assert during.level == alliance(rated(*FALLEN, (9.2, 9.2, 5, 9.2))).series["SRS"]["bond"].level
    # The rating that opened it was the last to be learnt from.
    assert during.level == before
    assert during.fall == pytest.approx(before - 4)


def test_the_lower_level_is_the_own_level_once_a_rupture_was_given_up() -> None:
    fallen = (9.2, 9.2, 5, 9.2)
    told = alliance(rated(*FALLEN, *[fallen] * 8))
    assert [rupture.repaired for rupture in told.ruptures] == [False]
    assert told.series["SRS"]["bond"].level == pytest.approx(5)


def test_a_new_fall_after_a_repair_opens_a_new_rupture() -> None:
    told = alliance(rated(*FALLEN, EVEN, EVEN, (5, 9.2, 9.2, 9.2)))
    assert [(r.pillar, r.repaired) for r in told.ruptures] == [("bond", True), ("goals", False)]


def test_a_reported_rupture_is_repaired_by_a_good_attempt_and_not_by_another() -> None:
    note = RuptureNote(kind="withdrawal", pillar="bond")
    for outcome, repaired in (("better", True), ("same", False), ("worse", False), ("unknown", False)):
        attempt = RepairAttempt(outcome=outcome)  # type: ignore[arg-type]  # one of the contract's words
        rupture = only([(0, opened()), (7, note), (14, attempt)])
        assert (rupture.repaired, rupture.closed_at) == (repaired, on(14) if repaired else None)


def test_a_measured_rupture_is_repaired_by_ratings_only() -> None:
    told = rated(*FALLEN)
    assert only([*told, (36, RepairAttempt(outcome="better"))]).closed_at is None
    assert only([*told, (36, Feedback(pillar="bond", sentiment="positive"))]).closed_at is None


def test_good_feedback_on_its_pillar_repairs_a_reported_rupture() -> None:
    note = RuptureNote(kind="withdrawal", pillar="tasks")
    assert only([(7, note), (8, Feedback(pillar="tasks", sentiment="positive"))]).repaired
    assert only([(7, note), (8, Feedback(pillar="bond", sentiment="positive"))]).closed_at is None
    assert only([(7, note), (8, Feedback(pillar="tasks", sentiment="neutral"))]).closed_at is None


def test_a_reported_rupture_is_not_repaired_by_a_rating_below_the_cutoff() -> None:
    note = RuptureNote(kind="withdrawal", pillar="bond")
    assert only([*rated((8, 8, 8, 8), (8, 8, 8, 8)), (15, note), (21, srs(8, 8, 8, 8))]).closed_at is None


def test_a_rating_without_the_fallen_scale_neither_repairs_nor_deepens() -> None:
    rupture = only([*rated(*FALLEN), (42, measured("SRS", 40))])
    assert (rupture.closed_at, rupture.low) == (None, 5)


def test_a_rating_by_another_instrument_leaves_a_measured_rupture_alone() -> None:
    rupture = only([*rated(*FALLEN), (42, measured("WAI-SR", goals=20, tasks=20, bond=20))])
    assert (rupture.closed_at, rupture.low) == (None, 5)


def test_a_rupture_is_followed_in_an_instrument_whose_name_has_a_dot() -> None:
    own = Instrument(
        name="SRS 3.0",
        kind="alliance",
        low=0,
        high=10,
        higher_is_better=True,
        cutoff=5,
        reliable_change=2,
        source="own",
    )
    told = Alliance()
    for week, total in enumerate((8.0, 8.0, 8.0, 8.0, 3.0, 8.0)):
        entry = Measure(week * 7 * DAY, f"e-{week}", 0, None, own.name, {"total": total}, "client", None)
        told.take_measure(entry, own, {"total": total})
    assert [rupture.repaired for rupture in told.ruptures] == [True]


# ── what is known of the ratings ────────────────────────────────────────────────────────────────────────


def test_scores_are_put_on_one_scale_whichever_way_they_run_and_whatever_their_names() -> None:
    told = alliance([(7, measured("SRS", goals=9, approach=8, relationship=7, overall=6))])
    assert {scale: series.last for scale, series in told.series["SRS"].items()} == {
        "goals": 9, "tasks": 8, "bond": 7, "overall": 6, "total": 7.5
    }  # fmt: skip
    assert told.lowest == "bond"
    distance = Instrument(
        name="D", kind="alliance", low=0, high=20, higher_is_better=False, cutoff=10, reliable_change=4, source="own"
    )
    turned = Alliance()
    turned.take_measure(Measure(0, "e-0", 0, None, "D", {"total": 5.0}, "client", None), distance, {"total": 5.0})
    assert turned.series["D"]["total"].last == 7.5


def test_the_first_rating_is_held_against_the_population() -> None:
    series = alliance(rated((6, 6, 6, 6))).series["SRS"]["total"]
    assert series.fall == pytest.approx(PRIOR_MEAN["SRS"] - 6)
    assert series.previous is None


def test_a_run_of_perfect_ratings_is_counted_and_broken_by_one_that_is_not() -> None:
    perfect = (10, 10, 10, 10)
    assert alliance(rated(EVEN, perfect, perfect)).perfect_run == 2
    assert alliance(rated(perfect, perfect, (10, 10, 9.8, 10))).perfect_run == 0


@pytest.mark.parametrize(
    ("rating", "below"),
    [((9, 9, 9, 9), False), ((9, 9, 8.9, 9.5), True), ((10, 10, 8.9, 10), True), ((10, 10, 10, 8.9), True)],
)
def test_the_published_lines_of_the_srs_are_36_and_9(rating: tuple[float, ...], below: bool) -> None:
    assert alliance(rated(rating)).below_cutoff is below


def test_below_36_without_items_is_below_the_published_line() -> None:
    assert alliance([(7, measured("SRS", 35.9))]).below_cutoff
    assert not alliance([(7, measured("SRS", 36))]).below_cutoff


def test_a_rating_that_nobody_can_read_changes_nothing() -> None:
    told = alliance([(7, measured("SRS", mood=3))])
    assert (told.series, told.instrument) == ({}, None)


# ── noise ───────────────────────────────────────────────────────────────────────────────────────────────


def opened_by_noise(people: int, sessions: int, seed: int, within: float = 0.7) -> float:
    """The share of ratings of stable raters at which a rupture opened, from a seeded generator."""
    drawn = random.Random(seed)
    ruptures = 0
    for _ in range(people):
        level = min(9.8, max(3.0, drawn.gauss(8.7, 0.9)))
        person = Alliance()
        for week in range(sessions):
            scores = {
                scale: round(min(10.0, max(0.0, drawn.gauss(level, within))), 1)
                for scale in ("goals", "tasks", "bond", "overall")
            }
            scores["total"] = round(sum(scores.values()), 1)
            at = week * 7 * DAY
            person.take_session(at)
            person.take_measure(
                Measure(at, f"e-{week}", 0, None, "SRS", scores, "client", None), SRS, SRS.readable(scores)
            )
        ruptures += len(person.ruptures)
    return ruptures / (people * sessions)


def test_noise_opens_a_rupture_at_fewer_than_five_ratings_in_a_hundred() -> None:
    """Stable raters, SRS, SD .7 on each item and independent, 30 sessions of 500 people: 3.5 % of ratings were measured."""
    assert opened_by_noise(500, 30, seed=1) < 0.05


def test_a_rather_even_rater_is_almost_never_taken_to_be_in_a_rupture() -> None:
    """Stable raters, SRS, SD .3 on each item, 30 sessions of 200 people: 0.02 % of ratings were measured."""
    assert opened_by_noise(200, 30, seed=1, within=0.3) < 0.01


def test_ruptures_follow_one_another_and_only_the_last_can_be_open() -> None:
    drawn = random.Random(7)
    told = alliance(rated(*[[round(drawn.uniform(2, 10), 1) for _ in range(4)] for _ in range(60)]))
    assert len(told.ruptures) > 3
    for first, second in pairwise(told.ruptures):
        assert first.closed_at is not None
        assert first.opened_at < first.closed_at <= second.opened_at
