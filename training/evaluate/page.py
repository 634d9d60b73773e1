"""`report.html`: the evaluation as one page that a clinician can read: no other host, no script, light, dark or on paper."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from typing import Final

from keepwell.scoring.scorecard import Scorecard
from training.evaluate import contrast, quality
from training.evaluate.aims import VERDICTS, Aim
from training.evaluate.disclosure import HTI_SOURCE, TRIPOD_SOURCE, Disclosed
from training.evaluate.html import (
    details,
    document,
    estimate,
    interval,
    notes,
    number,
    paragraph,
    section,
    share,
    table,
)
from training.evaluate.report import Report

STANDARDS: Final = {"TRIPOD+AI": TRIPOD_SOURCE, "HTI-1": HTI_SOURCE}
HEADING: Final = re.compile(r'<section id="([a-z]+)"><h2>(.*?)</h2>')


def page(report: Report, card: Scorecard) -> str:
    """The whole page. Equal reports of equal scorecards are equal pages."""
    sections = (
        _in_short(report), _reached(report), quality.telling_apart(report), quality.true_percentages(report),
        quality.worth_acting(report), contrast.alerts(report), contrast.withheld(report), contrast.rules(report),
        contrast.oracle(report), contrast.models(report), contrast.definitions(report), contrast.fairness(report),
        quality.over_time(report), quality.between_clinics(report), quality.learning(report), quality.looks_at(card),
        _disclosures(report), _missing(report),
    )  # fmt: skip
    body = "\n".join(section for section in sections if section)
    links = "".join(f'<a href="#{name}">{words}</a>' for name, words in HEADING.findall(body))
    return document(f"What “{report.release.title}” is worth", f"{_on_top(report)}\n<nav>{links}</nav>\n{body}")


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
        what = "<strong>Recorded data.</strong> No clinic in these events has a name that the simulator gives."
    fitted = "The release was set by hand and fitted to no data."
    if data.same_as_fitted:
        fitted = "<strong>The release was fitted to these very events: every figure here flatters it.</strong>"
    elif data.fitted_to is not None:
        fitted = "The release was fitted to other events. Whether persons are in both cannot be told here."
    facts = (
        f"{counts.episodes:,} episodes of {counts.clients:,} clients, {counts.events:,} events, {counts.rows:,} "
        f"moments; outcomes known until {escape(data.about.as_of)}; {data.treated:,} moments shortly after an alert "
        "or an act."
    )
    return (
        f'<div class="note{" made-up" if data.simulated else ""}"><p>{what}</p><p>{fitted}</p><p>{facts}</p>'
        f"<p class='small'>Release <code>{escape(report.release.digest)}</code>. {escape(report.release.origin)}<br>"
        f"Events <code>{escape(data.about.fingerprint)}</code></p></div>"
    )


def _in_short(report: Report) -> str:
    pooled = quality.headline(report).pooled
    every = report.alerts.kinds[0]
    cards = (
        ("Tells apart", number(pooled.auroc.value, 3), f"AUROC, 30 days {interval(pooled.auroc)}; .5 is chance"),
        ("Percentages", number(pooled.calibration.slope.value, 2),
         "calibration slope; 1 is right, below 1 is too sure of itself"),
        ("Off by", share(pooled.ece), "mean distance of risk and what happened"),
        ("Asks for", number(every.per_clinician_week, 2), "alerts of all kinds per clinician-week"),
        ("Right", share(every.precision.value), "of alerts are followed by a stop within 30 days"),
        ("In time", share(every.in_time), "of stops had an alert before the last session"),
    )  # fmt: skip
    shown = "".join(
        f'<div class="card"><b>{title}</b><span>{value}</span><small>{words}</small></div>'
        for title, value, words in cards
    )
    simulated = "All six are of simulated episodes." if report.data.simulated else ""
    return section("short", "In short", f'<div class="cards">{shown}</div>', paragraph(simulated) if simulated else "")


def _reached(report: Report) -> str:
    """What it should reach on simulated data."""
    if report.oracle is None:
        return ""
    groups: dict[str, list[Aim]] = {}
    for aim in report.aims:
        if aim.figure.value is not None:
            groups.setdefault(aim.group, []).append(aim)
    rows = [
        (
            group,
            f"{some[0].aim:.2f}",
            str(len(some)),
            *(str(sum(aim.verdict == one for aim in some)) for one in VERDICTS),
        )
        for group, some in groups.items()
    ]
    every = [_aim_row(aim) for some in groups.values() for aim in some]
    return section(
        "aims",
        "Does it reach what it should?",
        paragraph(
            "What was aimed at on simulated data, where the true risk is known. “Open”: the figure is below the aim, but its "
            "interval is not. Where the truth itself is below an aim, no model can reach it on these data."
        ),
        table(("aim", "at least", "figures", *VERDICTS), rows),
        details("Each of them", table(("figure", "aim", "is", "the truth itself", ""), every)),
    )


def _aim_row(aim: Aim) -> tuple[str, ...]:
    return aim.words, f"{aim.aim:.2f}", estimate(aim.figure, 2), estimate(aim.best, 2), aim.verdict or ""


def _disclosures(report: Report) -> str:
    parts = []
    for standard, source in STANDARDS.items():
        items = [item for item in report.disclosures if item.standard == standard]
        gaps = sum(item.told is None for item in items)
        rows = [(item.number, item.item, item.told or "gap: to be written") for item in items]
        parts.append(
            details(
                f"{standard} ({source}): {len(items)} items, {gaps} gaps",
                table(("", "item", "what this run tells"), rows, words=True),
            )
        )
    return section(
        "standards",
        "What such a report must tell",
        paragraph(
            "Every item of both standards, filled from this run. What no run can know is a gap, to be written by people."
        ),
        *parts,
    )


def _missing(report: Report) -> str:
    return section("missing", "What is not in here", notes(_gaps(report)))


def _gaps(report: Report) -> Iterator[str]:
    if (why := contrast.no_effect(report)) is not None:
        yield f"The effect of alerts on outcomes: {why}."
    if all(found.output != "next" for found in report.performance):
        yield "The chance that the next visit is missed: the release does not tell it."
    if report.learning_curve is None:
        yield "A learning curve (--learning-curve), or too few clients for one."
    if not report.challengers:
        yield "Models without constraints beside it: what being readable costs."
    if report.elsewhere is None:
        yield "Another log, such as a later one, to compare with (--compare)."
    if report.oracle is None:
        yield "The best that could be done: the true risks are known of simulated data only (--truth)."
    open_items: list[Disclosed] = [item for item in report.disclosures if item.told is None]
    named = "; ".join(f"{item.standard} {item.number} {item.item}" for item in open_items)
    yield f"{len(open_items)} items that no run can fill: {named}."
