"""Moments of prompts by the clinic's clock, on both days on which it is changed and around midnight too."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.clinician.clinics import ClinicFacts
from services.clinician.prompts.moments import BEFORE, after_quiet, day_bounds, digest_due, local_day

BERLIN = ClinicFacts(zone=ZoneInfo("Europe/Berlin"))
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "UTC")
MOMENTS = st.datetimes(datetime(2011, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))
FACTS = st.builds(
    ClinicFacts, zone=st.sampled_from(ZONES).map(ZoneInfo), digest_at=st.times(),
    quiet_hours=st.tuples(st.times(), st.times()),
)  # fmt: skip


def at(text: str, zone: str = "Europe/Berlin") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


@pytest.mark.parametrize(
    ("day", "first", "due"),
    [
        ("2026-03-02", None, "2026-03-02T07:30"),
        ("2026-03-02", "2026-03-02T14:00", "2026-03-02T07:30"),
        ("2026-03-02", "2026-03-02T07:00", "2026-03-02T06:30"),
        ("2026-03-02", "2026-03-02T00:10", "2026-03-02T00:00"),  # not on the day before
        ("2026-03-29", None, "2026-03-29T07:30"),  # the clock was put forward five hours ago
        ("2026-10-25", "2026-10-25T07:45", "2026-10-25T07:15"),  # and back
    ],
)
def test_a_digest_comes_at_the_clinics_time_or_before_the_first_session(day: str, first: str | None, due: str) -> None:
    begins = None if first is None else at(first).astimezone(UTC)
    assert digest_due(BERLIN, date.fromisoformat(day), begins) == at(due)


@pytest.mark.parametrize(
    ("now", "then"),
    [
        ("2026-03-02T12:00", "2026-03-02T12:00"), ("2026-03-02T19:59", "2026-03-02T19:59"),
        ("2026-03-02T20:00", "2026-03-03T07:00"), ("2026-03-02T23:30", "2026-03-03T07:00"),
        ("2026-03-03T00:00", "2026-03-03T07:00"), ("2026-03-03T06:59", "2026-03-03T07:00"),
        ("2026-03-03T07:00", "2026-03-03T07:00"), ("2026-03-28T23:30", "2026-03-29T07:00"),
    ],
)  # fmt: skip
def test_quiet_hours_go_over_midnight_by_the_clinics_clock(now: str, then: str) -> None:
    assert after_quiet(BERLIN, at(now)) == at(then)


def test_quiet_hours_within_a_day_and_none_at_all() -> None:
    noon = BERLIN._replace(quiet_hours=(time(12), time(14)))
    assert after_quiet(noon, at("2026-03-02T13:00")) == at("2026-03-02T14:00")
    assert after_quiet(noon, at("2026-03-02T14:00")) == at("2026-03-02T14:00")
    never = BERLIN._replace(quiet_hours=(time(12), time(12)))
    assert after_quiet(never, at("2026-03-02T12:00")) == at("2026-03-02T12:00")


def test_the_hour_that_comes_twice_is_quiet_twice() -> None:
    facts = BERLIN._replace(quiet_hours=(time(2, 40), time(2, 50)))
    for before_utc, then_utc in (("00:45", "00:50"), ("01:45", "01:50")):
        now, then = (datetime.fromisoformat(f"2026-10-25T{clock}+00:00") for clock in (before_utc, then_utc))
        assert after_quiet(facts, now) == then


@given(FACTS, MOMENTS)
def test_a_moment_lies_in_its_day_and_days_follow_each_other(facts: ClinicFacts, now: datetime) -> None:
    day = local_day(facts, now)
    begin, end = day_bounds(facts, day)
    assert begin <= now < end
    assert timedelta(hours=22) < end - begin < timedelta(hours=49)  # Samoa left a day out in 2011


@given(FACTS, MOMENTS, st.none() | st.integers(0, 1439))
def test_a_digest_is_before_the_first_session_and_on_its_day(
    facts: ClinicFacts, now: datetime, minute: int | None
) -> None:
    day = local_day(facts, now)
    begin, end = day_bounds(facts, day)
    first = None if minute is None else begin + timedelta(minutes=minute)
    due = digest_due(facts, day, first)
    assert due >= begin
    if first is not None:
        assert due <= max(begin, first - BEFORE)
    if end - begin <= timedelta(hours=25):
        assert due < end + timedelta(hours=1)


@given(FACTS, MOMENTS)
def test_after_quiet_hours_it_is_not_quiet_and_nothing_is_early(facts: ClinicFacts, now: datetime) -> None:
    then = after_quiet(facts, now)
    assert now <= then <= now + timedelta(hours=49)
    assert after_quiet(facts, then) == then
