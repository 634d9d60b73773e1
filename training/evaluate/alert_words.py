"""The judgement of alerts as words and drawings: rows beside rules, the curve of one line, and a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final, NamedTuple, get_args

from jinja2 import Environment

from keepwell.web.drawings import Axis, Chart, DrawnSeries, Style
from keepwell.web.pages import environment
from training.evaluate.alert_table import AlertCurve, Alerts, BesideRule, there
from training.evaluate.alerts import Burden
from training.evaluate.burden import MODEL
from training.evaluate.figures import FILTERS, estimate
from training.evaluate.oracle import KNOWN, UNKNOWN
from training.evaluate.rules import RULES

LIMITS: Final = (
    "No rating, feedback or rupture is told of, so only what visits show can give an alert, and rules of ratings have no "
    "figures. A strain that is voiced would be heard sooner than one that shows in absence: where people are asked, alerts "
    "come earlier than here, and there are more of them."
)
"""What is to be said where attendance alone is known."""
STYLES: Final[tuple[Style, ...]] = get_args(Style)
ROOM: Final = 1.1
"""How much longer an axis is than what is drawn."""


class AlertRow(NamedTuple):
    """A row beside the rules: a rule, whose alerts, and their figures; or why there are none."""

    rule: str
    who: str
    burden: Burden | None
    gap: str | None = None


def alert_rows(found: Alerts, quiet: bool) -> Iterator[AlertRow]:
    """The release's own alerts, then each rule and what stands beside it."""
    yield AlertRow("", "the release, as it is", found.kinds[0])
    for one in found.rules:
        if one.quiet == quiet:
            yield from _beside(one)


def alert_chart(found: Alerts) -> Chart | None:
    """Burden against stops told of in time, for one line on the model's risk; the release and the rules as points."""
    curve = _curve(found, MODEL)
    if curve is None:
        return None
    series = [
        DrawnSeries("one line on the model's risk", "a", _points(curve)),
        DrawnSeries("the release, as it is", "b", _place(found.kinds[0]), dots=True),
    ]
    for one in found.rules:
        if one.quiet and one.gap is None:
            series.append(DrawnSeries(_RULES[one.rule], "c", _place(one.of_rule), dots=True))
    return _chart("alerts", "Alerts and stops told of in time", series)


def truth_chart(found: Alerts) -> Chart | None:
    """The same of the true risks, and of the model at the moments of which the truth is told; None where it is not known."""
    titles = {
        there(MODEL): "the model there",
        UNKNOWN: "the truth, clinician unknown",
        KNOWN: "the truth, clinician known",
    }
    curves = [(title, curve) for who, title in titles.items() for curve in [_curve(found, who)] if curve is not None]
    if not curves:
        return None
    series = [DrawnSeries(title, style, _points(curve)) for (title, curve), style in zip(curves, STYLES, strict=True)]
    return _chart("alerts-truth", "Alerts by the true risk", series)


def as_markdown(found: Alerts, source: str) -> str:
    """The figures as Markdown; `source` says in a sentence where they come from."""
    template = _environment().get_template("alerts.md")
    return template.render(found=found, source=source, limits=LIMITS, alert_rows=alert_rows).rstrip("\n") + "\n"


def _beside(one: BesideRule) -> Iterator[AlertRow]:
    if one.gap is not None:
        yield AlertRow(_RULES[one.rule], "", None, one.gap)
        return
    yield AlertRow(_RULES[one.rule], "the rule", one.of_rule)
    yield AlertRow("", "the model, as many alerts", one.at_burden)
    yield AlertRow("", "the model, as many alerts, half of them in absence", one.halved)
    if one.at_recall is None:
        yield AlertRow("", "the model, as many stops in time", None, "no line does")
    else:
        needs = estimate(one.needs, 2)
        yield AlertRow("", f"the model, as many stops in time, with {needs} times the alerts", one.at_recall)


def _curve(found: Alerts, who: str) -> AlertCurve | None:
    """The curve of a risk; None where it has no point."""
    return next((curve for curve in found.curves if curve.who == who and curve.points), None)


def _points(curve: AlertCurve) -> Sequence[tuple[float, float]]:
    return [(point.per_100_sessions, point.in_time) for point in curve.points]


def _place(burden: Burden) -> Sequence[tuple[float, float]]:
    across, up = burden.per_100_sessions.value, burden.in_time.value
    return [] if across is None or up is None else [(across, up)]


def _chart(name: str, title: str, series: Sequence[DrawnSeries]) -> Chart:
    right = max(across for line in series for across, _ in line.points) * ROOM
    return Chart(
        name,
        title,
        series,
        Axis(0.0, right, "alerts per 100 sessions looked at"),
        Axis(0.0, 1.0, "stops told of in time"),
    )


@cache
def _environment() -> Environment:
    return environment("training.evaluate", FILTERS)


_RULES: Final = {rule.name: rule.title for rule in RULES}
