"""What an event says, in a sentence, as the timeline of a client tells it. What needs no sentence has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from keepwell.care.instruments import Instrument
from keepwell.contract import events as ev
from keepwell.contract.events import AnyEvent
from keepwell.contract.say import Said, counted, said
from keepwell.contract.words import VOCABULARIES

Interpret = Callable[[str], Instrument | None]
"""What a clinic means by the name of an instrument."""


def happened(event: AnyEvent, interpret: Interpret) -> Said | None:
    """What is to be said of an event besides its kind; None where the kind says it all."""
    if isinstance(event, ev.MeasureCompleted):
        return _measured(event.data, interpret)
    tell = _TELL.get(type(event))
    return None if tell is None else tell(event.data)


def _meaning(vocabulary: str, word: str) -> Said:
    return Said(VOCABULARIES[vocabulary].says.get(word, word))


def _opened(data: ev.Opened) -> Said | None:
    parts = []
    if data.referral is not None:
        parts.append(_meaning("referral", data.referral))
    if data.planned_sessions is not None:
        parts.append(counted(data.planned_sessions, "{count} session planned", "{count} sessions planned"))
    return _listed(parts)


def _booked(data: ev.Booked) -> Said | None:
    parts = [] if data.modality is None else [_meaning("modality", data.modality)]
    if data.purpose != "treatment":
        parts.append(_meaning("purpose", data.purpose))
    return _listed(parts)


def _moved(data: ev.Rescheduled) -> Said:
    return said("by {whom}", whom=_meaning("initiator", data.initiator))


def _cancelled(data: ev.Cancelled) -> Said:
    by = said("by {whom}", whom=_meaning("initiator", data.initiator))
    return by if data.reason is None else said("{one}, {two}", one=by, two=_meaning("cancel_reason", data.reason))


def _missed(data: ev.Missed) -> Said:
    return _meaning("miss_reason", data.reason)


def _attended(data: ev.Attended) -> Said | None:
    parts = [] if data.modality is None else [_meaning("modality", data.modality)]
    if data.minutes_late is not None and data.minutes_late >= 1:
        parts.append(counted(data.minutes_late, "began {count} minute late", "began {count} minutes late"))
    if data.duration_minutes is not None:
        parts.append(counted(data.duration_minutes, "{count} minute", "{count} minutes"))
    return _listed(parts)


def _measured(data: ev.Measured, interpret: Interpret) -> Said:
    instrument = interpret(data.instrument)
    total = None if instrument is None else instrument.readable(data.scores).get("total")
    if instrument is None or total is None:
        told = said("{instrument}", instrument=data.instrument)
    else:
        told = said(
            "{instrument} {score} of {high}", instrument=data.instrument, score=total, high=float(instrument.high)
        )  # fmt: skip
    if data.rater == "client":
        return told
    return said("{what}, rated by {whom}", what=told, whom=_meaning("rater", data.rater))


def _skipped(data: ev.Skipped) -> Said:
    return said("{one}, {two}", one=data.instrument, two=_meaning("skip_reason", data.reason))


def _reviewed(data: ev.HomeworkReview) -> Said:
    if data.completion >= 0.95:
        return said("all of it was done")
    if data.completion <= 0.05:
        return said("none of it was done")
    return said("some of it was done") if data.completion < 0.5 else said("most of it was done")


def _feedback(data: ev.Feedback) -> Said:
    what, how = _meaning("pillar", data.pillar), _meaning("sentiment", data.sentiment)
    if data.wants_change == "none":
        return said("{what}: {about}", what=what, about=how)
    change = _meaning("wanted_change", data.wants_change)
    return said("{what}: {about}; wishes for {change}", what=what, about=how, change=change)


def _rupture(data: ev.RuptureNote) -> Said:
    told = said("the client {what}", what=_meaning("rupture_kind", data.kind))
    if data.pillar is not None:
        told = said("{what}: {about}", what=told, about=_meaning("pillar", data.pillar))
    return said("{what}, rated by {whom}", what=told, whom=_meaning("rater", data.noted_by))


def _repair(data: ev.RepairAttempt) -> Said | None:
    parts = [] if data.pillar is None else [_meaning("pillar", data.pillar)]
    parts.append(_meaning("repair_outcome", data.outcome))
    return _listed(parts)


def _contact(data: ev.Contact) -> Said | None:
    parts = [_meaning("direction", data.direction)]
    if data.channel is not None:
        parts.append(_meaning("channel", data.channel))
    if data.purpose != "other":
        parts.append(_meaning("contact_purpose", data.purpose))
    if data.reached is not None:
        parts.append(said("reached") if data.reached else said("not reached"))
    return _listed(parts)


def _changed(data: ev.ClinicianChange) -> Said:
    return said("{one}, {two}", one=data.clinician_id, two=_meaning("handover_reason", data.reason))


def _ended(data: ev.Ended) -> Said:
    return _meaning("end_reason", data.reason)


def _actioned(data: ev.Actioned) -> Said:
    told = _meaning("action", data.action)
    return told if data.reason is None else said("{one}, {two}", one=told, two=_meaning("dismiss_reason", data.reason))


def _listed(parts: list[Said]) -> Said | None:
    """Up to four pieces in a row."""
    match parts:
        case [one, two]:
            return said("{one}, {two}", one=one, two=two)
        case [one, two, three]:
            return said("{one}, {two}, {three}", one=one, two=two, three=three)
        case [one, two, three, four]:
            return said("{one}, {two}, {three}, {four}", one=one, two=two, three=three, four=four)
    return parts[0] if parts else None


_TELL: Final[dict[type[Any], Callable[[Any], Said | None]]] = {
    ev.EpisodeOpened: _opened, ev.AppointmentBooked: _booked, ev.AppointmentRescheduled: _moved,
    ev.AppointmentCancelled: _cancelled, ev.AppointmentMissed: _missed, ev.SessionAttended: _attended,
    ev.MeasureSkipped: _skipped, ev.HomeworkReviewed: _reviewed, ev.FeedbackGiven: _feedback, ev.RuptureNoted: _rupture,
    ev.RepairAttempted: _repair, ev.ContactMade: _contact, ev.ClinicianChanged: _changed, ev.EpisodeEnded: _ended,
    ev.AlertActioned: _actioned,
}  # fmt: skip
