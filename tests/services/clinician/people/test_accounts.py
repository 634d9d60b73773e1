"""Accounts and tokens: what is made, found and ended, and that no secret stays anywhere."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from structlog.testing import capture_logs

from services.clinician.people import accounts, audit, browser
from services.clinician.people.accounts import Account
from services.clinician.people.passwords import SHORTEST, Passwords, objection, one_time
from services.clinician.people.sign_in import SignedIn, WrongLogin, choose_password, sign_in
from services.clinician.people.tables import PEOPLE, users
from services.clinician.people.who import OPERATOR, Role
from tests.services.clinician.people.made import DAY, GOOD, START, add


def everything(engine: sa.Engine) -> str:
    """All that the database holds, as text."""
    with engine.connect() as connection:
        return repr([connection.execute(sa.select(table)).all() for table in PEOPLE])


def test_an_account_is_found_by_its_name_in_whatever_case(engine: sa.Engine, passwords: Passwords) -> None:
    added = add(engine, passwords, "A.Müller")
    with engine.begin() as connection:
        assert accounts.named(connection, " a.MÜLLER ") == added
        assert accounts.everyone(connection, "north") == [added] and accounts.everyone(connection, "south") == []
    assert added.id.startswith("u-") and added.viewer().clinician_id == added.clinician_id


@pytest.mark.parametrize(
    ("account", "why"),
    [
        (Account("ANNA", "south", "data"), "already"),
        (Account("an na", "north", "data"), "blanks"),
        (Account("", "north", "data"), "blanks"),
        (Account("bo", "North!", "data"), "no clinic"),
        (Account("bo", "north", "clinician"), "clinician_id"),
        (Account("bo", "north", "data", "c-1"), "clinician_id"),
        (Account("bo", "north", "owner"), "no role"),  # type: ignore[arg-type]  # that is what is tried
    ],
)
def test_what_is_no_account_is_refused_in_words(
    engine: sa.Engine, passwords: Passwords, account: Account, why: str
) -> None:
    add(engine, passwords)
    with engine.begin() as connection, pytest.raises(ValueError, match=why):
        accounts.add(connection, account, OPERATOR, START, passwords=passwords)


def test_a_name_is_free_again_once_its_account_is_removed(engine: sa.Engine, passwords: Passwords) -> None:
    former = add(engine, passwords)
    with engine.begin() as connection:
        accounts.remove(connection, former, OPERATOR, START)
        assert accounts.find_user(connection, former.id) is None
    assert add(engine, passwords).id != former.id


@pytest.mark.parametrize("password", ["short", "a" * 40, "x" * 300, "annaannaanna-2026", "abab" * 10])
def test_a_password_that_is_easy_is_refused(password: str) -> None:
    assert objection(password, "anna") is not None


def test_a_good_password_is_taken_in_any_form_of_unicode(passwords: Passwords) -> None:
    assert objection(GOOD, "anna") is None and len(GOOD) >= SHORTEST
    assert passwords.right(passwords.hashed("Grüße aus dem Norden"), "Gru\u0308ße aus dem Norden")


def test_nobodys_password_is_never_right(passwords: Passwords) -> None:
    assert not passwords.right(None, "") and not passwords.right("no hash at all", GOOD)


def test_a_one_time_password_has_to_be_changed_and_ends_by_itself(engine: sa.Engine, passwords: Passwords) -> None:
    with engine.begin() as connection:
        added = accounts.add(connection, Account("bo", "north", "data"), OPERATOR, START, passwords=passwords)
    assert added.password is not None and added.user.must_change
    first = added.password.get_secret_value()
    late = sign_in(engine, "bo", first, START + 7 * DAY, passwords=passwords, address="10.0.0.1")
    assert late == WrongLogin()
    signed = sign_in(engine, "bo", first, START, passwords=passwords, address="10.0.0.1")
    assert isinstance(signed, SignedIn) and signed.user.must_change
    same = {"passwords": passwords, "address": "10.0.0.1"}
    with pytest.raises(ValueError, match="not the one you have"):
        choose_password(engine, signed.user, first, first, START, **same)  # type: ignore[arg-type]
    assert choose_password(engine, signed.user, "wrong", GOOD, START, **same) == WrongLogin()  # type: ignore[arg-type]
    chosen = choose_password(engine, signed.user, first, GOOD, START, **same)  # type: ignore[arg-type]
    assert isinstance(chosen, SignedIn)
    assert browser.find(engine, signed.opened.cookie.get_secret_value(), START) is None
    found = browser.find(engine, chosen.opened.cookie.get_secret_value(), START)
    assert found is not None and not found.user.must_change


def test_a_hash_of_former_parameters_is_renewed_at_the_next_log_in(engine: sa.Engine, passwords: Passwords) -> None:
    user = add(engine, passwords)
    stronger = Passwords(PasswordHasher(2, 16, 1))

    def kept() -> str:
        with engine.connect() as connection:
            return str(connection.execute(sa.select(users.c.password).where(users.c.id == user.id)).scalar_one())

    assert stronger.stale(kept())
    for _ in range(2):
        assert isinstance(sign_in(engine, "anna", GOOD, START, passwords=stronger, address="10.0.0.1"), SignedIn)
        assert not stronger.stale(kept())


def test_a_wrong_name_and_a_wrong_password_have_the_same_answer(engine: sa.Engine, passwords: Passwords) -> None:
    gone = add(engine, passwords, "gone")
    add(engine, passwords)
    with engine.begin() as connection:
        accounts.remove(connection, gone, OPERATOR, START)
    answers = {
        sign_in(engine, name, password, START, passwords=passwords, address="10.0.0.1")
        for name, password in (("anna", "wrong"), ("nobody", GOOD), ("gone", GOOD), ("anna", ""))
    }
    assert answers == {WrongLogin()}


def test_a_token_is_found_until_it_ends(engine: sa.Engine, passwords: Passwords) -> None:
    user = add(engine, passwords)
    with engine.begin() as connection:
        forever = accounts.issue_token(connection, user, user.actor, START)
        brief = accounts.issue_token(connection, user, user.actor, START, expires_at=START + DAY)
    text = forever.text.get_secret_value()
    found = accounts.find(engine, text, START)
    assert found == (user, forever.row.id) and text.startswith("kwu_")
    assert accounts.find(engine, brief.text.get_secret_value(), START + DAY - 1) is not None
    assert accounts.find(engine, brief.text.get_secret_value(), START + DAY) is None
    for other in (text + "x", text[:-1], text.replace("kwu", "kw"), "", "kwu_", "kwu__", text.upper()):
        assert accounts.find(engine, other, START) is None
    with engine.begin() as connection:
        used = {row.id: row.last_used_at for row in accounts.all_tokens(connection)}
        assert used == {forever.row.id: START, brief.row.id: START + DAY - 1}
        accounts.revoke(connection, forever.row.id, OPERATOR, START)
        with pytest.raises(ValueError, match="no token"):
            accounts.revoke(connection, brief.row.id, OPERATOR, START, clinic="south")
    assert accounts.find(engine, text, START) is None


def test_whoever_is_removed_has_no_sessions_and_tokens_any_more(engine: sa.Engine, passwords: Passwords) -> None:
    user = add(engine, passwords)
    with engine.begin() as connection:
        token = accounts.issue_token(connection, user, OPERATOR, START).text.get_secret_value()
        cookie = browser.open_session(connection, user, "x", START).cookie.get_secret_value()
        accounts.remove(connection, user, OPERATOR, START)
        assert accounts.all_tokens(connection) == []
    assert accounts.find(engine, token, START) is None and browser.find(engine, cookie, START) is None


def test_every_change_of_an_account_is_in_the_audit(engine: sa.Engine, passwords: Passwords) -> None:
    user = add(engine, passwords)
    with engine.begin() as connection:
        accounts.set_password(connection, user, OPERATOR, START, passwords=passwords)
        token = accounts.issue_token(connection, user, OPERATOR, START)
        accounts.revoke(connection, token.row.id, OPERATOR, START)
        accounts.remove(connection, user, OPERATOR, START)
        found = [(row.action, row.object) for row in audit.rows(connection, "north")]
    assert found == [
        ("user.added", user.id),
        ("password.set", user.id),
        ("token.made", token.row.id),
        ("token.revoked", token.row.id),
        ("user.removed", user.id),
    ]


def test_no_secret_is_in_a_repr_a_log_or_the_database(engine: sa.Engine, passwords: Passwords) -> None:
    with capture_logs() as logs, engine.begin() as connection:
        role: Role = "data"
        added = accounts.add(connection, Account("bo", "north", role), OPERATOR, START, passwords=passwords)
        token = accounts.issue_token(connection, added.user, OPERATOR, START)
        opened = browser.open_session(connection, added.user, "x", START)
    found = browser.find(engine, opened.cookie.get_secret_value(), START)
    bearer = accounts.find(engine, token.text.get_secret_value(), START)
    assert added.password is not None and found is not None and bearer is not None
    told = repr((added, token, opened, found, bearer, logs, one_time()))
    for secret in (added.password, token.text, opened.cookie):
        text = secret.get_secret_value()
        assert text not in told and text not in everything(engine)
        assert text.rpartition("_")[2] not in everything(engine)
    assert opened.csrf.get_secret_value() not in told
