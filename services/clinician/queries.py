"""What a user may see of episodes and alerts, from the read model, in the order of what needs a thought first.

Every question begins with who asks: it is of the user's clinic alone, and for clinicians of their own episodes and those that
they cover. What may not be seen is not there.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from keepwell.contract.events import (
    micros,
    rfc3339,
)
from keepwell.contract.words import State
from services.clinician import records
from services.clinician.items import (
    NOTHING_WAITS,
    Fits,
    fits_nobody,
    is_answered,
    item_of,
    view_of,
)
from services.clinician.seen import last_seen
from services.clinician.summaries import summed
from services.clinician.tables import alerts, episodes
from services.clinician.views import (
    AnsweredAlert,
    CaseloadItem,
    EpisodeView,
    Viewer,
)

MARKS: Final = 8
"""Episodes before the place of a cursor that it knows: it goes on after the last of them that is still there. Ours."""
LATER: Final = 1 << 62
_ALERTS_PLACE: Final = re.compile("(-?[0-9]{1,18}) ([!-~]+)")
"""After which alert a page of alerts begins: when it was raised, and its id."""
MOST_AT_ONCE: Final = 200
"""Clients whose matters are marked as seen at once, after a leave; ours."""


class WrongCursor(ValueError):
    """A cursor that this list did not give."""


class Asked(NamedTuple):
    """What is asked of a list of episodes: whose, with which piece of the pseudonym, with open alerts alone, in a state."""

    clinician: str | None = None
    q: str | None = None
    alerts_open: bool = False
    state: State = "open"


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
    told = summed(connection, page)
    looked = last_seen(connection, viewer.user, [row.key for row in page])
    items = [item_of(row, told[row.key], now, fits, looked.get(row.key)) for row in page if row.key in told]
    passed += [row.key for row in page]
    return items, _cursor(" ".join(map(_mark, reversed(passed[-MARKS:])))) if len(rows) > limit else None


def _ranked(
    viewer: Viewer, asked: Asked, at: int, *, asking: bool = False
) -> tuple[sa.Select[Any], list[sa.ColumnElement[Any]]]:
    """The episodes of a list that a user may see, and what they are ordered by; with `asking` those alone that ask for a
    thought, which stand first."""
    asks = sa.func.coalesce(episodes.c.asks, 0)
    soon = sa.and_(asks > 0, episodes.c.next_visit >= at)
    rank: list[sa.ColumnElement[Any]] = [
        -asks,
        sa.case((soon, episodes.c.next_visit), else_=sa.literal(LATER, sa.BigInteger)),
        -sa.func.coalesce(episodes.c.risk, 0.0),
        episodes.c.key,
    ]
    found = sa.select(episodes).where(visible_to(viewer), episodes.c.state == asked.state)
    if asking:
        found = found.where(episodes.c.asks > 0)
    if asked.alerts_open:
        found = found.where(episodes.c.asks.is_not(None))
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
    found = records.told(connection, [row], whole=True)
    return None if not found else view_of(found[0], now, fits, last_seen(connection, viewer.user, [key]).get(key))


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
    given = records.answers_to(connection, {row.episode for row in rows[:limit]})
    items = [records.answered(row, given[row.episode]) for row in rows[:limit]]
    last_row = rows[limit - 1] if len(rows) > limit else None
    return items, None if last_row is None else _cursor(f"{last_row.raised_at} {last_row.id}")


def visible_to(viewer: Viewer) -> sa.ColumnElement[bool]:
    """The episodes that a user may see."""
    mine = episodes.c.clinic == viewer.clinic
    if viewer.role == "supervisor":
        return mine
    if viewer.role != "clinician":
        return sa.false()
    who = viewer.covers if viewer.clinician_id is None else viewer.covers | {viewer.clinician_id}
    return sa.and_(mine, episodes.c.clinician.in_(sorted(who)))


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
