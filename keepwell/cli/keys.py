"""`keepwell keys`: the API keys of the HTTP intake."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from keepwell.cli._settings import read
from keepwell.web.keys import Issued, Key, KeyFile
from services.ingest.settings import IngestSettings

app = typer.Typer(
    help="Issue, rotate, revoke and list the clinics' API keys.", no_args_is_help=True, rich_markup_mode=None
)

File = Annotated[Path | None, typer.Option("--keys", help="File of the API keys; default: the setting `keys`.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Clinic = Annotated[str, typer.Argument(help="The clinic, as it stands first in `source`.")]


@app.command()
def issue(
    clinic: Clinic,
    days: Annotated[float | None, typer.Option(min=0, help="Days until it expires; default: never.")] = None,
    keys: File = None,
    as_json: AsJson = False,
) -> None:
    """Make a key for a clinic and print it. It is shown this once: only its hash is kept."""
    now = datetime.now(UTC)
    expires = None if days is None else now + timedelta(days=days)
    _show(_file(keys).issue(clinic, now, expires), as_json)


@app.command()
def rotate(
    clinic: Clinic,
    grace_hours: Annotated[float, typer.Option(min=0, help="Hours that the keys in use stay valid.")] = 24,
    keys: File = None,
    as_json: AsJson = False,
) -> None:
    """Make a new key for a clinic, and let those it has expire after a grace."""
    _show(_file(keys).rotate(clinic, datetime.now(UTC), timedelta(hours=grace_hours)), as_json)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="The id of the key, as `list` shows it.")],
    keys: File = None,
    as_json: AsJson = False,
) -> None:
    """End a key at once."""
    revoked = _file(keys).revoke(key_id)
    if as_json:
        print(msgspec.json.encode(_row(revoked, datetime.now(UTC)) | {"valid": False}).decode())
        return
    print(f"revoked {revoked.id} of {revoked.clinic}")


@app.command("list")
def show(keys: File = None, as_json: AsJson = False) -> None:
    """List the keys, never their secrets."""
    now = datetime.now(UTC)
    found = _file(keys).all()
    if as_json:
        print(msgspec.json.encode([_row(key, now) for key in found]).decode())
        return
    for key in found:
        until = "never expires" if key.expires is None else f"{'until' if key.valid(now) else 'expired'} {key.expires}"
        print(f"{key.id}  {key.clinic:24}  made {key.created}  {until}")


def _file(keys: Path | None) -> KeyFile:
    return KeyFile(read(IngestSettings, keys=keys).keys)


def _show(issued: Issued, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(_row(issued.key, issued.key.created) | {"token": issued.token}).decode())
        return
    print(issued.token)
    print(f"key {issued.key.id} of {issued.key.clinic}; keep it safe, it is not shown again", file=sys.stderr)


def _row(key: Key, now: datetime) -> dict[str, object]:
    return {
        "id": key.id,
        "clinic": key.clinic,
        "created": key.created,
        "expires": key.expires,
        "valid": key.valid(now),
    }
