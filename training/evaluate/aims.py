"""What a release should reach on simulated data, where the best that can be done is known, and whether it does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from training.evaluate.burden import MODEL, RULE, UNITS, AtBurden
from training.evaluate.metrics import NONE, Estimate
from training.evaluate.oracle import HEADLINE, KNOWN, UNKNOWN, TruthCheck, share_of
from training.evaluate.rules import RULES, SRS_LOWEST

SHARE_UNKNOWN, SHARE_KNOWN = 0.97, 0.93
"""Of the AUROC beyond .5 of the truth that does not, and that does, know the clinician."""
OF_ORACLE: Final = 0.95
"""Of the truth's precision, at the burden of each simple rule."""
TIMES_LOWEST: Final = 1.6
"""Times the precision of flagging the lowest ratings."""
RIGHT: Final = "Precision in parts of the truth's, clinician unknown, with as many flagged as a rule flags"
ITSELF: Final = Estimate(value=1.0)


AimVerdict = Literal["reached", "open", "missed"]
VERDICTS: Final[tuple[AimVerdict, ...]] = ("reached", "open", "missed")
"""The figure is at the aim or above; it is below, but its interval is not; its whole interval is below."""


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """One figure that should be `aim` or more. `group` is what is aimed at, in words; `best` is the figure of the truth
    itself, the clinician unknown; `verdict` is None where there is no figure."""

    name: str
    group: str
    words: str
    aim: float
    figure: Estimate
    best: Estimate
    verdict: AimVerdict | None


def aims(oracle: TruthCheck | None, rules: tuple[AtBurden, ...]) -> tuple[Aim, ...]:
    """The aims that this run can speak of. `rules` are those over all rows, `oracle` has those over the truth's moments."""
    told = [*(_against_truth(oracle) if oracle is not None else ())]
    for found in rules:
        if found.rule == SRS_LOWEST.name and found.gap is None:
            beside = _same(oracle.rules, found) if oracle is not None else None
            best = beside.ratio.get(f"{UNKNOWN}/{RULE}", NONE) if beside is not None else NONE
            group = "Precision in parts of that of the lowest ratings, a tenth flagged"
            figure = found.ratio[f"{MODEL}/{RULE}"]
            told.append(
                _aim(f"lift/{found.rule}/{found.unit}", group, UNITS[found.unit], TIMES_LOWEST, figure, best=best)
            )
    return tuple(told)


def _against_truth(oracle: TruthCheck) -> Iterator[Aim]:
    for near in oracle.near:
        if near.horizon == HEADLINE:
            for which, aim in ((UNKNOWN, SHARE_UNKNOWN), (KNOWN, SHARE_KNOWN)):
                group = f"Part of the truth's AUROC beyond .5, {which.replace('_', ' ')}"
                yield _aim(f"share/{which}/{near.landmark}", group, near.title, aim, share_of(near, which))
    titles = {rule.name: rule.title for rule in RULES}
    for found in oracle.rules:
        if found.gap is None:
            words = f"{UNITS[found.unit]}, as many as “{titles[found.rule]}”"
            figure = found.ratio[f"{MODEL}/{UNKNOWN}"]
            yield _aim(f"precision/{UNKNOWN}/{found.unit}/{found.rule}", RIGHT, words, OF_ORACLE, figure)


def _same(rules: tuple[AtBurden, ...], wanted: AtBurden) -> AtBurden | None:
    return next((one for one in rules if (one.rule, one.unit) == (wanted.rule, wanted.unit)), None)


def _aim(name: str, group: str, words: str, aim: float, figure: Estimate, *, best: Estimate = ITSELF) -> Aim:
    verdict: AimVerdict | None = None
    if figure.value is not None:
        verdict = "reached" if figure.value >= aim else "open" if (figure.high or figure.value) >= aim else "missed"
    return Aim(name=name, group=group, words=words, aim=aim, figure=figure, best=best, verdict=verdict)
