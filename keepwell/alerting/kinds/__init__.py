"""Every kind of alert, a file each: what it decides, what it says, and when it falls due."""

from __future__ import annotations

from typing import Final, assert_never

from keepwell.alerting.kinds.ending import Ending
from keepwell.alerting.kinds.kind import Grounds, Holding, Kind, LastingKind
from keepwell.alerting.kinds.risk import Risk
from keepwell.alerting.kinds.rupture import Rupture
from keepwell.alerting.kinds.safety import Safety
from keepwell.alerting.kinds.silence import Silence
from keepwell.contract.words import AlertKind

__all__ = ["LASTING", "Grounds", "Holding", "Kind", "LastingKind", "kind_of"]

_RISK: Final = Risk()
_RUPTURE: Final = Rupture()
_SILENCE: Final = Silence()
_ENDING: Final = Ending()
_SAFETY: Final = Safety()

LASTING: Final[tuple[LastingKind, ...]] = (_RISK, _RUPTURE, _SILENCE, _ENDING)
"""In the order in which they are told of one moment; safety, which is told of an event, comes last."""


def kind_of(name: AlertKind) -> Kind:
    """The kind of a name. One that the contract has and nothing decides fails type checking here.

    >>> kind_of("safety").shows_risk
    False
    """
    match name:
        case "risk":
            return _RISK
        case "rupture":
            return _RUPTURE
        case "silence":
            return _SILENCE
        case "ending":
            return _ENDING
        case "safety":
            return _SAFETY
        case _:
            assert_never(name)
