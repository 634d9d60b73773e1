"""`keepwell schema`: the contract as JSON Schemas, as AsyncAPI, or as the pages of the reference."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keepwell.contract.events import CONTROL_TYPES, EVENT_TYPES
from keepwell.contract.schema import as_text, bundle
from services.asyncapi import asyncapi
from services.reference import documents


def command(
    as_asyncapi: Annotated[bool, typer.Option("--asyncapi", help="Print the AsyncAPI 3.0 document.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON Schemas of all events and outputs.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write every schema, the AsyncAPI document and the reference pages here.")
    ] = None,
) -> None:
    """Print or write the contract: JSON Schema 2020-12 of events, scores and alerts, and AsyncAPI 3.0."""
    if out is not None:
        _write(out)
    if as_asyncapi:
        print(as_text(asyncapi()), end="")
    elif as_json:
        print(as_text(bundle()), end="")
    elif out is None:
        for name, cls in EVENT_TYPES.items():
            written = "  (written by Keepwell only)" if name in CONTROL_TYPES else ""
            print(f"{name:38} {(cls.__doc__ or '').splitlines()[0]}{written}")


def _write(out: Path) -> None:
    for name, text in documents().items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
