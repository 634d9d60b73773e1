"""When to alert: a line for each situation, news at once, quiet between, rest where somebody asked for it, safety always."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepwell.alerting.decide import Decision, alert_id, decide, snoozes, timers, withheld
from keepwell.alerting.kinds.silence import LOOKS_DAYS
from keepwell.alerting.policy import Memory, OpenAlert, Policy, Situation
from keepwell.alerting.signals import LAST_CALL, LONG_DAYS, Signals, absent_since, signals_of
from keepwell.care.course import Course
from keepwell.contract.events import (
    Actioned,
    Attended,
    Booked,
    Cancelled,
    ClinicianChange,
    Contact,
    Ended,
    Feedback,
    Missed,
    Opened,
    RepairAttempt,
    Retracted,
    RuptureNote,
    Skipped,
)
from keepwell.contract.words import PILLARS, State
from tests.episodes import Happening, booked, lived, measured, on, opened, srs, story, weekly
from tests.strategies import DAY, moment

POLICY: Final = Policy(line=0.3, release=0.2, escalate=0.5, absent=0.4, strain=0.15)


AHEAD: Final[Happening] = (0, booked("ahead", 300))
"""A visit far ahead, so that nobody is absent."""


def course_of(*happenings: Happening) -> Course:
    """The course of a story; of one that tells of no visit, with one far ahead."""
    visits = any(isinstance(data, Opened | Booked | Attended) for _, data in happenings)
    return lived(story(*happenings) if visits else story(*happenings, AHEAD)).course


class Told:
    """A policy at work on one episode: what it told so far, and what it remembers."""

    def __init__(self, policy: Policy = POLICY, episode: str = "north/ep-1") -> None:
        self.policy = policy
        self.episode = episode
        self.memory = Memory()
        self.count = 0

    def when(
        self, risk: float | None, day: float = 0, *happenings: Happening, state: State = "open", safety: bool = False
    ) -> list[tuple[str, str, str | None]]:
        """Kind, status and cause of what is told about a situation."""
        return [
            (told.kind, told.status, told.why)
            for told in self.decisions(risk, day, *happenings, state=state, safety=safety)
        ]

    def decisions(
        self, risk: float | None, day: float, *happenings: Happening, state: State = "open", safety: bool = False
    ) -> list[Decision]:
        self.count += 1
        course = course_of(*happenings)
        now = Situation(
            self.episode, f"/north/booking#t-{self.count}", "sha256:0", on(day), state, risk, course,
            signals_of(course, on(day)), on(day) if safety else None,
        )  # fmt: skip
        told, self.memory = decide(self.policy, self.memory, now)
        return told

    @property
    def open(self) -> OpenAlert:
        """The one open alert."""
        [alert] = self.memory.open
        return alert

    def answer(self, action: str, day: float, until: float | None = None) -> Happening:
        """A clinician's answer to the open alert."""
        end = None if until is None else moment(round(until * DAY))
        return day, Actioned(alert_id=self.open.id, action=action, by="c-1", until=end)  # type: ignore[arg-type]  # a word of the contract


RAISED: Final = [("risk", "raised", None)]

# ── risk ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_risk_at_the_line_is_raised_and_one_below_it_is_not() -> None:
    assert Told().when(0.2999) == []
    assert Told().when(0.3) == RAISED


def test_between_line_and_release_nothing_flickers() -> None:
    told = Told()
    assert told.when(0.25) == []
    assert told.when(0.3) == RAISED
    assert [told.when(risk) for risk in (0.29, 0.31, 0.2, 0.3, 0.45)] == [[]] * 5
    assert told.when(0.1999) == [("risk", "resolved", "risk_fell")]
    assert told.memory.open == ()


def test_a_risk_is_escalated_once() -> None:
    told = Told()
    told.when(0.3)
    raised = told.open.id
    assert [told.when(risk) for risk in (0.4999, 0.5, 0.49, 0.9)] == [[], [("risk", "escalated", None)], [], []]
    assert (told.open.id, told.open.escalated) == (raised, True)


def test_a_risk_that_is_raised_above_the_second_line_is_escalated_by_the_next_look_at_most_once() -> None:
    told = Told()
    assert told.when(0.9) == RAISED
    assert told.when(0.9) == [("risk", "escalated", None)]
    assert told.when(0.9) == []


def test_none_of_a_kind_is_raised_while_one_was_resolved_lately() -> None:
    told = Told()
    told.when(0.3, 0)
    told.when(0.1, 10)
    assert told.when(0.9, 30.999) == []
    assert told.when(0.9, 31) == RAISED


CAME: Final[list[Happening]] = [(0, opened()), (7, Attended()), (7.01, booked("next", 14))]
"""Somebody who came and is to come again."""
GONE: Final[list[Happening]] = [*CAME, (14, Missed(appointment_id="next"))]
"""The same, a week later."""


def test_at_the_end_of_a_session_a_risk_is_raised() -> None:
    assert Told().when(0.3, 7.01, *CAME) == RAISED
    assert Told().when(0.3, 7.03, *CAME) == RAISED


def test_between_two_sessions_of_somebody_who_comes_no_risk_is_told_of() -> None:
    told = Told()
    assert told.when(0.9, 7.05, *CAME) == []
    assert told.when(0.9, 10, *CAME) == []
    assert told.when(0.3, 7.01, *CAME) == RAISED
    assert [told.when(risk, 10, *CAME) for risk in (0.9, 0.1)] == [[], []]  # neither escalated nor resolved


def test_of_somebody_absent_silence_tells_and_not_the_risk() -> None:
    told = Told()
    assert told.when(0.39, 14, *GONE) == []
    assert told.when(0.4, 16, *GONE) == [("silence", "raised", None)]


def test_a_risk_that_was_told_goes_on_while_somebody_is_absent() -> None:
    told = Told()
    told.when(0.3, 7.01, *CAME)
    assert told.when(0.1, 14, *GONE) == []
    assert [one.kind for one in told.memory.open] == ["risk"]


# ── one matter: quiet, and news ─────────────────────────────────────────────────────────────────────────

COMPLAINT: Final = Contact(direction="inbound", purpose="complaint")
NEGATIVE: Final = Feedback(pillar="trust", sentiment="negative")


def test_for_a_week_after_an_alert_nothing_follows_that_is_no_news() -> None:
    stalled = [*treated(12, 18, 18), AHEAD]
    for days, then in ((6.9, []), (7, [TALK])):
        told = Told()
        assert told.when(0.3, 84 - days) == RAISED
        assert told.when(0.3, 84, *stalled) == then
    assert Told().when(0.3, 84, *stalled) == [TALK]


def test_what_is_voiced_is_told_whatever_the_risk_and_whatever_was_told_just_before() -> None:
    told = Told()
    assert told.when(0.3, 7.01, *CAME) == RAISED
    assert told.when(0.01, 8, *CAME, (8, NEGATIVE)) == [("rupture", "raised", None)]


def test_an_absence_is_news() -> None:
    told = Told()
    assert told.when(0.3, 7.01, *CAME) == RAISED
    lost = (*CAME, (8, Cancelled(appointment_id="next", initiator="client")))
    assert told.when(0.4, 8, *lost) == [("silence", "raised", None)]


def test_a_risk_joins_what_is_open_of_the_client_and_is_told_where_that_is_settled_or_was_put_aside() -> None:
    said = (*CAME[:2], (7, NEGATIVE), CAME[2])
    later = (*said, (14, Attended(appointment_id="next")), (14.01, booked("b", 21)))
    told = Told()
    assert told.when(0.9, 7.01, *said) == [("rupture", "raised", None)]
    assert told.when(0.9, 14.01, *later) == []
    dismissed = told.answer("dismissed", 14.01)
    assert told.when(0.9, 14.02, *later, dismissed) == RAISED
    told = Told()
    told.when(0.9, 7.01, *said)
    weeks: list[Happening] = [(26, booked("c", 28)), (28, Attended(appointment_id="c")), (28.01, booked("d", 35))]
    assert told.when(0.9, 28, *later, *weeks[:2]) == []
    assert told.when(0.9, 28.02, *later, *weeks) == RAISED, "nobody is left unsaid for ever by what nobody answered"
    told = Told()
    told.when(0.9, 7.01, *said)
    settled = (14, Feedback(pillar="trust", sentiment="positive"))
    assert told.when(0.9, 14.01, *later, settled) == [("rupture", "resolved", "repaired"), *RAISED]


def test_what_came_late_is_told_even_where_it_happened_before_another_alert() -> None:
    told = Told()
    assert told.when(0.3, 7.01, *CAME) == RAISED
    assert told.when(0.3, 7.02, *CAME, (6, COMPLAINT)) == [("rupture", "raised", None)]


def test_an_episode_has_so_many_alerts_and_no_more_but_for_safety() -> None:
    told = Told(msgspec.structs.replace(POLICY, most=3, refractory_days=0))
    days = [30 * n for n in range(6)]
    raised = []
    for day in days:
        raised += told.when(0.3, day)
        told.when(0.1, day + 15)
    assert raised == RAISED * 3
    assert told.when(0.1, 200, (199, COMPLAINT)) == []
    assert told.when(0.1, 200, safety=True) == [("safety", "raised", None)]


LOOKS: Final = st.lists(
    st.tuples(
        st.floats(0.01, 12), st.floats(0, 1),
        st.sampled_from(["", "", "voiced", "strained", "absent", "wish", "due", "closed"]),
    ),
    min_size=1, max_size=60,
)  # fmt: skip
"""Days since the look before, the risk, and what came up."""


@settings(deadline=None, max_examples=200)
@given(LOOKS)
def test_whatever_happens_nothing_that_is_no_news_follows_within_a_week_and_no_more_than_eight(
    looks: list[tuple[float, float, str]],
) -> None:
    memory, day, found, told = Memory(), 0.0, Signals(deciding=True), []
    news: dict[str, float] = {}
    for number, (days, risk, what) in enumerate(looks):
        day += days
        found = _after(found, what, on(day))
        if what in COMES_UP:
            news[COMES_UP[what]] = day
        now = Situation("", str(number), "", on(day), "open", risk, course_of((0, opened())), found)
        decisions, memory = decide(POLICY, memory, now)
        for one in decisions:
            if one.status == "raised":
                told.append((day, one.kind))
        speaking = [one.kind for one in memory.open if one.kind != "rupture" or not one.escalated]
        assert len(set(speaking)) == len(speaking), "what one can still be told by is not told by another"
    assert len(told) <= POLICY.most
    for (before, _), (day, kind) in pairwise(told):
        earlier = [then for then, other in told if other == kind and then < day]
        fresh = kind in news and news[kind] > max(earlier, default=-1.0)
        assert fresh or day - before >= POLICY.quiet_days - 1e-6


COMES_UP: Final = {"voiced": "rupture", "absent": "silence", "wish": "ending"}
"""What is news, whatever was told before, and of which kind."""


def _after(before: Signals, what: str, now: int) -> Signals:
    """The signals after something came up; `closed` closes all of it."""
    if what == "closed":
        return Signals(deciding=True, mended=True, met=True)
    came: dict[str, dict[str, Any]] = {
        "voiced": {"voiced_at": now}, "strained": {"strained_at": now}, "absent": {"absent_since": now},
        "wish": {"wished_at": now}, "due": {"due": True},
    }  # fmt: skip
    return before._replace(**came.get(what, {}))


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("action", ["dismissed", "snoozed"])
def test_a_dismissed_or_snoozed_alert_is_not_escalated(action: str) -> None:
    told = Told()
    told.when(0.3, 1)
    assert told.when(0.9, 3, told.answer(action, 2)) == []


@pytest.mark.parametrize("action", ["acknowledged", "outreach_planned", "repair_planned"])
def test_an_alert_that_was_answered_otherwise_is_still_escalated(action: str) -> None:
    told = Told()
    told.when(0.3, 1)
    assert told.when(0.9, 3, told.answer(action, 2)) == [("risk", "escalated", None)]


def test_a_dismissed_alert_stays_open_so_that_it_is_not_raised_again() -> None:
    told = Told()
    told.when(0.3, 1)
    dismissed = told.answer("dismissed", 2)
    assert [told.when(0.4, day, dismissed) for day in (3, 60, 200)] == [[], [], []]


@pytest.mark.parametrize(
    "said", [COMPLAINT, Feedback(pillar="empathy", sentiment="negative"), RuptureNote(kind="confrontation")]
)
def test_what_is_voiced_after_an_alert_was_dismissed_is_told_in_one_of_its_own(said: Any) -> None:
    told = Told()
    assert told.when(0.1, 1, (1, NEGATIVE)) == [HELD]
    dismissed = told.answer("dismissed", 2)
    assert told.when(0.1, 2, (1, NEGATIVE), dismissed) == []
    assert told.when(0.1, 3, (1, NEGATIVE), dismissed, (3, said)) == [HELD]
    assert told.when(0.1, 4, (1, NEGATIVE), dismissed, (3, said)) == []
    assert len({one.id for one in told.memory.open}) == 2


def test_what_is_voiced_while_an_alert_rests_is_told_when_its_rest_is_over() -> None:
    told = Told()
    told.when(0.1, 1, (1, NEGATIVE))
    said = ((1, NEGATIVE), told.answer("snoozed", 2, until=9), (3, COMPLAINT))
    assert told.when(0.1, 3, *said) == []
    assert told.when(0.1, 9, *said) == [("rupture", "resolved", "snoozed_out"), HELD]


def test_the_newest_answer_counts() -> None:
    told = Told()
    told.when(0.3, 1)
    answers = (told.answer("dismissed", 2), told.answer("acknowledged", 3))
    assert told.when(0.9, 4, *answers) == [("risk", "escalated", None)]


def test_a_snooze_ends_at_its_moment_and_the_alert_is_raised_anew_where_it_still_holds() -> None:
    told = Told()
    [first] = told.decisions(0.3, 1)
    snoozed = told.answer("snoozed", 2, until=9)
    assert told.when(0.9, 8.999, snoozed) == []
    assert snoozes(told.memory, course_of(snoozed)) == [on(9)]
    over, again = told.decisions(0.9, 9, snoozed)
    assert over == Decision(first.id, "risk", "resolved", "snoozed_out")
    assert (again.kind, again.status) == ("risk", "raised")
    assert again.id != first.id
    assert told.when(0.9, 10, snoozed) == [("risk", "escalated", None)]


def test_a_snooze_that_ends_where_the_risk_has_fallen_raises_nothing_and_leaves_no_refractory_time() -> None:
    told = Told()
    told.when(0.3, 1)
    snoozed = told.answer("snoozed", 2, until=9)
    assert told.when(0.25, 9, snoozed) == [("risk", "resolved", "snoozed_out")]
    assert told.when(0.3, 10, snoozed) == RAISED


def test_a_snoozed_alert_whose_cause_is_gone_is_resolved_before_its_time() -> None:
    told = Told()
    told.when(0.3, 1)
    assert told.when(0.1, 3, told.answer("snoozed", 2, until=9)) == [("risk", "resolved", "risk_fell")]


def test_an_answer_takes_a_snooze_back() -> None:
    told = Told()
    told.when(0.3, 1)
    answers = (told.answer("snoozed", 2, until=9), told.answer("acknowledged", 3))
    assert told.when(0.4, 9, *answers) == []


def test_an_answer_to_another_alert_changes_nothing() -> None:
    told = Told()
    told.when(0.3, 1)
    other: Happening = (2, Actioned(alert_id="al-other", action="dismissed", by="c-1"))
    assert told.when(0.9, 3, other) == [("risk", "escalated", None)]


@pytest.mark.parametrize(("until", "ends"), [(None, 30), (12.0, 12), (90.0, 30)])
def test_a_snooze_ends_at_its_moment_and_after_thirty_days_at_the_latest(until: float | None, ends: float) -> None:
    told = Told()
    told.when(0.3, 0)
    end = None if until is None else moment(round(until * DAY))
    snoozed: Happening = (0, Actioned(alert_id=told.open.id, action="snoozed", by="c-1", until=end))
    assert snoozes(told.memory, course_of(snoozed)) == [on(ends)]


def test_a_snooze_without_an_end_ends_with_the_next_session() -> None:
    told = Told()
    told.when(0.3, 7.01, *CAME)
    snoozed: Happening = (8, Actioned(alert_id=told.open.id, action="snoozed", by="c-1"))
    assert told.when(0.3, 13, *CAME, snoozed) == []
    came = (14, Attended(appointment_id="next"))
    assert told.when(0.3, 14, *CAME, snoozed, came) == [("risk", "resolved", "snoozed_out"), *RAISED]
    ended: Happening = (8, Actioned(alert_id=told.open.id, action="snoozed", by="c-1", until=moment(20 * DAY)))
    assert told.when(0.3, 14.01, *CAME, ended, came) == []  # whoever says an end means it


# ── rupture ─────────────────────────────────────────────────────────────────────────────────────────────

NOTED: Final[Happening] = (1, RuptureNote(kind="withdrawal", pillar="bond"))
HELD: Final = ("rupture", "raised", None)
STEADY: Final[list[Happening]] = [
    (0, opened()), *((7.0 * n, Attended()) for n in range(1, 7)), *((7.0 * n, srs(9, 9, 9, 9)) for n in range(1, 6)),
    (42.01, booked("next", 49)),
]  # fmt: skip


@pytest.mark.parametrize(
    "said",
    [
        (1, NEGATIVE), (1, COMPLAINT), NOTED, (1, ClinicianChange(clinician_id="c-2", reason="absence")),
        *((1, Feedback(pillar=pillar, sentiment="negative")) for pillar in PILLARS),
    ],
)  # fmt: skip
def test_what_is_said_reported_or_broken_is_told_at_the_lowest_risk(said: Happening) -> None:
    assert Told().when(0.001, 1, (0, opened()), said) == [HELD]


@pytest.mark.parametrize(
    "said",
    [
        (1, Feedback(pillar="trust", sentiment="neutral")), (1, Contact(direction="inbound")),
        (1, ClinicianChange(clinician_id="c-2", reason="client_request")),
    ],
)  # fmt: skip
def test_what_is_no_concern_is_not_told(said: Happening) -> None:
    assert Told().when(0.001, 1, (0, opened()), said) == []


def test_a_great_fall_of_the_ratings_is_told_and_a_smaller_one_with_a_raised_risk() -> None:
    great, small = [*STEADY, (42, srs(9, 9, 2, 9))], [*STEADY, (42, srs(9, 9, 6.1, 9))]
    assert Told().when(0.001, 42.01, *great) == [HELD]
    assert course_of(*small).alliance.open is not None
    assert Told().when(0.149, 42.01, *small) == []
    assert Told().when(0.15, 42.01, *small) == [HELD]


def test_a_further_concern_joins_the_open_alert_which_is_told_once_more() -> None:
    told = Told()
    told.when(0.1, 1, (1, NEGATIVE))
    both = ((1, NEGATIVE), (2, Feedback(pillar="empathy", sentiment="negative")))
    assert told.when(0.1, 2, *both) == [("rupture", "escalated", None)]


def test_a_third_concern_is_told_by_an_alert_of_its_own_as_the_first_was_told_twice_already() -> None:
    told = Told()
    told.when(0.1, 1, (1, NEGATIVE))
    both = ((1, NEGATIVE), (2, Feedback(pillar="empathy", sentiment="negative")))
    told.when(0.1, 2, *both)
    assert told.when(0.1, 3, *both, (3, COMPLAINT)) == [HELD]
    assert told.when(0.1, 4, *both, (3, COMPLAINT)) == []
    assert len(told.memory.open) == 2


def test_a_concern_that_came_late_joins_an_alert_that_was_raised_after_it_was_voiced() -> None:
    told = Told()
    assert told.when(0.1, 2, (2, NEGATIVE)) == [HELD]
    assert told.when(0.1, 2.5, (1, COMPLAINT), (2, NEGATIVE)) == [("rupture", "escalated", None)]
    assert told.when(0.1, 3, (1, COMPLAINT), (2, NEGATIVE)) == []


def test_a_rupture_is_raised_once_and_resolved_when_repaired() -> None:
    told = Told()
    assert told.when(0.1, 1, NOTED) == [HELD]
    assert told.when(0.1, 2, NOTED) == []
    repaired = (NOTED, (3, RepairAttempt(outcome="better")))
    assert told.when(0.1, 3, *repaired) == [("rupture", "resolved", "repaired")]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ([(2, Feedback(pillar="trust", sentiment="positive"))], "repaired"),
        ([(2, RepairAttempt(pillar="trust", outcome="unknown")), (3, Attended())], "repaired"),
        ([(2, Attended()), (9, Attended()), (16, Attended())], "risk_fell"),
        ([(2, Retracted(event_id="e-0"))], "risk_fell"),
    ],
)
def test_a_concern_is_settled_when_it_is_repaired_answered_passed_or_taken_back(
    more: list[Happening], why: str
) -> None:
    told = Told()
    assert told.when(0.1, 1, (1, NEGATIVE)) == [HELD]
    assert told.when(0.1, 16, (1, NEGATIVE), *more) == [("rupture", "resolved", why)]


def test_a_clinicians_answer_that_announces_an_act_and_a_session_answer_a_concern() -> None:
    told = Told()
    told.when(0.1, 1, (1, NEGATIVE))
    planned = told.answer("repair_planned", 2)
    assert told.when(0.1, 2, (1, NEGATIVE), planned) == []
    assert told.when(0.1, 8, (1, NEGATIVE), planned, (8, Attended())) == [("rupture", "resolved", "repaired")]


def test_a_concern_that_comes_up_again_after_it_was_settled_is_told_again_at_once() -> None:
    told = Told()
    told.when(0.1, 1, (1, NEGATIVE))
    settled = ((1, NEGATIVE), (2, Feedback(pillar="trust", sentiment="positive")))
    told.when(0.1, 2, *settled)
    assert told.when(0.1, 3, *settled, (3, NEGATIVE)) == [HELD]


# ── silence ─────────────────────────────────────────────────────────────────────────────────────────────

ABSENT: Final[dict[str, tuple[Sequence[Happening], float]]] = {
    "a visit missed and not rebooked": ([(0, booked("a", 8)), (8, Missed(appointment_id="a"))], 8),
    "a visit called off and not rebooked": (
        [(0, booked("a", 8)), (4, Cancelled(appointment_id="a", initiator="client"))], 4,
    ),
    "a visit missed with the next one booked before": (
        [(0, booked("b", 15)), (0, booked("a", 8)), (8, Missed(appointment_id="a"))], 8,
    ),
    "nothing booked": ([(0, opened()), *weekly(1)], 8.1),
}  # fmt: skip
RISEN: Final = ("silence", "raised", None)


@pytest.mark.parametrize("why", sorted(ABSENT))
def test_an_absence_is_told_where_the_risk_is_at_its_line(why: str) -> None:
    happenings, day = ABSENT[why]
    assert Told().when(0.399, day, *happenings) == []
    assert Told().when(0.4, day, *happenings) == [RISEN]


@pytest.mark.parametrize(
    "why", ["a visit called off and not rebooked", "a visit missed and not rebooked", "nothing booked"]
)
def test_a_long_absence_is_told_at_the_line_of_those_who_come_where_nobody_was_told(why: str) -> None:
    happenings, day = ABSENT[why]
    since = absent_since(course_of(*happenings), on(day))
    assert since is not None
    long = (since - on(0)) / DAY + LONG_DAYS
    assert Told().when(0.3, long - 0.01, *happenings) == []
    assert Told().when(0.299, long, *happenings) == []
    assert Told().when(0.3, long, *happenings) == [RISEN]


def test_an_absence_is_told_so_too_where_a_stop_comes_near_that_is_counted_from_an_earlier_session() -> None:
    called_off = ((8, booked("a", 24)), (20, Cancelled(appointment_id="a", initiator="client")))
    happenings = ((0, opened()), *weekly(1), *called_off)
    last_call = 7 + 30 - 9
    assert Told().when(0.3, last_call - 0.01, *happenings) == []
    assert Told().when(0.299, last_call, *happenings) == []
    assert Told().when(0.3, last_call, *happenings) == [RISEN]
    assert RISEN not in Told().when(0.3, last_call, *happenings, (21, booked("b", 40)))


def test_a_stop_is_looked_for_in_its_last_days_however_late_a_visit_was_called_off() -> None:
    called_off = ((8, booked("a", 30)), (29, Cancelled(appointment_id="a", initiator="client")))
    course = course_of((0, opened()), *weekly(1), *called_off)
    declared = course.standing.declared
    assert declared is not None
    looks = [at for at, _ in timers(Memory(), course, on(29)) if declared - LAST_CALL <= at < declared]
    assert looks


def test_a_long_absence_joins_what_is_open_of_the_client_unless_it_was_put_aside_or_the_risk_is_high() -> None:
    def told() -> Told:
        found = Told()
        assert found.when(0.3, 7.01, *CAME) == RAISED
        return found

    first, long = told(), 14 + LONG_DAYS
    assert first.when(0.39, long, *GONE) == []
    assert first.when(0.4, long, *GONE) == [RISEN]
    second = told()
    assert second.when(0.39, long, *GONE, second.answer("acknowledged", 8)) == []
    third = told()
    assert third.when(0.39, long, *GONE, third.answer("dismissed", 8)) == [RISEN]


@pytest.mark.parametrize(
    "happenings",
    [
        [(0, booked("a", 8)), (8, Missed(appointment_id="a")), (9, booked("b", 60))],
        [(0, booked("a", 8)), (8, Missed(appointment_id="a")), (9, Attended()), (9, booked("c", 20))],
        [(0, opened()), *weekly(1), (8, booked("b", 60))],
        [(0, opened()), *weekly(1), (8, booked("b", 11.9))],
    ],
)
def test_who_has_a_session_to_come_or_not_yet_recorded_is_not_absent(happenings: Sequence[Happening]) -> None:
    assert absent_since(course_of(*happenings), on(12)) is None
    assert ("silence", "raised", None) not in Told().when(0.99, 12, *happenings)


def test_silence_is_resolved_when_a_session_is_booked() -> None:
    told = Told()
    gone: list[Happening] = [(0, booked("a", 8)), (8, Missed(appointment_id="a"))]
    assert told.when(0.5, 11, *gone) == [RISEN]
    assert told.when(0.5, 12, *gone, (12, booked("b", 19))) == [("silence", "resolved", "returned")]


def test_questionnaires_left_out_one_after_the_other_are_told_with_a_raised_risk() -> None:
    skipped = [(0, booked("z", 60)), *((day, Skipped(instrument="SRS")) for day in (1, 2, 3))]
    assert Told().when(0.149, 3, *skipped) == []
    assert Told().when(0.15, 3, *skipped[:-1]) == []
    told = Told()
    assert told.when(0.15, 3, *skipped) == [RISEN]
    assert told.when(0.15, 4, *skipped, (4, measured("SRS", 38))) == [("silence", "resolved", "returned")]
    offered = [(0, booked("z", 60)), *((day, Skipped(instrument="SRS", reason="not_offered")) for day in (1, 2, 3))]
    assert Told().when(0.15, 3, *offered) == []


# ── ending ──────────────────────────────────────────────────────────────────────────────────────────────


def treated(sessions: int, first: float, last: float, **facts: Any) -> list[Happening]:
    """A course whose last two measures are alike."""
    return [
        (0, opened(**facts)), (0, measured("PHQ-9", first)), *weekly(sessions),
        (7 * sessions - 7, measured("PHQ-9", last)), (7 * sessions, measured("PHQ-9", last)),
    ]  # fmt: skip


TALK: Final = ("ending", "raised", None)


@pytest.mark.parametrize(
    ("sessions", "first", "last", "worth"),
    [
        (6, 18, 9, True), (5, 18, 9, False), (6, 18, 10, False), (6, 12, 9, False), (6, 18, 18, False),
        (12, 18, 18, True), (11, 18, 18, False), (12, 18, 17, True), (12, 18, 16, False), (12, 18, 24, True),
    ],
)  # fmt: skip
def test_doing_well_or_a_stalled_course_is_worth_a_talk_where_the_risk_is_raised(
    sessions: int, first: float, last: float, worth: bool
) -> None:
    story = treated(sessions, first, last)
    assert Told().when(0.15, 7 * sessions, *story) == ([TALK] if worth else [])
    assert Told().when(0.149, 7 * sessions, *story) == []


def test_near_the_planned_end_of_a_course_that_goes_well_no_risk_is_needed() -> None:
    assert Told().when(0.01, 42, *treated(6, 18, 9, planned_sessions=8)) == [TALK]
    assert Told().when(0.01, 42, *treated(6, 18, 9, planned_sessions=9)) == []
    assert Told().when(0.01, 84, *treated(12, 18, 18, planned_sessions=12)) == []


def test_one_good_measure_is_no_course_that_goes_well() -> None:
    once = [(0, opened()), (0, measured("PHQ-9", 18)), *weekly(6), (42, measured("PHQ-9", 9))]
    assert Told().when(0.2, 42, *once) == []


def test_a_talk_about_endings_is_told_once_and_not_taken_back() -> None:
    told = Told()
    assert told.when(0.2, 42, *treated(6, 18, 9)) == [TALK]
    assert told.when(0.2, 49, *treated(7, 18, 9)) == []
    assert told.when(0.2, 49, *treated(7, 18, 14)) == []


@pytest.mark.parametrize("what", ["approach", "clinician", "format"])
def test_a_wish_is_told_at_once_and_is_over_when_it_is_met(what: Any) -> None:
    wish: Happening = (1, Feedback(pillar="tasks", sentiment="neutral", wants_change=what))
    told = Told()
    assert told.when(0.001, 1, wish) == [TALK]
    met: Happening = (9, Feedback(pillar="tasks", sentiment="positive"))
    assert told.when(0.001, 9, wish, met) == [("ending", "resolved", "repaired")]
    assert told.when(0.001, 10, wish, met, (10, wish[1])) == [TALK]


@pytest.mark.parametrize(
    ("what", "action"),
    [("approach", "approach_changed"), ("clinician", "transfer_offered"), ("format", "ending_planned")],
)
def test_a_wish_is_over_when_it_is_answered(what: Any, action: str) -> None:
    wish: Happening = (1, Feedback(pillar="tasks", sentiment="neutral", wants_change=what))
    told = Told()
    told.when(0.001, 1, wish)
    assert told.when(0.001, 2, wish, told.answer(action, 2)) == [("ending", "resolved", "repaired")]


def test_a_wish_that_is_said_again_and_again_is_told_once_more_and_then_no_more() -> None:
    told = Told()
    wishes = [(7.0 * n, Feedback(pillar="tasks", sentiment="neutral", wants_change="approach")) for n in range(1, 6)]
    found = [told.when(0.001, 7 * n, *wishes[:n]) for n in range(1, 6)]
    assert found == [[TALK], [("ending", "escalated", None)], [], [], []]
    assert len(told.memory.open) == 1


def test_a_wish_joins_a_talk_that_was_due() -> None:
    told = Told()
    course = treated(6, 18, 9)
    assert told.when(0.2, 42, *course) == [TALK]
    wish: Happening = (43, Feedback(pillar="tasks", sentiment="neutral", wants_change="approach"))
    assert told.when(0.2, 43, *course, wish) == [("ending", "escalated", None)]


def test_a_wish_that_lapsed_is_not_told_to_be_met() -> None:
    wish: Happening = (1, Feedback(pillar="tasks", sentiment="neutral", wants_change="format"))
    told = Told()
    assert told.when(0.001, 1, wish) == [TALK]
    assert told.when(0.001, 62, wish) == [("ending", "resolved", "risk_fell")]


def test_a_wish_that_was_taken_back_is_over_and_a_wish_that_came_late_is_told() -> None:
    wish: Happening = (1, Feedback(pillar="tasks", sentiment="neutral", wants_change="format"))
    told = Told()
    assert told.when(0.001, 1, wish) == [TALK]
    assert told.when(0.001, 2, wish, (2, Retracted(event_id="e-0"))) == [("ending", "resolved", "risk_fell")]
    late: Happening = (0.5, Feedback(pillar="tasks", sentiment="neutral", wants_change="approach"))
    told = Told()
    assert told.when(0.001, 1, wish) == [TALK]
    assert told.when(0.001, 1.5, late, wish) == [("ending", "escalated", None)]


# ── safety ──────────────────────────────────────────────────────────────────────────────────────────────


def test_safety_is_told_every_time_whatever_was_told_before() -> None:
    told = Told()
    for _ in range(5):
        assert told.when(0.1, 1, safety=True) == [("safety", "raised", None)]
    assert told.memory == Memory()


@pytest.mark.parametrize("state", ["stopped", "ended"])
def test_safety_is_told_of_an_episode_that_is_not_open_too(state: State) -> None:
    assert Told().when(None, 1, state=state, safety=True) == [("safety", "raised", None)]


# ── endings of episodes ─────────────────────────────────────────────────────────────────────────────────


EVERYTHING: Final[list[Happening]] = [
    (0, opened()), *weekly(1), (8, Feedback(pillar="tasks", sentiment="negative", wants_change="approach")),
]  # fmt: skip


@pytest.mark.parametrize("state", ["stopped", "ended"])
def test_all_open_alerts_are_resolved_when_the_episode_is_no_longer_open(state: State) -> None:
    told = Told()
    raised = [*told.decisions(0.3, 7, *EVERYTHING[:2]), *told.decisions(0.5, 9, *EVERYTHING)]
    assert [each.kind for each in raised] == ["risk", "rupture", "ending", "silence"]
    over = told.decisions(None, 61, *EVERYTHING, (61, Ended(reason="planned")), state=state)
    assert over == [Decision(each.id, each.kind, "resolved", "ended") for each in raised]
    assert told.memory.open == ()
    assert told.when(None, 62, *EVERYTHING, state=state) == []


def test_several_kinds_are_told_in_one_order() -> None:
    kinds = [kind for kind, *_ in Told().when(0.5, 9, *EVERYTHING, safety=True)]
    assert kinds == ["rupture", "ending", "silence", "safety"]


def test_alerts_count_as_unsettled_until_a_matter_is_settled() -> None:
    told = Told()
    told.when(0.1, 1, (1, NEGATIVE))
    assert told.memory.unsettled == 1
    both = ((1, NEGATIVE), (2, Feedback(pillar="tasks", sentiment="neutral", wants_change="format")))
    told.when(0.1, 2, *both)
    assert told.memory.unsettled == 2
    told.when(0.1, 3, *both, (3, Feedback(pillar="trust", sentiment="positive")))
    assert (told.memory.unsettled, told.memory.count) == (0, 2)


# ── ids ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_input_gives_the_same_decisions_ids_and_memory() -> None:
    course = course_of(*CAME)
    situation = Situation(
        "north/ep-1", "/north/b#1", "sha256:0", on(7.01), "open", 0.9, course, signals_of(course, on(7.01)), on(7)
    )
    assert decide(POLICY, Memory(), situation) == decide(POLICY, Memory(), situation)
    assert decide(POLICY, Memory(), situation)[0][0].id == alert_id("north/ep-1", "risk", "/north/b#1", "sha256:0")


def test_an_id_tells_apart_episode_kind_trigger_and_release() -> None:
    given = ("north/ep-1", "risk", "/north/b#1", "sha256:0")
    changed = [tuple("x" if n == place else part for n, part in enumerate(given)) for place in range(4)]
    ids = {alert_id(*given), *(alert_id(*other) for other in changed)}
    assert len(ids) == 5
    assert all(name.startswith("al-") and len(name) == 27 for name in ids)


def test_memory_reads_back_as_it_was_written() -> None:
    told = Told()
    told.when(0.9, 7.01, *CAME)
    told.when(0.9, 7.02, *CAME)
    told.when(0.1, 8, *CAME, (8, NEGATIVE))
    assert told.memory.raised and told.memory.count == 2
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(told.memory), type=Memory) == told.memory


# ── timers ──────────────────────────────────────────────────────────────────────────────────────────────


def due(happenings: Sequence[Happening], memory: Memory = Memory(), day: float = 8) -> dict[str, float]:  # noqa: B008  # frozen
    """The last due moments of a story by name, in days."""
    return {name: (at - on(0)) / DAY for at, name in timers(memory, course_of(*happenings), on(day))}


def looks(happenings: Sequence[Happening], name: str, day: float = 8) -> list[float]:
    """The days of a story's timers of a name."""
    return [(at - on(0)) / DAY for at, told in timers(Memory(), course_of(*happenings), on(day)) if told == name]


def test_an_absence_is_looked_at_again_and_again_until_a_stop_is_declared() -> None:
    alone = [(0, opened()), *weekly(1)]
    assert looks(alone, "nothing-booked") == [7 + days for days in LOOKS_DAYS]
    assert looks(alone, "nothing-booked", day=20) == [21, 25, 29, 33]
    later = looks([*alone, (8, booked("a", 20))], "nothing-booked")
    assert later == [pytest.approx(23), 25, 29, 33]  # not before what is booked counts as unrecorded
    lost = [(0, opened()), (0, booked("a", 8)), (8, Missed(appointment_id="a"))]
    assert looks(lost, "not-rebooked") == [8 + days for days in LOOKS_DAYS]
    assert due(alone)["stop-declared"] == 37 and due(lost)["stop-declared"] == 38


def test_a_visit_ahead_holds_back_the_declaration_of_a_stop_until_it_counts_as_unrecorded() -> None:
    times = due([(0, opened()), *weekly(1), (8, booked("a", 50))])
    assert times["stop-declared"] == times["visit-unrecorded"] == pytest.approx(53)


def test_a_snooze_falls_due_at_its_end() -> None:
    told = Told(POLICY)
    told.when(0.3, 1)
    snoozed = told.answer("snoozed", 2, until=9)
    assert due([(0, opened()), snoozed], told.memory)["snooze-over"] == 9


def test_an_episode_that_is_not_open_has_no_timers() -> None:
    assert due([(0, opened()), (1, Ended(reason="planned"))]) == {}
    assert due([(0, opened())], day=31) == {}


# ── a hold-out ──────────────────────────────────────────────────────────────────────────────────────────

HOLDING: Final = msgspec.structs.replace(POLICY, withhold=0.2)
IN, OUT = "north/ep-11", "north/ep-1"
"""An episode in the hold-out, and one that is not."""


def test_a_risk_alert_is_withheld_in_the_hold_out_alone() -> None:
    assert withheld(HOLDING.withhold, IN) and not withheld(HOLDING.withhold, OUT)
    assert Told(HOLDING, IN).when(0.9, 1) == []
    assert Told(HOLDING, OUT).when(0.9, 1) == Told(POLICY, IN).when(0.9, 1) == [("risk", "raised", None)]


def test_every_other_kind_is_told_in_the_hold_out_too() -> None:
    for share in (None, 0.2):
        policy = msgspec.structs.replace(POLICY, withhold=share)
        held = Told(policy, IN).when(0.9, 9, *EVERYTHING, safety=True)
        assert [kind for kind, _, _ in held] == ["rupture", "ending", "silence", "safety"]


def test_an_alert_that_was_shown_goes_on_in_the_hold_out() -> None:
    """It is escalated and resolved, and comes back after a snooze, as a clinician asked for it."""
    for answer in (None, "snoozed"):
        told = Told(POLICY, IN)
        told.when(0.3, 1)
        told.policy = HOLDING
        if answer is None:
            assert told.when(0.6, 2) == [("risk", "escalated", None)]
            assert told.when(0.1, 3) == [("risk", "resolved", "risk_fell")]
            assert told.when(0.9, 90) == []
        else:
            snoozed = told.answer(answer, 2, until=4)
            assert told.when(0.3, 4, snoozed) == [("risk", "resolved", "snoozed_out"), ("risk", "raised", None)]


def test_where_the_hold_out_ends_what_was_withheld_is_told_at_the_next_look() -> None:
    told = Told(HOLDING, IN)
    assert told.when(0.9, 1) == []
    told.policy = POLICY
    assert told.when(0.9, 2) == [("risk", "raised", None)]


def test_a_hold_out_has_its_share_of_episodes_and_a_smaller_one_lies_in_it() -> None:
    names = [f"clinic-{n % 7}/{n:x}" for n in range(20_000)]
    small, great = ({name for name in names if withheld(share, name)} for share in (0.05, 0.2))
    assert small < great and not any(withheld(None, name) for name in names)
    assert len(small) / 20_000 == pytest.approx(0.05, abs=0.005) and len(great) / 20_000 == pytest.approx(0.2, abs=0.01)


# ── policies ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "change",
    [
        {"line": 0.2}, {"line": 0.5}, {"release": 0.3}, {"release": 0.0}, {"release": -0.1}, {"escalate": 1.0},
        {"escalate": 0.3}, {"line": float("nan")}, {"refractory_days": -1}, {"absent": 0.0}, {"absent": 1.0},
        {"absent": float("nan")}, {"strain": -0.1}, {"strain": 1.0}, {"strain": float("nan")}, {"most": 0},
        {"quiet_days": 0}, {"quiet_days": float("nan")}, {"refractory_days": float("inf")},
        {"withhold": 0.0}, {"withhold": -0.1}, {"withhold": 0.21},
        {"withhold": float("nan")}, {"catch_up_hours": 0}, {"catch_up_hours": float("nan")}, {"catch_up_hours": 1e6},
    ],
)  # fmt: skip
def test_a_policy_with_impossible_thresholds_is_refused(change: dict[str, Any]) -> None:
    facts = msgspec.structs.asdict(POLICY) | change
    with pytest.raises(ValueError, match="policy"):
        Policy(**facts)


def test_a_policy_of_another_shape_is_not_read() -> None:
    for change in (b'{"line":0.3}', b"{}", msgspec.json.encode(POLICY)[:-1] + b',"extra":1}'):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(change, type=Policy)


def test_what_a_policy_leaves_as_it_is_is_not_written() -> None:
    written = msgspec.json.encode(POLICY)
    assert b"withhold" not in written and msgspec.json.decode(written, type=Policy).withhold is None
    assert b"withhold" not in msgspec.json.encode(msgspec.json.decode(written, type=Policy))
    assert msgspec.json.decode(msgspec.json.encode(HOLDING), type=Policy) == HOLDING
