"""Monitoring in plain words for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from training.evaluate.cells import LEAST_CLIENTS
from training.evaluate.html import estimate, number, share
from training.monitor.acceptance import ALL, WAIT_DAYS, Acceptance
from training.monitor.calibration import Calibrated
from training.monitor.drift import Drift
from training.monitor.gaps import TITLES, Gaps
from training.monitor.report import Report, Seen
from training.monitor.suggest import TITLES_OF

OUTPUTS_IN_WORDS: Final = {
    "14d": "within 14 days", "30d": "within 30 days", "60d": "within 60 days", "next": "next visit missed",
}  # fmt: skip
CHOSEN: Final = {
    "named": "named", "in use in the log": "in use in the log",
    "shipped": "the shipped one; no other was named, or promoted in a log",
}  # fmt: skip


def words(report: Report) -> str:
    """The report as text, the suggestions last."""
    seen = report.seen
    lines = [
        f"{report.release.title} ({report.release.digest[:19]}; {CHOSEN[report.chosen]})",
        rests_on(seen),
        *notes(report),
        "",
        "WHAT COMES IN, against the data of training",
        *_drift(report.drift),
        "",
        "DO THE PERCENTAGES HOLD?",
        *(line for found in report.calibration for line in _calibrated(found)),
        "",
        "WHAT BECAME OF ALERTS?",
        *_acceptance(report.acceptance),
        "",
        "WHAT IS MISSING, by clinic",
        *_gaps(report.gaps),
        "",
        "SUGGESTION (a person decides; nothing is promoted by itself)",
    ]
    for suggestion in report.suggestions:
        lines.append(f"  {TITLES_OF[suggestion.do]}. {suggestion.why}")
        if suggestion.command is not None:
            lines.append(f"    {suggestion.command}")
    return "\n".join(lines)


def rests_on(seen: Seen) -> str:
    """What the figures rest on, in a sentence, and whether it is simulated."""
    made_up = ""
    if seen.simulated:
        made_up = (
            "All of it is simulated: "
            if seen.simulated >= seen.episodes
            else f"{seen.simulated:,} episodes of it are simulated: "
        )
    return (
        f"{made_up}{seen.moments:,} moments from {seen.since} to {seen.until}, of {seen.episodes:,} episodes of "
        f"{seen.clients:,} clients in {seen.clinics:,} clinics; outcomes known until {seen.as_of}."
    )


def notes(report: Report) -> Iterator[str]:
    """What to bear in mind before reading any figure."""
    seen = report.seen
    if seen.before:
        yield (
            f"{seen.before:,} of these moments lie before {seen.fitted_until}, until when the data of training reach. "
            f"If the release was fitted to them, every figure flatters it: --since {seen.fitted_until} leaves them out."
        )
    if seen.refused:
        yield f"{seen.refused:,} events were refused, as they are not of the contract, and are left out."


def _drift(found: Drift) -> Iterator[str]:
    if found.gap is not None:
        yield f"  not known: {found.gap}"
        return
    for one in (*found.of("much"), *found.of("some"), *found.of("unclear")):
        gone = {"missing": "; nothing comes in any more", "constant": "; one value only", None: ""}[one.lost]
        yield (
            f"  {one.verdict:7} {one.name:24} PSI {one.psi:.2f} (without change about {one.expected:.2f}, by chance up "
            f"to {one.by_chance:.2f}), KS {number(one.ks, 2)}, missing {one.missing_before:.0%} → {one.missing:.0%}{gone}"
        )
    yield (
        f"  {len(found.of('alike'))} of {len(found.risks) + len(found.features)} features and risks came in alike. The "
        f"moments count as {found.worth:,.0f} clients, those of training as {found.worth_before:,.0f}."
    )
    for name, why in found.left_out.items():
        yield f"  {name} is not compared: {why}"


def _calibrated(found: Calibrated) -> Iterator[str]:
    title = OUTPUTS_IN_WORDS[found.output]
    if found.gap is not None:
        yield f"  {title}: not judged: {found.gap}"
        return
    verdict = "OFF" if found.off else "holds, roughly: few outcomes" if found.rough else "holds"
    before = f", then {found.auroc_before:.3f}" if found.auroc_before is not None else ""
    yield (
        f"  {title}: {verdict}. Observed {share(found.observed)}, expected {share(found.expected)}, ratio "
        f"{estimate(found.ratio)}; slope {estimate(found.slope)}"
    )
    yield (
        f"    intercept {estimate(found.intercept)}; ECE {number(found.ece, 4)}, by chance about "
        f"{number(found.ece_by_chance, 4)}; AUROC {estimate(found.auroc)}{before}; {found.episodes:,} episodes"
    )
    if found.treated:
        yield (
            f"    {found.treated:.0%} of moments lie shortly after an alert or an act, which may have changed what "
            f"came; without them the ratio is {estimate(found.untreated)}"
        )


def _acceptance(found: Acceptance) -> Iterator[str]:
    if found.gap is not None:
        yield f"  not known: {found.gap}"
        return
    for one in found.kinds:
        title = "all alerts" if one.kind == ALL else one.kind
        if one.gap is not None:
            yield f"  {title}: {one.gap}"
            continue
        hours = (
            ""
            if one.hours is None
            else "; first answer after {1:.0f} h (middle half {0:.0f} to {2:.0f})".format(*one.hours)
        )
        by = ", ".join(f"{answer.replace('_', ' ')} {part:.0%}" for answer, part in one.by_answer.items())
        helpful = f"; called helpful {one.helpful:.0%} of {one.rated}" if one.helpful is not None else ""
        yield f"  {title}: {one.alerts:,}, answered {share(one.answered)}{f' ({by})' if by else ''}{hours}{helpful}"
    if found.recent:
        yield f"  {found.recent:,} of the last {WAIT_DAYS} days are left out: they may yet be answered."
    if found.unplaced:
        yield f"  {found.unplaced:,} are left out: the log holds only that they were resolved. Give an export as --alerts."


def _gaps(found: Gaps) -> Iterator[str]:
    """The cells to be named; the others stand in the report."""
    for clinic, cell in found.more():
        yield f"  {clinic}: {TITLES[cell.gap]}: {share(cell.share)} of moments, usually {share(cell.usual)}"
    shown = [clinic for clinic in found.clinics if clinic.gap is None]
    hidden, alone = len(found.clinics) - len(shown), sum(clinic.against is None for clinic in shown)
    if hidden:
        yield f"  {hidden} clinics with fewer than {LEAST_CLIENTS} clients are not shown"
    if alone:
        yield f"  {alone} clinics have nothing to compare with: no clients before the window, and no other clinics"
    if len(shown) > alone and not any(found.more()):
        yield f"  in {len(shown) - alone} clinics no gap is commoner than usual"
