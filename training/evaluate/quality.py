"""The sections of the page on the risks themselves: whether they tell apart, are true, and hold over time and place."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import log2
from typing import Final

import msgspec

from keepwell.scoring.features import BY_NAME
from keepwell.scoring.scorecard import HEADLINE, Scorecard
from training.evaluate.cells import LEAST_CLIENTS, Cell
from training.evaluate.clinics import Spread
from training.evaluate.curve import Curve, Size
from training.evaluate.html import (
    NOTHING,
    TITLES,
    Bar,
    Scale,
    details,
    estimate,
    forest,
    gap,
    number,
    paragraph,
    section,
    table,
)
from training.evaluate.metrics import DRAWS
from training.evaluate.report import Performance, Report
from training.evaluate.svg import Axis, Line, chart, steps

AUROC: Final = Scale(0.4, 1.0, 0.5, "AUROC", "chance")
RATIO: Final = Scale(0.0, 2.0, 1.0, "", "is right")
CELL_HEAD: Final = (
    "", "moments", "clients", "stops", "AUROC", "average precision", "Brier skill", "slope", "intercept",
    "observed over expected", "ECE",
)  # fmt: skip


def telling_apart(report: Report) -> str:
    """Discrimination by landmark and session."""
    found = headline(report)
    figures = "".join(
        details(
            f"All figures, {TITLES[one.output]}",
            f"{_cells((one.pooled, *one.landmarks))}<h3>By sessions attended so far</h3>{_cells(one.sessions)}",
        )
        for one in report.performance
    )
    return section(
        "apart",
        "Does it tell apart who stops?",
        paragraph(
            "Of two people, one who will stop within the time and one who will not: how often does the one who "
            "stops have the higher risk? Half the time is chance. Published models reach .60–.68 at intake and "
            f".70–.80 with what happens in therapy. Bars are 95 % intervals from {DRAWS} bootstrap samples of "
            "clients."
        ),
        "<h3>Within 30 days, by landmark</h3>",
        forest([_bar(one) for one in (found.pooled, *found.landmarks)], AUROC),
        "<h3>Within 30 days, by sessions attended so far</h3>",
        forest([_bar(one) for one in found.sessions], AUROC),
        figures,
    )


def true_percentages(report: Report) -> str:
    """Calibration of every output."""
    drawings = []
    for found in report.performance:
        title = TITLES[found.output].capitalize()
        if not found.curve:
            drawings.append(f"<figure>{gap('no outcome is settled')}<figcaption>{title}</figcaption></figure>")
            continue
        points = [(point.risk, point.rate) for point in found.curve]
        top = max(0.1, *(max(point) for point in points)) * 1.1
        lines = (Line("as it should be", "b", ((0, 0), (top, top))), Line("as it was", "a", points, dots=True))
        drawn = chart(f"Calibration: {title}", lines, Axis(0, top, "risk told"), Axis(0, top, "share that did"))
        drawings.append(f"<figure><figcaption><b>{title}</b></figcaption>{drawn}</figure>")
    rows = [
        (TITLES[found.output], *_calibration(found.pooled), number(found.pooled.skill, 3))
        for found in report.performance
    ]
    return section(
        "true",
        "Are the percentages true?",
        paragraph("Of those told “20 %”, do twenty in a hundred stop? Each dot is a tenth of the moments."),
        f"<div class='grid'>{''.join(drawings)}</div>",
        table(("", "slope", "intercept", "observed over expected", "ECE", "Brier skill"), rows),
        paragraph(
            "Slope 1, intercept 0, observed over expected 1 and ECE 0 are best. A slope below 1 means that high "
            "risks are told too high and low ones too low."
        ),
    )


def worth_acting(report: Report) -> str:
    """The decision curve."""
    curve = headline(report).decision
    model = [(point.threshold, point.model) for point in curve]
    everyone = [(point.threshold, point.everyone) for point in curve]
    top = max(0.01, *(value for _, value in model + everyone)) * 1.1
    lines = (
        Line("by the model", "a", model),
        Line("everyone", "b", everyone),
        Line("nobody", "c", ((0.0, 0), (0.5, 0))),
    )
    across = Axis(0, 0.5, "risk from which one would act", [(n / 10, f"{n}0 %" if n else "0") for n in range(6)])
    drawn = chart("Decision curve", lines, across, Axis(-top / 4, top, "net benefit a moment"))
    return section(
        "acting",
        "Is it worth acting on?",
        paragraph(
            "Net benefit: stops found, less needless talks, each of them counted at what the threshold says it is "
            "worth. Where the model's line is the highest, acting on it beats talking to everyone and to nobody."
        ),
        f"<figure>{drawn}</figure>",
    )


def over_time(report: Report) -> str:
    """Whether it drifts: by quarter, and on another log."""
    quarters = headline(report).quarters
    return section(
        "time",
        "Does it hold over time, and elsewhere?",
        paragraph(
            "By the quarter in which a moment lies. A model that goes out of date shows as a trend; single quarters are few "
            "people, and their intervals wide."
        ),
        "<h3>Calibration slope within 30 days, by quarter</h3>",
        forest([_bar(one, "slope") for one in quarters], RATIO._replace(words="slope")),
        "<h3>Observed over expected stops within 30 days, by quarter</h3>",
        forest([_bar(one, "observed_expected") for one in quarters], RATIO._replace(words="ratio")),
        details("AUROC by quarter", forest([_bar(one) for one in quarters], AUROC)),
        details("All figures by quarter", _cells(quarters)),
        "<h3>On another log</h3>",
        _elsewhere(report),
    )


def between_clinics(report: Report) -> str:
    """How much clinics differ."""
    rows: list[tuple[str, ...]] = []
    for output, found in report.clinics.items():
        told = (TITLES[output], number(found.between, 2))
        if found.gap is not None:
            rows.append((*told, f"gap: {found.gap}"))
            continue
        figures = (found.observed_expected, 2), (found.intercept, 2), (found.auroc, 3)
        rows.append((*told, *(_spread(one, digits) for one, digits in figures)))
    counts = next(iter(report.clinics.values()))
    return section(
        "clinics",
        "Do clinics differ?",
        paragraph(
            f"Of {counts.clinics} clinics, {counts.shown} have {LEAST_CLIENTS} clients or more and are looked at. "
            "What is told is how far they lie apart, never which is which: who takes on the hardest cases has the "
            "highest figures. “Beyond chance” is the standard deviation between clinics, in log-odds, that chance "
            "does not explain."
        ),
        table(("", "beyond chance", "observed over expected", "intercept", "AUROC"), rows),
    )


def learning(report: Report) -> str:
    """The learning curve."""
    curve = report.learning_curve
    if curve is None:
        body = gap("gap: not made in this run; ask for it with --learning-curve")
    else:
        told = [size for size in curve.sizes if size.gap is None]
        body = _curve_drawn(curve, told) if told else ""
        rows = [
            (f"{size.episodes:,}", f"{size.stops:,}", f"gap: {size.gap}" if size.gap else estimate(size.auroc),
             estimate(size.log_loss, 4))
            for size in curve.sizes
        ]  # fmt: skip
        rows.append(("the release", "", estimate(curve.release_auroc), estimate(curve.release_log_loss, 4)))
        body += table(("training episodes", "of them stopped", "AUROC, 30 days", "log loss, 30 days"), rows)
    return section(
        "curve",
        "Would more data help?",
        paragraph(
            "Models of the release's kind and features, each fitted once to so many episodes of these data, and "
            "judged on clients that none of them saw. Where the line still rises, more data would make a better "
            "model."
        ),
        body,
    )


def looks_at(card: Scorecard) -> str:
    """The step function of each feature: the whole model."""
    slope = card.calibration[HEADLINE][1]
    drawn = [
        (term.feature, term.edges, [row[HEADLINE] * slope for row in term.points], term.missing[HEADLINE] * slope)
        for term in card.terms
    ]
    tops = {name: max(abs(value) for value in (*points, missing)) for name, _, points, missing in drawn}
    top = max(tops.values(), default=0.0)
    figures = "".join(
        f"<figure><figcaption><b>{escape(name.replace('_', ' '))}</b>, {escape(BY_NAME[name].unit)} · "
        f"{escape(BY_NAME[name].pillar)}</figcaption>{steps(name, edges, points, missing, top)}</figure>"
        for name, edges, points, missing in sorted(drawn, key=lambda one: (-tops[one[0]], one[0]))
    )
    return section(
        "model",
        "What does it look at?",
        paragraph(
            "This is the whole model. Each feature adds points (log-odds of the 30-day risk): above the middle line "
            "raises the risk, below lowers it. Steps stand for the values between the edges below them; the shaded "
            "stroke on the right is what a missing value adds. All are to one scale, the strongest first."
        ),
        f"<div class='grid small-grid'>{figures}</div>",
    )


def headline(report: Report) -> Performance:
    """The figures of the 30-day risk."""
    return report.performance[HEADLINE]


def _elsewhere(report: Report) -> str:
    found = report.elsewhere
    if found is None:
        return gap("gap: no other log was given to compare with (--compare)")
    counts = found.about.counts
    made_up = f", {found.simulated:,} of them simulated" if found.simulated else ""
    rows = [
        (TITLES[one.output], where, f"{cell.rows:,}", estimate(cell.auroc), *_calibration(cell))
        for one in report.performance
        for where, cell in (("here", one.pooled), ("there", found.pooled[one.output]))
    ]
    head = ("", "log", "moments", "AUROC", "slope", "intercept", "observed over expected", "ECE")
    flatters = " The release was fitted to them, which flatters what is told of there." if found.same_as_fitted else ""
    return paragraph(f"{counts.episodes:,} episodes{made_up}, known until {found.about.as_of}.{flatters}") + table(
        head, rows
    )


def _curve_drawn(curve: Curve, told: Sequence[Size]) -> str:
    points = [(log2(size.episodes), size.auroc.value or 0.0) for size in told]
    spans = [
        (log2(size.episodes), size.auroc.low, size.auroc.high)
        for size in told
        if size.auroc.low is not None and size.auroc.high is not None
    ]
    low, high = points[0][0] - 0.3, points[-1][0] + 0.3
    lines = [Line("fitted to so many", "a", points, dots=True, spans=spans)]
    if curve.release_auroc.value is not None:
        level = curve.release_auroc.value
        lines.append(Line("the release", "b", ((low, level), (high, level))))
    across = Axis(low, high, "training episodes", [(log2(size.episodes), f"{size.episodes:,}") for size in told])
    bottom = min(0.5, *(low for _, low, _ in spans)) if spans else 0.5
    drawn = chart("Learning curve", lines, across, Axis(bottom, 0.9, "AUROC, 30 days"))
    return f"<figure>{drawn}</figure>"


def _bar(found: Cell, figure: str = "auroc") -> Bar:
    return Bar(found.title, found.auroc if figure == "auroc" else getattr(found.calibration, figure), found.gap)


def _spread(found: Spread | None, digits: int) -> str:
    if found is None:
        return NOTHING
    lowest, lower, median, upper, highest = (f"{value:.{digits}f}" for value in msgspec.structs.astuple(found))
    return f"{median}, half {lower} to {upper}, all {lowest} to {highest}"


def _calibration(found: Cell) -> tuple[str, ...]:
    one = found.calibration
    return (
        estimate(one.slope, 2),
        estimate(one.intercept, 2),
        estimate(one.observed_expected, 2),
        number(found.ece, 4),
    )


def _cells(found: Sequence[Cell]) -> str:
    rows = [
        (one.title, f"{one.rows:,}", f"{one.clients:,}", f"{one.positive:,}",
         *((f"gap: {one.gap}",) if one.gap else
           (estimate(one.auroc), estimate(one.average_precision), number(one.skill, 3), *_calibration(one))))
        for one in found
    ]  # fmt: skip
    return table(CELL_HEAD, rows)
