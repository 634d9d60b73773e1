"""A clinic as a whole: supervision with small numbers hidden, what is missing of the data, and the release in use.

Events are found by their type, so what is decoded is what clinicians answered and how courses ended, not every event.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from statistics import median
from typing import Final, NamedTuple

import msgspec
import sqlalchemy as sa

from keepwell.contract.events import AnyEvent, EpisodeEnded, EventRetracted, decode_accepted, micros, rfc3339
from keepwell.contract.outputs import Alert, Score
from keepwell.contract.words import VOCABULARIES
from services.clinician.queries import answers_of
from services.clinician.releases import KnownRelease
from services.clinician.tables import alerts, episodes, events, scores
from services.clinician.views import (
    Answer,
    CalledWrong,
    Ending,
    ModelView,
    QualityView,
    SystemGaps,
    TeamMember,
    TeamView,
    Viewer,
)

WEEKS: Final = 12
"""What supervision looks back on; ours: a quarter, in which most courses have a few sessions."""
FEWEST: Final = 5
"""Counts below it are hidden, others rounded to a multiple of it."""
MOST_ALERTS: Final = 2_000
"""The newest alerts of a clinic among which it is counted what was called wrong; ours."""
ANSWERED: Final = ("keepwell.alert.actioned.v1", "keepwell.repair.attempted.v1", "keepwell.event.retracted.v1")
_WEEK_US: Final = 7 * 86_400_000_000
_score = msgspec.json.Decoder(Score)
_alert = msgspec.json.Decoder(Alert)


def suppressed(counts: Sequence[int]) -> list[int | None]:
    """Counts as they may be shown beside their total: small ones hidden, the others rounded to a multiple of five.

    Where one alone would be hidden, whoever knows the total could tell it by subtraction, so the next smallest is hidden too.
    A count of 0 is small like any other.

    >>> suppressed([23, 3, 18]), suppressed([23, 3]), suppressed([2, 4]), suppressed([12])
    ([25, None, None], [None, None], [None, None], [10])
    """
    hidden = {place for place, count in enumerate(counts) if count < FEWEST}
    if len(hidden) == 1 and len(counts) > 1:
        hidden.add(min((place for place in range(len(counts)) if place not in hidden), key=lambda place: counts[place]))
    return [None if place in hidden else rounded(count) for place, count in enumerate(counts)]


def rounded(count: int) -> int:
    """The nearest multiple of five."""
    return FEWEST * ((count + FEWEST // 2) // FEWEST)


class _Raised(NamedTuple):
    """An alert of the period, whose it was, and when it was first answered, None while it was not."""

    clinician: str | None
    raised_at: int
    resolved: bool
    answered_at: int | None


def team(connection: sa.Connection, viewer: Viewer, now: datetime, budget: float | None = None) -> TeamView:
    """A clinic's last weeks as its supervisor may see them; whoever is no supervisor sees an empty one.

    `budget`: alerts a clinician and week that the release's lines foresee.
    """
    since, until = micros(now) - WEEKS * _WEEK_US, micros(now)
    given = _answers(connection, viewer)
    raised = _raised(connection, viewer, since, given)
    tried = [one for found in given.values() for one in found if _is_repair(one) and micros(_at(one.at)) >= since]
    better = sum(one.outcome == "better" for one in tried)
    ends = _endings(connection, viewer, since)
    answered = [one for one in raised if one.answered_at is not None]
    unseen = sum(one.resolved and one.answered_at is None for one in raised)
    shown = suppressed([len(answered), unseen, len(raised) - len(answered) - unseen])
    repairs = suppressed([better, len(tried) - better])
    members = _members(connection, viewer, raised)
    hours = [(one.answered_at - one.raised_at) / 3.6e9 for one in answered if one.answered_at is not None]
    return TeamView(
        since=rfc3339(since), until=rfc3339(until),
        raised=_shown(len(raised)), answered=shown[0], unseen=shown[1],
        hours_to_answer=round(median(hours), 1) if len(hours) >= FEWEST else None,
        repairs=_shown(len(tried)), repairs_better=repairs[0],
        burden=round(len(raised) / (len(members) * WEEKS), 1) if len(raised) >= FEWEST and members else None, budget=budget,
        endings=tuple(
            Ending(how=how, count=count)
            for how, count in zip(sorted(ends), suppressed([ends[how] for how in sorted(ends)]), strict=True)
        ),
        members=members,
    )  # fmt: skip


def _shown(count: int) -> int | None:
    return rounded(count) if count >= FEWEST else None


def _is_repair(one: Answer) -> bool:
    return one.kind == "repair" and not one.retracted


def _at(moment: str) -> datetime:
    return datetime.fromisoformat(moment)


def _raised(
    connection: sa.Connection, viewer: Viewer, since: int, given: Mapping[str, list[Answer]]
) -> list[_Raised]:  # fmt: skip
    first: dict[str, int] = {}
    for found in given.values():
        for one in found:
            if one.kind == "answer" and one.alert_id is not None and not one.retracted:
                at = micros(_at(one.at))
                first[one.alert_id] = min(at, first.get(one.alert_id, at))
    asked = (
        sa.select(alerts.c.id, alerts.c.status, alerts.c.raised_at, episodes.c.clinician)
        .join(episodes, episodes.c.key == alerts.c.episode)
        .where(_of_clinic(viewer, "supervisor"), alerts.c.raised_at >= since)
    )
    return [
        _Raised(row.clinician, row.raised_at, row.status == "resolved", first.get(row.id))
        for row in connection.execute(asked)
    ]


def _members(connection: sa.Connection, viewer: Viewer, raised: Sequence[_Raised]) -> tuple[TeamMember, ...]:
    asked = (
        sa.select(episodes.c.clinician, sa.func.count())
        .where(_of_clinic(viewer, "supervisor"), episodes.c.state == "open", episodes.c.clinician.is_not(None))
        .group_by(episodes.c.clinician)
    )
    courses = {row[0]: row[1] for row in connection.execute(asked)}
    names = sorted(courses.keys() | {one.clinician for one in raised if one.clinician is not None})
    of: dict[str | None, list[_Raised]] = defaultdict(list)
    for one in raised:
        of[one.clinician].append(one)
    columns = [
        suppressed([courses.get(name, 0) for name in names]),
        suppressed([sum(not one.resolved for one in of[name]) for name in names]),
        suppressed([sum(one.answered_at is not None for one in of[name]) for name in names]),
        suppressed([sum(one.resolved and one.answered_at is None for one in of[name]) for name in names]),
    ]
    return tuple(
        TeamMember(clinician_id=name, episodes=course, open=still, answered=answered, unseen=unseen)
        for name, course, still, answered, unseen in zip(names, *columns, strict=True)
    )


def _endings(connection: sa.Connection, viewer: Viewer, since: int) -> Counter[str]:
    """How courses ended in the period: by the last entry that holds, and where a stop was declared, as the client's."""
    told = _events(connection, viewer, ("keepwell.episode.ended.v1", "keepwell.event.retracted.v1"))
    retracted = {(one.key, one.source, one.data.event_id) for one in told if isinstance(one, EventRetracted)}
    corrected = {(one.key, one.source, one.corrects) for one in told if one.corrects is not None}
    last: dict[str, str] = {}
    for event in told:
        holds = (event.key, event.source, event.id) not in retracted | corrected
        if isinstance(event, EpisodeEnded) and holds and micros(event.time) >= since:
            last[event.key] = event.data.reason
    stopped = sa.select(episodes.c.key).where(
        _of_clinic(viewer, "supervisor"), episodes.c.state == "stopped", episodes.c.scored_at >= since
    )
    for key in connection.execute(stopped).scalars():
        last.setdefault(key, "client_stopped")
    return Counter(last.values())


def _answers(connection: sa.Connection, viewer: Viewer) -> Mapping[str, list[Answer]]:
    told: dict[str, list[AnyEvent]] = defaultdict(list)
    for event in _events(connection, viewer, ANSWERED):
        told[event.key].append(event)
    return {key: answers_of(found) for key, found in told.items()}


def _events(connection: sa.Connection, viewer: Viewer, kinds: Sequence[str], since: int = 0) -> list[AnyEvent]:
    asked = (
        sa.select(events.c.value)
        .where(events.c.clinic == viewer.clinic, events.c.type.in_(kinds), events.c.at >= since)
        .order_by(events.c.partition, events.c.offset)
    )
    return [decode_accepted(value) for value in connection.execute(asked).scalars()]


def _of_clinic(viewer: Viewer, *roles: str) -> sa.ColumnElement[bool]:
    return episodes.c.clinic == viewer.clinic if viewer.role in roles else sa.false()


def quality(connection: sa.Connection, viewer: Viewer) -> QualityView:
    """What is missing of a clinic's data, system by system and on the whole, and what was called wrong. No client in it."""
    sent = sa.select(events.c.source, sa.func.count(), sa.func.max(events.c.at)).where(events.c.clinic == viewer.clinic)
    systems = [
        SystemGaps(system=source, last_event=rfc3339(last), events=count, gaps=())
        for source, count, last in connection.execute(sent.group_by(events.c.source).order_by(events.c.source))
    ]
    if systems:
        whole = SystemGaps(
            system=f"/{viewer.clinic}", last_event=max(one.last_event or "" for one in systems),
            events=sum(one.events for one in systems), gaps=tuple(_gaps(connection, viewer).most_common()),
        )  # fmt: skip
        systems.insert(0, whole)
    return QualityView(systems=tuple(systems), wrong=called_wrong(connection, viewer))


def _gaps(connection: sa.Connection, viewer: Viewer) -> Counter[str]:
    """Of how many courses under way each thing is not known, by their newest scores."""
    newest = (
        sa.select(scores.c.episode, sa.func.max(scores.c.offset).label("offset"))
        .join(episodes, episodes.c.key == scores.c.episode)
        .where(episodes.c.clinic == viewer.clinic, episodes.c.state == "open")
        .group_by(scores.c.episode)
        .subquery()
    )
    asked = sa.select(scores.c.value).join(
        newest, sa.and_(newest.c.episode == scores.c.episode, newest.c.offset == scores.c.offset)
    )
    return Counter(gap for value in connection.execute(asked).scalars() for gap in _score.decode(value).gaps)


def called_wrong(connection: sa.Connection, viewer: Viewer) -> tuple[CalledWrong, ...]:
    """How often what raised the risk was shown with an alert, and how often that alert was called wrong; the most often
    called wrong first. The grounds of an alert are those of the score that it was last told by; a reason is
    told by its theme, as its own words hold a client's numbers."""
    given = _answers(connection, viewer)
    wrong = {
        one.alert_id
        for found in given.values()
        for one in found
        if one.kind == "answer" and one.reason == "data_wrong" and not one.retracted
    }
    by = (
        sa.select(sa.func.max(scores.c.as_of))
        .where(scores.c.episode == alerts.c.episode, scores.c.as_of <= alerts.c.at)
        .correlate(alerts)
        .scalar_subquery()
    )
    asked = (
        sa.select(alerts.c.id, scores.c.value)
        .join(scores, sa.and_(scores.c.episode == alerts.c.episode, scores.c.as_of == by))
        .where(alerts.c.clinic == viewer.clinic)
        .order_by(alerts.c.raised_at.desc(), alerts.c.id, scores.c.offset)
        .limit(MOST_ALERTS)
    )
    texts: dict[str, str] = {}
    shown, called = Counter[str](), Counter[str]()
    for name, value in {row.id: row.value for row in connection.execute(asked)}.items():
        for reason in _score.decode(value).reasons:
            if reason.points > 0 and reason.feature:
                texts.setdefault(reason.feature, VOCABULARIES["theme"].says.get(reason.pillar, reason.pillar))
                shown[reason.feature] += 1
                called[reason.feature] += name in wrong
    found = [CalledWrong(feature=name, text=texts[name], shown=shown[name], wrong=called[name]) for name in shown]
    return tuple(sorted((one for one in found if one.wrong), key=lambda one: (-one.wrong, one.feature)))


def digest_in_use(connection: sa.Connection, viewer: Viewer) -> str | None:
    """The release by which the clinic's newest score was made; None where nothing was scored yet."""
    asked = (
        sa.select(scores.c.value)
        .join(episodes, episodes.c.key == scores.c.episode)
        .where(episodes.c.clinic == viewer.clinic)
        .order_by(scores.c.as_of.desc())
        .limit(1)
    )
    value = connection.execute(asked).scalar()
    return None if value is None else _score.decode(value).model


def model(
    connection: sa.Connection, viewer: Viewer, digest: str, known: KnownRelease | None, calibrated: bool
) -> ModelView:  # fmt: skip
    """The release in use; of one that cannot be read here the digest alone. What was called wrong is not for clinicians."""
    sources: tuple[tuple[str, str], ...] = ()
    if known is not None:
        told = known.manifest
        sources = (
            ("title", told.title), ("origin", told.origin), ("created", told.created), ("code", told.code),
            ("definition", told.definition),
        )  # fmt: skip
    return ModelView(
        release=digest, role="champion", since=None, calibrated=calibrated, sources=sources,
        card=() if known is None else sections_of(known.card), limits=(),
        wrong=() if viewer.role == "clinician" else called_wrong(connection, viewer),
    )  # fmt: skip


def sections_of(card: str) -> tuple[tuple[str, str], ...]:
    """The sections of a model card: heading and paragraphs. Tables are for the file; here they would be too wide."""
    found = []
    for section in card.partition("\n## ")[2].split("\n## "):
        heading, _, body = section.partition("\n")
        lines = [line for line in body.splitlines() if not line.startswith("|")]
        text = "\n".join(lines).replace("`", "").strip()
        if text:
            found.append((heading.strip(), text))
    return tuple(found)
