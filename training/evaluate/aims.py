"""What a release should reach on simulated data, where the best that can be done is known, and whether it does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from training.evaluate.burden import AFTER_SESSION, LANDMARKS, MODEL, RULE, AtBurden
from training.evaluate.metrics import NONE, Estimate
from training.evaluate.oracle import HEADLINE, KNOWN, UNKNOWN, Oracle, share_of
from training.evaluate.rules import RULES, SRS_LOWEST

SHARE_UNKNOWN, SHARE_KNOWN = 0.97, 0.93
"""Of the AUROC beyond .5 of the truth that does not, and that does, know the clinician."""
OF_ORACLE: Final = 0.95
"""Of the truth's precision, at the burden of each simple rule."""
TIMES_LOWEST: Final = 1.6
"""Times the precision of flagging the lowest ratings."""
ITSELF: Final = Estimate(value=1.0)
_UNITS: Final = {AFTER_SESSION: "After sessions", LANDMARKS: "At all landmarks"}


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """One figure that should be `aim` or more. `reached` goes by the figure, `sure` by the lower end of its interval; both
    are None where there is no figure. `best` is the figure of the truth itself, the clinician unknown."""

    name: str
    words: str
    aim: float
    figure: Estimate
    best: Estimate
    reached: bool | None
    sure: bool | None


def aims(oracle: Oracle | None, rules: tuple[AtBurden, ...]) -> tuple[Aim, ...]:
    """The aims that this run can speak of. `rules` are those over all rows, `oracle` has those over the truth's moments."""
    told = [*(_against_truth(oracle) if oracle is not None else ())]
    for found in rules:
        if found.rule == SRS_LOWEST.name and found.gap is None:
            beside = _same(oracle.rules, found) if oracle is not None else None
            best = beside.ratio.get(f"{UNKNOWN}/{RULE}", NONE) if beside is not None else NONE
            words = f"{_UNITS[found.unit]}, a tenth flagged: precision in parts of that of the lowest ratings"
            told.append(
                _aim(f"lift/{found.rule}/{found.unit}", words, TIMES_LOWEST, found.ratio[f"{MODEL}/{RULE}"], best)
            )
    return tuple(told)


def _against_truth(oracle: Oracle) -> Iterator[Aim]:
    for near in oracle.near:
        if near.horizon == HEADLINE:
            for which, aim in ((UNKNOWN, SHARE_UNKNOWN), (KNOWN, SHARE_KNOWN)):
                words = f"{near.title}: part of what the truth has above chance, {which.replace('_', ' ')}"
                yield _aim(f"share/{which}/{near.landmark}", words, aim, share_of(near, which), ITSELF)
    titles = {rule.name: rule.title for rule in RULES}
    for found in oracle.rules:
        if found.gap is None:
            words = (
                f"{_UNITS[found.unit]}, as many flagged as “{titles[found.rule]}”: precision in parts of the truth's"
            )
            figure = found.ratio[f"{MODEL}/{UNKNOWN}"]
            yield _aim(f"precision/{UNKNOWN}/{found.unit}/{found.rule}", words, OF_ORACLE, figure, ITSELF)


def _same(rules: tuple[AtBurden, ...], wanted: AtBurden) -> AtBurden | None:
    return next((one for one in rules if (one.rule, one.unit) == (wanted.rule, wanted.unit)), None)


def _aim(name: str, words: str, aim: float, figure: Estimate, best: Estimate) -> Aim:
    return Aim(
        name=name, words=words, aim=aim, figure=figure, best=best,
        reached=None if figure.value is None else figure.value >= aim,
        sure=None if figure.low is None else figure.low >= aim,
    )  # fmt: skip
