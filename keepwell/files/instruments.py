"""A clinic's own instruments in a file: TOML tables, from which their registrations are made."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from keepwell.care.instruments import instrument_of
from keepwell.contract.control import registration
from keepwell.contract.events import CLINIC_PATTERN, EARLIEST, InstrumentRegistered, Registered
from keepwell.contract.refusal import misfit

FORMER: Final[Mapping[str, str]] = {"low": "lowest", "high": "highest", "scales": "subscales"}
"""Names of facts in files of the version before."""
LEFT_OUT: Final = frozenset(("source", "aliases", "item_cutoff"))
"""Members that a file may hold for its readers; a registration has no room for them."""


def read_registrations(path: Path, at: datetime = EARLIEST) -> list[InstrumentRegistered]:
    """The registrations that a file asks for: `[CLINIC.NAME]` tables with the facts of `instrument.registered`.

    `at` is when they are made; before everything, for events in files. Names of facts of the version before are read too.
    Raises `ValueError` naming the table and what is wrong there, `OSError` where the file cannot be read.
    """
    try:
        clinics = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not TOML: {error}") from error
    found = [_registration(path, *table, at=at) for table in _tables(path, clinics)]
    if not found:
        raise ValueError(f"{path}: no instrument; write a table for each, such as [north.MOOD-5]")
    return found


def _tables(path: Path, clinics: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for clinic, tables in clinics.items():
        for name, facts in tables.items() if isinstance(tables, dict) else ():
            if isinstance(facts, dict):
                yield clinic, name, facts
            else:
                raise ValueError(
                    f"{path}: [{clinic}]: {name} is no table; write [{clinic}.NAME] with the facts below it"
                )
        if not isinstance(tables, dict):
            raise ValueError(f"{path}: {clinic} is no table; write a table for each instrument, such as [north.MOOD-5]")


def _registration(
    path: Path, clinic: str, name: str, facts: Mapping[str, Any], *, at: datetime
) -> InstrumentRegistered:
    if not re.fullmatch(CLINIC_PATTERN, clinic):
        raise ValueError(
            f"{path}: [{clinic}.{name}]: {clinic} is no clinic; write it as in `source`: a-z, 0-9 and hyphens"
        )
    if not isinstance(facts.get("subscales", facts.get("scales", {})), dict):
        raise ValueError(f"{path}: [{clinic}.{name}]: subscales: write a table, a range for each by name")
    told = {FORMER.get(fact, fact): value for fact, value in facts.items() if fact not in LEFT_OUT}
    unknown = sorted(told.keys() - Registered.__struct_fields__)
    try:
        if unknown:
            raise ValueError(
                f"there is no fact {unknown[0]}; the facts are {', '.join(Registered.__struct_fields__[1:])}"
            )
        scales = {scale: _range(limits) for scale, limits in told.get("subscales", {}).items()}
        given = {"kind": "outcome"} | told | {"name": name, "subscales": scales}
        event = registration(clinic, msgspec.convert(given, Registered), at)
        instrument_of(event.data)
    except msgspec.ValidationError as error:
        told_so = misfit(error, Registered, given).removeprefix("$.")
        raise ValueError(f"{path}: [{clinic}.{name}]: {told_so}") from error
    except ValueError as error:
        raise ValueError(f"{path}: [{clinic}.{name}]: {error}") from error
    return event


def _range(limits: Any) -> Any:
    """A range as the event has it; files of the version before have a pair."""
    return {"lowest": limits[0], "highest": limits[1]} if isinstance(limits, list) and len(limits) == 2 else limits
