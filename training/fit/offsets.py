"""Offsets of clinics and clinicians by partial pooling: what is left of the log-odds after the model, shrunk by how little is
known of each. They are context for calibration. They say nothing of how good anybody is: who takes on the hardest cases has
the highest. No command lists them in order.
"""

from __future__ import annotations

from collections.abc import Sequence
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
PARTS: Final = 4
"""Parts of the clients by which offsets are judged, each by those made of the others."""
ROUNDS: Final = 2
"""Of Newton's method, the second from the shrunken estimates; a third moves nothing that counts."""


class Pooled(NamedTuple):
    """Offset of each group, and the standard deviation between groups that was found."""

    offsets: Vector
    between: float


class Usual(NamedTuple):
    """What is usual at each clinic and, within it, with each clinician: offsets by group and output, in the sums before
    calibration, and the standard deviation between clinicians by output, in log-odds."""

    clinics: Matrix
    clinicians: Matrix
    spread: dict[str, float]

    def times(self, part: float) -> Usual:
        """The same, held back to a part."""
        return Usual(self.clinics * part, self.clinicians * part, self.spread)

    def added(self, sample: Sample) -> Matrix:
        """What they add to each row; nothing where the clinician is not known."""
        clinic, clinician = _codes(sample)
        none = np.zeros((1, len(OUTPUTS)))
        found: Matrix = np.vstack([self.clinics, none])[clinic] + np.vstack([self.clinicians, none])[clinician]
        return found

    def told(self, sample: Sample, active: bool, slopes: Sequence[float] = (1.0,) * len(OUTPUTS)) -> Offsets:
        """The offsets as a release holds them, divided by `slopes` that will multiply them besides."""
        clinics, clinicians = sample.frame["clinic"], sample.frame["clinician"]
        by = np.asarray(slopes)
        return Offsets(
            active=active, clinics=_told(clinics, self.clinics / by), clinicians=_told(clinicians, self.clinicians / by)
        )


def usual_of(sample: Sample, logits: Matrix, scale: Matrix, which: Mask) -> Usual:
    """Offsets of every clinic and clinician made of some of the moments.

    `logits` are calibrated and out of fold, so that no row's own outcome made them; `scale` is by how much an offset counts
    in each. Both have a column for each of `OUTPUTS`.
    """
    clinic, clinician = _codes(sample)
    of_clinic = np.zeros((int(clinic.max()) + 1, len(OUTPUTS)))
    of_clinician = np.zeros((int(clinician.max()) + 1, len(OUTPUTS)))
    spread: dict[str, float] = {}
    for output in sample.outputs:
        offset = np.zeros(len(logits))
        for offsets, group in ((of_clinic, clinic), (of_clinician, clinician)):
            where = which & sample.judged(output) & (group >= 0)
            pooled = pool(
                group[where], len(offsets), sample.client[where], target=sample.targets[where, output],
                logits=logits[where, output] + scale[where, output] * offset[where], scale=scale[where, output],
            )  # fmt: skip
            offsets[:, output] = pooled.offsets
            offset += np.append(pooled.offsets, 0.0)[group]
            spread[OUTPUTS[output]] = pooled.between
    return Usual(of_clinic, of_clinician, spread)


def usual_of_all(sample: Sample, logits: Matrix, scale: Matrix) -> Usual:
    """The same made of all of them."""
    return usual_of(sample, logits, scale, np.ones(len(logits), dtype=np.bool_))


def crossed(sample: Sample, logits: Matrix, scale: Matrix) -> Matrix:
    """What offsets add to each row if they are made of the other clients: what they are worth, unflattered."""
    part = np.random.default_rng(0).permutation(int(sample.client.max()) + 1) % PARTS
    side = part[sample.client]
    found = np.zeros_like(logits)
    for one in range(PARTS):
        here = side == one
        found[here] = usual_of(sample, logits, scale, ~here).added(sample)[here]
    return found


def _codes(sample: Sample) -> tuple[Ints, Ints]:
    """The clinic and the clinician of each row; -1 where not known."""
    return codes_of(sample.frame["clinic"]), codes_of(sample.frame["clinician"])


def pool(group: Ints, groups: int, client: Ints, *, target: Vector, logits: Vector, scale: Vector) -> Pooled:
    """Empirical-Bayes offsets of groups: estimates by Newton's method, times between / (between + within) variance.

    Variance within is taken between clients, as a client's rows are alike; that between groups is DerSimonian & Laird's
    (1986, Control Clin Trials 7:177). One group has nothing to be compared with and gets none.
    """
    everyone = int(client.max(initial=0)) + 1
    persons, person = np.unique(group * everyone + client, return_inverse=True)
    of_group = persons // everyone
    clients = np.bincount(of_group, minlength=groups)
    found = Pooled(np.zeros(groups), 0.0)
    for _ in range(ROUNDS):
        risk = expit(logits + scale * found.offsets[group])
        apart = scale * (target - risk)
        score = np.bincount(group, apart, groups)
        information = np.bincount(group, scale**2 * risk * (1 - risk), groups)
        told = (clients >= LEAST_CLIENTS) & (information > 0)
        if told.sum() < 2:
            return Pooled(np.zeros(groups), 0.0)
        step = np.divide(score, information, out=np.zeros(groups), where=told)
        raw = np.clip(found.offsets[told] + step[told], -LARGEST, LARGEST)
        # How much more a row varies than if it were alone is taken from all groups together, each client apart from its
        # own group: of a few clients it is noise.
        sums = np.bincount(person, apart, len(persons))
        expected = step[of_group] * np.bincount(person, scale**2 * risk * (1 - risk), len(persons))
        within = np.bincount(of_group, (sums - expected) ** 2, groups)
        variance = within[told].sum() / information[told].sum() / information[told]
        found = _shrunk(raw, variance, told)
    return found


def _shrunk(raw: Vector, variance: Vector, told: Mask) -> Pooled:
    weight = 1 / variance
    centre = float(np.sum(weight * raw) / weight.sum())
    excess = float(np.sum(weight * (raw - centre) ** 2)) - (len(raw) - 1)
    between = max(0.0, excess / float(weight.sum() - np.sum(weight**2) / weight.sum()))
    offsets = np.zeros(len(told))
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
