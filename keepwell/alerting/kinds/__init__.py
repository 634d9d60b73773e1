"""Every kind of alert, a file each: what it decides, what it says, and when it falls due."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Final, cast

from keepwell.alerting.kinds.kind import Grounds, Holding, Kind, LastingKind
from keepwell.contract.words import ALERT_KINDS, AlertKind

__all__ = ["KINDS", "LASTING", "Grounds", "Holding", "Kind", "LastingKind"]


def _kind(name: AlertKind) -> Kind:
    """What the file of the kind's name declares as its `KIND`."""
    return cast("Kind", import_module(f"{__name__}.{name}").KIND)


KINDS: Final[Mapping[AlertKind, Kind]] = {name: _kind(name) for name in ALERT_KINDS}
"""By name. One that the contract has and no file decides ends the import of this package, which names the file."""

LASTING: Final[tuple[LastingKind, ...]] = tuple(kind for kind in KINDS.values() if isinstance(kind, LastingKind))
"""In the order of the contract, in which they are told of one moment; safety, which is told of an event, comes last."""
