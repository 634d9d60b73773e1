"""What the API answers, as types: the views, with alerts as CONTRACT section 3 has them and what was answered beside."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from keepwell.contract.outputs import Alert, Moment, Suggestion
from services.clinician.views import (
    Answer,
    AnsweredAlert,
    CaseloadItem,
    EpisodeView,
    Measure,
    Rupture,
    ScoreAt,
    TimelineEntry,
)

_Struct = TypeVar("_Struct", bound=msgspec.Struct)


class ToldAlert(Alert, frozen=True, kw_only=True):
    """An alert as it stands, when it was raised, and what was answered."""

    raised_at: Moment
    answers: tuple[Answer, ...]


class ToldItem(CaseloadItem, frozen=True, kw_only=True):
    """An episode of the caseload, with its open alerts."""

    alerts: tuple[ToldAlert, ...]  # type: ignore[assignment]  # the same alerts, written otherwise


class ToldEpisode(ToldItem, frozen=True, kw_only=True):
    """Everything of an episode, with all its alerts. `suggestions` are those of the newest open one."""

    timeline: tuple[TimelineEntry, ...]
    helped: tuple[TimelineEntry, ...]
    scores: tuple[ScoreAt, ...]
    ruptures: tuple[Rupture, ...]
    measures: tuple[Measure, ...]
    answers: tuple[Answer, ...]
    suggestions: tuple[Suggestion, ...]


class CaseloadPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the caseload. `next` is the cursor of the next one, null at the end."""

    items: tuple[ToldItem, ...]
    next: str | None


class AlertPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of alerts."""

    items: tuple[ToldAlert, ...]
    next: str | None


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks."""

    user: str
    role: str
    clinic: str
    clinician_id: str | None


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """An answer on its way: the id of its event, and until when it can be taken back."""

    event_id: str
    settled: bool
    undo_until: Moment


def told_alert(one: AnsweredAlert) -> ToldAlert:
    """An alert as it is answered."""
    return _widened(ToldAlert, one.alert, raised_at=one.raised_at, answers=one.answers)


def told_alerts(found: Iterable[AnsweredAlert]) -> tuple[ToldAlert, ...]:
    """Alerts as they are answered."""
    return tuple(map(told_alert, found))


def told_item(item: CaseloadItem) -> ToldItem:
    """An episode of the caseload as it is answered."""
    return _widened(ToldItem, item, alerts=told_alerts(item.alerts))


def told_episode(view: EpisodeView) -> ToldEpisode:
    """An episode as it is answered."""
    newest = next(iter(view.item.alerts), None)
    return _widened(
        ToldEpisode, view.item, alerts=told_alerts(view.alerts), timeline=view.timeline, helped=view.helped,
        scores=view.scores, ruptures=view.ruptures, measures=view.measures, answers=view.answers,
        suggestions=() if newest is None else newest.alert.suggestions,
    )  # fmt: skip


def _widened(kind: type[_Struct], of: msgspec.Struct, **more: object) -> _Struct:
    return kind(**{name: getattr(of, name) for name in of.__struct_fields__} | more)
