"""When to alert: a line with hysteresis, each alert once, quiet where a clinician asked for it, and safety always."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pytest

from keepwell.alerting.decide import Decision, alert_id, decide, snoozes, timers, withheld
from keepwell.alerting.kinds.ending import ending_because
from keepwell.alerting.kinds.silence import silent_because
from keepwell.alerting.policy import Memory, OpenAlert, Policy, Situation
from keepwell.care.course import Course
from keepwell.contract.events import (
    Actioned,
    Attended,
    Cancelled,
    Contact,
    Ended,
    Missed,
    RepairAttempt,
    RuptureNote,
    Skipped,
)
from keepwell.contract.words import State
from tests.episodes import INTERPRET, Happening, booked, lived, measured, on, opened, story, weekly
from tests.strategies import DAY, moment

POLICY: Final = Policy(
    line=0.3, release=0.2, escalate=0.5, refractory_days=21, unbooked_days=7, unrebooked_days=3, skips=3, unanswered=2,
    ending_sessions=6, stalled_gain=0.25,
)  # fmt: skip
QUIET: Final = msgspec.structs.replace(POLICY, unbooked_days=3650)
"""Never silent for want of a booking, so that a story can speak of one kind alone."""


def course_of(*happenings: Happening) -> Course:
    return lived(story(*happenings)).course if happenings else Course(INTERPRET)


class Told:
    """A policy at work on one episode: what it told so far, and what it remembers."""

    def __init__(self, policy: Policy = QUIET, episode: str = "north/ep-1") -> None:
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
        now = Situation(
            self.episode, f"/north/booking#t-{self.count}", "sha256:0", on(day), state, risk, course_of(*happenings),
            on(day) if safety else None,
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


def test_between_two_sessions_of_somebody_who_comes_no_risk_is_raised_and_at_the_next_moment_it_is() -> None:
    told = Told()
    assert told.when(0.9, 7.05, *CAME) == []
    assert told.when(0.9, 10, *CAME) == []
    lost = (*CAME, (10.1, Cancelled(appointment_id="next", initiator="client")))
    assert told.when(0.9, 10.1, *lost) == RAISED


def test_at_the_end_of_a_session_a_risk_is_raised() -> None:
    assert Told().when(0.3, 7, *CAME[:2]) == RAISED
    assert Told().when(0.3, 7.03, *CAME) == RAISED


def test_between_two_sessions_what_was_raised_stays_is_escalated_and_is_resolved_as_ever() -> None:
    told = Told()
    assert told.when(0.3, 7.01, *CAME) == RAISED
    assert told.when(0.4, 9, *CAME) == []
    assert told.when(0.9, 10, *CAME) == [("risk", "escalated", None)]
    assert told.when(0.1, 11, *CAME) == [("risk", "resolved", "risk_fell")]


def test_the_refractory_time_of_one_kind_does_not_silence_another() -> None:
    told = Told()
    told.when(0.3, 0)
    told.when(0.1, 10)
    assert told.when(0.1, 11, (10.5, RuptureNote(kind="withdrawal"))) == [("rupture", "raised", None)]


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


# ── rupture ─────────────────────────────────────────────────────────────────────────────────────────────

NOTED: Final[Happening] = (1, RuptureNote(kind="withdrawal", pillar="bond"))


def test_a_rupture_is_raised_once_and_resolved_when_repaired() -> None:
    told = Told()
    assert told.when(0.1, 1, NOTED) == [("rupture", "raised", None)]
    assert told.when(0.1, 2, NOTED) == []
    repaired = (NOTED, (3, RepairAttempt(outcome="better")))
    assert told.when(0.1, 3, *repaired) == [("rupture", "resolved", "repaired")]


def test_a_rupture_that_was_given_up_is_never_told_to_be_repaired() -> None:
    told = Told()
    told.when(0.1, 1, NOTED)
    assert told.when(0.1, 60, NOTED, *weekly(6)) == []
    assert told.open.kind == "rupture"


# ── silence ─────────────────────────────────────────────────────────────────────────────────────────────

SILENT: Final[dict[str, tuple[Sequence[Happening], float]]] = {
    "a visit missed and not rebooked": ([(0, booked("a", 8)), (8, Missed(appointment_id="a"))], 11),
    "a visit called off and not rebooked": (
        [(0, booked("a", 8)), (4, Cancelled(appointment_id="a", initiator="client"))], 7,
    ),
    "nothing booked": ([(0, opened()), *weekly(1)], 14),
    "measures skipped": ([(0, booked("z", 60)), *((day, Skipped(instrument="SRS")) for day in (1, 2, 3))], 3),
    "outreach unanswered": (
        [(0, booked("z", 60)), *((day, Contact(direction="outbound", purpose="outreach")) for day in (1, 2))], 2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("why", sorted(SILENT))
def test_silence_is_told_from_its_moment_on_and_not_before(why: str) -> None:
    happenings, day = SILENT[why]
    course = course_of(*happenings)
    assert silent_because(POLICY, course, on(day))
    earlier = [happening for happening in happenings if happening[0] < day]
    assert silent_because(POLICY, course_of(*earlier), on(day) - 1) == []


@pytest.mark.parametrize(
    "happenings",
    [
        [(0, booked("a", 8)), (8, Missed(appointment_id="a")), (9, booked("b", 60))],
        [(0, booked("a", 8)), (8, Missed(appointment_id="a")), (9, Attended())],
        [(0, booked("b", 60)), (0, booked("a", 8)), (8, Missed(appointment_id="a"))],
        [(0, opened()), *weekly(1), (8, booked("b", 60))],
        [(0, booked("z", 60)), *((day, Skipped(instrument="SRS")) for day in (1, 2)), (3, measured("SRS", 38))],
        [(0, booked("z", 60)), *((day, Skipped(instrument="SRS", reason="not_offered")) for day in (1, 2, 3))],
        [
            (0, booked("z", 60)),
            *((day, Contact(direction="outbound", purpose="outreach")) for day in (1, 2)),
            (3, Contact(direction="inbound")),
        ],
    ],
)
def test_what_is_answered_is_not_silent(happenings: Sequence[Happening]) -> None:
    assert silent_because(POLICY, course_of(*happenings), on(12)) == []


@pytest.mark.parametrize("days_after_its_start", [0, 0.02, 1, 3])
def test_a_session_under_way_or_not_yet_recorded_is_not_silent(days_after_its_start: float) -> None:
    course = course_of((0, opened()), (0, Attended()), (0, booked("a", 14)))
    assert silent_because(POLICY, course, on(14 + days_after_its_start)) == []
    assert silent_because(POLICY, course, on(17) + 1) == ["No session is booked, and the last sign lies 17 days back"]


def test_silence_is_resolved_when_the_client_is_back() -> None:
    told = Told(POLICY)
    gone: list[Happening] = [(0, booked("a", 8)), (8, Missed(appointment_id="a"))]
    assert told.when(0.1, 11, *gone) == [("silence", "raised", None)]
    assert told.when(0.1, 12, *gone, (12, booked("b", 19))) == [("silence", "resolved", "returned")]


# ── ending ──────────────────────────────────────────────────────────────────────────────────────────────


def treated(sessions: int, first: float, last: float) -> list[Happening]:
    return [(0, opened()), (0, measured("PHQ-9", first)), *weekly(sessions), (7 * sessions, measured("PHQ-9", last))]


@pytest.mark.parametrize(
    ("sessions", "first", "last", "worth"),
    [
        (6, 18, 9, True), (5, 18, 9, False), (6, 18, 10, False), (6, 12, 9, False), (6, 18, 18, False),
        (12, 18, 18, True), (11, 18, 18, False), (12, 18, 17, True), (12, 18, 16, False), (12, 18, 24, True),
    ],
)  # fmt: skip
def test_doing_well_or_a_stalled_course_is_worth_a_talk_about_endings(
    sessions: int, first: float, last: float, worth: bool
) -> None:
    course = course_of(*treated(sessions, first, last))
    assert bool(ending_because(POLICY, course)) is worth
    assert Told().when(0.1, 90, *treated(sessions, first, last)) == ([("ending", "raised", None)] if worth else [])


def test_without_two_measures_no_course_is_stalled() -> None:
    assert ending_because(POLICY, course_of((0, opened()), (0, measured("PHQ-9", 18)), *weekly(30))) == []


def test_a_talk_about_endings_is_told_once_and_not_taken_back() -> None:
    told = Told()
    assert told.when(0.1, 50, *treated(6, 18, 9)) == [("ending", "raised", None)]
    assert told.when(0.1, 60, *treated(6, 18, 9)) == []
    assert told.when(0.1, 60, *treated(6, 18, 14)) == []


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


@pytest.mark.parametrize("state", ["stopped", "ended"])
def test_all_open_alerts_are_resolved_when_the_episode_is_no_longer_open(state: State) -> None:
    told = Told(POLICY)
    situation = [*treated(6, 18, 9), (43, RuptureNote(kind="withdrawal"))]
    raised = told.decisions(0.4, 60, *situation)
    assert [each.kind for each in raised] == ["risk", "rupture", "silence", "ending"]
    over = told.decisions(None, 61, *situation, (61, Ended(reason="planned")), state=state)
    assert over == [Decision(each.id, each.kind, "resolved", "ended") for each in raised]
    assert told.memory.open == ()
    assert told.when(None, 62, *situation, state=state) == []


def test_several_kinds_are_told_in_one_order() -> None:
    told = Told(POLICY)
    told_of = [*treated(6, 18, 9), (43, RuptureNote(kind="withdrawal"))]
    kinds = [kind for kind, *_ in told.when(0.4, 60, *told_of, safety=True)]
    assert kinds == ["risk", "rupture", "silence", "ending", "safety"]


# ── ids ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_input_gives_the_same_decisions_ids_and_memory() -> None:
    situation = Situation(
        "north/ep-1", "/north/b#1", "sha256:0", on(60), "open", 0.9, course_of(*treated(6, 18, 9)), True
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
    told = Told(POLICY)
    told.when(0.9, 60, *treated(6, 18, 9))
    told.when(0.9, 61, *treated(6, 18, 9))
    told.when(0.1, 62, *treated(6, 18, 9))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(told.memory), type=Memory) == told.memory


# ── timers ──────────────────────────────────────────────────────────────────────────────────────────────


def due(happenings: Sequence[Happening], memory: Memory = Memory(), day: float = 8) -> dict[str, float]:  # noqa: B008  # frozen
    """The due moments of a story by name, in days."""
    return {name: (at - on(0)) / DAY for at, name in timers(POLICY, memory, course_of(*happenings), on(day))}


def test_timers_fall_where_an_episode_changes_without_an_event() -> None:
    assert due([(0, opened()), *weekly(1)]) == {"nothing-booked": 14, "stop-declared": 37}
    later = due([(0, opened()), *weekly(1), (8, booked("a", 20))])
    assert later == {"nothing-booked": pytest.approx(23), "visit-unrecorded": pytest.approx(23), "stop-declared": 37}
    lost = due([(0, opened()), (0, booked("a", 8)), (8, Missed(appointment_id="a"))])
    assert lost == {"not-rebooked": 11, "nothing-booked": 15, "stop-declared": 38}


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

HOLDING: Final = msgspec.structs.replace(QUIET, withhold=0.2)
IN, OUT = "north/ep-11", "north/ep-1"
"""An episode in the hold-out, and one that is not."""


def test_a_risk_alert_is_withheld_in_the_hold_out_alone() -> None:
    assert withheld(HOLDING.withhold, IN) and not withheld(HOLDING.withhold, OUT)
    assert Told(HOLDING, IN).when(0.9, 1) == []
    assert Told(HOLDING, OUT).when(0.9, 1) == Told(QUIET, IN).when(0.9, 1) == [("risk", "raised", None)]


def test_every_other_kind_is_told_in_the_hold_out_too() -> None:
    silent = [(1, Missed(appointment_id="a")), (2, RuptureNote(kind="withdrawal"))]
    every, held = (
        Told(msgspec.structs.replace(POLICY, withhold=share), IN).when(
            0.9, 9, (0, booked("a", 1)), *silent, safety=True
        )
        for share in (None, 0.2)
    )
    assert {kind for kind, _, _ in held} == {"rupture", "silence", "safety"}
    assert [one for one in every if one[0] != "risk"] == held


def test_an_alert_that_was_shown_goes_on_in_the_hold_out() -> None:
    """It is escalated and resolved, and comes back after a snooze, as a clinician asked for it."""
    for answer in (None, "snoozed"):
        told = Told(QUIET, IN)
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
    told.policy = QUIET
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
        {"escalate": 0.3}, {"line": float("nan")}, {"refractory_days": -1}, {"unbooked_days": 0}, {"unrebooked_days": 0},
        {"unbooked_days": -7}, {"skips": 0}, {"unanswered": 0}, {"ending_sessions": 0}, {"skips": -1},
        {"refractory_days": float("inf")}, {"unbooked_days": float("nan")}, {"stalled_gain": float("nan")},
        {"unbooked_days": 1e12}, {"unrebooked_days": float("inf")}, {"withhold": 0.0}, {"withhold": -0.1}, {"withhold": 0.21},
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


def test_a_policy_without_a_hold_out_is_the_file_that_it_always_was() -> None:
    """So the digests of releases made before stay."""
    written = msgspec.json.encode(POLICY)
    assert b"withhold" not in written and msgspec.json.decode(written, type=Policy).withhold is None
    assert b"withhold" not in msgspec.json.encode(msgspec.json.decode(written, type=Policy))
    assert msgspec.json.decode(msgspec.json.encode(HOLDING), type=Policy) == HOLDING
