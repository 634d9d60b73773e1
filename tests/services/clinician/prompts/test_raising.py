"""Who is told of what: the digest where something waits, a push where the digest was too early, safety always."""

from __future__ import annotations

from datetime import time, timedelta

import pytest
import sqlalchemy as sa

from services.clinician.people import accounts
from services.clinician.people.who import OPERATOR
from services.clinician.prompts.raising import Prompts
from services.clinician.prompts.tables import notices
from tests.services.clinician.prompts.clinic import Clinic, local

ANNA = ("digest", "anna", "mail")


def sent(clinic: Clinic) -> None:
    """All that waits was sent now."""
    with clinic.engine.begin() as connection:
        connection.execute(sa.update(notices).where(notices.c.state == "waiting").values(state="sent", ended=1))


def test_a_digest_comes_once_at_its_time_where_something_waits_of_a_client_of_today(clinic: Clinic) -> None:
    clinic.user("anna")
    clinic.user("bo")
    clinic.now = local("2026-03-02T18:00")
    clinic.episode(visit="2026-03-03T09:00")
    clinic.alert()
    for moment, told in (("07:29", []), ("07:30", [ANNA]), ("07:31", [ANNA]), ("10:00", [ANNA])):
        clinic.now = local(f"2026-03-03T{moment}")
        clinic.digests()
        assert clinic.notices() == told, moment
    assert clinic.notices("needless") == [("digest", "bo", "mail")], "bo has nobody to think of"


def test_a_digest_comes_half_an_hour_before_an_early_session_of_ones_own_or_of_who_one_covers_for(
    clinic: Clinic,
) -> None:
    clinic.user("anna")
    bo = clinic.user("bo")
    clinic.cover(bo, "c-anna", "2026-03-20T00:00")
    clinic.episode(visit="2026-03-03T07:00")
    clinic.now = local("2026-03-02T18:00")
    clinic.alert()
    clinic.now = local("2026-03-03T06:29")
    clinic.digests()
    assert clinic.notices() == []
    clinic.now = local("2026-03-03T06:30")
    clinic.digests()
    assert clinic.notices() == [ANNA, ("digest", "bo", "mail")]


def test_what_was_told_and_is_not_new_gives_no_second_digest_unless_the_client_comes(clinic: Clinic) -> None:
    clinic.user("anna")
    clinic.now = local("2026-03-02T18:00")
    clinic.episode(visit="2026-03-05T09:00")
    clinic.alert()
    told = {}
    for day in (3, 4, 5, 6):
        clinic.now = local(f"2026-03-0{day}T07:30")
        clinic.digests()
        told[day] = clinic.notices()
        sent(clinic)
    assert told == {3: [ANNA], 4: [], 5: [ANNA], 6: []}


@pytest.mark.parametrize("moment", ["2026-03-03T11:30", "2026-03-03T23:00"])
def test_a_digest_that_could_not_be_made_for_hours_is_left_out(clinic: Clinic, moment: str) -> None:
    clinic.user("anna")
    clinic.now = local("2026-03-02T18:00")
    clinic.episode(visit="2026-03-03T16:00")
    clinic.alert()
    clinic.now = local(moment)
    clinic.digests()
    assert clinic.notices("waiting", "needless") == []


def test_a_list_that_is_behind_is_no_list_to_prompt_from(clinic: Clinic) -> None:
    clinic.user("anna")
    clinic.now = local("2026-03-02T18:00")
    clinic.episode(visit="2026-03-03T09:00")
    clinic.alert()
    clinic.now = local("2026-03-03T07:30")
    never = Prompts(frozenset(("mail",)), clinic.prompts.facts_of, clinic.prompts.now)
    never.digests(clinic.engine, lambda *_: True)
    assert clinic.notices() == [], "nothing was heard yet"
    clinic.tick(clinic.now - timedelta(minutes=6))
    never.digests(clinic.engine, lambda *_: True)
    assert clinic.notices() == []
    clinic.digests()
    assert clinic.notices() == [ANNA]


def test_without_an_address_or_the_wish_there_is_none(clinic: Clinic) -> None:
    clinic.user("anna", mail=None)
    clinic.user("bo", digest=False)
    clinic.now = local("2026-03-02T18:00")
    clinic.episode(visit="2026-03-03T09:00")
    clinic.episode("north/ep-2", "c-bo", "2026-03-03T09:00")
    clinic.alert()
    clinic.now = local("2026-03-03T07:30")
    clinic.digests()
    assert clinic.notices("waiting", "needless") == []


def test_a_push_is_for_a_client_of_today_after_the_digest_of_today(clinic: Clinic) -> None:
    clinic.user("anna")
    cases = [
        ("2026-03-03T07:00", "2026-03-03T14:00", 0),  # the digest will tell it
        ("2026-03-03T09:00", "2026-03-04T14:00", 0),  # tomorrow's will
        ("2026-03-03T09:00", "2026-03-03T08:00", 0),  # the session has begun
        ("2026-03-03T09:00", None, 0),
        ("2026-03-03T09:00", "2026-03-03T14:00", 1),
    ]  # fmt: skip
    for number, (now, visit, pushes) in enumerate(cases):
        clinic.now = local(now)
        if number == 1:
            clinic.now = local("2026-03-03T07:30")
            clinic.digests()
            clinic.now = local(now)
        clinic.episode(visit=visit)
        clinic.alert(name=f"al-{number}")
        assert len([one for one in clinic.notices() if one[0] == "push"]) == pushes, (now, visit)


def test_where_todays_digest_was_missed_it_tells_nothing_in_time(clinic: Clinic) -> None:
    clinic.user("anna")
    clinic.episode(visit="2026-03-03T14:00")
    for moment, pushes in (("2026-03-03T11:29", []), ("2026-03-03T11:30", [("push", "anna", "mail")])):
        clinic.now = local(moment)
        clinic.alert(name=f"al-{moment}")
        assert clinic.notices() == pushes


def test_who_wants_no_digest_is_pushed_at_once_by_kind_and_after_quiet_hours(clinic: Clinic) -> None:
    clinic.user("anna", digest=False, pushes=frozenset(("rupture",)))
    clinic.episode()
    clinic.now = local("2026-03-03T22:00")
    clinic.alert("risk", "al-1")
    assert clinic.notices() == []
    clinic.alert("rupture", "al-2")
    with clinic.engine.connect() as connection:
        due = connection.execute(sa.select(notices.c.due)).scalars().all()
    assert due == [int(local("2026-03-04T07:00").timestamp() * 1e6)]


def test_safety_goes_to_all_in_charge_at_any_hour_and_whatever_they_wish(clinic: Clinic) -> None:
    clinic.facts = clinic.facts._replace(quiet_hours=(time(0), time(23, 59)), pushes_a_week=0)
    clinic.user("anna", digest=False, pushes=frozenset())
    bo = clinic.user("bo")
    clinic.user("chief", "supervisor")
    clinic.user("other")
    clinic.cover(bo, "c-anna", "2026-03-20T00:00")
    clinic.episode()
    clinic.alert("safety")
    assert clinic.notices() == [("safety", "anna", "mail"), ("safety", "bo", "mail")]
    with clinic.engine.connect() as connection:
        assert set(connection.execute(sa.select(notices.c.due - notices.c.at)).scalars()) == {0}


def test_safety_goes_to_supervisors_where_nobody_in_charge_can_be_reached(clinic: Clinic) -> None:
    clinic.user("anna", mail=None)
    clinic.user("chief", "supervisor")
    clinic.user("admin", "administrator")
    clinic.episode()
    clinic.alert("safety")
    assert clinic.notices() == [("safety", "chief", "mail")]
    clinic.alert("safety", "al-2", key="north/ep-18", clinician_id=None)
    assert clinic.notices() == [("safety", "chief", "mail")] * 2


def test_nothing_is_told_of_what_is_settled_old_or_told_already(clinic: Clinic) -> None:
    clinic.user("anna", digest=False)
    clinic.episode()
    old = local("2026-03-02T11:59")
    clinic.alert("safety", "al-1", at=f"{old:%Y-%m-%dT%H:%M:%SZ}")
    clinic.alert("safety", "al-2", status="resolved")
    assert clinic.notices() == []
    told = clinic.alert("risk", "al-3")
    with clinic.engine.begin() as connection:
        clinic.prompts.of_alerts(connection, [told, told])
    assert clinic.notices() == [("push", "anna", "mail")], "a read model that is made anew tells nothing twice"
    clinic.alert("risk", "al-3", status="escalated")
    assert clinic.notices() == [("push", "anna", "mail")] * 2, "that it got worse is new"


def test_each_channel_is_told_by_itself_and_a_webhook_needs_no_address(opened: sa.Engine, clinic: Clinic) -> None:
    both = Clinic(opened, ("mail", "webhook"))
    both.user("anna", mail=None)
    both.user("bo")
    both.episode()
    both.alert("safety")
    both.alert("safety", "al-2", key="north/ep-2", clinician_id="c-bo")
    assert both.notices() == [("safety", "anna", "webhook"), ("safety", "bo", "mail"), ("safety", "bo", "webhook")]


def test_who_is_removed_and_who_is_of_another_clinic_is_told_nothing(clinic: Clinic) -> None:
    gone = clinic.user("anna")
    with clinic.engine.begin() as connection:
        accounts.remove(connection, gone, OPERATOR, 1)
    clinic.episode("south/ep-1", "c-anna")
    clinic.alert("safety")
    clinic.alert("safety", "al-2", key="south/ep-1")
    assert clinic.notices() == []
