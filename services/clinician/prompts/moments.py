"""When a prompt is due: before the first session of the day, outside quiet hours, by the clinic's own clock. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from services.clinician.clinics import ClinicFacts

BEFORE: Final = timedelta(minutes=30)
"""So long before the first session a digest comes at the latest; ours."""
LATE: Final = timedelta(hours=4)
"""A digest that could not be made so long after its moment is left out: the day has gone on. Ours."""


def local_day(facts: ClinicFacts, now: datetime) -> date:
    """The date at the clinic."""
    return now.astimezone(facts.zone).date()


def day_bounds(facts: ClinicFacts, day: date) -> tuple[datetime, datetime]:
    """When a day of the clinic begins and when the next one does, in UTC; 23 to 25 hours apart."""
    begin, end = (datetime.combine(day + timedelta(days=more), time(), facts.zone) for more in (0, 1))
    return begin.astimezone(UTC), end.astimezone(UTC)


def digest_due(facts: ClinicFacts, day: date, first_visit: datetime | None) -> datetime:
    """When the digest of a day comes, in UTC: at the clinic's time for it, or half an hour before the first session if that
    is earlier, but never on the day before."""
    due = datetime.combine(day, facts.digest_at, facts.zone).astimezone(UTC)
    if first_visit is not None:
        due = min(due, first_visit.astimezone(UTC) - BEFORE)
    return max(due, day_bounds(facts, day)[0])


def after_quiet(facts: ClinicFacts, now: datetime) -> datetime:
    """The first moment from now on that is outside quiet hours, in UTC; now itself where it is."""
    begin, end = facts.quiet_hours
    local = now.astimezone(facts.zone)
    clock = local.time()
    over_midnight = end < begin
    quiet = (clock >= begin or clock < end) if over_midnight else begin <= clock < end
    if not quiet:
        return now.astimezone(UTC)
    day = local.date() + timedelta(days=1 if over_midnight and clock >= begin else 0)
    ends = [datetime.combine(day, end.replace(fold=fold), facts.zone).astimezone(UTC) for fold in (0, 1)]
    return next(moment for moment in ends if moment >= now)  # an hour that comes twice ends twice
