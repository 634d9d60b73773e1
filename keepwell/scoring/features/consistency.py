"""Features of consistency: changes of clinician, stand-ins, visits that the clinic called off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keepwell.contract.say import counted, said
from keepwell.scoring.features.feature import Feature, recent, says

CONSISTENCY: Final[Sequence[Feature]] = (
    Feature("clinician_changes", "consistency", "changes", lambda c, now: float(c.handovers),
            lambda v: counted(v, "{count} change of clinician so far", "{count} changes of clinician so far",
                              said("The same clinician throughout")), None, "continuity", lasting=True),
    Feature("clinician_change_recent", "consistency", "0/1", lambda c, now: float(recent(c.handover_at, now)),
            says(said("The clinician changed in the last two months"), said("No change of clinician in the last two months")),
            None, "continuity"),
    Feature("clinician_change_wanted", "consistency", "0/1",
            lambda c, now: None if c.handover_reason is None else float(c.handover_reason == "client_request"),
            says(said("The clinician changed at the client's request"),
                 said("The change of clinician was not the client's wish")),
            said("The clinician has not changed"), "continuity"),
    Feature("stand_ins", "consistency", "visits", lambda c, now: float(c.stand_ins),
            lambda v: counted(v, "{count} visit with another clinician so far",
                              "{count} visits with another clinician so far",
                              said("No visit with another clinician so far")), None, "attended", lasting=True),
    Feature("clinic_cancelled", "consistency", "visits", lambda c, now: float(c.clinic_cancelled),
            lambda v: counted(v, "{count} visit cancelled by the clinic so far",
                              "{count} visits cancelled by the clinic so far",
                              said("No visit cancelled by the clinic so far")), None, "continuity", lasting=True),
    Feature("clinic_moves", "consistency", "visits", lambda c, now: float(c.clinic_moves),
            lambda v: counted(v, "{count} visit moved by the clinic so far", "{count} visits moved by the clinic so far",
                              said("No visit moved by the clinic so far")), None, "continuity", lasting=True),
    Feature("moved_twice_recent", "consistency", "0/1", lambda c, now: float(recent(c.moved_twice_at, now)),
            says(said("The clinic moved the same visit twice in the last two months"),
                 said("No visit moved twice by the clinic in the last two months")), None, "continuity"),
    Feature("clinician_changed_absence", "consistency", "0/1",
            lambda c, now: float(c.handover_reason == "absence" and recent(c.handover_at, now)),
            says(said("The clinician changed in the last two months because of absence"),
                 said("No change of clinician because of absence in the last two months")), None, "continuity"),
    Feature("breaks_recent", "consistency", "0/1", lambda c, now: float(recent(c.break_at, now)),
            says(said("The clinic cancelled or moved a visit, or another clinician came, in the last two months"),
                 said("No visit cancelled or moved by the clinic, and no other clinician, in the last two months")), None,
            "continuity"),
)  # fmt: skip
