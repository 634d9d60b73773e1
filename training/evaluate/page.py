"""`report.html`: the evaluation as one page that a clinician can read: no other host, no script, light, dark or on paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from keepwell.features import BY_NAME
from keepwell.scorecard import HEADLINE, Scorecard
from training.evaluate.cells import LEAST_CLIENTS, Cell
from training.evaluate.disclosure import HTI_SOURCE, TRIPOD_SOURCE, Disclosed
from training.evaluate.html import document, estimate, interval, number, share, table
from training.evaluate.metrics import DRAWS
from training.evaluate.oracle import RISKS
from training.evaluate.report import Performance, Report
from training.evaluate.rules import GAP
from training.evaluate.svg import Bar, Line, chart, forest, steps

TITLES: Final = {"14d": "within 14 days", "30d": "within 30 days", "60d": "within 60 days", "next": "next visit missed"}
NOT_MADE: Final = (
    "A learning curve: how the figures grow with more data takes many fits, which is not this command's work.",
    "Heterogeneity between clinics.",
    "The effect of alerts on outcomes: that takes a trial.",
)
"""What one may look for here and will not find."""


def page(report: Report, card: Scorecard) -> str:
    """The whole page. Equal reports of equal scorecards are equal pages."""
    sections = (
        _on_top(report), _in_short(report), _telling_apart(report), _true_percentages(report), _worth_acting(report),
        _alerts(report), _rules(report), _models(report), _oracle(report), _definitions(report), _fairness(report),
        _over_time(report), _looks_at(card), _disclosures(report), _missing(report),
    )  # fmt: skip
    body = "\n".join(section for section in sections if section)
    return document(f"What “{report.release.title}” is worth", body)


def _on_top(report: Report) -> str:
    data, counts = report.data, report.data.about.counts
    if data.simulated:
        all_of = "All" if data.simulated >= counts.episodes else f"{data.simulated:,} of {counts.episodes:,}"
        what = (
            f"<strong>Simulated data.</strong> {all_of} episodes are made up by a program, and with them the alliance "
            "ratings, the ruptures and why people stop. The figures show that the machinery works as meant; they say "
            "nothing about people."
        )
    else:
        what = "<strong>Recorded data.</strong> The events do not say that they are simulated."
    fitted = "The release was set by hand and fitted to no data."
    if data.same_as_fitted:
        fitted = "<strong>The release was fitted to these very events: every figure here flatters it.</strong>"
    elif data.fitted_to is not None:
        fitted = "The release was fitted to other events. Whether persons are in both cannot be told here."
    facts = (
        f"{counts.episodes:,} episodes of {counts.clients:,} clients, {counts.events:,} events, {counts.rows:,} moments; "
        f"outcomes known until {escape(data.about.as_of)}; {data.treated:,} moments shortly after an alert or an act."
    )
    return (
        f'<div class="note"><p>{what}</p><p>{fitted}</p><p>{facts}</p>'
        f"<p class='small'>Release <code>{escape(report.release.digest)}</code>. {escape(report.release.origin)}<br>"
        f"Events <code>{escape(data.about.fingerprint)}</code></p></div>"
    )


def _in_short(report: Report) -> str:
    pooled = _headline(report).pooled
    every = report.alerts.kinds[0]
    cards = (
        ("Tells apart", number(pooled.auroc.value, 3), f"AUROC, 30 days {interval(pooled.auroc)}; .5 is chance"),
        ("Percentages", number(pooled.slope, 2), "calibration slope; 1 is right, below 1 is too sure of itself"),
        ("Off by", share(pooled.ece), "mean distance of risk and what happened"),
        ("Asks for", number(every.per_clinician_week, 2), "alerts per clinician-week"),
        ("Right", share(every.precision), "of alerts are followed by a stop within 30 days"),
        ("In time", share(every.in_time), "of stops had an alert before the last session"),
    )
    shown = "".join(
        f'<div class="card"><b>{title}</b><span>{value}</span><small>{words}</small></div>'
        for title, value, words in cards
    )
    return f'<h2>In short</h2><div class="cards">{shown}</div>'


def _telling_apart(report: Report) -> str:
    headline = _headline(report)
    chosen = (headline.pooled, *headline.landmarks)
    words = (
        "<p>Of two people, one who will stop within the time and one who will not: how often does the one who stops have "
        "the higher risk? Half the time is chance. Published models reach .60–.68 at intake and .70–.80 with what "
        f"happens in therapy. Bars are 95 % intervals from {DRAWS} bootstrap samples of clients.</p>"
    )
    tables = "".join(
        f"<details><summary>All figures, {TITLES[found.output]}</summary>{_cells((found.pooled, *found.landmarks))}"
        f"<h3>By sessions attended so far</h3>{_cells(found.sessions)}</details>"
        for found in report.performance
    )
    return (
        f"<h2>Does it tell apart who stops?</h2>{words}{_forest('AUROC within 30 days, by landmark', chosen)}"
        f"<h3>By sessions attended so far</h3>{_forest('AUROC within 30 days, by sessions', headline.sessions)}{tables}"
    )


def _true_percentages(report: Report) -> str:
    drawings = []
    for found in report.performance:
        if not found.curve:
            continue
        points = [(point.risk, point.rate) for point in found.curve]
        top = max(0.1, *(max(point) for point in points)) * 1.1
        lines = (Line("as it should be", "b", ((0, 0), (top, top))), Line("as it was", "a", points, dots=True))
        drawn = chart(
            f"Calibration, {TITLES[found.output]}", lines, (0, top), (0, top), ("risk told", "share that did")
        )
        drawings.append(f"<figure>{drawn}<figcaption>{TITLES[found.output].capitalize()}</figcaption></figure>")
    rows = [
        (TITLES[found.output], number(found.pooled.slope, 3), number(found.pooled.intercept, 3),
         number(found.pooled.ece, 4), number(found.pooled.skill, 3))
        for found in report.performance
    ]  # fmt: skip
    head = ("", "slope", "intercept", "ECE", "Brier skill")
    return (
        "<h2>Are the percentages true?</h2><p>Of those told “20 %”, do twenty in a hundred stop? Each dot is a tenth of "
        f"the moments.</p><div class='grid'>{''.join(drawings)}</div>{table(head, rows)}"
    )


def _worth_acting(report: Report) -> str:
    curve = _headline(report).decision
    if not curve:
        return ""
    model = [(point.threshold, point.model) for point in curve]
    everyone = [(point.threshold, point.everyone) for point in curve]
    top = max(0.01, *(value for _, value in model + everyone)) * 1.1
    lines = (
        Line("by the model", "a", model),
        Line("everyone", "b", everyone),
        Line("nobody", "c", ((0.02, 0), (0.5, 0))),
    )
    drawn = chart("Decision curve", lines, (0, 0.5), (-top / 4, top), ("risk from which one would act", "net benefit"))
    return (
        "<h2>Is it worth acting on?</h2><p>Net benefit: stops found, less needless talks, each of them counted at what the "
        "threshold says it is worth. Where the model's line is the highest, acting on it beats talking to everyone and to "
        f"nobody.</p><figure>{drawn}</figure>"
    )


def _alerts(report: Report) -> str:
    alerts = report.alerts
    rows = []
    for found in alerts.kinds:
        lead = "–" if found.lead_days is None else "{1:.0f} ({0:.0f} to {2:.0f})".format(*found.lead_days)
        rows.append(
            (found.kind, f"{found.raised:,}", number(found.per_clinician_week, 3), share(found.precision),
             share(found.recall), share(found.in_time), lead)
        )  # fmt: skip
    head = (
        "kind", "raised", "per clinician-week", "followed by a stop", "of stops told", "told before the last session",
        "days ahead of declaration, median (middle half)",
    )  # fmt: skip
    return (
        "<h2>What would clinicians have got?</h2><p>The predictor itself was run over the events: these are the alerts it "
        f"would have shown, with the release's line at {alerts.line:.0%}, its hysteresis and its rests. "
        f"{alerts.stops:,} spells ended in a stop; {alerts.clinician_weeks:,} clinician-weeks.</p>{table(head, rows)}"
    )


def _rules(report: Report) -> str:
    rows = [
        (rule.title, share(rule.flagged), number(rule.begins_per_clinician_week, 3), share(rule.rule_precision),
         share(rule.model_precision), number(rule.lift, 2), share(rule.rule_recall), share(rule.model_recall))
        for rule in report.rules
    ]  # fmt: skip
    head = (
        "rule", "moments flagged", "begins per clinician-week", "right: rule", "right: model", "times as often",
        "stops found: rule", "stops found: model",
    )  # fmt: skip
    sources = "".join(f"<li>{escape(rule.title)}: {escape(rule.source)}</li>" for rule in report.rules)
    return (
        "<h2>Is it better than simple rules?</h2><p>Each rule flags some moments. The model is given as many, those of "
        "highest risk, so that neither asks for more attention. “Right”: a stop follows within 30 days.</p>"
        f"{table(head, rows)}<ul class='small'>{sources}<li>{escape(GAP)}</li></ul>"
    )


def _models(report: Report) -> str:
    rows = [
        (found.name, f"{found.rows:,}", estimate(found.release), estimate(found.other),
         estimate(found.release_less_other, True))
        for found in report.challengers
    ]  # fmt: skip
    head = ("model", "moments", "AUROC of the release", "AUROC of the other", "difference")
    return (
        "<h2>What does being readable cost?</h2><p>Models that may combine features as they like, on the same features and "
        "rows, fitted on these very data across folds of clients. They know this world; the release may have been fitted "
        f"elsewhere.</p>{table(head, rows)}"
    )


def _oracle(report: Report) -> str:
    oracle = report.oracle
    if oracle is None:
        return ""
    rows = [
        (near.landmark, f"{near.rows:,}", estimate(near.auroc.get("model")), estimate(near.auroc.get("clinician_unknown")),
         estimate(near.auroc.get("clinician_known")), share(near.share_of_unknown), share(near.share_of_known))
        for near in oracle.landmarks
    ]  # fmt: skip
    head = (
        "moment",
        "n",
        "model",
        "truth, clinician unknown",
        "truth, clinician known",
        "of the first",
        "of the second",
    )
    rules = [
        (rule.rule, share(rule.flagged), *(share(rule.precision[key]) for key in ("rule", *RISKS)),
         share(rule.model_of_oracle))
        for rule in oracle.rules
    ]  # fmt: skip
    rule_head = (
        "rule",
        "flagged",
        "right: rule",
        "model",
        "truth, clinician unknown",
        "truth, clinician known",
        "model of the last",
    )
    return (
        "<h2>How near is it to the best that can be done?</h2><p>These data are simulated, so the true risk at a moment is "
        "known: nobody can do better. “Of the first” is the model's part of what the truth has above chance.</p>"
        f"{table(head, rows)}<h3>At the rules' own burden</h3>{table(rule_head, rules)}"
    )


def _definitions(report: Report) -> str:
    rows = [
        (f"{found.title} ({found.name})", found.words, f"{found.rows:,}", share(found.rate), estimate(found.auroc),
         estimate(found.average_precision))
        for found in report.definitions
    ]  # fmt: skip
    sources = "".join(f"<li>{escape(found.name)}: {escape(found.source)}</li>" for found in report.definitions)
    head = ("dropout is …", "that is", "moments", "share", "AUROC", "average precision")
    return (
        "<h2>Does it hold by other meanings of “dropout”?</h2><p>The same 30-day risk, judged by what others call dropout. "
        f"It was not made for these.</p>{table(head, rows)}<ul class='small'>{sources}</ul>"
    )


def _fairness(report: Report) -> str:
    if not report.fairness:
        return "<h2>Is it the same for everyone?</h2><p class='gap'>No fairness attribute is told in these events.</p>"
    rows = []
    for fair in report.fairness:
        if fair.cell.clients == 0:
            rows.append((fair.cell.title, fair.cell.gap or "", *("–",) * 5))
            continue
        rows.append(
            (fair.cell.title, f"{fair.cell.clients:,}", estimate(fair.cell.auroc),
             estimate(fair.observed_less_expected, True), estimate(fair.flagged), estimate(fair.found),
             estimate(fair.needless))
        )  # fmt: skip
    head = (
        "group", "clients", "AUROC", "happened less told", "above the line", "… of those who stop", "… of those who stay",
    )  # fmt: skip
    return (
        "<h2>Is it the same for everyone?</h2><p>No feature knows these attributes. Where people are measured less they can "
        f"still be served worse. Groups of fewer than {LEAST_CLIENTS} clients are not shown. Many groups are compared: one "
        f"interval in twenty leaves its true value out by chance.</p>{table(head, rows)}"
    )


def _over_time(report: Report) -> str:
    headline = _headline(report)
    return f"<h2>Does it hold over time?</h2>{_forest('AUROC within 30 days, by quarter', headline.quarters)}" + (
        f"<details><summary>All figures</summary>{_cells(headline.quarters)}</details>"
    )


def _looks_at(card: Scorecard) -> str:
    slope = card.calibration[HEADLINE][1]
    drawn = [
        (term.feature, term.edges, [row[HEADLINE] * slope for row in term.points], term.missing[HEADLINE] * slope)
        for term in card.terms
    ]
    tops = {name: max(abs(value) for value in (*points, missing)) for name, _, points, missing in drawn}
    top = max(tops.values(), default=0.0)
    figures = "".join(
        f"<figure>{steps(name, edges, points, missing, top)}<figcaption><b>{escape(name)}</b>, in "
        f"{escape(BY_NAME[name].unit)} ({escape(BY_NAME[name].pillar)})</figcaption></figure>"
        for name, edges, points, missing in sorted(drawn, key=lambda one: (-tops[one[0]], one[0]))
    )
    return (
        "<h2>What does it look at?</h2><p>The whole model. Each feature adds points (log-odds of the 30-day risk): above the "
        "line raises the risk, below lowers it. The short stroke is what a missing value adds. All are to one scale, the "
        f"strongest first.</p><div class='grid small-grid'>{figures}</div>"
    )


def _disclosures(report: Report) -> str:
    def of(standard: str) -> Iterator[Disclosed]:
        return (item for item in report.disclosures if item.standard == standard)

    def listed(items: Iterator[Disclosed]) -> str:
        body = "".join(
            f"<tr><td>{item.number}</td><td>{escape(item.item)}</td>"
            + (
                f"<td>{escape(item.told)}</td></tr>"
                if item.told is not None
                else "<td class='gap'>gap: to be written</td></tr>"
            )
            for item in items
        )
        return f"<table class='words'>{body}</table>"

    return (
        f"<h2>What such a report must tell</h2><details open><summary>TRIPOD+AI ({TRIPOD_SOURCE})</summary>"
        f"{listed(of('TRIPOD+AI'))}</details><details open><summary>Source attributes of HTI-1 ({HTI_SOURCE})</summary>"
        f"{listed(of('HTI-1'))}</details>"
    )


def _missing(report: Report) -> str:
    gaps = sum(item.told is None for item in report.disclosures)
    items = "".join(f"<li>{escape(words)}</li>" for words in (*NOT_MADE, f"{gaps} items above that no run can fill."))
    return f"<h2>What is not in here</h2><ul>{items}</ul>"


def _headline(report: Report) -> Performance:
    return report.performance[HEADLINE]


def _forest(title: str, found: Sequence[Cell]) -> str:
    bars = [Bar(one.title, one.auroc.value, one.auroc.low, one.auroc.high) for one in found]
    return f"<figure>{forest(title, bars, 0.4, 1.0, 0.5)}</figure>"


def _cells(found: Sequence[Cell]) -> str:
    rows = [
        (one.title, f"{one.rows:,}", f"{one.clients:,}", f"{one.positive:,}",
         *((one.gap, *("–",) * 5) if one.gap else
           (estimate(one.auroc), estimate(one.average_precision), number(one.skill, 3), number(one.slope, 2),
            number(one.intercept, 2), number(one.ece, 3))))
        for one in found
    ]  # fmt: skip
    head = ("", "moments", "clients", "stops", "AUROC", "average precision", "Brier skill", "slope", "intercept", "ECE")
    return table(head, rows)
