"""What a person might do next, by a small rule that stands here whole. Nothing is done by itself, nothing promoted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from keepwell.scoring.scorecard import HEADLINE
from training.fit.refuse import LEAST_STOPS as LEAST_TO_TRAIN
from training.monitor.calibration import Calibrated
from training.monitor.drift import Drift
from training.monitor.gaps import TITLES, Gaps

FALL: Final = 0.02
"""AUROC by which a release must have fallen, beyond its interval, for another model to be worth it; ours."""
NAMED: Final = 6
"""Features or clinics named in a sentence."""

Do = Literal["nothing", "wait", "look", "recalibrate", "retrain"]
DOS: Final[tuple[Do, ...]] = ("nothing", "wait", "look", "recalibrate", "retrain")
TITLES_OF: Final[dict[Do, str]] = {
    "nothing": "Nothing to do",
    "wait": "Too little to judge by yet",
    "look": "Look at how data come in",
    "recalibrate": "Consider recalibrating",
    "retrain": "Consider training anew",
}


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """What to do, why, and the command that a person would begin with, if there is one."""

    do: Do
    why: str
    command: str | None = None


def suggest(release: str, drift: Drift, calibration: Sequence[Calibrated], gaps: Gaps) -> tuple[Advice, ...]:
    """The suggestions for the release of a digest, the first thing first.

    1. Look at how data come in, where a feature is lost, or a gap commoner than usual in a clinic.
    2. Train anew, where the risks tell apart less well than they did, and stops are enough to train on.
    3. Recalibrate, where that is not so, or not possible, and the percentages are off.
    4. Where outcomes are too few to judge: look at how data come in if much differs, else wait.
    5. Otherwise nothing, whatever differs: what counts is that the 30-day risk holds, on which alerts rest.
    """
    found, headline = _data(drift, gaps), calibration[HEADLINE]
    if headline.gap is not None:
        much = drift.of("much")
        if much and not found:
            found.append(
                Advice(
                    do="look",
                    why=f"{_names([one.name for one in much])} came in otherwise than in the data of training, and too "
                    "few outcomes are known to tell whether the risks still hold. Are other people seen, or is it told "
                    "otherwise?",
                )
            )
        return tuple(found) or (Advice(do="wait", why=f"Nothing was seen to differ, but {headline.gap}."),)
    judged = _judged(release, headline)
    if judged is not None:
        found.append(judged)
    return tuple(found) or (Advice(do="nothing", why=_holds(drift, calibration)),)


def fallen(headline: Calibrated) -> bool:
    """Whether the risks tell apart less well than the release says of itself: by `FALL`, and beyond the interval."""
    value, high, before = headline.auroc.value, headline.auroc.high, headline.auroc_before
    return value is not None and high is not None and before is not None and high < before and before - value >= FALL


def _data(drift: Drift, gaps: Gaps) -> list[Advice]:
    why = []
    for kind, words in (("missing", "nothing comes in any more of"), ("constant", "one value only comes in of")):
        names = [one.name for one in drift.lost if one.lost == kind]
        if names:
            why.append(f"{words} {_names(names)}")
    by_clinic: dict[str, list[str]] = {}
    for clinic, cell in gaps.more():
        by_clinic.setdefault(clinic, []).append(
            f"“{TITLES[cell.gap]}” {cell.share:.0%} of moments, usually {cell.usual:.0%}"
        )
    why += [f"in clinic {clinic}, {', '.join(cells)}" for clinic, cells in list(by_clinic.items())[:NAMED]]
    if len(by_clinic) > NAMED:
        why.append(f"and {len(by_clinic) - NAMED} clinics more")
    if not why:
        return []
    told = "; ".join(why)
    return [
        Advice(
            do="look",
            why=f"{told[0].upper()}{told[1:]}. Scores rest on less than they could, and no new model mends that.",
        )
    ]


def _judged(release: str, headline: Calibrated) -> Advice | None:
    recalibrate = f"keepwell train FILES --recalibrate {release[:19]} --out NEW"
    fell = fallen(headline)
    if fell and headline.episodes >= LEAST_TO_TRAIN:
        return Advice(
            do="retrain",
            why=f"The risks tell apart less well than in the data of training: AUROC {headline.auroc.value:.2f}, then "
            f"{headline.auroc_before:.2f}. Recalibration moves percentages only. {headline.episodes} stops are known.",
            command="keepwell train FILES --out NEW",
        )
    if headline.off:
        also = ""
        if fell:
            also = f" They also tell apart less well, but {headline.episodes} stops are too few to train on."
        if headline.treated > 0.1:
            also += (
                f" {headline.treated:.0%} of moments lie shortly after an alert or an act, which may have changed what "
                f"came: without them it is {_ratio(headline.untreated.value)}."
            )
        return Advice(
            do="recalibrate",
            why=f"The percentages do not hold: {_ratio(headline.ratio.value)} stops for each one foretold, slope "
            f"{headline.slope.value:.2f}.{also}",
            command=recalibrate,
        )
    if fell:
        return Advice(
            do="wait",
            why=f"The risks tell apart less well than in the data of training, but {headline.episodes} stops are too "
            f"few to train on; {LEAST_TO_TRAIN} are needed.",
        )
    return None


def _holds(drift: Drift, calibration: Sequence[Calibrated]) -> str:
    headline = calibration[HEADLINE]
    differs = [one.name for one in (*drift.of("much"), *drift.of("some"))]
    what = "The percentages within 30 days hold" + (", as far as so few outcomes tell" if headline.rough else "")
    if headline.auroc_before is not None:
        what += ", and the risks tell apart about as well as they did"
    off = [one.output for one in calibration if one.off]
    if off:
        what += f"; those of {', '.join(off)} do not, but alerts rest on the former"
    if differs:
        return f"{what}, although {_names(differs)} came in otherwise than in the data of training."
    return f"{what}." if drift.gap is None else f"{what}. What came in could not be compared: {drift.gap}."


def _ratio(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"


def _names(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
