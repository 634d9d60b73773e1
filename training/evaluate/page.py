"""`report.html`: the evaluation as one page that a clinician can read: no other host, no script, light, dark or on paper.

What it says stands in the templates below `pages`, one a section; what it draws is laid out here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from math import log2
from typing import Final, NamedTuple

from jinja2 import Environment

from keepwell.scoring.features import BY_NAME, Feature
from keepwell.scoring.scorecard import HEADLINE, Scorecard
from keepwell.web.drawings import Axis, Chart, DrawnSeries, Forest, Stairs
from keepwell.web.pages import environment
from training.evaluate.aims import VERDICTS, Aim
from training.evaluate.alert_words import LIMITS, alert_chart, alert_rows, truth_chart
from training.evaluate.burden import UNITS
from training.evaluate.cells import LEAST_CLIENTS, Cell
from training.evaluate.curve import Curve, Size
from training.evaluate.disclosure import STANDARDS
from training.evaluate.figures import FILTERS, TITLES, bar
from training.evaluate.metrics import DRAWS, Point
from training.evaluate.report import DataFacts, Evaluation, Performance
from training.evaluate.rules import GAP, RULES
from training.evaluate.worlds.words import as_html
from training.fit.held_out import words

THRESHOLDS: Final = [(n / 10, f"{n}0 %" if n else "0") for n in range(6)]
"""Written below the decision curve."""


class Section(NamedTuple):
    """A section: the name of its template and its link, its heading, and when it is there."""

    name: str
    title: str
    there: Callable[[Evaluation], bool] = lambda report: True


SECTIONS: Final = (
    Section("short", "In short"),
    Section("aims", "Does it reach what it should?", lambda report: report.oracle is not None),
    Section("apart", "Does it tell apart who stops?"),
    Section("true", "Are the percentages true?"),
    Section("acting", "Is it worth acting on?"),
    Section("alerts", "What would clinicians have got?"),
    Section("withheld", "What do alerts do?", lambda report: report.held_out is not None),
    Section("rules", "Is it better than simple rules?"),
    Section("oracle", "How near is it to the best that can be done?", lambda report: report.oracle is not None),
    Section("left-out", "What is it worth in worlds left out?", lambda report: report.worlds is not None),
    Section("readable", "What does being readable cost?"),
    Section("meanings", "Does it hold by other meanings of “dropout”?"),
    Section("fair", "Is it the same for everyone?"),
    Section("time", "Does it hold over time, and elsewhere?"),
    Section("clinics", "Do clinics differ?"),
    Section("curve", "Would more data help?"),
    Section("model", "What does it look at?"),
    Section("standards", "What such a report must tell"),
    Section("missing", "What is not in here"),
)


def page(report: Evaluation, card: Scorecard) -> str:
    """The whole page. Equal reports of equal scorecards are equal pages."""
    headline = report.performance[HEADLINE]
    return _environment().get_template("report.html").render(
        title=f"What “{report.release.title}” is worth",
        report=report,
        headline=headline,
        sections=[section for section in SECTIONS if section.there(report)],
        aims=_by_group(report.aims),
        held_out=words(report.held_out, _who(report.data)) if report.held_out is not None else "",
        no_effect=no_effect(report),
        decision_chart=_decision_chart(headline),
        learning_chart=_learning_chart(report.learning_curve),
        alert_chart=alert_chart(report.alerts),
        truth_chart=truth_chart(report.alerts),
        alert_rows=partial(alert_rows, report.alerts),
        limits=LIMITS,
        features=list(_features(card)),
        worlds=as_html(report.worlds) if report.worlds is not None else "",
    )  # fmt: skip


def no_effect(report: Evaluation) -> str | None:
    """Why nothing is told of what alerts do; None where a hold-out tells it."""
    found = report.held_out
    if found is None:
        return "no release in use withheld alerts: that takes a trial"
    if found.difference is None:
        return words(found, _who(report.data)).removesuffix(".")
    if not found.raised.alerted:
        return (
            "no alert that was shown is told of in these events (--alerts), so nothing says that the release was in use"
        )
    return None


def calibration_chart(name: str, title: str, curve: Sequence[Point]) -> Chart:
    """What was told against what happened, beside the line on which both are the same."""
    points = [(point.risk, point.rate) for point in curve]
    top = max(0.1, *(max(point) for point in points)) * 1.1
    series = (
        DrawnSeries("as it should be", "b", ((0, 0), (top, top))),
        DrawnSeries("as it was", "a", points, dots=True),
    )
    return Chart(f"calibration-{name}", title, series, Axis(0, top, "risk told"), Axis(0, top, "share that did"))


@cache
def _environment() -> Environment:
    return environment(
        "training.evaluate", FILTERS, titles=TITLES, units=UNITS, rules={rule.name: rule for rule in RULES}, rules_gap=GAP,
        standards=STANDARDS, verdicts=VERDICTS, draws=DRAWS, least_clients=LEAST_CLIENTS, by_auroc=_by_auroc,
        by_calibration=_by_calibration, calibration_chart=_of_output,
    )  # fmt: skip


def _by_group(aims: Sequence[Aim]) -> Mapping[str, list[Aim]]:
    """The aims that have a figure, by what is aimed at."""
    groups: dict[str, list[Aim]] = {}
    for aim in aims:
        if aim.figure.value is not None:
            groups.setdefault(aim.group, []).append(aim)
    return groups


def _who(data: DataFacts) -> str:
    """What to call the clients of these data."""
    if not data.simulated:
        return "clients"
    return "simulated clients" if data.simulated >= data.about.counts.episodes else "clients, some of them simulated"


def _by_auroc(cells: Sequence[Cell]) -> Forest:
    return Forest([bar(one.title, one.auroc, one.gap) for one in cells], 0.4, 1.0, 0.5, "AUROC", "chance")


def _by_calibration(cells: Sequence[Cell], figure: str, what: str) -> Forest:
    bars = [bar(one.title, getattr(one.calibration, figure), one.gap) for one in cells]
    return Forest(bars, 0.0, 2.0, 1.0, what, "is right")


def _of_output(found: Performance) -> Chart:
    return calibration_chart(found.output, f"Calibration: {TITLES[found.output].capitalize()}", found.curve)


def _decision_chart(headline: Performance) -> Chart:
    model = [(point.threshold, point.model) for point in headline.decision]
    everyone = [(point.threshold, point.everyone) for point in headline.decision]
    top = max(0.01, *(value for _, value in model + everyone)) * 1.1
    series = (
        DrawnSeries("by the model", "a", model),
        DrawnSeries("everyone", "b", everyone),
        DrawnSeries("nobody", "c", ((0.0, 0), (0.5, 0))),
    )
    across = Axis(0, 0.5, "risk from which one would act", THRESHOLDS)
    return Chart("decision", "Decision curve", series, across, Axis(-top / 4, top, "net benefit a moment"))


def _learning_chart(curve: Curve | None) -> Chart | None:
    """None where no size has figures."""
    told = [size for size in curve.sizes if size.gap is None] if curve is not None else []
    if curve is None or not told:
        return None
    points = [(log2(size.episodes), size.auroc.value or 0.0) for size in told]
    spans = list(_spans(told))
    low, high = points[0][0] - 0.3, points[-1][0] + 0.3
    series = [DrawnSeries("fitted to so many", "a", points, dots=True, spans=spans)]
    if curve.release_auroc.value is not None:
        level = curve.release_auroc.value
        series.append(DrawnSeries("the release", "b", ((low, level), (high, level))))
    across = Axis(low, high, "training episodes", [(log2(size.episodes), f"{size.episodes:,}") for size in told])
    bottom = min(0.5, *(low for _, low, _ in spans)) if spans else 0.5
    return Chart("learning", "Learning curve", series, across, Axis(bottom, 0.9, "AUROC, 30 days"))


def _spans(sizes: Sequence[Size]) -> Iterator[tuple[float, float, float]]:
    for size in sizes:
        if size.auroc.low is not None and size.auroc.high is not None:
            yield log2(size.episodes), size.auroc.low, size.auroc.high


def _features(card: Scorecard) -> Iterator[tuple[Stairs, Feature]]:
    """The step function of each feature at the headline, the widest first; with the mean slope of all stages."""
    slope = sum(pairs[HEADLINE][1] for pairs in card.pairs) / len(card.pairs)
    drawn = [
        (term, [row[HEADLINE] * slope for row in term.points], term.missing[HEADLINE] * slope) for term in card.terms
    ]
    tops = {term.feature: max(abs(value) for value in (*points, missing)) for term, points, missing in drawn}
    top = max(tops.values(), default=0.0)
    for term, points, missing in sorted(drawn, key=lambda one: (-tops[one[0].feature], one[0].feature)):
        name = term.feature
        yield Stairs(f"feature-{name}", name, term.edges, points, missing, top), BY_NAME[name]
