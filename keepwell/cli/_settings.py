"""Settings as commands read them: services share one file, so what any of them would refuse is refused at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeVar

from keepwell.settings import Settings, WrongSettings, unknown
from services.catalogue import SERVICES, ServiceRow

S = TypeVar("S", bound=Settings)


def read(kind: type[S], **flags: object) -> S:
    """Settings of a class, from flags (None: not given), environment and file. Raises `WrongSettings`, also as `check`."""
    check()
    return kind(**flags)


def read_all(flags: Mapping[str, object], without: Collection[str] = ()) -> dict[ServiceRow, Settings]:
    """The settings of every service, each with those of the flags that it knows. Raises as `read`."""
    check()
    return {row: row.configured(flags) for row in SERVICES if row.name not in without}


def check() -> None:
    """Raises `WrongSettings` with all that is wrong in environment and file: names that no service knows, wrong values."""
    wrong = list(unknown(known()))
    for row in SERVICES:
        try:
            row.settings()()
        except WrongSettings as error:
            wrong += error.problems
    if wrong:
        raise WrongSettings(*dict.fromkeys(wrong))  # once, as services share settings


def known() -> set[str]:
    """The name of every setting there is."""
    return {name for row in SERVICES for name in row.settings().model_fields}
