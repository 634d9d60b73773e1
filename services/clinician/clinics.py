"""A clinic's own facts, as the settings tell them in `[clinics.<clinic>]`: its zone, its language, when it wants notices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import time
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from keepwell.contract.say import LANGUAGES, Language

UTC: Final = ZoneInfo("UTC")


class ClinicFacts(NamedTuple):
    """What holds for everybody of a clinic. Times of day are the zone's; `quiet_hours` go from the first to the second, over
    midnight where it is earlier. `made_up`: nobody in it is real, and every page says so. The defaults are ours."""

    zone: ZoneInfo = UTC
    language: Language = "en"
    digest_at: time = time(7, 30)
    quiet_hours: tuple[time, time] = (time(20), time(7))
    pushes_a_week: int = 3
    made_up: bool = False


Clinics = Mapping[str, ClinicFacts]
"""Facts by clinic; one that is not there has the defaults."""


def facts_of(clinics: Clinics, clinic: str) -> ClinicFacts:
    """The facts of a clinic; of nobody's ("", before a log-in) those of the only one there is. One whose name begins with
    `sim-` is simulated, whatever the settings say."""
    if not clinic and len(clinics) == 1:
        return next(iter(clinics.values()))
    found = clinics.get(clinic, ClinicFacts())
    return found._replace(made_up=True) if clinic.startswith("sim-") else found


def read_clinics(given: object) -> dict[str, ClinicFacts]:
    """Facts by clinic from tables as TOML or JSON has them. Raises `ValueError` that says what to write instead.

    >>> read_clinics({"north": {"zone": "Europe/Berlin", "language": "de"}})["north"].digest_at
    datetime.time(7, 30)
    """
    if not isinstance(given, Mapping):
        raise ValueError("must be a table for each clinic, such as [clinics.north]")
    return {str(clinic): _read(str(clinic), told) for clinic, told in given.items()}


def _read(clinic: str, told: object) -> ClinicFacts:
    if isinstance(told, ClinicFacts):
        return told
    if not isinstance(told, Mapping):
        raise ValueError(f"clinics.{clinic} must be a table, such as [clinics.{clinic}]")
    facts: dict[str, Any] = {}
    for name, value in told.items():
        if name not in _READ:
            raise ValueError(f"clinics.{clinic}.{name} is no fact of a clinic: there are {', '.join(_READ)}")
        read, wanted = _READ[name]
        try:
            facts[name] = read(value)
        except (ValueError, TypeError, ZoneInfoNotFoundError):
            raise ValueError(f"clinics.{clinic}.{name} must be {wanted}") from None
    return ClinicFacts(**facts)


def _zone(value: Any) -> ZoneInfo:
    return ZoneInfo(value)


def _language(value: Any) -> Language:
    if value not in LANGUAGES:
        raise ValueError
    return value  # type: ignore[no-any-return]  # one of them


def _time(value: Any) -> time:
    found = value if isinstance(value, time) else time.fromisoformat(value)
    if found.tzinfo is not None:
        raise ValueError
    return found


def _hours(value: Any) -> tuple[time, time]:
    begin, end = value.split("-") if isinstance(value, str) else value
    return _time(begin), _time(end)


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 50:
        raise ValueError
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


_READ: Final[dict[str, tuple[Callable[[Any], Any], str]]] = {
    "zone": (_zone, 'the name of a time zone, such as "Europe/Berlin"'),
    "language": (_language, f"one of {', '.join(LANGUAGES)}"),
    "digest_at": (_time, 'a time of day, such as "07:30"'),
    "quiet_hours": (_hours, 'two times of day, such as "20:00-07:00"'),
    "pushes_a_week": (_count, "a whole number from 0 to 50"),
    "made_up": (_flag, "true or false"),
}
