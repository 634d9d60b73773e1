"""What is told of an episode, made from what the database holds of it: a row of a list, and everything on one page.

Nothing here asks the database (`services.clinician.queries` does), so whatever is told follows from a `Told` and the moment.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from math import hypot, isfinite
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from keepwell.care.alliance import Rupture as Strain
from keepwell.care.episode import Live
from keepwell.care.history import Measure as Rated
from keepwell.care.history import effective
from keepwell.contract.events import (
    AlertActioned,
    AnyEvent,
    AppointmentCancelled,
    AppointmentMissed,
    ClinicianChanged,
    ContactMade,
    EpisodeEnded,
    EventRetracted,
    FeedbackGiven,
    MeasureCompleted,
    RepairAttempted,
    RuptureNoted,
    SessionAttended,
    micros,
    rfc3339,
)
from keepwell.contract.outputs import Reason, Score
from keepwell.contract.say import render, said
from services.clinician.happened import happened
from services.clinician.sentences import KINDS, meaning
from services.clinician.telling import ABOUT_THE_SAME
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
    Why,
)

GREW: Final = 0.1
"""Points (log-odds) by which a reason that was there before has to grow to be named in what changed; ours."""
SOON: Final = timedelta(hours=20)
"""A session within so long is today's, or the first thing tomorrow; ours."""
LEAST_BAND: Final = 3
"""Ratings before the newest from which a person has a band of their own; ours."""
_WHY: Final[tuple[tuple[str, Why], ...]] = (("silence", "silence"), ("ending", "ending"), ("risk", "likely"))
NOTHING_WAITS: Final[frozenset[Why]] = frozenset(("quiet", "session_today"))
MOST_NEWS: Final = 4
"""News of a client on one card; ours."""
ANSWERING: Final = tuple(str(kind.__struct_config__.tag) for kind in (AlertActioned, RepairAttempted, EventRetracted))
"""Types of the events from which `answers_of` follows."""
TOLD_AS_NEW: Final = (
    SessionAttended, AppointmentMissed, AppointmentCancelled, MeasureCompleted, FeedbackGiven, RuptureNoted,
    RepairAttempted, ContactMade, ClinicianChanged, EpisodeEnded,
)  # fmt: skip
"""What is told as news where it happened since somebody last looked; bookings and work between sessions can wait."""

Fits = Callable[[str, str], bool]
"""Whether a release, by its digest, was fitted to a clinic."""


def fits_nobody(_: str, __: str) -> bool:
    """Where no release is known, none was."""
    return False


class Told(NamedTuple):
    """An episode as the database holds it."""

    row: sa.Row[Any]
    live: Live
    events: Sequence[AnyEvent]
    scores: Sequence[Score]
    alerts: Sequence[AnsweredAlert]
    answers: Sequence[Answer]


class Summary(NamedTuple):
    """What a row of a list tells of an episode, whoever looks at it and whenever."""

    latest: int
    """When the newest event was (µs)."""
    booked: tuple[int, ...]
    """Starts (µs) of the visits that are booked, the first first."""
    last_session: str | None
    sessions: int
    score: Score | None
    """The newest."""
    change: Change | None
    rupture: Rupture | None
    """The open one."""
    concerned: bool
    """Whether something that the client voiced is open."""
    alerts: tuple[AnsweredAlert, ...]
    """Those that are open."""
    measure: Measure | None
    news: tuple[tuple[str, str], ...]
    """The newest of what happened that is worth a thought, each with when, the newest first."""


def summary_of(told: Told) -> Summary:
    """What a row tells of an episode."""
    course = told.live.course
    strain = course.alliance.open
    return Summary(
        latest=told.live.episode.latest, booked=course.visits.starts(),
        last_session=None if course.last_session is None else rfc3339(course.last_session), sessions=course.sessions,
        score=told.scores[-1] if told.scores else None, change=_change(told),
        rupture=None if strain is None else _rupture(strain), concerned=bool(course.concerns.open),
        alerts=tuple(each for each in told.alerts if each.alert.status != "resolved"),
        measure=next(iter(_measures(told)), None), news=tuple(islice(_newest(told), MOST_NEWS)),
    )  # fmt: skip


def item_of(row: sa.Row[Any], one: Summary, now: datetime, fits: Fits, looked: int | None) -> CaseloadItem:
    """An episode in one row of a list; `looked`: when the user last looked at it (µs), None where nobody did."""
    at, score = max(micros(now), one.latest), one.score
    starts = next((start for start in one.booked if start > at), None)
    following = None if starts is None else NextVisit(
        starts_at=rfc3339(starts), missed=score.next_visit_missed if score else None
    )  # fmt: skip
    return CaseloadItem(
        episode=row.key, clinician_id=row.clinician, state=row.state,
        as_of=score.as_of if score else rfc3339(one.latest), risk=score.risk if score else None, change=one.change,
        next_visit=following, last_session=one.last_session, sessions=one.sessions,
        reasons=score.reasons if score else (), gaps=score.gaps if score else (), alerts=one.alerts,
        rupture=one.rupture, model=score.model if score else "",
        calibrated=score is not None and fits(score.model, row.clinic), why=_why(one, starts, now),
        new=() if looked is None else tuple(_news(one, rfc3339(looked))), measure=one.measure,
    )  # fmt: skip


def view_of(told: Told, now: datetime, fits: Fits, looked: int | None) -> EpisodeView:
    """Everything of an episode; the rest as `item_of`."""
    timeline = list(_timeline(told))
    return EpisodeView(
        item=item_of(told.row, summary_of(told), now, fits, looked),
        timeline=tuple(entry for entry, _ in timeline),
        helped=tuple(
            entry
            for entry, event in timeline
            if isinstance(event, FeedbackGiven) and event.data.sentiment == "positive"
        ),
        scores=tuple(
            ScoreAt(as_of=one.as_of, risk=one.risk, reasons=one.reasons, gaps=one.gaps, model=one.model)
            for one in told.scores
        ),
        ruptures=tuple(_rupture(one) for one in told.live.course.alliance.ruptures),
        measures=tuple(_measures(told)),
        alerts=tuple(told.alerts),
        answers=tuple(told.answers),
    )


def answers_of(told: Iterable[AnyEvent], on_their_way: Iterable[AnyEvent] = ()) -> list[Answer]:
    """What clinicians answered and tried in an episode, in the order of its events; a retraction may come before what it
    takes back. `on_their_way`: what users sent that did not come back through the log yet; it counts at once."""
    given = list(told)
    accepted = {(one.source, one.id) for one in given}
    given += [one for one in on_their_way if (one.source, one.id) not in accepted]
    retracted = {(one.source, one.data.event_id) for one in given if isinstance(one, EventRetracted)}
    found = []
    for event in given:
        back, settled = (event.source, event.id) in retracted, (event.source, event.id) in accepted
        at = rfc3339(micros(event.time))
        if isinstance(event, AlertActioned):
            data = event.data
            until = None if data.until is None else rfc3339(micros(data.until))
            found.append(
                Answer(
                    event_id=event.id, alert_id=data.alert_id, kind="answer", action=data.action, at=at, by=data.by,
                    until=until, reason=data.reason, helpful=data.helpful, outcome=None, settled=settled, retracted=back,
                )
            )  # fmt: skip
        elif isinstance(event, RepairAttempted):
            tried = event.data
            found.append(
                Answer(
                    event_id=event.id, alert_id=tried.alert_id, kind="repair", action=tried.strategy or "attempted",
                    at=at, by=None, until=None, reason=None, helpful=None, outcome=tried.outcome, settled=settled,
                    retracted=back,
                )
            )  # fmt: skip
    return found


def is_answered(each: AnsweredAlert, last_session: str | None, now: str) -> bool:
    """Whether an alert asks for nothing now: it is settled, or was answered since it was last told and is not put off until
    a time that has come. Without an end it is put off until after the next session."""
    if each.alert.status == "resolved":
        return True
    holds = _newest_answer(each)
    if holds is None or holds.at < each.alert.at:
        return False
    if holds.action != "snoozed":
        return True
    return holds.until > now if holds.until is not None else last_session is None or last_session <= holds.at


def _is_back(each: AnsweredAlert) -> bool:
    holds = _newest_answer(each)
    return holds is not None and holds.action == "snoozed" and holds.at >= each.alert.at


def _newest_answer(each: AnsweredAlert) -> Answer | None:
    given = [one for one in each.answers if one.kind == "answer" and not one.retracted]
    return max(given, key=lambda one: one.at, default=None)


def _news(one: Summary, since: str) -> list[str]:
    """What is new since then, the newest first: alerts that were raised or told again, and what happened that asks for a
    thought."""
    found = [each for each in one.news if each[0] > since]
    for each in one.alerts:
        if each.alert.status == "raised" and each.raised_at > since:
            found.append((each.raised_at, render(said("New: {what}", what=meaning("alert_kind", each.alert.kind)))))
        elif each.alert.status == "escalated" and each.alert.at > since:
            told = said("More urgent than before: {what}", what=meaning("alert_kind", each.alert.kind))
            found.append((each.alert.at, render(told)))
    return [text for _, text in sorted(found, reverse=True)[:MOST_NEWS]]


def _newest(one: Told) -> Iterator[tuple[str, str]]:
    """What happened that asks for a thought, each with when, the newest first."""
    for entry, event in _timeline(one):
        if isinstance(event, TOLD_AS_NEW) and not _is_an_answer_to(event):
            told = KINDS[entry.kind]
            yield entry.at, render(said("{what}: {about}", what=told, about=entry.text) if entry.text else told)


def _is_an_answer_to(event: AnyEvent) -> bool:
    """Whether it came about on these pages, where it is told as an answer."""
    return event.source.endswith("/keepwell")


def _why(one: Summary, starts: int | None, now: datetime) -> Why:
    """What asks for a thought: open alerts that nobody answered since they were last told, then a session that is near
    (`starts`, µs)."""
    told = rfc3339(micros(now))
    waiting = {each.alert.kind for each in one.alerts if not is_answered(each, one.last_session, told)}
    if "safety" in waiting:
        return "safety"
    if any(_is_back(each) for each in one.alerts if each.alert.kind in waiting):
        return "back_from_snooze"
    if "rupture" in waiting:
        return "voiced" if one.concerned else "rupture"
    if "risk" in waiting and one.change is not None and one.change.risk_30d >= ABOUT_THE_SAME:
        return "rose"
    for kind, why in _WHY:
        if kind in waiting:
            return why
    if starts is not None and starts - micros(now) <= SOON.total_seconds() * 1e6:
        return "session_today"
    return "quiet"


def _change(one: Told) -> Change | None:
    """From the newest score before the last session to the newest now."""
    last = one.live.course.last_session
    if last is None or len(one.scores) < 2 or one.scores[-1].risk is None:
        return None
    since = rfc3339(last)
    before = next((each for each in reversed(one.scores) if each.as_of < since and each.risk is not None), None)
    if before is None or before.risk is None:
        return None
    points = {reason.feature: reason.points for reason in before.reasons}
    grew: list[Reason] = [
        reason for reason in one.scores[-1].reasons if abs(reason.points - points.get(reason.feature, 0.0)) >= GREW
    ]
    return Change(since=before.as_of, risk_30d=round(one.scores[-1].risk.d30 - before.risk.d30, 4), because=tuple(grew))


def _measures(one: Told) -> list[Measure]:
    """Every instrument's totals over the course, outcome measures first."""
    interpret = one.live.course.interpret
    points: dict[str, list[Point]] = defaultdict(list)
    for entry in effective(one.live.episode.history):
        instrument = interpret(entry.instrument) if isinstance(entry, Rated) else None
        if not isinstance(entry, Rated) or instrument is None or entry.rater != "client":
            continue
        total = instrument.readable(entry.scores).get("total")
        if total is not None:
            points[instrument.name].append(Point(at=rfc3339(entry.at), value=total))
    found = []
    for name, given in points.items():
        instrument = interpret(name)
        if instrument is None:
            continue
        found.append(
            Measure(
                instrument=name, label=name, low=instrument.low, high=instrument.high,
                higher_is_better=instrument.higher_is_better, cutoff=instrument.cutoff,
                reliable_change=instrument.reliable_change, usual=_band([point.value for point in given[:-1]]),
                points=tuple(given),
            )
        )  # fmt: skip
    kinds = {name: instrument.kind for name in points if (instrument := interpret(name)) is not None}
    return sorted(found, key=lambda measure: (kinds[measure.instrument] != "outcome", measure.instrument))


def _band(values: Sequence[float]) -> tuple[float, float] | None:
    if len(values) < LEAST_BAND:
        return None
    mean = sum(values) / len(values)
    spread = hypot(*(value - mean for value in values)) / (len(values) - 1) ** 0.5
    low, high = mean - spread, mean + spread
    return (round(low, 2), round(high, 2)) if isfinite(low) and isfinite(high) else None


def _rupture(strain: Strain) -> Rupture:
    return Rupture(
        opened_at=rfc3339(strain.opened_at), pillar=strain.pillar or None,
        closed_at=None if strain.closed_at is None else rfc3339(strain.closed_at), repaired=strain.repaired,
    )  # fmt: skip


def _timeline(one: Told) -> Iterator[tuple[TimelineEntry, AnyEvent]]:
    """What happened and holds, the newest first, each with its event."""
    episode = one.live.episode
    by_name = {(event.source, event.id): event for event in one.events}
    for entry in reversed(effective(episode.history)):
        source = episode.sources[entry.source]
        event = by_name[source, entry.id]
        kind = str(type(event).__struct_config__.tag).removeprefix("keepwell.").removesuffix(".v1")
        told = happened(event, one.live.course.interpret)
        text = "" if told is None else render(told)
        yield TimelineEntry(at=rfc3339(entry.at), kind=kind, text=text, event=f"{source}#{entry.id}"), event
