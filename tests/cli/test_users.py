"""`keepwell users`: what it prints once, lists and ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from keepwell.cli.users import app
from services.clinician.database import open_engine
from services.clinician.people import accounts


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return f"sqlite:///{tmp_path / 'people.db'}"


def users(database: str, *words: str, given: str | None = None) -> Result:
    return CliRunner().invoke(app, [*words, "--database", database], input=given)


def added(database: str, name: str = "anna") -> Result:
    return users(database, "add", name, "--clinic", "north", "--role", "clinician", "--clinician", "c-1")


def test_a_one_time_password_is_printed_once(database: str) -> None:
    done = added(database)
    password = done.stdout.strip()
    assert done.exit_code == 0 and len(password) == 29 and "not shown again" in done.stderr
    listed = users(database, "list").stdout
    assert "anna" in listed and "clinician of c-1  password not yet changed" in listed and password not in listed
    anew = users(database, "password", "anna").stdout.strip()
    assert len(anew) == 29 and anew != password


def test_a_given_password_is_read_from_standard_input_and_not_printed(database: str) -> None:
    given = "seventeen quiet geese"
    done = users(database, "add", "bo", "--clinic", "north", "--role", "data", "--password-stdin", given=f"{given}\n")
    assert done.exit_code == 0 and given not in done.output
    [row] = json.loads(users(database, "list", "--json").stdout)
    assert (row["name"], row["role"], row["must_change"]) == ("bo", "data", False)


def test_a_token_is_printed_once_listed_and_revoked(database: str) -> None:
    added(database)
    made = json.loads(users(database, "token", "anna", "--days", "2", "--json").stdout)
    engine = open_engine(database)
    assert accounts.find(engine, made["token"], 1) is not None
    listed = users(database, "tokens").stdout
    assert made["id"] in listed and made["token"] not in listed and "never used" not in listed
    assert users(database, "revoke", made["id"]).stdout == f"revoked {made['id']} of anna\n"
    assert users(database, "tokens").stdout == "" and accounts.find(engine, made["token"], 1) is None
    engine.dispose()


def test_a_removed_user_is_gone(database: str) -> None:
    added(database)
    assert users(database, "remove", "anna").exit_code == 0
    assert users(database, "list").stdout == "" and json.loads(users(database, "list", "--json").stdout) == []
    again = users(database, "remove", "anna")
    assert isinstance(again.exception, ValueError) and "no user 'anna'" in str(again.exception)
