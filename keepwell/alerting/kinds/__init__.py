"""Every kind of alert, a file each: what it decides, what it says, and when it falls due."""

from __future__ import annotations

from typing import Final, assert_never

from keepwell.alerting.kinds.ending import EndingAlert
from keepwell.alerting.kinds.kind import Grounds, Holding, Kind, LastingKind
from keepwell.alerting.kinds.risk import RiskAlert
from keepwell.alerting.kinds.rupture import RuptureAlert
from keepwell.alerting.kinds.safety import SafetyAlert
from keepwell.alerting.kinds.silence import SilenceAlert
from keepwell.contract.words import AlertKind

__all__ = ["LASTING", "Grounds", "Holding", "Kind", "LastingKind", "kind_of"]

_RISK: Final = RiskAlert()
_RUPTURE: Final = RuptureAlert()
_SILENCE: Final = SilenceAlert()
_ENDING: Final = EndingAlert()
_SAFETY: Final = SafetyAlert()

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
