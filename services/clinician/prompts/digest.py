"""Whether a user's list is worth a digest today: something waits of a client who comes today, or is new since the last."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from functools import partial

import sqlalchemy as sa

from keepwell.contract.events import micros, rfc3339
from services.clinician import queries
from services.clinician.clinics import ClinicFacts
from services.clinician.people.covers import covered
from services.clinician.people.who import User
from services.clinician.prompts.moments import day_bounds
from services.clinician.prompts.tables import notices


def waiting(
    facts_of: Callable[[str], ClinicFacts], now: Callable[[], datetime]
) -> Callable[[sa.Connection, User, date], bool]:
    """The question of `Prompts.digests`, asked by the clinic's day."""
    return partial(_waits, facts_of, now)


def _waits(
    facts_of: Callable[[str], ClinicFacts], now: Callable[[], datetime], connection: sa.Connection, user: User, day: date
) -> bool:  # fmt: skip
    moment = now()
    viewer = user.viewer(covered(connection, user, micros(moment)))
    begin, end = (rfc3339(micros(at)) for at in day_bounds(facts_of(user.clinic), day))
    last = connection.execute(
        sa.select(sa.func.max(notices.c.at)).where(
            notices.c.user == user.id, notices.c.kind == "digest", notices.c.state == "sent"
        )
    ).scalar()
    since = "" if last is None else rfc3339(last)
    for item in queries.waiting(connection, viewer, moment):
        visit = item.next_visit
        if visit is not None and begin <= visit.starts_at < end:
            return True
        if any(each.alert.at > since for each in item.alerts):
            return True
    return False
