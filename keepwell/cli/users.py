"""`keepwell users`: the accounts of the clinician's side, and the bearer tokens of programs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import msgspec
import sqlalchemy as sa
import typer
from pydantic import SecretStr

from keepwell.cli._settings import read
from keepwell.contract.events import rfc3339
from services.clinician.database import open_engine
from services.clinician.people import accounts
from services.clinician.people.accounts import Account, TokenRow
from services.clinician.people.passwords import Passwords
from services.clinician.people.who import OPERATOR, Role, User
from services.clinician.schema import migrate
from services.clinician.settings import ClinicianSettings

app = typer.Typer(
    help="Add, list and remove the people who use the clinician's side, and the tokens of their programs.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Database = Annotated[
    str | None, typer.Option("--database", help="Database of the accounts; default: the setting `database`.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(help="The name that the user logs in with.")]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input instead of making one.")
]
OfClinic = Annotated[str | None, typer.Option("--clinic", help="Only of this clinic.")]


@app.command()
def add(
    name: Name,
    *,
    clinic: Annotated[str, typer.Option("--clinic", help="The clinic, as it stands first in `source`.")],
    role: Annotated[Role, typer.Option("--role", help="What the user may see and do.")],
    clinician: Annotated[
        str | None, typer.Option("--clinician", help="Of a clinician: the `clinician_id` of the events.")
    ] = None,
    password_stdin: FromStdin = False,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Add a user. A one-time password is printed this once, unless one is given."""
    password = _given() if password_stdin else None
    with _changing(database) as connection:
        added = accounts.add(
            connection,
            Account(name, clinic, role, clinician),
            OPERATOR,
            _now(),
            passwords=Passwords(),
            password=password,
        )
    _show(added.user, added.password, "added", as_json)


@app.command("list")
def show(clinic: OfClinic = None, database: Database = None, as_json: AsJson = False) -> None:
    """List the users."""
    with _changing(database) as connection:
        found = accounts.everyone(connection, clinic)
    if as_json:
        print(msgspec.json.encode([_row(user) for user in found]).decode())
        return
    for user in found:
        of = f" of {user.clinician_id}" if user.clinician_id else ""
        first = "  password not yet changed" if user.must_change else ""
        print(f"{user.id}  {user.clinic:24}  {user.name:24}  {user.role}{of}{first}")


@app.command()
def remove(name: Name, database: Database = None, as_json: AsJson = False) -> None:
    """End an account, its sessions and its tokens at once."""
    with _changing(database) as connection:
        user = accounts.named(connection, name)
        accounts.remove(connection, user, OPERATOR, _now())
    told = msgspec.json.encode({"user": user.id, "clinic": user.clinic, "removed": True}).decode()
    print(told if as_json else f"removed {user.id} of {user.clinic}")


@app.command()
def password(name: Name, password_stdin: FromStdin = False, database: Database = None, as_json: AsJson = False) -> None:
    """Give a user a new password, and end the user's sessions. A one-time one is printed this once, unless one is given."""
    given = _given() if password_stdin else None
    with _changing(database) as connection:
        user = accounts.named(connection, name)
        new = accounts.set_password(connection, user, OPERATOR, _now(), passwords=Passwords(), password=given)
        user = accounts.named(connection, name)
    _show(user, new, "new password for", as_json)


@app.command()
def token(
    name: Name,
    days: Annotated[float | None, typer.Option(min=0, help="Days until it expires; default: never.")] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Make a bearer token for a program, and print it. It is shown this once: only its hash is kept."""
    now = _now()
    expires = None if days is None else now + round(days * 86_400_000_000)
    with _changing(database) as connection:
        user = accounts.named(connection, name)
        new = accounts.issue_token(connection, user, OPERATOR, now, expires_at=expires)
    if as_json:
        told = _token_row(new.row, now) | {"token": new.text.get_secret_value()}
        print(msgspec.json.encode(told).decode())
        return
    print(new.text.get_secret_value())
    print(f"token {new.row.id} of {user.name}; keep it safe, it is not shown again", file=sys.stderr)


@app.command()
def tokens(clinic: OfClinic = None, database: Database = None, as_json: AsJson = False) -> None:
    """List the tokens, never their secrets."""
    now = _now()
    with _changing(database) as connection:
        found = accounts.all_tokens(connection, clinic)
    if as_json:
        print(msgspec.json.encode([_token_row(row, now) for row in found]).decode())
        return
    for row in found:
        until = "never expires"
        if row.expires_at is not None:
            until = f"{'until' if row.valid(now) else 'expired'} {rfc3339(row.expires_at)}"
        used = f"used {rfc3339(row.last_used_at)}" if row.last_used_at is not None else "never used"
        print(f"{row.id}  {row.clinic:24}  {row.name:24}  made {rfc3339(row.created_at)}  {until}  {used}")


@app.command()
def revoke(
    token_id: Annotated[str, typer.Argument(help="The id of the token, as `tokens` shows it.")],
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """End a token at once."""
    with _changing(database) as connection:
        row = accounts.revoke(connection, token_id, OPERATOR, _now())
    told = msgspec.json.encode({"token": row.id, "revoked": True}).decode()
    print(told if as_json else f"revoked {row.id} of {row.name}")


@contextmanager
def _changing(database: str | None) -> Iterator[sa.Connection]:
    """A transaction on the database of the settings, with the tables there."""
    engine = open_engine(read(ClinicianSettings, database=database).database)
    try:
        migrate(engine)
        with engine.begin() as connection:
            yield connection
    except sa.exc.OperationalError as error:
        raise OSError(f"the database cannot be used: {type(error.orig).__name__}") from error
    finally:
        engine.dispose()


def _now() -> int:
    return time.time_ns() // 1000


def _given() -> str:
    return sys.stdin.readline().rstrip("\r\n")


def _show(user: User, secret: SecretStr | None, did: str, as_json: bool) -> None:
    if as_json:
        told = _row(user) | ({} if secret is None else {"password": secret.get_secret_value()})
        print(msgspec.json.encode(told).decode())
        return
    told_to = sys.stdout if secret is None else sys.stderr
    if secret is not None:
        print(secret.get_secret_value())
    print(f"{did} {user.name} ({user.id}), {user.role} of {user.clinic}", file=told_to)
    if secret is not None:
        print("the password is for one log-in within seven days, and is not shown again", file=sys.stderr)


def _row(user: User) -> dict[str, object]:
    return {
        "user": user.id,
        "name": user.name,
        "clinic": user.clinic,
        "role": user.role,
        "clinician_id": user.clinician_id,
        "must_change": user.must_change,
        "created": rfc3339(user.created_at),
    }


def _token_row(row: TokenRow, now: int) -> dict[str, object]:
    def moment(us: int | None) -> str | None:
        return None if us is None else rfc3339(us)

    return {
        "id": row.id,
        "user": row.user,
        "name": row.name,
        "clinic": row.clinic,
        "created": rfc3339(row.created_at),
        "expires": moment(row.expires_at),
        "last_used": moment(row.last_used_at),
        "valid": row.valid(now),
    }
