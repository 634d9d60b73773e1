"""What a user may see of episodes and alerts, from the read model, in the order of what needs a thought first.

Every question begins with who asks: it is of the user's clinic alone, and for clinicians of their own episodes and those that
they cover. What may not be seen is not there.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa

from keepwell.care.alliance import Rupture as Strain
from keepwell.care.episode import Live, episode_from
from keepwell.care.history import Measure as Rated
from keepwell.care.history import effective
from keepwell.care.instruments import Instruments
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
    decode_accepted,
    micros,
    rfc3339,
)
from keepwell.contract.outputs import Alert, Reason, Score
from keepwell.contract.say import render, said
from keepwell.contract.words import State
from services.clinician.happened import happened
from services.clinician.projector import registered
from services.clinician.seen import last_seen
from services.clinician.sent import sent
from services.clinician.sentences import KINDS, meaning
from services.clinician.tables import alerts, answers, episodes, events, scores
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
    Viewer,
    Why,
)

GREW: Final = 0.1
"""Points (log-odds) by which a reason that was there before has to grow to be named in what changed; ours."""
SOON: Final = timedelta(hours=20)
"""A session within so long is today's, or the first thing tomorrow; ours."""
LEAST_BAND: Final = 3
"""Ratings before the newest from which a person has a band of their own; ours."""
MARKS: Final = 8
"""Episodes before the place of a cursor that it knows: it goes on after the last of them that is still there. Ours."""
LATER: Final = 1 << 62
URGENT: Final = 2
"""How a list ranks who asks for a thought because of safety; 1 for whatever else asks, 0 where nothing does."""
_ALERTS_PLACE: Final = re.compile("(-?[0-9]{1,18}) ([!-~]+)")
"""After which alert a page of alerts begins: when it was raised, and its id."""
_OPEN: Final = ("raised", "escalated")
MOST_AT_ONCE: Final = 200
"""Clients whose matters are marked as seen at once, after a leave; ours."""
_WHY: Final[tuple[tuple[str, Why], ...]] = (("silence", "silence"), ("ending", "ending"), ("risk", "likely"))
NOTHING_WAITS: Final[frozenset[Why]] = frozenset(("quiet", "session_today"))
MOST_NEWS: Final = 4
"""News of a client on one card; ours."""
TOLD_AS_NEW: Final = (
    SessionAttended, AppointmentMissed, AppointmentCancelled, MeasureCompleted, FeedbackGiven, RuptureNoted,
    RepairAttempted, ContactMade, ClinicianChanged, EpisodeEnded,
)  # fmt: skip
"""What is told as news where it happened since somebody last looked; bookings and work between sessions can wait."""
_score = msgspec.json.Decoder(Score)
_alert = msgspec.json.Decoder(Alert)


Fits = Callable[[str, str], bool]
"""Whether a release, by its digest, was fitted to a clinic."""


def fits_nobody(_: str, __: str) -> bool:
    """Where no release is known, none was."""
    return False


class WrongCursor(ValueError):
    """A cursor that this list did not give."""


class Asked(NamedTuple):
    """What is asked of a list of episodes: whose, with which piece of the pseudonym, with open alerts alone, in a state."""

    clinician: str | None = None
    q: str | None = None
    alerts_open: bool = False
    state: State = "open"


class Told(NamedTuple):
    """An episode as the database holds it."""

    row: sa.Row[Any]
    live: Live
    events: Sequence[AnyEvent]
    scores: Sequence[Score]
    alerts: Sequence[AnsweredAlert]
    answers: Sequence[Answer]


def caseload(
    connection: sa.Connection, viewer: Viewer, now: datetime, asked: Asked | None = None, *, limit: int = 50,
    cursor: str | None = None, fits: Fits = fits_nobody,
) -> tuple[list[CaseloadItem], str | None]:  # fmt: skip
    """Up to `limit` episodes in the order of what needs a thought first, and the cursor of the next page, None at the end.

    First what is urgent (safety), then other open alerts that nobody answered since they were last told, by how soon the
    next session is, then the rest by risk. A cursor knows the last few that were told, so that one which leaves the list
    meanwhile does not begin it anew. Raises `WrongCursor`.
    """
    asked = asked or Asked()
    start, passed = 0, []
    if cursor is not None:
        found, rank = _ranked(viewer, asked, micros(now))
        keys = connection.execute(found.with_only_columns(episodes.c.key).order_by(*rank)).scalars().all()
        places = {_mark(key): place for place, key in enumerate(keys)}
        start = next((places[mark] + 1 for mark in _read_cursor(cursor).split(" ") if mark in places), 0)
        passed = list(keys[:start])[-MARKS:]
    alone: tuple[bool, ...] = (False,)
    if start == 0 and viewer.role == "supervisor":
        # What asks for a thought stands first: that of a whole clinic fills the page, and nothing else has to be ranked.
        alone = (True, False)
    rows: Sequence[sa.Row[Any]] = ()
    for asking in alone:
        found, rank = _ranked(viewer, asked, micros(now), asking=asking)
        rows = connection.execute(found.order_by(*rank).offset(start).limit(limit + 1)).all()
        if len(rows) > limit:
            break
    page = rows[:limit]
    told = _told(connection, page)
    looked = last_seen(connection, viewer.user, [row.key for row in page])
    items = [_item(each, now, fits, looked.get(each.row.key)) for each in told]
    passed += [row.key for row in page]
    return items, _cursor(" ".join(map(_mark, reversed(passed[-MARKS:])))) if len(rows) > limit else None


def _ranked(
    viewer: Viewer, asked: Asked, at: int, *, asking: bool = False
) -> tuple[sa.Select[Any], list[sa.ColumnElement[Any]]]:
    """The episodes of a list that a user may see, and what they are ordered by; with `asking` those alone that ask for a
    thought, which stand first."""
    answered = sa.exists().where(
        answers.c.clinic == viewer.clinic, answers.c.kind == "answer", answers.c.alert == alerts.c.id,
        answers.c.at >= alerts.c.at,
    )  # fmt: skip
    of_alerts = (
        sa.select(
            alerts.c.episode,
            sa.func.max(sa.case((answered, 0), (alerts.c.kind == "safety", URGENT), else_=1)).label("asks"),
        )
        .where(alerts.c.clinic == viewer.clinic, alerts.c.status.in_(_OPEN))
        .group_by(alerts.c.episode)
    )
    if viewer.role == "clinician":
        of_alerts = of_alerts.where(alerts.c.episode.in_(sa.select(episodes.c.key).where(visible_to(viewer))))
    alerted = of_alerts.subquery()
    asks = sa.func.coalesce(alerted.c.asks, 0)
    soon = sa.and_(asks > 0, episodes.c.next_visit >= at)
    rank: list[sa.ColumnElement[Any]] = [
        -asks,
        sa.case((soon, episodes.c.next_visit), else_=sa.literal(LATER, sa.BigInteger)),
        -sa.func.coalesce(episodes.c.risk, 0.0),
        episodes.c.key,
    ]
    join = episodes.join(alerted, alerted.c.episode == episodes.c.key, isouter=not (asked.alerts_open or asking))
    found = sa.select(episodes).select_from(join).where(visible_to(viewer), episodes.c.state == asked.state)
    if asking:
        found = found.where(asks > 0)
    if asked.clinician is not None:
        found = found.where(episodes.c.clinician == asked.clinician)
    if asked.q:
        found = found.where(episodes.c.key.icontains(asked.q, autoescape=True))
    return found, rank


def episode(
    connection: sa.Connection, viewer: Viewer, key: str, now: datetime, fits: Fits = fits_nobody
) -> EpisodeView | None:
    """Everything of an episode; None where there is none that the user may see."""
    row = connection.execute(sa.select(episodes).where(visible_to(viewer), episodes.c.key == key)).first()
    if row is None:
        return None
    [told] = _told(connection, [row], whole=True)
    timeline = list(_timeline(told))
    looked = last_seen(connection, viewer.user, [key]).get(key)
    return EpisodeView(
        item=_item(told, now, fits, looked),
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


def waiting(connection: sa.Connection, viewer: Viewer, now: datetime) -> list[CaseloadItem]:
    """A user's open episodes with a matter that asks for something now."""
    items, _ = caseload(connection, viewer, now, Asked(alerts_open=True), limit=MOST_AT_ONCE)
    return [item for item in items if item.why not in NOTHING_WAITS]


def unanswered(connection: sa.Connection, viewer: Viewer, now: datetime) -> list[AnsweredAlert]:
    """The open alerts, safety apart, of a user's open episodes that ask for something now."""
    items, _ = caseload(connection, viewer, now, Asked(alerts_open=True), limit=MOST_AT_ONCE)
    told = rfc3339(micros(now))
    return [
        each
        for item in items
        for each in item.alerts
        if each.alert.kind != "safety" and not is_answered(each, item.last_session, told)
    ]


def risks(connection: sa.Connection, viewer: Viewer) -> tuple[float, ...]:
    """The 30-day risks of the open episodes that a user may see, among which one has its place; the least first."""
    asked = sa.select(episodes.c.risk).where(
        visible_to(viewer), episodes.c.state == "open", episodes.c.risk.is_not(None)
    )
    return tuple(sorted(connection.execute(asked).scalars()))


def visible(connection: sa.Connection, viewer: Viewer, key: str) -> bool:
    """Whether there is an episode that the user may see."""
    return (
        connection.execute(sa.select(episodes.c.key).where(visible_to(viewer), episodes.c.key == key)).first()
        is not None
    )


def alert(connection: sa.Connection, viewer: Viewer, name: str) -> AnsweredAlert | None:
    """An alert with what was answered; None where there is none that the user may see."""
    found = alert_list(connection, viewer, name=name, limit=1)[0]
    return found[0] if found else None


def alert_list(
    connection: sa.Connection, viewer: Viewer, *, status: str | None = None, kind: str | None = None,
    name: str | None = None, limit: int = 50, cursor: str | None = None,
) -> tuple[list[AnsweredAlert], str | None]:  # fmt: skip
    """Alerts, the newest first; `status` is `open` or `resolved`. Raises `WrongCursor`."""
    found = (
        sa.select(alerts).join(episodes, episodes.c.key == alerts.c.episode).where(visible_to(viewer))
        .order_by(alerts.c.raised_at.desc(), alerts.c.id.desc())
    )  # fmt: skip
    if status is not None:
        found = found.where(alerts.c.status == "resolved" if status == "resolved" else alerts.c.status != "resolved")
    if kind is not None:
        found = found.where(alerts.c.kind == kind)
    if name is not None:
        found = found.where(alerts.c.id == name)
    if cursor is not None:
        if (place := _ALERTS_PLACE.fullmatch(_read_cursor(cursor))) is None:
            raise WrongCursor("the cursor is none that this list gave: begin without one")
        raised, last = int(place[1]), place[2]
        found = found.where(sa.tuple_(alerts.c.raised_at, alerts.c.id) < sa.tuple_(sa.literal(raised), last))
    rows = connection.execute(found.limit(limit + 1)).all()
    given = _answers(connection, {row.episode for row in rows[:limit]})
    items = [_answered(row, given[row.episode]) for row in rows[:limit]]
    last_row = rows[limit - 1] if len(rows) > limit else None
    return items, None if last_row is None else _cursor(f"{last_row.raised_at} {last_row.id}")


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


def visible_to(viewer: Viewer) -> sa.ColumnElement[bool]:
    """The episodes that a user may see."""
    mine = episodes.c.clinic == viewer.clinic
    if viewer.role == "supervisor":
        return mine
    if viewer.role != "clinician":
        return sa.false()
    who = viewer.covers if viewer.clinician_id is None else viewer.covers | {viewer.clinician_id}
    return sa.and_(mine, episodes.c.clinician.in_(sorted(who)))


def _told(connection: sa.Connection, rows: Sequence[sa.Row[Any]], *, whole: bool = False) -> list[Told]:
    """Episodes with their events folded, their scores and alerts. Without `whole`: only open alerts."""
    keys = [row.key for row in rows]
    known = registered(connection)
    told: dict[str, list[AnyEvent]] = defaultdict(list)
    asked = sa.select(events.c.episode, events.c.value).where(events.c.episode.in_(keys))
    for key, value in connection.execute(asked.order_by(events.c.partition, events.c.offset)):
        told[key].append(decode_accepted(value))
    waiting = _on_their_way(connection, keys)
    given = {key: answers_of(told[key], waiting[key]) for key in keys}
    scored = _history(connection, keys) if whole else _ends(connection, keys)
    raised: dict[str, list[AnsweredAlert]] = defaultdict(list)
    held = sa.select(alerts).where(alerts.c.episode.in_(keys)).order_by(alerts.c.raised_at.desc(), alerts.c.id)
    for row in connection.execute(held if whole else held.where(alerts.c.status != "resolved")):
        raised[row.episode].append(_answered(row, given[row.episode]))
    return [
        Told(
            row, _folded(row.key, told[row.key], known), told[row.key], scored[row.key], raised[row.key],
            given[row.key],
        )
        for row in rows
    ]  # fmt: skip


def _history(connection: sa.Connection, keys: Collection[str]) -> dict[str, list[Score]]:
    """Every score of these episodes, in the order of the log."""
    found: dict[str, list[Score]] = defaultdict(list)
    asked = sa.select(scores.c.episode, scores.c.value).where(scores.c.episode.in_(keys))
    for key, value in connection.execute(asked.order_by(scores.c.partition, scores.c.offset)):
        found[key].append(_score.decode(value))
    return found


def _ends(connection: sa.Connection, keys: Collection[str]) -> dict[str, list[Score]]:
    """Of each episode's scores what a row of a list tells of: the newest, and before it the newest with a risk from before
    the last session."""
    of, newest = scores.alias(), scores.alias()
    last = sa.select(sa.func.max(newest.c.as_of)).where(newest.c.episode == episodes.c.key)
    moments = (last, last.where(newest.c.as_of < episodes.c.last_session))
    asked = (
        sa.select(of.c.episode, of.c.value)
        .select_from(episodes.join(of, of.c.episode == episodes.c.key))
        .where(episodes.c.key.in_(keys), sa.or_(*(of.c.as_of == one.scalar_subquery() for one in moments)))
        .order_by(of.c.partition, of.c.offset)
    )
    found: dict[str, list[Score]] = defaultdict(list)
    for key, value in connection.execute(asked):
        found[key].append(_score.decode(value))
    without = [key for key, ends in found.items() if len(ends) > 1 and ends[0].risk is None]
    return found | _history(connection, without) if without else found


def _folded(key: str, told: Sequence[AnyEvent], known: Instruments) -> Live:
    return Live(episode_from(key, told), partial(known.get, key.partition("/")[0]))


def _item(one: Told, now: datetime, fits: Fits, looked: int | None) -> CaseloadItem:
    course, row = one.live.course, one.row
    at = max(micros(now), one.live.episode.latest)
    newest = one.scores[-1] if one.scores else None
    starts = course.visits.next_visit(at)
    following = None if starts is None else NextVisit(
        starts_at=rfc3339(starts), missed=newest.next_visit_missed if newest else None
    )  # fmt: skip
    strain, change = course.alliance.open, _change(one)
    known = _measures(one)
    return CaseloadItem(
        episode=row.key, clinician_id=row.clinician, state=row.state,
        as_of=newest.as_of if newest else rfc3339(one.live.episode.latest),
        risk=newest.risk if newest else None, change=change, next_visit=following,
        last_session=None if course.last_session is None else rfc3339(course.last_session), sessions=course.sessions,
        reasons=newest.reasons if newest else (), gaps=newest.gaps if newest else (), alerts=tuple(
            each for each in one.alerts if each.alert.status != "resolved"
        ),
        rupture=None if strain is None else _rupture(strain), model=newest.model if newest else "",
        calibrated=newest is not None and fits(newest.model, row.clinic), why=_why(one, change, starts, now),
        new=() if looked is None else tuple(_news(one, rfc3339(looked))),
        measure=next(iter(known), None),
    )  # fmt: skip


def _news(one: Told, since: str) -> list[str]:
    """What is new since then, the newest first: alerts that were raised or told again, and what happened that asks for a
    thought."""
    found = []
    for each in one.alerts:
        if each.alert.status == "raised" and each.raised_at > since:
            found.append((each.raised_at, render(said("New: {what}", what=meaning("alert_kind", each.alert.kind)))))
        elif each.alert.status == "escalated" and each.alert.at > since:
            told = said("More urgent than before: {what}", what=meaning("alert_kind", each.alert.kind))
            found.append((each.alert.at, render(told)))
    for entry, event in _timeline(one):
        if entry.at <= since:
            break
        if isinstance(event, TOLD_AS_NEW) and not _is_an_answer_to(event):
            told = KINDS[entry.kind]
            found.append(
                (entry.at, render(said("{what}: {about}", what=told, about=entry.text) if entry.text else told))
            )
    return [text for _, text in sorted(found, reverse=True)[:MOST_NEWS]]


def _is_an_answer_to(event: AnyEvent) -> bool:
    """Whether it came about on these pages, where it is told as an answer."""
    return event.source.endswith("/keepwell")


def _why(one: Told, change: Change | None, starts: int | None, now: datetime) -> Why:
    """What asks for a thought: open alerts that nobody answered since they were last told, then a session that is near."""
    course = one.live.course
    last = None if course.last_session is None else rfc3339(course.last_session)
    waiting = {each.alert.kind for each in one.alerts if not is_answered(each, last, rfc3339(micros(now)))}
    if "safety" in waiting:
        return "safety"
    if any(_is_back(each) for each in one.alerts if each.alert.kind in waiting):
        return "back_from_snooze"
    if "rupture" in waiting:
        return "voiced" if course.concerns.open else "rupture"
    if "risk" in waiting and change is not None and change.risk_30d >= ABOUT_THE_SAME:
        return "rose"
    for kind, why in _WHY:
        if kind in waiting:
            return why
    if starts is not None and starts - micros(now) <= SOON.total_seconds() * 1e6:
        return "session_today"
    return "quiet"


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
    spread = (sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5
    return round(mean - spread, 2), round(mean + spread, 2)


def _rupture(strain: Strain) -> Rupture:
    return Rupture(
        opened_at=rfc3339(strain.opened_at), pillar=strain.pillar or None,
        closed_at=None if strain.closed_at is None else rfc3339(strain.closed_at), repaired=strain.repaired,
    )  # fmt: skip


def _timeline(one: Told) -> Iterable[tuple[TimelineEntry, AnyEvent]]:
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


def _answers(connection: sa.Connection, keys: Collection[str]) -> dict[str, list[Answer]]:
    told: dict[str, list[AnyEvent]] = defaultdict(list)
    asked = sa.select(events).where(events.c.episode.in_(keys)).order_by(events.c.partition, events.c.offset)
    for row in connection.execute(asked):
        told[row.episode].append(decode_accepted(row.value))
    waiting = _on_their_way(connection, keys)
    return defaultdict(list, {key: answers_of(told[key], waiting[key]) for key in keys})


def _on_their_way(connection: sa.Connection, keys: Collection[str]) -> dict[str, list[AnyEvent]]:
    """What users sent about episodes, by episode in the order of sending, whether it came back or not."""
    found: dict[str, list[AnyEvent]] = defaultdict(list)
    for row in connection.execute(sa.select(sent).where(sent.c.episode.in_(keys)).order_by(sent.c.at)):
        found[row.episode].append(decode_accepted(row.value))
    return found


def _answered(row: sa.Row[Any], given: Sequence[Answer]) -> AnsweredAlert:
    return AnsweredAlert(
        alert=_alert.decode(row.value), raised_at=rfc3339(row.raised_at),
        answers=tuple(one for one in given if one.alert_id == row.id),
    )  # fmt: skip


def _mark(key: str) -> str:
    """What stands for an episode in a cursor, which stands in an address: no name of anybody."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def _cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> str:
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise WrongCursor("the cursor is none that this list gave: begin without one") from None
