"""Where theory fixes which way a feature moves the risk, and what a model must not learn from: each with its reason.

A constraint costs little where it is true, keeps a reason from reading absurdly ("came on time: risk up"), and holds where
data are few. A feature without a sign here is free: its effect may turn, or is confounded with how long people have stayed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Sign = Literal[-1, 1]

SHARF: Final = "alliance and dropout, d = .55 (Sharf, Primavera & Diener 2010, Psychotherapy 47:637)"
RUPTURE: Final = "unrepaired ruptures go with leaving (Eubanks, Muran & Safran 2018, Psychotherapy 55:508)"
NO_SHOW: Final = "a visit not kept is the start of leaving (Defife et al. 2010, Psychotherapy 47:413)"
WAITING: Final = "each day of waiting lowers attendance (Gallucci et al. 2005, Psychiatr Serv 56:344)"
PREFERENCE: Final = "preference met, odds ratio 1.79 of staying (Swift et al. 2018, J Clin Psychol 74:1924)"
HOMEWORK: Final = "homework done goes with outcome (Kazantzis et al. 2016, Behav Ther 47:755)"
SILENCE: Final = "the longer nothing is heard, the less likely a return: a stop is declared by silence alone"
WORSE: Final = "not-on-track cases leave more often (Lambert et al. 2018, Psychotherapy 55:520)"
BREAK: Final = "a break of continuity costs the bond; the sign is ours, no published size found"

SIGNS: Final[Mapping[str, tuple[Sign, str]]] = {
    "missed_share": (1, NO_SHOW),
    "lost_in_a_row": (1, NO_SHOW),
    "last_visit_missed": (1, NO_SHOW),
    "last_visit_cancelled_late": (1, NO_SHOW),
    "awaiting_rebooking": (1, SILENCE),
    "awaiting_booking": (1, SILENCE),
    "rebooking_delay": (1, NO_SHOW),
    "nothing_booked": (1, SILENCE),
    "gap_in_rhythm": (1, SILENCE),
    "interval_stretch": (1, NO_SHOW),
    "later_than_usual": (1, NO_SHOW),
    "shorter_than_usual": (1, NO_SHOW),
    "waiting": (1, WAITING),
    "alliance_level": (-1, SHARF),
    "goals_level": (-1, SHARF),
    "tasks_level": (-1, SHARF),
    "bond_level": (-1, SHARF),
    "lowest_pillar_level": (-1, SHARF),
    "alliance_drop": (1, RUPTURE),
    "goals_drop": (1, RUPTURE),
    "tasks_drop": (1, RUPTURE),
    "bond_drop": (1, RUPTURE),
    "alliance_change": (-1, RUPTURE),
    "bond_change": (-1, RUPTURE),
    "steepest_fall": (1, RUPTURE),
    "below_cutoff": (1, SHARF),
    "rupture_open": (1, RUPTURE),
    "rupture_withdrawal": (1, RUPTURE),
    "rupture_confrontation": (1, RUPTURE),
    "ruptures_repaired": (-1, RUPTURE),
    "ruptures_unrepaired": (1, RUPTURE),
    "last_repair": (-1, RUPTURE),
    "deteriorated": (1, WORSE),
    "homework_last": (-1, HOMEWORK),
    "homework_mean": (-1, HOMEWORK),
    "homework_fall": (1, HOMEWORK),
    "feedback_goals": (-1, SHARF),
    "feedback_tasks": (-1, SHARF),
    "feedback_bond": (-1, SHARF),
    "feedback_trust": (-1, SHARF),
    "feedback_empathy": (-1, SHARF),
    "feedback_consistency": (-1, SHARF),
    "feedback_culture": (-1, SHARF),
    "feedback_pace": (-1, SHARF),
    "feedback_logistics": (-1, NO_SHOW),
    "negative_feedback_recent": (1, SHARF),
    "wants_approach": (1, PREFERENCE),
    "wants_clinician": (1, PREFERENCE),
    "wants_format": (1, PREFERENCE),
    "complaint_recent": (1, SHARF),
    "days_since_heard": (1, SILENCE),
    "silence_in_rhythm": (1, SILENCE),
    "skips_in_a_row": (1, SILENCE),
    "declined_share": (1, SILENCE),
    "outreach_unanswered": (1, SILENCE),
    "clinician_change_recent": (1, BREAK),
    "stand_ins": (1, BREAK),
    "clinic_cancelled": (1, BREAK),
    "preference_met": (-1, PREFERENCE),
}

NEEDS_YEARS: Final[Mapping[str, float]] = {"season_sin": 2.0, "season_cos": 2.0}
"""Features that are left out where the data span fewer years: one year has each season once, so what happened then would be
learnt as the season's doing."""
