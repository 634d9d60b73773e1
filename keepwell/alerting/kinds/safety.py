"""`safety`: a safety item was endorsed. Never throttled; says only to follow the clinic's own protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keepwell.alerting.kinds.kind import Grounds, Kind
from keepwell.care.course import Course
from keepwell.contract.say import render, said
from keepwell.scoring.reasons import Ground


class SafetyAlert(Kind):
    """Told of each endorsement, and resolved by nothing.

    The chance of stopping beside it could be read as how great the danger is, so it is left out.
    """

    name = "safety"
    shows_risk = False

    def grounds(self, course: Course, now: int, raising: Sequence[Ground]) -> Grounds:
        return Grounds((render(said("A safety item was endorsed")),), ("safety",))


KIND: Final = SafetyAlert()
