"""Features of consistency: changes of clinician, stand-ins, visits that the clinic called off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keepwell.scoring.features.feature import Feature, counted, recent, says

CONSISTENCY: Final[Sequence[Feature]] = (
    Feature("clinician_changes", "consistency", "changes", lambda c, now: float(c.handovers),
            lambda v: f"{counted(v, 'change', 'changes')} of clinician", "", "continuity"),
    Feature("clinician_change_recent", "consistency", "0/1", lambda c, now: float(recent(c.handover_at, now)),
            says("The clinician changed in the last two months", "No recent change of clinician"), "", "continuity"),
    Feature("clinician_change_wanted", "consistency", "0/1",
            lambda c, now: None if c.handover_reason is None else float(c.handover_reason == "client_request"),
            says("The clinician changed at the client's request", "The change of clinician was not the client's wish"),
            "The clinician has not changed", "continuity"),
    Feature("stand_ins", "consistency", "visits", lambda c, now: float(c.stand_ins),
            lambda v: f"{counted(v, 'visit', 'visits')} with another clinician", "", "attended"),
    Feature("clinic_cancelled", "consistency", "visits", lambda c, now: float(c.clinic_cancelled),
            lambda v: f"{counted(v, 'visit', 'visits')} cancelled by the clinic", "", "continuity"),
    Feature("clinic_moves", "consistency", "visits", lambda c, now: float(c.clinic_moves),
            lambda v: f"{counted(v, 'visit', 'visits')} moved by the clinic", "", "continuity"),
    Feature("moved_twice_recent", "consistency", "0/1", lambda c, now: float(recent(c.moved_twice_at, now)),
            says("The clinic moved a visit twice in the last two months",
                  "No visit moved twice by the clinic in the last two months"), "",
            "continuity"),
    Feature("clinician_changed_absence", "consistency", "0/1",
            lambda c, now: float(c.handover_reason == "absence" and recent(c.handover_at, now)),
            says("The clinician changed in the last two months because of absence",
                  "No recent change of clinician because of absence"), "",
            "continuity"),
    Feature("breaks_recent", "consistency", "0/1", lambda c, now: float(recent(c.break_at, now)),
            says("A break by the clinic in the last two months: a visit cancelled or moved, or another clinician",
                  "No visit cancelled or moved by the clinic, and no other clinician, in the last two months"), "",
            "continuity"),
)  # fmt: skip
