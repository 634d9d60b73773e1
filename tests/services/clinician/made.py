"""Views with odd and with usual content, for tests of what is made of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from keepwell.alerting.playbook import suggest
from keepwell.contract.outputs import Alert, Reason, Risk
from keepwell.contract.words import AlertKind
from services.clinician.templates import Heard, PageContext
from services.clinician.views import (
    Answer,
    AnsweredAlert,
    CaseloadItem,
    Change,
    EpisodeView,
    Measure,
    NextVisit,
    Point,
    Rupture,
    ScoreAt,
    TimelineEntry,
    Viewer,
)

NOW: Final = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)
BERLIN: Final = ZoneInfo("Europe/Berlin")
ANNA: Final = Viewer(user="u-anna", role="clinician", clinic="north", clinician_id="c-4", covers=frozenset(("c-5",)))
BOND: Final = Reason(
    feature="srs_bond_drop", pillar="bond", value=-3.1, points=0.62,
    text="Bond rating fell 3.1 points since the last session",
)  # fmt: skip
STEADY: Final = Reason(
    feature="attendance", pillar="attendance", value=8, points=-0.31, text="8 sessions attended in a row"
)
SMALL: Final = Reason(
    feature="other_parts", pillar="context", value=None, points=0.07, text="Other small parts, together"
)


def _weeks_ago(weeks: int) -> str:
    return f"{NOW - timedelta(weeks=weeks):%Y-%m-%dT%H:%M:%SZ}"


def context(**changes: Any) -> PageContext:
    """Anna looks on a Tuesday morning."""
    usual: dict[str, Any] = {
        "viewer": ANNA, "csrf": "csrf-1", "zone": BERLIN, "now": NOW,
        "heard": Heard(at=datetime(2026, 3, 3, 8, 57, tzinfo=UTC)),
    }  # fmt: skip
    return PageContext(**usual | changes)


def alert(kind: AlertKind = "risk", name: str = "al-1", **changes: Any) -> AnsweredAlert:
    """An open alert with what the playbook suggests, without an answer."""
    answers = changes.pop("answers", ())
    usual: dict[str, Any] = {
        "alert_id": name, "episode": "north/ep-17", "clinician_id": "c-4", "kind": kind, "status": "raised",
        "at": "2026-03-02T10:00:00Z", "risk": 0.31, "horizon": "30d", "reasons": (BOND.text,), "pillar": "bond",
        "suggestions": suggest(kind, "bond", frozenset(), limit=3), "also": (), "evidence": (), "model": "sha256:abc",
    }  # fmt: skip
    return AnsweredAlert(alert=Alert(**usual | changes), raised_at="2026-03-02T10:00:00Z", answers=answers)


def answer(**changes: Any) -> Answer:
    """Anna's answer of five seconds ago, on its way."""
    usual: dict[str, Any] = {
        "event_id": "ans-1", "alert_id": "al-1", "kind": "answer", "action": "repair_planned",
        "at": "2026-03-03T08:59:55Z", "by": "u-anna", "until": None, "reason": None, "helpful": None, "outcome": None,
        "settled": False, "retracted": False,
    }  # fmt: skip
    return Answer(**usual | changes)


def measure(name: str = "SRS", values: tuple[float, ...] = (36, 37, 35, 36, 27), **changes: Any) -> Measure:
    """Ratings a week apart."""
    usual: dict[str, Any] = {
        "instrument": name, "label": name, "low": 0, "high": 40, "higher_is_better": True, "cutoff": 36,
        "reliable_change": 5, "usual": (35.2, 36.8) if len(values) > 3 else None,
        "points": tuple(Point(at=_weeks_ago(len(values) - n), value=value) for n, value in enumerate(values)),
    }  # fmt: skip
    return Measure(**usual | changes)


def item(name: str = "ep-17", **changes: Any) -> CaseloadItem:
    """A client with a strain since yesterday and a session today."""
    usual: dict[str, Any] = {
        "episode": f"north/{name}", "clinician_id": "c-4", "state": "open", "as_of": "2026-03-02T10:00:00Z",
        "risk": Risk(d14=0.11, d30=0.31, d60=0.4),
        "change": Change(since="2026-02-23T10:00:00Z", risk_30d=0.12, because=(BOND,)),
        "next_visit": NextVisit(starts_at="2026-03-03T14:00:00Z", missed=0.14), "last_session": "2026-02-25T10:00:00Z",
        "sessions": 8, "reasons": (BOND, STEADY, SMALL), "gaps": ("no outcome measure for 3 sessions",),
        "alerts": (alert(name=f"al-{name}"),), "rupture": None, "model": "sha256:0123456789abcdef", "calibrated": False,
        "why": "rose", "new": ("Bond rating fell 3.1 points since the last session",), "measure": measure(),
    }  # fmt: skip
    return CaseloadItem(**usual | changes)


def bare(name: str = "ep-0", **changes: Any) -> CaseloadItem:
    """An episode of which nothing is known."""
    nothing: dict[str, Any] = {
        "clinician_id": None, "risk": None, "change": None, "next_visit": None, "last_session": None, "sessions": 0,
        "reasons": (), "gaps": (), "alerts": (), "model": "", "why": "quiet", "new": (), "measure": None,
    }  # fmt: skip
    return item(name, **nothing | changes)


PACE = TimelineEntry(
    at="2026-02-20T10:00:00Z", kind="feedback.given", text="the pace: is going well", event="/north#3"
)  # fmt: skip


def view(of: CaseloadItem | None = None, **changes: Any) -> EpisodeView:
    """The whole of an episode, with a course of two months."""
    given = of or item()
    scores = tuple(
        ScoreAt(
            as_of=_weeks_ago(8 - n), risk=Risk(d14=d30 / 2, d30=d30, d60=d30 * 1.4),
            reasons=(BOND,) if d30 > 0.2 else (STEADY,), gaps=(), model="sha256:abc",
        )
        for n, d30 in enumerate((0.12, 0.1, 0.1, 0.14, 0.13, 0.19, 0.19, 0.31))
    )  # fmt: skip
    usual: dict[str, Any] = {
        "item": given,
        "timeline": (
            TimelineEntry(at="2026-03-02T10:00:00Z", kind="measure.completed", text="SRS 27 of 40", event="/north/m#1"),
            TimelineEntry(at="2026-02-25T10:00:00Z", kind="session.attended", text="", event="/north#2"),
            PACE,
            TimelineEntry(at="2026-01-01T10:00:00Z", kind="episode.opened", text="by video", event="/north#4"),
        ),
        "helped": (PACE,),
        "scores": scores,
        "ruptures": (
            Rupture(opened_at="2026-01-10T10:00:00Z", pillar="tasks", closed_at="2026-01-24T10:00:00Z", repaired=True),
            Rupture(opened_at="2026-03-02T10:00:00Z", pillar="bond", closed_at=None, repaired=False),
        ),
        "measures": (measure("ORS", (14, 17, 19, 22, 21), cutoff=25, usual=(14.6, 21.4)), measure()),
        "alerts": given.alerts,
        "answers": (answer(event_id="rep-1", alert_id=None, kind="repair", action="tasks-offer-a-choice",
                           outcome="better", by=None, at="2026-01-20T10:00:00Z", settled=True),),
    }  # fmt: skip
    return EpisodeView(**usual | changes)
