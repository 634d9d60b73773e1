"""From an episode to what is told: a score with reasons and gaps, and alerts in plain words with what they rest on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec
import pytest
from hypothesis import given, settings
from msgspec import UNSET

from keepwell.alerting.assess import RISK_DIGITS, Assessor, Trigger
from keepwell.alerting.kinds.kind import MOST_GROUNDS
from keepwell.alerting.policy import Memory
from keepwell.care.endings import DEFINITION
from keepwell.contract.events import (
    AnyEvent,
    Attended,
    ClinicianChange,
    Contact,
    Ended,
    Feedback,
    Measured,
    Missed,
    Retracted,
    RuptureNote,
    Skipped,
)
from keepwell.contract.outputs import Alert
from keepwell.scoring.features import FEATURES
from keepwell.scoring.reasons import LEAST_POINTS, MOST_REASONS, OTHER, POINT_DIGITS
from keepwell.scoring.scorecard import Offsets, Scorecard, Term
from keepwell.scoring.scorer import Scorer
from models.hand_set import POLICY
from models.release import default
from services.predictor.bootstrap import assessor_of
from tests.episodes import Happening, booked, lived, measured, on, opened, srs, story, weekly
from tests.strategies import episode_logs, make

SHIPPED: Final = assessor_of(default())
TRIGGER: Final = Trigger("ev-1", "/north/booking")


def simple(*terms: Term, base: float = -1.0) -> Assessor:
    """An assessor with a card of a few terms."""
    return Assessor("sha256:0", Scorer(Scorecard(base=(base,) * 4, terms=terms)), POLICY)


def term(feature: str, points: float) -> Term:
    """A term that gives the same points whatever the value."""
    return Term(feature=feature, edges=(), points=((points,) * 4,), missing=(points,) * 4)


def alerts(
    told: Sequence[Happening], day: float, assessor: Assessor = SHIPPED, *, safety: bool = False
) -> dict[str, Alert]:
    """The alerts raised on a day of a story of which nothing was told before, by kind."""
    trigger = Trigger("ev-1", "/north/booking", None, on(day) if safety else None)
    _, raised, _ = assessor.assess(lived(story(*told)), Memory(), on(day), trigger)
    return {alert.kind: alert for alert in raised}


RUPTURE: Final[list[Happening]] = [
    (0, opened()), *((7.0 * n, srs(9, 9, 9, 9)) for n in range(1, 5)), (30, booked("next", 42)), (35, srs(9, 9, 4, 9)),
]  # fmt: skip

# ── scores ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_score_says_of_whom_when_why_and_by_which_model() -> None:
    live = lived(story((0, opened(clinician_id="c-4")), *weekly(2)))
    trigger = Trigger("ev-9", "/north/booking", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    score, _ = SHIPPED.score(live, on(15), trigger)
    assert (score.episode, score.clinician_id, score.as_of) == ("north/ep-1", "c-4", "2026-01-20T09:00:00Z")
    assert (score.trigger, score.trigger_source, score.traceparent) == trigger[:3]
    assert (score.model, score.definition, score.state) == (default().digest, DEFINITION, "open")
    without, _ = SHIPPED.score(live, on(15), TRIGGER)
    assert without.traceparent is UNSET


def test_the_clinician_is_the_one_in_charge_now_and_null_while_nobody_was_named() -> None:
    change: Happening = (8, ClinicianChange(clinician_id="c-2"))
    assert SHIPPED.score(lived(story((0, opened()), change)), on(9), TRIGGER)[0].clinician_id == "c-2"
    assert SHIPPED.score(lived(story((7, Attended()))), on(9), TRIGGER)[0].clinician_id is None


def test_risks_are_rounded_so_that_they_can_be_read() -> None:
    score, _ = simple(term("missed", 1 / 3)).score(lived(story((0, opened()))), on(1), TRIGGER)
    assert score.risk is not None
    for risk in (score.risk.d14, score.risk.d30, score.risk.d60):
        assert risk == round(risk, RISK_DIGITS)


def test_the_next_visit_has_a_chance_only_where_one_is_booked() -> None:
    told: list[Happening] = [(0, opened()), (1, booked("a", 8))]
    live = lived(story(*told))
    assert SHIPPED.score(live, on(7), TRIGGER)[0].next_visit_missed is not None
    assert SHIPPED.score(live, on(8), TRIGGER)[0].next_visit_missed is None
    other = lived(story((0, opened()), (1, booked("a", 8, purpose="administrative"))))
    assert SHIPPED.score(other, on(7), TRIGGER)[0].next_visit_missed is not None


@pytest.mark.parametrize(
    ("told", "day", "state"),
    [
        ([(0, opened()), (1, Ended(reason="planned"))], 2, "ended"),
        ([(0, opened()), (1, Ended(reason="client_stopped"))], 2, "stopped"),
        ([(0, opened()), (1, Ended(reason="client_stopped", mutual=True))], 2, "ended"),
        ([(0, opened())], 30, "stopped"),
    ],
)
def test_where_an_episode_is_not_open_there_is_no_risk_and_no_reason(
    told: list[Happening], day: float, state: str
) -> None:
    score, scored = SHIPPED.score(lived(story(*told)), on(day), TRIGGER)
    assert (score.state, score.risk, score.next_visit_missed, score.reasons, scored) == (state, None, None, (), None)


def test_an_episode_without_its_opening_is_scored_and_the_gaps_say_so() -> None:
    score, _ = SHIPPED.score(lived(story((7, Attended()))), on(8), TRIGGER)
    assert score.risk is not None
    assert "the opening of the episode was not received" in score.gaps


def test_an_episode_of_which_nothing_holds_is_scored() -> None:
    told = story((0, opened()))
    gone = make(Retracted(event_id="e-0"), 1, "e-1")
    score, _ = SHIPPED.score(lived([*told, gone]), on(1), TRIGGER)
    assert score.state == "open"
    assert all(reason.text for reason in score.reasons)


# ── reasons ─────────────────────────────────────────────────────────────────────────────────────────────


SEVERAL: Final = (
    "missed",
    "homework_unreviewed",
    "clinic_cancelled",
    "client_moves",
    "wants_format",
    "booked_ahead",
    "rupture_open",
)
"""Features of which each says something of its own."""


def test_reasons_are_the_strongest_parts_and_what_changed_lately_leads_and_they_add_up() -> None:
    points = [0.1, -0.5, 0.3, 0.04, 0.2, -0.06, 0.9]
    card = simple(*(term(name, size) for name, size in zip(SEVERAL, points, strict=True)))
    score, scored = card.score(lived(story((0, opened()))), on(1), TRIGGER)
    # The visits missed and those that the clinic cancelled sum up the whole course.
    assert [reason.points for reason in score.reasons] == [0.9, -0.5, 0.2, 0.3, 0.1, -0.02]
    assert len(score.reasons) == MOST_REASONS + 1 and score.reasons[-1].feature == OTHER
    assert scored is not None and sum(one.points for one in score.reasons) == pytest.approx(sum(scored.points))


def test_a_trifle_is_no_reason_of_its_own() -> None:
    found = simple(term("missed", LEAST_POINTS), term("clinic_cancelled", LEAST_POINTS * 0.98))
    score, _ = found.score(lived(story((0, opened()))), on(1), TRIGGER)
    assert [reason.feature for reason in score.reasons] == ["missed", OTHER]


def test_a_missing_signal_comes_after_what_is_known_and_what_was_known_at_the_start_last() -> None:
    card = simple(term("bond_level", 0.9), term("missed", 0.1), term("mandated", 0.5), term("remote", 0.4))
    score, _ = card.score(lived(story((0, opened(referral="court", modality="video")))), on(1), TRIGGER)
    told = [(reason.feature, reason.value, reason.text) for reason in score.reasons]
    assert told == [
        ("missed", 0.0, "No visit missed so far (raises the risk)"),
        ("bond_level", None, "No alliance rating yet (raises the risk)"),
        ("mandated", 1.0, "Referred by a court or an employer (raises the risk)"),
        (OTHER, None, "Other small parts, together (raises the risk)"),
    ]


def test_parts_that_say_the_same_are_one_reason_in_the_persons_own_terms() -> None:
    told: list[Happening] = [(0, opened()), *((7.0 * n, srs(9, 9, 9, 9)) for n in (1, 2)), (21, srs(9, 9, 5, 9))]
    card = simple(
        term("bond_drop", 0.4), term("bond_level", 0.3), term("bond_change", -0.1), term("alliance_level", 0.2)
    )
    score, _ = card.score(lived(story(*told)), on(22), TRIGGER)
    assert [(reason.feature, reason.points, reason.text) for reason in score.reasons] == [
        ("bond_drop", 0.6, "SRS bond 5 of 10; usually about 9 (raises the risk)"),
        ("alliance_level", 0.2, "SRS 32 of 40; usually about 36 (raises the risk)"),
    ]


@settings(deadline=None, max_examples=75)
@given(episode_logs())
def test_every_reason_is_a_sentence_and_all_of_them_add_up(events: list[AnyEvent]) -> None:
    live = lived(events)
    by_name = {feature.name: feature for feature in FEATURES}
    score, scored = SHIPPED.score(live, live.episode.latest, TRIGGER)
    if scored is None:
        return
    for reason in score.reasons:
        assert reason.pillar == (by_name[reason.feature].pillar if reason.feature != OTHER else "context")
        assert re.match(r"[A-Z0-9].*\((raises|lowers) the risk\)$", reason.text)
        assert reason.points == round(reason.points, POINT_DIGITS) != 0
        assert ("raises" in reason.text) == (reason.points > 0)
    assert sum(reason.points for reason in score.reasons) == pytest.approx(sum(scored.points), abs=0.002)
    known = [reason.value is not None for reason in score.reasons if reason.pillar != "context"]
    assert known == sorted(known, reverse=True)


# ── alerts ──────────────────────────────────────────────────────────────────────────────────────────────

HIGH: Final = (term("missed", 1.5), term("nothing_booked", 1.0), term("bond_level", 0.7), term("goals_level", 0.4))


def test_a_risk_alert_names_at_most_three_reasons_that_raise_the_risk() -> None:
    told: list[Happening] = [
        (0, opened()), (0, booked("a", 3)), (3, Missed(appointment_id="a")), *weekly(1), (7, srs(9, 9, 9, 9)),
    ]  # fmt: skip
    card = simple(*HIGH, term("sessions", -0.9))
    alert = alerts(told, 7, card)["risk"]
    assert alert.reasons == (
        "No further session is booked",
        "SRS bond 9 of 10 at the first rating",
        "1 visit missed so far",
    )
    assert len(alert.reasons) <= MOST_GROUNDS
    score, _ = card.score(lived(story(*told)), on(7), TRIGGER)
    assert score.risk is not None
    assert (alert.risk, alert.horizon, alert.pillar) == (score.risk.d30, "30d", "bond")
    assert (alert.kind, alert.status, alert.at, alert.why) == ("risk", "raised", score.as_of, UNSET)
    assert alert.evidence == ("/north/booking#ev-1", "/north/booking#e-4", "/north/booking#e-2")


def test_what_is_usual_with_a_clinician_is_told_in_a_score_and_never_in_an_alert() -> None:
    told = lived(story((0, opened(clinician_id="c-4")), (0, booked("a", 9))))
    high = Offsets(active=True, clinics={"north": (0.6,) * 4}, clinicians={"north/c-4": (0.8,) * 4})
    for terms in ((term("waiting", 0.2),), ()):  # with another reason, and without any
        card = Scorecard(base=(-1.5,) * 4, terms=terms)
        assessor = Assessor("sha256:0", Scorer(card, high), msgspec.structs.replace(POLICY, line=0.4))
        score, [alert], _ = assessor.assess(told, Memory(), on(0), TRIGGER)
        assert alert.kind == "risk" and alert.status == "raised"
        usual = [(one.feature, one.value, one.points) for one in score.reasons if one.feature.endswith("usual")]
        assert usual == [("clinician_usual", None, 0.8)]
        assert sum(one.points for one in score.reasons) == pytest.approx(1.4 + 0.2 * len(terms))
        assert not re.search("usual", " ".join(alert.reasons)) and alert.pillar is None
        assert len(alert.reasons) == len(terms)
        without = Assessor("sha256:0", Scorer(card), POLICY)
        assert without.assess(told, Memory(), on(0), TRIGGER)[1] == []  # it is they that raise it


def test_the_pillar_of_a_risk_is_the_one_whose_parts_raise_it_most() -> None:
    told: list[Happening] = [(0, opened()), (0, booked("a", 9)), (7, srs(9, 9, 9, 9))]
    both = simple(term("goals_level", 0.9), term("bond_level", 0.8), term("wants_clinician", 0.7))
    assert alerts(told, 8, both)["risk"].pillar == "bond"
    assert alerts(told, 8, simple(term("missed", 2.0)))["risk"].pillar is None


def test_a_part_of_the_whole_alliance_counts_for_the_open_rupture_or_the_lowest_pillar() -> None:
    card = simple(term("alliance_level", 2.0))
    told: list[Happening] = [(0, opened()), (0, booked("a", 9)), (7, srs(9, 8.5, 9, 9))]
    assert alerts(told, 8, card)["risk"].pillar == "tasks"
    assert alerts(told[:2], 8, card)["risk"].pillar is None


def test_a_rupture_alert_says_what_was_said_of_which_pillar_and_how_it_is_known() -> None:
    shown = alerts(RUPTURE, 35)["rupture"]
    assert (shown.pillar, shown.reasons) == (
        "bond",
        ("SRS bond 4 of 10; usually about 9",),
    )
    assert [offer.id for offer in shown.suggestions][:2] == ["bond-room-below-perfect", "bond-notice-the-distance"]
    assert "/north/booking#e-6" in shown.evidence
    noted: Happening = (1, RuptureNote(kind="confrontation", pillar="tasks"))
    reported = alerts([(0, opened()), noted], 1)["rupture"]
    assert (reported.pillar, reported.reasons) == (
        "tasks", ("A strain between the two was reported, about agreement on how to work: the client says what is wrong",),
    )  # fmt: skip
    assert "/north/booking#e-1" in reported.evidence


def test_of_an_absence_what_happened_is_told_and_a_contact_is_offered_first() -> None:
    told: list[Happening] = [(0, opened()), (1, booked("a", 8)), (8, Missed(appointment_id="a"))]
    sure = simple(term("missed", 2.0))
    alert = alerts(told, 15, sure)["silence"]
    assert alert.reasons == ("The last visit was missed 7 days ago, and nothing has been booked since",)
    assert alert.suggestions[0].id in ("silence-reach-out-soon", "waiting-offer-a-start")
    assert (alert.pillar, alert.evidence) == (None, ("/north/booking#ev-1", "/north/booking#e-2"))
    unbooked = alerts([(0, opened()), *weekly(1)], 14, sure)["silence"]
    assert unbooked.reasons == ("No session is booked; the last one was 7 days ago",)
    assert unbooked.suggestions[0].id == "silence-offer-the-next-time"


def test_a_safety_alert_says_only_to_follow_the_protocol_of_the_clinic() -> None:
    told: list[Happening] = [*RUPTURE, (35, Measured(instrument="PHQ-9", scores={"total": 20}, safety_item=2))]
    alert = alerts(told, 35, safety=True)["safety"]
    assert alert.reasons == ("A safety item was endorsed",)
    assert [offer.id for offer in alert.suggestions] == ["safety-clinic-protocol"]
    assert alert.suggestions[0].text == "Please follow your clinic's own safety protocol."
    assert alert.pillar is None
    assert alert.evidence == ("/north/booking#ev-1", "/north/booking#e-7")


def test_an_ending_alert_offers_exactly_three_equal_options_whatever_else_is_going_on() -> None:
    told: list[Happening] = [
        (0, opened(planned_sessions=6)), (0, measured("PHQ-9", 18)), *weekly(6), (35, measured("PHQ-9", 6)),
        (42, measured("PHQ-9", 6)), (42, booked("z", 49)),
    ]  # fmt: skip
    for more in ([], [(42, Contact(direction="outbound"))]):
        alert = alerts([*told, *more], 42)["ending"]
        assert [offer.id for offer in alert.suggestions] == [
            "ending-talk-about-ending-well", "ending-another-approach", "ending-warm-transfer"
        ]  # fmt: skip
        assert alert.reasons == ("Reliably better than at the start, and past the cut-off",)
        assert all(offer.text.startswith("One option is") for offer in alert.suggestions)
        assert not re.search("fail", " ".join(offer.text for offer in alert.suggestions), re.IGNORECASE)
        assert alert.pillar is None


def test_a_resolved_alert_says_why_and_nothing_to_do() -> None:
    told: list[Happening] = [(0, opened()), (1, RuptureNote(kind="withdrawal", pillar="bond"))]
    _, [raised], memory = SHIPPED.assess(lived(story(*told)), Memory(), on(1), TRIGGER)
    told.append((2, Feedback(pillar="bond", sentiment="positive")))
    _, [resolved], _ = SHIPPED.assess(lived(story(*told)), memory, on(2), Trigger("ev-2", "/north/booking"))
    assert (resolved.alert_id, resolved.kind, resolved.status) == (raised.alert_id, "rupture", "resolved")
    assert (resolved.why, resolved.suggestions) == ("repaired", ())
    assert resolved.reasons == ("A concern that was spoken of and mended is the alliance at work",)


def test_an_alert_names_the_other_open_ones() -> None:
    told: list[Happening] = [(0, opened()), (1, RuptureNote(kind="withdrawal", pillar="bond"))]
    _, [first], memory = SHIPPED.assess(lived(story(*told)), Memory(), on(1), TRIGGER)
    told.append((2, Feedback(pillar="pace", sentiment="neutral", wants_change="format")))
    _, [second], _ = SHIPPED.assess(lived(story(*told)), memory, on(2), Trigger("ev-2", "/north/booking"))
    assert (first.also, second.kind, second.also) == ((), "ending", (first.alert_id,))


def test_alerts_of_an_episode_that_is_over_are_resolved_without_a_risk() -> None:
    told: list[Happening] = [(0, opened()), (1, RuptureNote(kind="withdrawal", pillar="bond"))]
    _, _, memory = SHIPPED.assess(lived(story(*told)), Memory(), on(1), TRIGGER)
    told.append((2, Ended(reason="transferred")))
    _, [resolved], _ = SHIPPED.assess(lived(story(*told)), memory, on(2), Trigger("ev-2", "/north/booking"))
    assert (resolved.status, resolved.why, resolved.risk, resolved.horizon) == ("resolved", "ended", None, None)


def test_a_timer_is_no_event_and_so_no_evidence() -> None:
    told = lived(story((0, opened()), *weekly(1)))
    trigger = Trigger("timer:nothing-booked:2026-01-19T09:00:00Z")
    _, [alert], _ = simple(term("missed", 2.0)).assess(told, Memory(), on(14), trigger)
    assert (alert.kind, alert.evidence) == ("silence", ("/north/booking#e-1",))


def test_the_trace_of_an_event_goes_on_into_its_alerts() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    told = lived(story((0, opened()), (1, RuptureNote(kind="withdrawal"))))
    _, [alert], _ = SHIPPED.assess(told, Memory(), on(1), Trigger("ev-1", "/north/booking", trace))
    assert alert.traceparent == trace


def test_skipped_measures_are_told_in_plain_words() -> None:
    told: list[Happening] = [
        (0, opened()),
        *((day, Skipped(instrument="SRS")) for day in (1, 2, 3)),
        (3, booked("z", 60)),
    ]
    alert = alerts(told, 3, simple(base=-0.9))["silence"]
    assert alert.reasons == ("The last 3 questionnaires were left out",)
    assert alert.suggestions[0].id == "silence-what-the-forms-are-like"


@settings(deadline=None, max_examples=75)
@given(episode_logs())
def test_an_alert_has_words_and_at_most_three_reasons_whatever_happened(events: list[AnyEvent]) -> None:
    live = lived(events)
    score, raised, _ = SHIPPED.assess(live, Memory(), live.episode.latest, TRIGGER)
    for alert in raised:
        assert alert.status == "raised"
        assert 1 <= len(alert.reasons) <= MOST_GROUNDS
        assert all(alert.reasons)
        assert alert.suggestions
        assert alert.risk == (score.risk.d30 if score.risk else None)
        assert alert.evidence[0] == "/north/booking#ev-1"
