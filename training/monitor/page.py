"""The monitoring of a release as one page (`monitor.html`) and as words for a terminal, from the templates below `pages`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Final

from jinja2 import Environment

from keepwell.web.drawings import Bar, Chart, Forest
from keepwell.web.pages import environment
from training.evaluate.cells import LEAST_CLIENTS
from training.evaluate.figures import FILTERS, TITLES
from training.evaluate.page import calibration_chart
from training.monitor.acceptance import WAIT_DAYS
from training.monitor.calibration import Calibrated
from training.monitor.drift import MUCH, SOME, Compared, Drift
from training.monitor.gaps import TITLES as GAP_TITLES
from training.monitor.gaps import Clinic, Gaps, GapShare
from training.monitor.report import Monitoring, Seen
from training.monitor.suggest import TITLES_OF

CHOSEN: Final = {
    "named": "named", "in use in the log": "in use in the log",
    "shipped": "the shipped one; no other was named, or promoted in a log",
}  # fmt: skip
AGAINST: Final = {"before": "here before", "others": "in other clinics"}
LEAST_TOLD: Final = 0.0005
"""Share below which a gap is no line of the table: it would be told as 0."""
MOST_DRAWN: Final = 12
"""Features and risks whose change is drawn, the most changed."""
VERDICTS: Final = {
    "alike": "alike", "some": "differs", "much": "differs much", "unclear": "perhaps: no more than chance makes",
}  # fmt: skip
GONE: Final = {"missing": "; nothing comes in any more", "constant": "; one value only", None: ""}


def page(report: Monitoring) -> str:
    """The whole page. Equal reports are equal pages."""
    return _environment().get_template("monitor.html").render(
        title=f"How “{report.release.title}” fares",
        report=report,
        notes=list(_notes(report.seen)),
        most_changed=_most_changed(report.drift),
        answers=sorted({answer for one in report.acceptance.kinds for answer in one.by_answer}),
        told_gaps=list(_told(report.gaps)),
    )  # fmt: skip


def words(report: Monitoring) -> str:
    """The report as text, the suggestions last."""
    told = _environment().get_template("words.txt").render(report=report, notes=list(_notes(report.seen)))
    return told.rstrip("\n")


@cache
def _environment() -> Environment:
    return environment(
        "training.monitor", FILTERS, titles=TITLES, chosen=CHOSEN, against=AGAINST, verdicts=VERDICTS, gone=GONE,
        to_do=TITLES_OF, gap_titles=GAP_TITLES, some=SOME, much=MUCH, wait_days=WAIT_DAYS, least_clients=LEAST_CLIENTS,
        name_of=_name_of, calibration_chart=_of_output,
    )  # fmt: skip


def _notes(seen: Seen) -> Iterator[str]:
    """What the figures rest on, whether it is simulated, and what to bear in mind before reading any of them."""
    made_up = ""
    if seen.simulated:
        made_up = (
            "All of it is simulated: "
            if seen.simulated >= seen.episodes
            else f"{seen.simulated:,} episodes of it are simulated: "
        )
    yield (
        f"{made_up}{seen.moments:,} moments from {seen.since} to {seen.until}, of {seen.episodes:,} episodes of "
        f"{seen.clients:,} clients in {seen.clinics:,} clinics; outcomes known until {seen.as_of}."
    )
    if seen.before:
        yield (
            f"{seen.before:,} of these moments lie before {seen.fitted_until}, until when the data of training reach. "
            f"If the release was fitted to them, every figure flatters it: --since {seen.fitted_until} leaves them out."
        )
    if seen.refused:
        yield f"{seen.refused:,} events were refused, as they are not of the contract, and are left out."


def _name_of(found: Compared) -> str:
    return f"risk {TITLES[found.name]}" if found.name in TITLES else found.name


def _most_changed(found: Drift) -> Forest:
    """The PSI of what changed most, each with what chance alone makes."""
    top = sorted((*found.risks, *found.features), key=lambda one: (-one.psi, one.name))[:MOST_DRAWN]
    end = max(0.5, *(one.psi for one in top), *(one.by_chance for one in top)) if top else 0.5
    bars = [
        Bar(_name_of(one), one.psi, 0.0, one.by_chance, f"{one.psi:.3f}, by chance {one.by_chance:.3f}") for one in top
    ]
    return Forest(bars, 0.0, round(end, 1), SOME, "PSI of those that changed most", "")


def _of_output(found: Calibrated) -> Chart:
    return calibration_chart(found.output, f"Calibration, {TITLES[found.output]}", found.curve)


def _told(gaps: Gaps) -> Iterator[tuple[Clinic, GapShare | None]]:
    """The lines of the table of gaps: a clinic with each of its gaps, or alone where it is not shown."""
    for clinic in gaps.clinics:
        if clinic.gap is not None:
            yield clinic, None
        for cell in clinic.cells:
            if cell.share >= LEAST_TOLD:
                yield clinic, cell
