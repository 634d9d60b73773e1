"""The model card: what a release is, rests on, is worth, and must not be used for, filled in from the run itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from keepwell.alerting.policy import Policy
from keepwell.scoring.features import BY_NAME
from keepwell.scoring.scorecard import HEADLINE, OUTPUTS, Offsets, Scorecard
from training.dataset import Dataset
from training.fit.fit import Fitted, Report
from training.fit.held_out import HeldOut, words
from training.fit.measures import Measures
from training.fit.offsets import LEAST_CLIENTS
from training.fit.recalibrate import ENOUGH_STOPS, Recalibrated
from training.fit.signs import SIGNS

SHOWN: Final = 15
"""Features named in a card, strongest first."""
NAMES: Final = {
    "14d": "stops within 14 days", "30d": "stops within 30 days", "60d": "stops within 60 days",
    "next": "next visit missed",
}  # fmt: skip

USE: Final = """\
## What it is for

It orders clinicians' attention: who might stop coming, and why the model thinks so, so that somebody can ask. It is no
diagnosis, no measure of how good a clinician or clinic is, and no ground to end, shorten or refuse care.
Risks are those under care as it was in the data. Where alerts change what clinicians do, they change the risks too.
"""


def model_card(fitted: Fitted, dataset: Dataset, origin: str) -> str:
    """The card of a trained release, in Markdown."""
    report = fitted.report
    return "\n".join(
        [
            f"# Model card\n\n{origin}\n",
            USE,
            _data(report, dataset),
            _method(report),
            "## How good it is\n\nOn clients that the model had not seen (out of fold), of the same data. Calibration was "
            "fitted to these very predictions: that its slope is near 1 here tells little. `keepwell evaluate` on other "
            "data tells more.\n",
            _table(report.measures),
            f"The other learner, {'logistic regression' if report.choice.learner == 'boosting' else 'boosting'}:\n",
            _table({"30d": report.beside}),
            *_left_out(report),
            _line(report),
            _treated(report),
            *_held_out(fitted.policy, None if report.held_out is msgspec.UNSET else report.held_out),
            _offsets(fitted.offsets, report.spread),
            _strongest(fitted.card),
        ]
    )


def recalibration_card(
    recalibrated: Recalibrated, base: str, policy: Policy, shown: HeldOut | None, dataset: Dataset, origin: str
) -> str:
    """The card of a recalibrated release, in Markdown. `shown`: what the hold-out of the release in use before shows."""
    few = (
        f"\nFewer than {ENOUGH_STOPS}: intercept and slope are held near those of the release it was made from.\n"
        if recalibrated.stops < ENOUGH_STOPS
        else ""
    )
    rows = [
        f"| {NAMES[name]} | {shift.intercept:+.2f} | {shift.slope:.2f} | {_pair(shift.before)} | {_pair(shift.after)} |"
        for name, shift in recalibrated.shifts.items()
    ]
    return "\n".join(
        [
            f"# Model card\n\n{origin}\n",
            USE,
            f"## What was changed\n\nThe points are those of {base}. Of each output an intercept and a slope were fitted to "
            f"{recalibrated.stops} episodes that stopped, among {dataset.about.counts.episodes}.\n{few}",
            "| output | intercept | slope | calibration slope, ECE before | after, on the same rows |",
            "| --- | --- | --- | --- | --- |",
            *rows,
            "",
            *_held_out(policy, shown),
            *_offsets_again(recalibrated, base),
        ]
    )


def _data(report: Report, dataset: Dataset) -> str:
    counts = dataset.about.counts
    return (
        f"## Data\n\n{report.rows} rows (moments) of {report.clients} clients in {report.episodes} episodes; "
        f"{report.stops} episodes stopped. Outcomes are known until {dataset.about.as_of}, by {dataset.about.definition}. "
        f"Events refused {counts.refused}, erased {counts.erased}. Fingerprint: `{dataset.about.fingerprint}`.\n"
        "Rows whose outcome could not yet have been determined either way were left out.\n"
    )


def _method(report: Report) -> str:
    choice = report.choice
    power = {0.0: "one row as another", 0.5: "1 / sqrt(rows of the client)", 1.0: "1 / rows of the client"}
    what = (
        f"trees of one feature each ({choice.leaves} leaves, at least {choice.least_rows} rows in each, "
        f"L2 {choice.shrinkage:g})"
        if choice.learner == "boosting"
        else f"logistic regression on bins (ridge {choice.shrinkage:g})"
    )
    return (
        f"## Method\n\nAn additive scorecard: {what}, chosen among {len(choice.trials)} candidates {choice.validated}. "
        f"A row weighs: {power[choice.power]}. {len(choice.features)} features are used. "
        f"Of {sum(name in SIGNS for name in choice.features)} of them theory fixes the direction, with boosting. "
        "Risks are calibrated by intercept, slope and session number. There are no pairwise terms.\n"
    )


def _table(found: Mapping[str, Measures]) -> str:
    rows = [
        f"| {NAMES[name]} | {one.rows} | {one.positive / one.rows:.1%} | {one.auroc:.3f} | {one.slope:.2f} "
        f"| {one.ece:.4f} | {one.skill:.3f} |"
        for name, one in found.items()
    ]
    head = "| output | rows | rate | AUROC | calibration slope | ECE | Brier skill |"
    return "\n".join([head, "| --- | --- | --- | --- | --- | --- | --- |", *rows, ""])


def _left_out(report: Report) -> list[str]:
    """The outputs that the release does not have, and why; nothing where it has all."""
    if report.left_out is msgspec.UNSET:
        return []
    told = [
        f"Left out: *{NAMES[name]}*, as {why}. No score of this release tells of it.\n"
        for name, why in report.left_out.items()
    ]
    return ["## What it does not tell\n", *told]


def _line(report: Report) -> str:
    line = report.line
    precision = "not known" if line.precision is None else f"{line.precision:.0%}"
    recall = "not known" if line.recall is None else f"{line.recall:.0%}"
    return (
        f"## The line\n\nAn alert is raised at a 30-day risk of {line.line:.2f}, by a {line.chosen_by}. On validation data "
        f"that gave {line.alerts_per_clinician_week:.2f} risk alerts per clinician-week; after {precision} of them the "
        f"client did stop within 30 days; {recall} of the episodes that stopped had one.\n"
    )


def _treated(report: Report) -> str:
    treated = report.treated
    if not treated.rows or treated.stopped is None or treated.expected is None:
        return "## Treated risk\n\nNo row lies within 30 days after an alert or an act of the clinician.\n"
    difference = (
        ""
        if treated.difference is None or treated.gain is None
        else f" Without them, risks of the other rows would differ by {treated.difference:.4f} on average, and the AUROC on "
        f"those by {-treated.gain:+.4f}."
    )
    return (
        f"## Treated risk\n\n{treated.rows} rows lie within 30 days after an alert or an act of the clinician; clients "
        f"stopped after {treated.stopped:.1%} of them, where {treated.expected:.1%} was expected. In the fit such a row "
        f"weighed {treated.weight:g}.{difference}\n"
    )


def _held_out(policy: Policy, shown: HeldOut | None) -> list[str]:
    """What this release withholds, and what the hold-out of the one before it shows; nothing where there is none."""
    told = []
    if policy.withhold is not None:
        told.append(
            f"## A hold-out\n\nThis release raises no risk alert of {policy.withhold:.0%} of the episodes, drawn by their "
            "keys, to tell what alerts do. Alerts of other kinds are raised as ever. What that costs, and whom to ask: "
            "docs/explanation/treated-risk.md.\n"
        )
    if shown is not None:
        told.append(f"## What the hold-out shows\n\n{words(shown)}\n")
    return told


def _offsets(offsets: Offsets, found: Mapping[str, float]) -> str:
    used = "They are used." if offsets.active else "They are not used."
    spread = found["spread_30d"]
    return (
        f"## Clinics and clinicians\n\nOffsets by partial pooling are stored in `offsets.json`. {used} Between clinicians "
        f"the 30-day risk varies by {spread:.2f} in log-odds (standard deviation). An offset says nothing of how good "
        "anybody is: whoever takes on the hardest cases has the highest.\n"
    )


def _offsets_again(recalibrated: Recalibrated, base: str) -> list[str]:
    """Of a recalibrated release: how many have an offset, or that those of the release before are left out."""
    pooled = recalibrated.pooled
    if pooled is not None:
        clinics, clinicians = len(pooled.offsets.clinics), len(pooled.offsets.clinicians)
        return [
            _offsets(pooled.offsets, pooled.spread),
            f"{clinics} clinics and {clinicians} clinicians have one. Where there are fewer than {LEAST_CLIENTS} clients, or "
            "nobody to compare with, there is none.\n",
        ]
    if recalibrated.left_out:
        return [f"## Clinics and clinicians\n\n{base} adds offsets to its risks. They are left out here.\n"]
    return []


def _strongest(card: Scorecard) -> str:
    found = sorted(card.terms, key=lambda term: -_range(term.points))[:SHOWN]
    rows = [
        f"| `{term.feature}` | {BY_NAME[term.feature].unit} | {min(p[HEADLINE] for p in term.points):+.2f} to "
        f"{max(p[HEADLINE] for p in term.points):+.2f} | {_sign(term.feature)} |"
        for term in found
    ]
    head = f"## The {len(found)} features with the widest range of points ({OUTPUTS[HEADLINE]})\n"
    return "\n".join([head, "| feature | unit | points | direction fixed |\n| --- | --- | --- | --- |", *rows, ""])


def _range(points: tuple[tuple[float, ...], ...]) -> float:
    return max(row[HEADLINE] for row in points) - min(row[HEADLINE] for row in points)


def _sign(feature: str) -> str:
    if feature not in SIGNS:
        return "free"
    sign, reason = SIGNS[feature]
    return f"{'up' if sign > 0 else 'down'}: {reason}"


def _pair(found: Measures | None) -> str:
    return "not known" if found is None else f"{found.slope:.2f}, {found.ece:.4f}"
