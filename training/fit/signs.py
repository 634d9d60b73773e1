"""Where theory fixes which way a feature moves the risk, and what a model must not learn from: each with its reason.

A constraint costs little where it is true, keeps a reason from reading absurdly ("came on time: risk up"), and holds where
data are few. A feature without a sign here is free: its effect may turn, or is confounded with how long people have stayed.
The signs are data (`signs.toml`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from training.constants import constants

Sign = Literal[-1, 1]


class _Fixed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The features with which the risk goes up, and those with which it goes down, by one source."""

    source: str
    up: tuple[str, ...] = ()
    down: tuple[str, ...] = ()


class _Signs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    signs: tuple[_Fixed, ...]
    needs_years: dict[str, float]
    families: dict[str, tuple[str, ...]]


def _signs(fixed: tuple[_Fixed, ...]) -> dict[str, tuple[Sign, str]]:
    """Raises `ValueError` for a feature that is named twice."""
    found: dict[str, tuple[Sign, str]] = {}
    for one in fixed:
        told: dict[str, tuple[Sign, str]] = dict.fromkeys(one.up, (1, one.source))
        told |= dict.fromkeys(one.down, (-1, one.source))
        if len(told) < len(one.up) + len(one.down) or told.keys() & found.keys():
            raise ValueError(f"a feature has two signs, in or before those of {one.source}")
        found |= told
    return found


_FILE: Final = constants(__file__, _Signs)
SIGNS: Final[Mapping[str, tuple[Sign, str]]] = _signs(_FILE.signs)
"""By feature, which way the risk moves when it rises, and the source."""
NEEDS_YEARS: Final[Mapping[str, float]] = _FILE.needs_years
"""Features that are left out where the data span fewer years."""
FAMILIES: Final[Mapping[str, tuple[str, ...]]] = _FILE.families
"""By the feature that a family of rare signals has in common, the features of the single signals."""
MEMBERS: Final = frozenset(name for members in FAMILIES.values() for name in members) - FAMILIES.keys()
"""Features that lean on a family and are none themselves."""
