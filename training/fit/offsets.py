"""Offsets of clinics and clinicians by partial pooling: what is left of the log-odds after the model, shrunk by how little is
known of each. They are context for calibration. They say nothing of how good anybody is: who takes on the hardest cases has
the highest. No command lists them in order.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keepwell.scoring.scorecard import OUTPUTS, Offsets, Points
from training.fit.logit import expit
from training.fit.sample import Ints, Mask, Sample, codes_of

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

LEAST_CLIENTS: Final = 8
"""Clients a clinic or clinician needs for an offset of its own; ours, so that an offset tells of no single person."""
LARGEST: Final = 2.0
"""Log-odds that no raw offset exceeds, so that a clinician whose clients all stayed is not infinitely good."""


class Pooled(NamedTuple):
    """Offset of each group, and the standard deviation between groups that was found."""

    offsets: Vector
    between: float


def offsets_of(sample: Sample, logits: Matrix, active: bool) -> tuple[Offsets, Matrix, dict[str, float]]:
    """The offsets by clinic and, within it, clinician; what they add to each row; the spread of clinicians by output.

    `logits` are calibrated and out of fold, so that no row's own outcome made them.
    """
    everyone = np.ones(len(logits), dtype=np.bool_)
    of_clinic, of_clinician, spread = _pooled(sample, logits, everyone)
    clinics, clinicians = sample.frame["clinic"], sample.frame["clinician"]
    told = Offsets(active=active, clinics=_told(clinics, of_clinic), clinicians=_told(clinicians, of_clinician))
    return told, _added(sample, of_clinic, of_clinician), {f"spread_{name}": one for name, one in spread.items()}


def crossed(sample: Sample, logits: Matrix) -> Matrix:
    """What offsets add to each row if they are made of the other half of the clients: what they are worth, unflattered."""
    half = _halves(sample)
    first, second = (_added(sample, *_pooled(sample, logits, side)[:2]) for side in (half, ~half))
    return np.where(half[:, None], second, first)


def _halves(sample: Sample) -> Mask:
    first: Mask = np.random.default_rng(0).permutation(int(sample.client.max()) + 1) % 2 == 0
    side: Mask = first[sample.client]
    return side


def _pooled(sample: Sample, logits: Matrix, which: Mask) -> tuple[Matrix, Matrix, dict[str, float]]:
    """Offsets of every clinic and clinician by output, made of some rows, and the spread of clinicians."""
    clinic, clinician = _codes(sample)
    of_clinic = np.zeros((int(clinic.max()) + 1, len(OUTPUTS)))
    of_clinician = np.zeros((int(clinician.max()) + 1, len(OUTPUTS)))
    spread: dict[str, float] = {}
    for output in sample.outputs:
        offset = np.zeros(len(logits))
        for offsets, group in ((of_clinic, clinic), (of_clinician, clinician)):
            where = which & sample.known(output) & (group >= 0)
            pooled = pool(
                group[where], len(offsets), sample.client[where], sample.targets[where, output],
                logits[where, output] + offset[where],
            )  # fmt: skip
            offsets[:, output] = pooled.offsets
            offset += np.append(pooled.offsets, 0.0)[group]
            spread[OUTPUTS[output]] = pooled.between
    return of_clinic, of_clinician, spread


def _added(sample: Sample, of_clinic: Matrix, of_clinician: Matrix) -> Matrix:
    """What offsets add to each row; nothing where the clinician is not known."""
    clinic, clinician = _codes(sample)
    none = np.zeros((1, len(OUTPUTS)))
    found: Matrix = np.vstack([of_clinic, none])[clinic] + np.vstack([of_clinician, none])[clinician]
    return found


def _codes(sample: Sample) -> tuple[Ints, Ints]:
    """The clinic and the clinician of each row; -1 where not known."""
    return codes_of(sample.frame["clinic"]), codes_of(sample.frame["clinician"])


def pool(group: Ints, groups: int, client: Ints, target: Vector, logits: Vector) -> Pooled:
    """Empirical-Bayes offsets of groups: one step of Newton's from no offset, times between / (between + within) variance.

    Variance within is taken between clients, as a client's rows are alike; that between groups is DerSimonian & Laird's
    (1986, Control Clin Trials 7:177). One group has nothing to be compared with and gets none.
    """
    risk = expit(logits)
    score = np.bincount(group, target - risk, groups)
    information = np.bincount(group, risk * (1 - risk), groups)
    everyone = int(client.max(initial=0)) + 1
    persons, person = np.unique(group * everyone + client, return_inverse=True)
    sums = np.bincount(person, target - risk, len(persons))
    of_group = persons // everyone
    clients = np.bincount(of_group, minlength=groups)
    within = np.bincount(of_group, sums**2, groups)
    told = (clients >= LEAST_CLIENTS) & (information > 0) & (within > 0)
    offsets = np.zeros(groups)
    if told.sum() < 2:
        return Pooled(offsets, 0.0)
    raw = np.clip(score[told] / information[told], -LARGEST, LARGEST)
    variance = within[told] / information[told] ** 2
    weight = 1 / variance
    centre = float(np.sum(weight * raw) / weight.sum())
    excess = float(np.sum(weight * (raw - centre) ** 2)) - (len(raw) - 1)
    between = max(0.0, excess / float(weight.sum() - np.sum(weight**2) / weight.sum()))
    offsets[told] = raw * between / (between + variance)
    return Pooled(offsets, float(np.sqrt(between)))


def _told(groups: pd.Series[str], offsets: Matrix) -> dict[str, Points]:
    """The offsets that are any, by name in alphabetical order."""
    found: dict[str, Points] = {}
    for name, row in sorted(zip(groups.cat.categories, offsets, strict=True)):
        d14, d30, d60, following = (round(float(value), 4) + 0.0 for value in row)
        if any((d14, d30, d60, following)):
            found[str(name)] = (d14, d30, d60, following)
    return found
