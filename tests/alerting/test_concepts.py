"""The table of concepts: each signal, alone in an otherwise quiet course, with what comes out of it: the kind of alert, the
pillar, a reason that names it, and a suggestion that is about it. Whatever the release: the risk of a quiet course is low."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import pytest

from keepwell.alerting.assess import Assessor, Trigger
from keepwell.alerting.conditions import conditions_of
from keepwell.alerting.playbook import PLAYBOOK
from keepwell.alerting.policy import Memory
from keepwell.contract import events as ev
from keepwell.contract.outputs import Alert
from models.hand_set import POLICY
from models.release import default
from tests.episodes import Happening, booked, lived, measured, on, opened, srs, story

SESSIONS: Final = 5
END: Final = 7.0 * SESSIONS
ASSESSOR: Final = Assessor(default().digest, default().scorer, POLICY)
BY_ID: Final = {entry.id: entry for entry in PLAYBOOK}


class Row(NamedTuple):
    """What is told, and what comes of it. `first`: the suggestion that leads."""

    told: Sequence[Happening]
    kind: str
    pillar: str | None
    reason: str
    first: str


def said(pillar: str, sentiment: str = "negative", wants: str = "none") -> list[Happening]:
    return [(END + 0.004, ev.Feedback(pillar=pillar, sentiment=sentiment, wants_change=wants))]  # type: ignore[arg-type]  # words of the contract


HOMEWORK: Final = [
    (day, ev.HomeworkReview(completion=done)) for day, done in ((22, 1.0), (29, 0.6), (END + 0.004, 0.3))
]
CALLED_OFF: Final = [
    (END - 6.9, booked("x", END - 3)), (END - 6.8, ev.Cancelled(appointment_id="x", initiator="clinic")),
    (END - 6.7, booked("y", END - 2)), (END - 6.6, ev.Cancelled(appointment_id="y", initiator="clinic")),
]  # fmt: skip

ROWS: Final = {
    "goals": Row(
        said("goals"), "rupture", "goals", "The client said that the goals do not fit", "voiced-goals-their-own-words"
    ),
    "tasks": Row(
        said("tasks"), "rupture", "tasks", "The client said that the way of working does not fit", "tasks-say-what-it-is-for"
    ),
    "bond": Row(
        said("bond"), "rupture", "bond", "The client said that the two do not get on well", "bond-invite-feedback"
    ),
    "trust and safety": Row(
        said("trust"), "rupture", "trust", "The client said that it is hard to speak freely", "voiced-trust-what-would-help"
    ),
    "empathy": Row(
        said("empathy"), "rupture", "empathy", "The client said that they do not feel understood",
        "empathy-check-understanding",
    ),
    "consistency, as the client sees it": Row(
        said("consistency"), "rupture", "consistency", "The client said that times or people change too much",
        "consistency-steady-frame",
    ),
    "consistency, broken by the clinic": Row(
        CALLED_OFF, "rupture", "consistency", "The clinic cancelled two visits in a row", "consistency-name-the-change"
    ),
    "consistency, another clinician": Row(
        [(END + 0.004, ev.ClinicianChange(clinician_id="c-2", reason="absence"))], "rupture", "consistency",
        "The clinician changed because of absence", "consistency-name-the-change",
    ),
    "cultural humility": Row(
        said("culture"), "rupture", "culture", "The client said that where they come from is not respected",
        "culture-ask-what-matters",
    ),
    "pace": Row(said("pace"), "rupture", "pace", "The client said that the pace does not fit", "pace-ask-about-speed"),
    "logistics": Row(
        said("logistics"), "rupture", "logistics", "The client said that times, place or cost make it hard to come",
        "logistics-remove-one-obstacle",
    ),
    "homework": Row(
        HOMEWORK, "rupture", "tasks", "Less homework done each time, three times in a row", "tasks-what-got-in-the-way"
    ),
    "a complaint": Row(
        [(END + 0.004, ev.Contact(direction="inbound", purpose="complaint"))], "rupture", None, "The client complained",
        "voiced-complaint-heard-first",
    ),
    "a strain that was reported": Row(
        [(END + 0.004, ev.RuptureNote(kind="withdrawal", pillar="bond"))], "rupture", "bond",
        "A strain between the two was reported, about liking and trust between the two: the client draws back",
        "bond-room-below-perfect",
    ),
    "a strain that the ratings show": Row(
        [(END + 0.005, srs(9, 9, 2, 9))], "rupture", "bond", "SRS bond 2 of 10; usually about 9", "bond-room-below-perfect"
    ),
    **{
        f"fit and moving on: another {what}": Row(
            said("tasks", "neutral", what), "ending", None, f"Would like another {what}", first
        )
        for what, first in (
            ("approach", "ending-another-approach"), ("clinician", "ending-warm-transfer"),
            ("format", "ending-another-approach"),
        )
    },
}  # fmt: skip


def course(*more: Happening) -> list[Happening]:
    """Five weekly sessions that go well, the next one booked, and what is told besides."""
    found: list[Happening] = [(0, opened(preference_met=True, referral="self")), (0.01, booked("a-1", 7))]
    for number in range(1, SESSIONS + 1):
        day = 7.0 * number
        found += [
            (day - 0.002, measured("ORS", 22 + number)), (day, ev.Attended(appointment_id=f"a-{number}")),
            (day + 0.002, srs(9, 9, 9, 9)), (day + 0.003, booked(f"a-{number + 1}", day + 7)),
        ]  # fmt: skip
    return sorted([*found, *more], key=lambda happening: happening[0])


def alerts(told: Sequence[Happening]) -> list[Alert]:
    live = lived(story(*told))
    return ASSESSOR.assess(live, Memory(), on(END + 0.01), Trigger("ev-1", "/north/ehr"))[1]


def test_a_quiet_course_gives_no_alert() -> None:
    assert alerts(course()) == []


@pytest.mark.parametrize("name", ROWS)
def test_a_signal_alone_opens_a_matter_with_its_pillar_its_reason_and_what_to_try(name: str) -> None:
    row = ROWS[name]
    told = course(*row.told)
    [alert] = alerts(told)
    assert (alert.kind, alert.pillar, alert.reasons[0]) == (row.kind, row.pillar, row.reason)
    assert alert.suggestions[0].id == row.first
    now = conditions_of(lived(story(*told)).course, on(END + 0.01))
    for offer in alert.suggestions:
        entry = BY_ID[offer.id]
        assert set(entry.when) <= now and not set(entry.unless) & now
    if row.kind == "ending":
        assert {offer.id for offer in alert.suggestions} == {
            "ending-talk-about-ending-well", "ending-another-approach", "ending-warm-transfer",
        }  # fmt: skip


def test_speaking_openly_is_heard_answered_and_told_as_good_news() -> None:
    told = course(*said("trust"))
    live = lived(story(*told))
    _, [alert], memory = ASSESSOR.assess(live, Memory(), on(END + 0.01), Trigger("ev-1", "/north/ehr"))
    answered: list[Happening] = [
        (END + 1, ev.RepairAttempt(pillar="trust", alert_id=alert.alert_id)),
        (END + 7, ev.Attended(appointment_id="a-6")), (END + 7.001, booked("a-7", END + 14)),
    ]  # fmt: skip
    live = lived(story(*told, *answered))
    _, [settled], _ = ASSESSOR.assess(live, memory, on(END + 7.002), Trigger("ev-2", "/north/ehr"))
    assert (settled.alert_id, settled.status, settled.why) == (alert.alert_id, "resolved", "repaired")
    assert settled.reasons == ("A concern that was spoken of and mended is the alliance at work",)
