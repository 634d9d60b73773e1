"""A clinic as a whole: supervision with small numbers hidden, what is missing of the data, and the release in use.

What is counted here stands in columns that the projector wrote, so the database counts, and nothing is decoded but the
scores behind the newest alerts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from statistics import median
from typing import Final, NamedTuple, get_args

import msgspec
import sqlalchemy as sa

from keepwell.contract.events import micros, rfc3339
from keepwell.contract.outputs import Score
from keepwell.contract.words import VOCABULARIES, EndReason
from services.clinician.releases import KnownRelease
from services.clinician.small import FEWEST, of_parts, shown, total
from services.clinician.tables import alerts, answers, episodes, events, scores
from services.clinician.views import (
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
MOST_ALERTS: Final = 2_000
"""The newest alerts of a clinic among which it is counted what was called wrong; ours."""
_WEEK_US: Final = 7 * 86_400_000_000
_MONDAY_US: Final = 4 * 86_400_000_000
"""The first Monday of 1970."""
_score = msgspec.json.Decoder(Score)


class _Told(NamedTuple):
    """An alert of the period: whose, whether it is settled, and the time to the first answer (µs), None without one."""

    clinician: str | None
    settled: bool
    took: int | None


class _Raised(NamedTuple):
    """How many alerts of a clinician's episodes were raised in the period: those that are open at its end, those answered by
    then, those settled without an answer, and the rest, which are open and unanswered."""

    open: int = 0
    answered: int = 0
    unseen: int = 0
    rest: int = 0


def team(connection: sa.Connection, viewer: Viewer, now: datetime, budget: float | None = None) -> TeamView:
    """A clinic's last whole weeks as its supervisor may see them; whoever is no supervisor sees an empty one.

    Whole weeks, as of their end: figures that moved with every event would tell of that event. `budget`: alerts a clinician
    and week that the release's lines foresee.
    """
    until = micros(now) - (micros(now) - _MONDAY_US) % _WEEK_US
    since = until - WEEKS * _WEEK_US
    found = _alerts(connection, viewer, since, until)
    raised = _by_clinician(found)
    members = _members(connection, viewer, raised, until)
    every = [raised.get(name, _Raised()) for name in raised.keys() | {one.clinician_id for one in members}]
    answered, unseen = total([one.answered for one in every]), total([one.unseen for one in every])
    rest = shown(sum(one.rest for one in every))
    all_raised = sum(one or 0 for one in (answered, unseen, rest)) or None
    took = [one.took / 3.6e9 for one in found if one.took is not None]
    tried, better = _repairs(connection, viewer, since, until)
    burden = None if all_raised is None or not members else round(all_raised / (len(members) * WEEKS), 1)
    return TeamView(
        since=rfc3339(since), until=rfc3339(until), raised=all_raised, answered=answered, unseen=unseen,
        hours_to_answer=None if answered is None or len(took) < FEWEST else round(median(took), 1),
        repairs=shown(tried), repairs_better=of_parts(better, tried - better), burden=burden, budget=budget,
        endings=_endings(connection, viewer, since, until) if members else (), members=members,
    )  # fmt: skip


def _alerts(connection: sa.Connection, viewer: Viewer, since: int, until: int) -> list[_Told]:
    """The clinic's alerts of the period as of its end; none for whoever is no supervisor."""
    first = (
        sa.select(answers.c.alert, sa.func.min(answers.c.at).label("at"))
        .where(answers.c.clinic == viewer.clinic, answers.c.kind == "answer", answers.c.at < until)
        .group_by(answers.c.alert)
        .subquery()
    )
    settled = sa.and_(alerts.c.status == "resolved", alerts.c.at < until).label("settled")
    asked = (
        sa.select(episodes.c.clinician, settled, (first.c.at - alerts.c.raised_at).label("took"))
        .select_from(
            alerts.join(episodes, episodes.c.key == alerts.c.episode).outerjoin(first, first.c.alert == alerts.c.id)
        )
        .where(_of_clinic(viewer, "supervisor"), alerts.c.clinic == viewer.clinic)
        .where(alerts.c.raised_at >= since, alerts.c.raised_at < until)
    )
    return [_Told(*row) for row in connection.execute(asked)]


def _by_clinician(found: Sequence[_Told]) -> dict[str | None, _Raised]:
    counts: dict[str | None, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for clinician, settled, took in found:
        count = counts[clinician]
        count[0] += not settled
        count[1] += took is not None
        count[2] += bool(settled) and took is None
        count[3] += not settled and took is None
    return {clinician: _Raised(*count) for clinician, count in counts.items()}


def _repairs(connection: sa.Connection, viewer: Viewer, since: int, until: int) -> tuple[int, int]:
    """How many repairs were tried in the period, and after how many it was better."""
    asked = sa.select(sa.func.count(), sa.func.sum(sa.case((answers.c.word == "better", 1), else_=0))).where(
        answers.c.clinic == viewer.clinic, answers.c.kind == "repair", answers.c.at >= since, answers.c.at < until
    )
    if viewer.role != "supervisor":
        return 0, 0
    tried, better = connection.execute(asked).one()
    return tried, better or 0


def _members(
    connection: sa.Connection, viewer: Viewer, raised: Mapping[str | None, _Raised], until: int
) -> tuple[TeamMember, ...]:  # fmt: skip
    """Every clinician with courses under way at the end of the period, or with alerts in it."""
    under_way = sa.or_(
        episodes.c.state == "open",
        sa.and_(episodes.c.state == "stopped", episodes.c.scored_at >= until),
        sa.and_(episodes.c.state == "ended", episodes.c.ended_at >= until),
    )
    asked = (
        sa.select(episodes.c.clinician, sa.func.count())
        .where(
            _of_clinic(viewer, "supervisor"), episodes.c.clinician.is_not(None), episodes.c.first_at < until, under_way
        )
        .group_by(episodes.c.clinician)
    )
    courses = {row[0]: row[1] for row in connection.execute(asked)}
    return tuple(
        TeamMember(
            clinician_id=name, episodes=shown(courses.get(name, 0)), open=shown(one.open), answered=shown(one.answered),
            unseen=shown(one.unseen),
        )
        for name in sorted(courses.keys() | {name for name in raised if name is not None})
        for one in (raised.get(name, _Raised()),)
    )  # fmt: skip


def _endings(connection: sa.Connection, viewer: Viewer, since: int, until: int) -> tuple[Ending, ...]:
    """How courses ended in the period: by the ending that holds, and where a stop was declared, as the client's. Every way is
    there, as one that is left out would be told to be none."""
    mine = _of_clinic(viewer, "supervisor")
    asked = sa.select(episodes.c.ended_as, sa.func.count()).where(
        mine, episodes.c.ended_at >= since, episodes.c.ended_at < until
    )
    ends = Counter({row[0]: row[1] for row in connection.execute(asked.group_by(episodes.c.ended_as))})
    stopped = sa.select(sa.func.count()).where(
        mine, episodes.c.state == "stopped", episodes.c.scored_at >= since, episodes.c.scored_at < until,
        sa.or_(episodes.c.ended_at.is_(None), episodes.c.ended_at < since),
    )  # fmt: skip
    ends["client_stopped"] += connection.execute(stopped).scalar() or 0
    return tuple(Ending(how=how, count=shown(ends[how])) for how in sorted(get_args(EndReason)))


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
    asked = (
        sa.select(episodes.c.gaps, sa.func.count())
        .where(episodes.c.clinic == viewer.clinic, episodes.c.state == "open", episodes.c.gaps.is_not(None))
        .group_by(episodes.c.gaps)
    )
    found = Counter[str]()
    for gaps, count in connection.execute(asked):
        for gap in msgspec.json.decode(gaps, type=tuple[str, ...]):
            found[gap] += count
    return found


def called_wrong(connection: sa.Connection, viewer: Viewer) -> tuple[CalledWrong, ...]:
    """How often what raised the risk was shown with an alert, and how often that alert was called wrong; the most often
    called wrong first. The grounds of an alert are those of the score that it was last told by; a reason is
    told by its theme, as its own words hold a client's numbers."""
    told = sa.select(answers.c.alert).where(
        answers.c.clinic == viewer.clinic, answers.c.kind == "answer", answers.c.word == "data_wrong"
    )
    wrong = set(connection.execute(told).scalars())
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
        sa.select(episodes.c.model)
        .where(episodes.c.clinic == viewer.clinic, episodes.c.scored_at.is_not(None))
        .order_by(episodes.c.scored_at.desc())
        .limit(1)
    )
    return connection.execute(asked).scalar()


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
        release=digest, role="champion", calibrated=calibrated, sources=sources,
        card=() if known is None else sections_of(known.card),
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
