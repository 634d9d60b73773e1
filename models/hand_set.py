"""A release set by hand from published effects: for whoever wants none that was learnt, and for a trained one to beat.

`python -m models.hand_set FOLDER` writes it below a folder. Nothing in it was fitted to data, so its risks are rough; the
manifest says so. Points are added log-odds of stopping within the horizon. A published standardised difference d is turned
into log-odds by d * pi / sqrt(3), spread over the bins of the feature.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import msgspec

from keepwell.alerting.policy import Policy
from keepwell.scoring.scorecard import Scorecard, Term
from models.release import write

CREATED: Final = "2026-11-22"
CODE: Final = "0.1.0"
"""The version of Keepwell for which the table was last changed; another version of the software changes no digest."""
ORIGIN: Final = (
    "Set by hand from published effects; not fitted to any data, not calibrated on any clinic. Sources: hand_set.py."
)

Bins = tuple[tuple[float, ...], tuple[float, ...], float, float, str]
"""Edges, points for stopping, points of a missing value, share of the points that counts for the next visit, source."""

SHARF = "Sharf, Primavera & Diener 2010, Psychotherapy 47:637: alliance and dropout, d = .55"
SWIFT = "Swift & Greenberg 2012, J Consult Clin Psychol 80:547: 19.7 % over 669 studies, most in the first sessions"
EUBANKS = "Eubanks, Muran & Safran 2018, Psychotherapy 55:508: repaired ruptures go with better outcomes"
NO_SHOW = "Defife, Conklin, Smith & Poole 2010, Psychotherapy 47:413: missed appointments and their reasons; size ours"
PREFERENCE = "Swift, Callahan, Cooper & Parkin 2018, J Clin Psychol 74:1924: preference met, odds ratio 1.79 of staying"
LAMBERT = "Lambert, Whipple & Kleinstäuber 2018, Psychotherapy 55:520: not-on-track cases leave more often; size ours"
WAITING = "Gallucci, Swartz & Hackerman 2005, Psychiatr Serv 56:344: each day of waiting lowers attendance; size ours"
OURS = "ours: no published size found; kept small"

TABLE: Final[dict[str, Bins]] = {
    # feature: (edges, points, missing, share for the next visit, source)
    "sessions": ((1, 2, 3, 6, 10, 20), (0.35, 0.45, 0.3, 0.1, -0.15, -0.35, -0.55), 0, 0.5, SWIFT),
    "waiting": ((7, 21, 42), (0.0, 0.1, 0.3, 0.5), 0, 1, WAITING),
    "lost_in_a_row": ((1, 2, 3), (-0.1, 0.45, 0.95, 1.3), 0, 0.7, NO_SHOW),
    "last_visit_missed": ((1,), (0.0, 0.35), 0, 1, NO_SHOW),
    "missed_share": ((0.1, 0.2, 0.35), (-0.1, 0.05, 0.25, 0.45), 0, 1.5, NO_SHOW),
    "late_cancelled": ((1, 3), (0.0, 0.15, 0.3), 0, 1, NO_SHOW),
    "client_moves": ((2, 4), (0.0, 0.1, 0.2), 0, 1, OURS),
    "awaiting_rebooking": ((3, 7, 14), (0.15, 0.4, 0.7, 0.9), 0, 0, NO_SHOW),
    "nothing_booked": ((1,), (-0.15, 0.35), 0, 0, OURS),
    "gap_in_rhythm": ((1.25, 1.75, 2.5, 4), (-0.1, 0.05, 0.35, 0.7, 1.0), 0, 0.3, OURS),
    "interval_stretch": ((1.5, 2.5), (0.0, 0.1, 0.25), 0, 0.5, OURS),
    "later_than_usual": ((5, 15), (0.0, 0.08, 0.2), 0, 1, OURS),
    "shorter_than_usual": ((10, 20), (0.0, 0.08, 0.18), 0, 0.5, OURS),
    "alliance_level": ((6.5, 8.0, 9.0), (0.55, 0.3, 0.05, -0.2), 0.05, 0.4, SHARF),
    "steepest_fall": ((0.5, 1.0, 2.0, 3.0), (-0.1, 0.05, 0.25, 0.5, 0.7), 0, 0.4, SHARF),
    "bond_drop": ((0.5, 1.0, 2.0), (0.0, 0.1, 0.2, 0.35), 0, 0.3, SHARF),
    "goals_drop": ((0.5, 1.0, 2.0), (0.0, 0.08, 0.18, 0.3), 0, 0.3, SHARF),
    "tasks_drop": ((0.5, 1.0, 2.0), (0.0, 0.08, 0.18, 0.3), 0, 0.3, SHARF),
    "rupture_withdrawal": ((1,), (0.0, 0.3), 0, 0.4, EUBANKS),
    "rupture_confrontation": ((1,), (0.0, 0.2), 0, 0.3, EUBANKS),
    "ruptures_repaired": ((0.5,), (0.1, -0.2), 0, 0.3, EUBANKS),
    "ruptures_unrepaired": ((1, 2), (0.0, 0.2, 0.35), 0, 0.3, EUBANKS),
    "last_repair": ((0, 1), (0.25, 0.05, -0.15), 0, 0.3, EUBANKS),
    "perfect_run": ((4,), (0.0, 0.1), 0, 0.3, OURS),
    "early_gain": ((-0.25, 0.5, 1.0), (0.3, 0.1, -0.05, -0.2), 0, 0.3, LAMBERT),
    "gain": ((-1, -0.25, 0.5, 1), (0.5, 0.2, 0.05, -0.1, -0.15), 0, 0.3, LAMBERT),
    "lost_gain": ((0.75, 1.5), (0.0, 0.1, 0.25), 0, 0.3, LAMBERT),
    "homework_last": ((0.25, 0.6), (0.25, 0.08, -0.1), 0, 0.6, OURS),
    "feedback_goals": ((0, 1), (0.2, 0.0, -0.1), 0, 0.3, SHARF),
    "feedback_tasks": ((0, 1), (0.2, 0.0, -0.1), 0, 0.3, SHARF),
    "feedback_bond": ((0, 1), (0.25, 0.0, -0.1), 0, 0.3, SHARF),
    "feedback_trust": ((0, 1), (0.3, 0.0, -0.1), 0, 0.3, SHARF),
    "feedback_empathy": ((0, 1), (0.25, 0.0, -0.1), 0, 0.3, SHARF),
    "feedback_consistency": ((0, 1), (0.2, 0.0, -0.05), 0, 0.3, OURS),
    "feedback_culture": ((0, 1), (0.3, 0.0, -0.1), 0, 0.3, OURS),
    "feedback_pace": ((0, 1), (0.15, 0.0, -0.05), 0, 0.3, OURS),
    "feedback_logistics": ((0, 1), (0.25, 0.0, -0.05), 0, 0.8, OURS),
    "wants_approach": ((1,), (0.0, 0.25), 0, 0.3, PREFERENCE),
    "wants_clinician": ((1,), (0.0, 0.5), 0, 0.4, PREFERENCE),
    "wants_format": ((1,), (0.0, 0.2), 0, 0.5, PREFERENCE),
    "complaint_recent": ((1,), (0.0, 0.3), 0, 0.3, OURS),
    "skips_in_a_row": ((1, 2, 3), (-0.05, 0.1, 0.25, 0.4), 0, 0.4, OURS),
    "outreach_unanswered": ((1, 2, 3), (0.0, 0.25, 0.5, 0.7), 0, 0.5, OURS),
    "silence_in_rhythm": ((1.5, 2.5), (0.0, 0.15, 0.3), 0, 0.3, OURS),
    "clinician_change_recent": ((1,), (0.0, 0.3), 0, 0.3, OURS),
    "clinician_change_wanted": ((1,), (0.1, -0.15), 0, 0.3, PREFERENCE),
    "clinic_cancelled": ((1, 3), (0.0, 0.1, 0.25), 0, 0.2, OURS),
    "preference_met": ((1,), (0.3, -0.2), 0, 0.4, PREFERENCE),
    "mandated": ((1,), (0.0, 0.15), 0, 0.5, OURS),
    "previous_episodes": ((1, 3), (0.0, 0.05, 0.15), 0, 0.5, OURS),
}

BASE: Final = (-3.35, -2.55, -1.85, -2.1)
"""Log-odds with all points at zero, of 14, 30 and 60 days and the next visit: 3, 7, 14 and 11 %. With 19.7 % stopping
overall (Swift & Greenberg 2012) and no-shows of 9-17 % (clinic reports); ours."""

POLICY: Final = Policy(
    line=0.30, release=0.20, escalate=0.50, absent=0.40, strain=0.18,
)  # fmt: skip
"""Lines of the hand-set release; chosen for few alerts, not from data."""


def scorecard() -> Scorecard:
    """The scorecard of `TABLE`: the same points at each horizon, a share of them for the next visit."""
    terms = []
    for feature, (edges, points, missing, share, _) in TABLE.items():
        rows = tuple((p, p, p, round(p * share, 3)) for p in points)
        lost = (missing, missing, missing, round(missing * share, 3))
        terms.append(Term(feature=feature, edges=edges, points=rows, missing=lost))
    return Scorecard(base=BASE, terms=tuple(terms))


def build(place: Path) -> Path:
    """Writes the release below a folder, and returns the folder of its name."""
    files = {
        "scorecard.json": msgspec.json.format(msgspec.json.encode(scorecard()), indent=1) + b"\n",
        "policy.json": msgspec.json.format(msgspec.json.encode(POLICY), indent=1) + b"\n",
    }
    return write(place, title="Set by hand", origin=ORIGIN, created=CREATED, code=CODE, files=files)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m models.hand_set FOLDER")
    build(Path(sys.argv[1]))
