"""Alerts judged on three episodes short enough to count by hand: one stops, one ends as planned, one never comes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from keepwell.contract.events import AnyEvent, Attended, Ended
from keepwell.scoring.scorecard import HEADLINE
from tests.episodes import Happening, measured, on, opened, story, weekly
from tests.strategies import moment
from training.dataset import InMemory, build
from training.dataset.sources import gather
from training.evaluate.alert_table import AlertLog, Alerts, alert_facts, told_of
from training.evaluate.alert_words import LIMITS, as_markdown
from training.evaluate.alerts import Burden, burden_of, facts_of, ground_of, joined
from training.evaluate.definitions import EpisodeOutcome, outcomes
from training.evaluate.replays import AlertMoment
from training.fit.sample import sample_of

DAY = 86_400_000_000
HOUR = DAY // 24
A, B, C = "north/ep-1", "north/ep-2", "north/ep-3"
END = on(400)


def events(*more: Happening) -> list[AnyEvent]:
    """A comes on days 7, 14 and 21, for 50 minutes each; the stop is declared on day 51. B comes ten times and ends as
    planned. C never comes; the stop is declared on day 30."""
    came = [(day, Attended(duration_minutes=50)) for day, _ in weekly(3)]
    return [
        *story((0, opened()), *came, *more),
        *story(
            (0, opened(client_id="p-2")), *weekly(10), (72, Ended(reason="planned")), subject="ep-2", source="/north/b"
        ),
        *story((0, opened(client_id="p-3")), subject="ep-3", source="/north/c"),
    ]


TOLD = [
    AlertMoment(A, "risk", on(14)),
    AlertMoment(A, "rupture", on(21) + HOUR // 2),
    AlertMoment(A, "risk", on(28), "escalated"),
    AlertMoment(A, "silence", on(40)),
    AlertMoment(B, "risk", on(30)),
    AlertMoment(B, "risk", on(34)),
    AlertMoment(B, "ending", on(65)),
    AlertMoment(B, "safety", on(66)),
    AlertMoment(C, "silence", on(20)),
]


def log(told: Sequence[AlertMoment], *more: Happening, until: int = END) -> AlertLog:
    happened = events(*more)
    now = moment(until - on(0))
    dataset = build(InMemory(happened), as_of=now)
    found = outcomes(gather(InMemory(happened), (), now, {}))
    return AlertLog(dataset, np.zeros(len(dataset.frame)), happened, found=found, now=until, told=told, truth=None)


def judged(told: Sequence[AlertMoment] = TOLD, *more: Happening, until: int = END) -> Alerts:
    return told_of([alert_facts(log(told, *more, until=until))], 0.3)


def only(told: AlertMoment) -> Burden:
    return judged([told]).kinds[0]


def by_kind(found: Alerts) -> dict[str, Burden]:
    return {one.kind: one for one in found.kinds}


def test_the_whole_log_is_counted() -> None:
    found = judged()
    assert (found.sessions, found.stops, found.before_any_session) == (13, 2, 1)
    assert [one.kind for one in found.kinds] == ["all but safety", "risk", "rupture", "silence", "safety", "ending"]


def test_burden_counts_what_was_raised_and_tells_escalations_apart() -> None:
    every, *_ = judged().kinds
    assert (every.raised, every.escalated) == (7, 1)
    assert every.per_100_sessions.value == pytest.approx(700 / 13)
    assert by_kind(judged())["safety"].raised == 1


def test_a_repeat_comes_within_seven_days_of_another_of_the_same_client() -> None:
    every, *_ = judged().kinds
    assert every.repeats.value == pytest.approx(1 / 7)  # B on day 34; A's first two lie half an hour too far apart
    assert every.per_episode == pytest.approx(7 / 3) and every.most == 3
    assert by_kind(judged())["ending"].repeats.value == 0


def test_two_episodes_of_one_client_are_one_client() -> None:
    happened = [*story((0, opened()), *weekly(2)), *story((3, opened()), *weekly(2), subject="ep-2", source="/north/b")]
    now = moment(400 * DAY)
    ground = ground_of(build(InMemory(happened), as_of=now), outcomes(gather(InMemory(happened), (), now, {})), on(400))
    told = [AlertMoment(A, "risk", on(7)), AlertMoment(B, "risk", on(9))]
    assert facts_of(told, ground).repeated.tolist() == [0, 1]


def test_stops_are_told_of_in_time_before_the_last_session_and_at_all() -> None:
    shares = {
        one.kind: tuple(share.value for share in (one.in_time, one.strictly_before, one.at_all, one.recall))
        for one in judged().kinds
    }
    assert shares["risk"] == (1, 1, 1, 0.5)
    assert shares["rupture"] == (1, 0, 1, 0.5)
    assert shares["silence"] == (0, 0, 1, 1)
    assert shares["ending"] == (0, 0, 0, 0)
    assert judged().in_time_of_all.value == 0.5


@pytest.mark.parametrize(
    ("at", "in_time", "before"),
    [
        (on(21) - 50 * HOUR // 60 - 1, 1, 1),
        (on(21) - 50 * HOUR // 60, 1, 0),
        (on(21) + 20 * HOUR, 1, 0),
        (on(21) + 20 * HOUR + 1, 0, 0),
    ],
)
def test_in_time_ends_twenty_hours_after_the_last_session_and_before_it_when_it_began(
    at: int, in_time: int, before: int
) -> None:
    found = only(AlertMoment(A, "risk", at))
    assert (found.in_time.value, found.strictly_before.value) == (in_time, before)


def test_what_is_told_after_the_declaration_told_of_nothing() -> None:
    found = only(AlertMoment(A, "silence", on(51)))
    assert (found.at_all.value, found.recall.value, found.lead_days) == (0, 0, None)
    assert found.precision.value is None


def test_days_ahead_are_counted_from_the_first_alert_of_the_spell() -> None:
    assert by_kind(judged())["all but safety"].lead_days == pytest.approx((16.75, 23.5, 30.25))  # 37 and 10


def test_what_follows_is_the_contracts_target_and_beside_it_stand_moments_alike() -> None:
    every, risk, *_ = judged().kinds
    assert every.precision.value == pytest.approx(4 / 7)
    assert every.precision_60d.value == pytest.approx(4 / 7)
    assert risk.precision.value == pytest.approx(1 / 3)
    sample = sample_of(log(TOLD).dataset)
    any_rate = sample.targets[sample.judged(HEADLINE), HEADLINE].mean()
    assert every.times_any["30d"].value == pytest.approx(4 / 7 / any_rate)
    # After the second session A stops and B stays, so half do.
    assert only(AlertMoment(A, "risk", on(14))).times_alike["30d"].value == pytest.approx(2)
    assert only(AlertMoment(B, "risk", on(14))).times_alike["30d"].value == 0


def test_an_alert_too_near_the_end_is_counted_but_not_judged() -> None:
    every, *_ = judged([AlertMoment(A, "risk", on(14))], until=on(73)).kinds
    assert (every.raised, every.precision.value) == (1, None)
    every, *_ = judged([AlertMoment(A, "risk", on(14))], until=on(74)).kinds
    assert (every.precision.value, every.precision_60d.value) == (1, None)


def test_a_return_begins_a_spell_in_which_earlier_alerts_told_of_nothing() -> None:
    found = judged([AlertMoment(A, "risk", on(14))], (100, Attended()), (107, Attended()))
    assert found.stops == 3
    assert found.kinds[0].in_time.value == 0.5


def test_logs_together_have_the_figures_of_all_of_them() -> None:
    with_alerts, without = log(TOLD), log([])
    facts = [facts_of(one.told, ground_of(one.dataset, one.found, one.now)) for one in (with_alerts, without)]
    alone, both = burden_of("all", facts[0]), burden_of("all", joined(facts))
    assert alone.per_100_sessions.value is not None
    assert both.per_100_sessions.value == pytest.approx(alone.per_100_sessions.value / 2)
    assert (both.in_time.value, both.raised, both.precision) == (0.5, alone.raised, both.precision)
    assert (both.in_time.low, both.in_time.high) == (0, 1)  # by log: one tells of its stop, the other does not


def test_a_kind_that_one_log_does_not_have_counts_its_stops_all_the_same() -> None:
    found = told_of([alert_facts(log(TOLD)), alert_facts(log([]))], 0.3)
    assert by_kind(found)["rupture"].in_time.value == 0.5
    assert found.stops == 4


def test_where_attendance_alone_is_known_the_limits_are_said() -> None:
    visits, rated = judged(), judged(TOLD, (14, measured("SRS", 38)))
    assert visits.attendance_alone and not rated.attendance_alone
    assert LIMITS in as_markdown(visits, "Made up.") and LIMITS not in as_markdown(rated, "Made up.")
    assert {one.rule for one in visits.rules if one.gap is not None} >= {"srs-below-36", "srs-fall", "openfit-srs"}


def test_a_log_without_an_alert_is_judged() -> None:
    found = judged([])
    assert [(one.kind, one.raised, one.in_time.value) for one in found.kinds] == [("all but safety", 0, 0)]
    assert found.kinds[0].per_100_sessions.value == 0
    assert "| all but safety | 0 |" in as_markdown(found, "Made up.")


def outcome(*happenings: Happening) -> EpisodeOutcome:
    return outcomes(gather(InMemory(story(*happenings)), (), moment(400 * DAY), {}))[A]


def test_a_session_began_as_told_or_so_long_before_its_end_as_it_took() -> None:
    assert outcome((0, opened()), (7, Attended(duration_minutes=30))).began == [on(7) - HOUR // 2]
    assert outcome((0, opened()), (7, Attended(started_at=moment(7 * DAY - 2 * HOUR)))).began == [on(7) - 2 * HOUR]
    assert outcome((0, opened()), (7, Attended())).began == [on(7) - HOUR]
    assert outcome((0, opened())).began == [None]
