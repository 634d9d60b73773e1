"""What becomes of notices: sent once, tried again, given up visibly, or needless; also where a process dies or two send."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from keepwell.contract.events import micros
from keepwell.sending.outcome import Delivered, Gone, Later, Outcome, Rejected
from services.clinician.people import accounts
from services.clinician.people.who import OPERATOR
from services.clinician.prompts.became import is_undelivered, last_of, undelivered_in
from services.clinician.prompts.outbox import LEASE, Outbox, Prompt
from services.clinician.prompts.tables import notices
from services.clinician.prompts.wishes import Wishes, keep
from services.clinician.seen import saw
from tests.services.clinician.prompts.clinic import KEY, Clinic, local


class Letters:
    """A channel that notes what it is given, and answers as it is told."""

    def __init__(self, *answers: Outcome) -> None:
        self.answers = list(answers)
        self.got: list[Prompt] = []

    def __call__(self, prompt: Prompt) -> Outcome:
        self.got.append(prompt)
        return self.answers.pop(0) if self.answers else Delivered()


def outbox(clinic: Clinic, letters: Any) -> Outbox:
    return Outbox(clinic.engine, {"mail": letters}, clinic.prompts.facts_of, clinic.prompts.now)


def after(clinic: Clinic, seconds: float) -> None:
    clinic.now += timedelta(seconds=seconds)


def test_a_notice_is_sent_once_with_a_name_and_an_address_and_nothing_else(clinic: Clinic) -> None:
    anna = clinic.user("anna")
    clinic.episode()
    clinic.alert("safety")
    letters = Letters()
    for _ in range(2):
        outbox(clinic, letters).send()
    (prompt,) = letters.got
    assert prompt._replace(name="") == Prompt("", "safety", anna.id, "north", "anna@north.example")
    assert "ep-17" not in prompt.name and "al-1" not in prompt.name
    assert clinic.notices() == [] and clinic.notices("sent") == [("safety", "anna", "mail")]


def test_what_is_not_taken_is_tried_on_schedule_and_then_given_up_for_all_to_see(clinic: Clinic) -> None:
    anna = clinic.user("anna")
    clinic.episode()
    clinic.alert("safety")
    letters = Letters(*[Later("the mail server answered 451")] * 20)
    tries = []
    began = clinic.now
    with capture_logs() as logs:
        for _ in range(30 * 60):
            before = len(letters.got)
            outbox(clinic, letters).send()
            if len(letters.got) > before:
                tries.append(round((clinic.now - began).total_seconds() / 60))
            after(clinic, 60)
    assert tries == [0, 1, 6, 36, 156, 456, 1056, 1656]
    assert len({one.name for one in letters.got}) == 1, "a repetition can be told"
    assert clinic.notices("dead") == [("safety", "anna", "mail")]
    assert logs[-1]["event"] == "prompt.given_up" and "anna" not in str(logs)
    with clinic.engine.connect() as connection:
        assert is_undelivered(connection, anna.id, micros(clinic.now))
        assert undelivered_in(connection, "north", micros(clinic.now)) == ["anna"]
        assert [tuple(one)[:3] for one in last_of(connection, anna.id)] == [("safety", "mail", "dead")]
        later = micros(clinic.now + timedelta(days=8))
        assert not is_undelivered(connection, anna.id, later) and undelivered_in(connection, "north", later) == []


@pytest.mark.parametrize("outcome", [Rejected(550), Gone()])
def test_what_will_never_be_taken_is_given_up_at_once(clinic: Clinic, outcome: Outcome) -> None:
    clinic.user("anna")
    clinic.episode()
    clinic.alert("safety")
    outbox(clinic, Letters(outcome)).send()
    assert clinic.notices("dead") == [("safety", "anna", "mail")]


def test_who_dies_in_a_try_leaves_it_to_be_made_again_under_the_same_name(clinic: Clinic) -> None:
    clinic.user("anna")
    clinic.episode()
    clinic.alert("safety")

    def dies(prompt: Prompt) -> Outcome:
        letters.got.append(prompt)
        raise KeyboardInterrupt

    letters = Letters()
    with pytest.raises(KeyboardInterrupt):
        outbox(clinic, dies).send()
    outbox(clinic, letters).send()
    assert len(letters.got) == 1, "it may still be under way"
    after(clinic, LEASE.total_seconds())
    outbox(clinic, letters).send()
    assert len(letters.got) == 2 and letters.got[0].name == letters.got[1].name
    assert clinic.notices("sent") == [("safety", "anna", "mail")]


def test_of_two_processes_one_sends(clinic: Clinic) -> None:
    clinic.user("anna")
    clinic.episode()
    clinic.alert("safety")
    inner = Letters()

    def meanwhile(prompt: Prompt) -> Outcome:
        outbox(clinic, inner).send()
        return Delivered()

    outbox(clinic, meanwhile).send()
    assert inner.got == []


def test_a_silent_channel_is_left_alone_for_the_round_and_safety_comes_first(clinic: Clinic) -> None:
    clinic.user("anna", digest=False)
    clinic.episode()
    clinic.alert("risk", "al-1")
    clinic.alert("safety", "al-2")
    letters = Letters(Later("the mail server cannot be used: TimeoutError", answered=False))
    outbox(clinic, letters).send()
    assert [one.kind for one in letters.got] == ["safety"]
    after(clinic, 10)
    outbox(clinic, letters).send()
    assert [one.kind for one in letters.got] == ["safety", "safety", "push"]


def test_pushes_keep_to_the_weeks_budget_and_safety_does_not_count(clinic: Clinic) -> None:
    clinic.user("anna", digest=False)
    clinic.episode()
    letters = Letters()
    kinds = []
    for day in range(9):
        clinic.alert("safety", f"s-{day}")
        clinic.alert("risk", f"al-{day}")
        before = len(letters.got)
        outbox(clinic, letters).send()
        kinds.append([one.kind for one in letters.got[before:]])
        after(clinic, 86_400)
    assert kinds == [["safety", "push"]] * 3 + [["safety"]] * 4 + [["safety", "push"]] * 2
    assert len(clinic.notices("over_budget")) == 4


def needless(clinic: Clinic, kind: str, moment: str = "2026-03-03T12:01") -> bool:
    letters = Letters()
    clinic.now = local(moment)
    outbox(clinic, letters).send()
    assert len(letters.got) + len(clinic.notices("needless")) == 1
    return letters.got == []


@pytest.mark.parametrize(("kind", "spared"), [("risk", True), ("safety", False)])
def test_a_push_is_needless_once_one_looked_a_safety_mail_never(clinic: Clinic, kind: str, spared: bool) -> None:
    anna = clinic.user("anna", digest=False)
    clinic.episode()
    clinic.alert(kind)
    with clinic.engine.begin() as connection:
        saw(connection, anna.id, KEY, micros(clinic.now + timedelta(seconds=1)))
    assert needless(clinic, kind) == spared


def test_a_push_is_needless_once_the_matter_is_settled(clinic: Clinic) -> None:
    clinic.user("anna", digest=False)
    clinic.episode()
    clinic.alert("risk")
    clinic.alert("risk", status="resolved")
    assert needless(clinic, "risk")


def test_nothing_goes_to_an_account_that_is_gone_or_wants_no_mail_any_more(clinic: Clinic) -> None:
    anna = clinic.user("anna")
    clinic.episode()
    clinic.alert("safety")
    with clinic.engine.begin() as connection:
        keep(connection, anna.id, Wishes())
    assert needless(clinic, "safety")
    with clinic.engine.begin() as connection:
        keep(connection, anna.id, Wishes(mail="anna@north.example"))
    clinic.alert("safety", "al-2")
    with clinic.engine.begin() as connection:
        accounts.remove(connection, anna, OPERATOR, micros(clinic.now))
    letters = Letters()
    outbox(clinic, letters).send()
    assert letters.got == []


def test_nothing_goes_to_somebody_who_may_not_see_the_client_any_more(clinic: Clinic) -> None:
    clinic.user("anna", digest=False)
    clinic.episode()
    clinic.alert("safety")
    clinic.episode(clinician="c-bo")
    assert needless(clinic, "safety")


def test_yesterdays_digest_is_not_sent_today(clinic: Clinic) -> None:
    clinic.user("anna")
    clinic.episode(visit="2026-03-03T14:00")
    clinic.now = local("2026-03-02T18:00")
    clinic.alert()
    clinic.now = local("2026-03-03T07:30")
    clinic.digests()
    letters = Letters(Later("the mail server answered 451"))
    outbox(clinic, letters).send()
    clinic.now = local("2026-03-04T00:00")
    outbox(clinic, letters).send()
    assert len(letters.got) == 1 and clinic.notices("needless") == [("digest", "anna", "mail")]


def test_what_became_of_notices_is_forgotten_in_time(clinic: Clinic) -> None:
    clinic.user("anna")
    clinic.episode()
    clinic.alert("safety")
    box = outbox(clinic, Letters())
    box.send()
    for days, left in ((59, 1), (2, 0)):
        clinic.now += timedelta(days=days)
        box.prune()
        with clinic.engine.connect() as connection:
            assert connection.execute(sa.select(sa.func.count()).select_from(notices)).scalar() == left
