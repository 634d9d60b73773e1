"""`monitor.html`: the monitoring of a release as one page, with the parts of the evaluation's page."""

from __future__ import annotations

from html import escape
from typing import Final

from training.evaluate.cells import LEAST_CLIENTS
from training.evaluate.html import Bar, Scale, document, estimate, forest, interval, number, share, table
from training.evaluate.metrics import Estimate
from training.evaluate.svg import Axis, Line, chart
from training.monitor.acceptance import ALL, WAIT_DAYS
from training.monitor.calibration import Calibrated
from training.monitor.drift import MUCH, SOME, Compared
from training.monitor.gaps import TITLES
from training.monitor.report import Report
from training.monitor.suggest import TITLES_OF
from training.monitor.words import CHOSEN, OUTPUTS_IN_WORDS, notes, rests_on

AGAINST: Final = {"before": "here before", "others": "in other clinics"}
LEAST_TOLD: Final = 0.0005
"""Share below which a gap is no line of the table: it would be told as 0."""
VERDICTS: Final = {
    "alike": "alike", "some": "differs", "much": "differs much", "unclear": "perhaps: no more than chance makes",
}  # fmt: skip


def page(report: Report) -> str:
    """The whole page. Equal reports are equal pages."""
    sections = (
        _on_top(report), _suggestions(report), _in_short(report), _drift(report), _calibration(report), _alerts(report),
        _gaps(report), _how(),
    )  # fmt: skip
    return document(f"How “{report.release.title}” fares", "\n".join(sections))


def _on_top(report: Report) -> str:
    told = "".join(f"<p>{escape(words)}</p>" for words in (rests_on(report.seen), *notes(report)))
    simulated = "<strong>Simulated data.</strong> They say nothing about people." if report.seen.simulated else ""
    return (
        f'<div class="note">{f"<p>{simulated}</p>" if simulated else ""}{told}'
        f"<p class='small'>Release <code>{escape(report.release.digest)}</code> ({escape(CHOSEN[report.chosen])}). "
        f"{escape(report.release.origin)}</p></div>"
    )


def _suggestions(report: Report) -> str:
    items = "".join(
        f"<h3>{escape(TITLES_OF[one.do])}</h3><p>{escape(one.why)}</p>"
        + (f"<p><code>{escape(one.command)}</code></p>" if one.command else "")
        for one in report.suggestions
    )
    return f"<h2>What to do</h2><p class='small'>A person decides. Nothing is promoted by itself.</p>{items}"


def _in_short(report: Report) -> str:
    headline, drift = report.headline, report.drift
    every = next(iter(report.acceptance.kinds), None)
    differs = None if drift.gap else len(drift.of("some")) + len(drift.of("much"))
    cards = (
        ("Comes in otherwise", "–" if differs is None else f"{differs}",
         drift.gap or f"of {len(drift.risks) + len(drift.features)} features and risks"),
        ("Happened, for one foretold", number(headline.ratio.value, 2),
         headline.gap or f"stops within 30 days {interval(headline.ratio)}; 1 is right"),
        ("Slope", number(headline.slope.value, 2), f"of calibration {interval(headline.slope)}; 1 is right"),
        ("Tells apart", number(headline.auroc.value, 2),
         f"AUROC {interval(headline.auroc)}; in training {number(headline.auroc_before, 2)}"),
        ("Answered", share(every.answered) if every else "–",
         report.acceptance.gap or (every.gap if every and every.gap else "of the alerts that were shown")),
        ("More is missing", str(sum(1 for _ in report.gaps.more())), "gaps that are commoner than usual, in all clinics"),
    )  # fmt: skip
    shown = "".join(
        f'<div class="card"><b>{escape(title)}</b><span>{escape(value)}</span><small>{escape(words)}</small></div>'
        for title, value, words in cards
    )
    return f'<h2>In short</h2><div class="cards">{shown}</div>'


def _drift(report: Report) -> str:
    found = report.drift
    head = "<h2>Does what comes in look like the data of training?</h2>"
    if found.gap is not None:
        return f"{head}<p class='gap'>Not known: {escape(found.gap)}.</p>"
    columns = (
        "", "verdict", "PSI", "about, without change", "by chance up to", "KS", "by chance up to", "missing then",
        "missing now",
    )  # fmt: skip
    words = (
        f"<p>PSI adds up by how much the share of each bin changed; from {SOME} it is worth a look, from {MUCH} the "
        "change is great. Chance alone makes some, more where there are few clients and many bins: only what is above "
        f"that too is called a difference. The moments of one client are alike, so these count as {found.worth:,.0f} "
        f"clients, those of training as {found.worth_before:,.0f}. That people or habits changed does not mean that "
        "the risks do not hold.</p>"
    )
    lost = "".join(
        f"<p><strong>{escape(one.name)}</strong>: "
        + ("nothing comes in any more.</p>" if one.lost == "missing" else "one value only comes in.</p>")
        for one in found.lost
    )
    left = "".join(f"<li>{escape(name)} is not compared: {escape(why)}</li>" for name, why in found.left_out.items())
    top = sorted((*found.risks, *found.features), key=lambda one: (-one.psi, one.name))[:12]
    end = max(0.5, *(one.psi for one in top), *(one.by_chance for one in top))
    drawn = forest([_psi(one) for one in top], Scale(0.0, round(end, 1), SOME, "PSI of those that changed most", ""))
    return (
        f"{head}{words}{lost}<figure>{drawn}<figcaption>Dots: PSI. Bars: what chance alone makes. Line: {SOME}.</figcaption>"
        f"</figure><h3>Risks</h3>{table(columns, [_compared(one) for one in found.risks])}"
        f"<details><summary>All features</summary>{table(columns, [_compared(one) for one in found.features])}"
        f"<ul class='small'>{left}</ul></details>"
    )


def _psi(found: Compared) -> Bar:
    by_chance = Estimate(value=found.psi, low=0.0, high=found.by_chance)
    return Bar(_title(found), by_chance, words=f"{found.psi:.3f}, by chance {found.by_chance:.3f}")


def _title(found: Compared) -> str:
    return f"risk {OUTPUTS_IN_WORDS[found.name]}" if found.name in OUTPUTS_IN_WORDS else found.name


def _compared(found: Compared) -> tuple[str, ...]:
    return (
        _title(found), VERDICTS[found.verdict], number(found.psi, 3), number(found.expected, 3),
        number(found.by_chance, 3), number(found.ks, 3), number(found.ks_by_chance, 3), share(found.missing_before),
        share(found.missing),
    )  # fmt: skip


def _calibration(report: Report) -> str:
    drawings = []
    for found in report.calibration:
        if not found.curve:
            continue
        title = OUTPUTS_IN_WORDS[found.output]
        points = [(point.risk, point.rate) for point in found.curve]
        top = max(0.1, *(max(point) for point in points)) * 1.1
        lines = (Line("as it should be", "b", ((0, 0), (top, top))), Line("as it was", "a", points, dots=True))
        drawn = chart(f"Calibration, {title}", lines, Axis(0, top, "risk told"), Axis(0, top, "share that did"))
        drawings.append(f"<figure>{drawn}<figcaption>{title.capitalize()}</figcaption></figure>")
    head = ("", "verdict", "moments", "episodes", "observed", "expected", "ratio", "slope")
    more = ("", "intercept", "ECE", "by chance about", "AUROC", "in training", "moments treated", "ratio without them")
    return (
        "<h2>Do the percentages hold?</h2><p>Only moments whose outcome is settled count. Intervals know that the "
        "moments of one client are alike. An alert changes what it foretells: where alerts help, fewer stop than was "
        "told, and that is no fault of the release; so the ratio is told without moments shortly after an alert or an "
        f"act too.</p><div class='grid'>{''.join(drawings)}</div>{table(head, [_judged(one) for one in report.calibration])}"
        f"{table(more, [_beside(one) for one in report.calibration if one.gap is None])}"
    )


def _judged(found: Calibrated) -> tuple[str, ...]:
    counts = f"{found.rows:,}", f"{found.episodes:,}"
    if found.gap is not None:
        return OUTPUTS_IN_WORDS[found.output], f"not judged: {found.gap}", *counts, *("–",) * 4
    return (
        OUTPUTS_IN_WORDS[found.output], "off" if found.off else "holds, roughly" if found.rough else "holds", *counts,
        share(found.observed), share(found.expected), estimate(found.ratio), estimate(found.slope),
    )  # fmt: skip


def _beside(found: Calibrated) -> tuple[str, ...]:
    return (
        OUTPUTS_IN_WORDS[found.output], estimate(found.intercept), number(found.ece, 4), number(found.ece_by_chance, 4),
        estimate(found.auroc), number(found.auroc_before, 3), share(found.treated), estimate(found.untreated),
    )  # fmt: skip


def _alerts(report: Report) -> str:
    found = report.acceptance
    head = "<h2>What became of alerts?</h2>"
    if found.gap is not None:
        return f"{head}<p class='gap'>Not known: {escape(found.gap)}.</p>"
    given = sorted({answer for one in found.kinds for answer in one.by_answer})
    rows = []
    for one in found.kinds:
        title = "all alerts" if one.kind == ALL else one.kind
        if one.gap is not None:
            rows.append((title, one.gap, *("–",) * (len(given) + 3)))
            continue
        hours = "–" if one.hours is None else "{1:.0f} ({0:.0f} to {2:.0f})".format(*one.hours)
        by = [share(one.by_answer.get(answer, 0.0)) for answer in given]
        rows.append((title, f"{one.alerts:,}", share(one.answered), *by, hours, share(one.helpful)))
    columns = (
        "",
        "shown",
        "answered",
        *(answer.replace("_", " ") for answer in given),
        "hours to the first",
        "helpful",
    )
    left = f"{found.recent:,} of the last {WAIT_DAYS} days are left out, as they may yet be answered"
    if found.unplaced:
        left += (
            f", and {found.unplaced:,} of which the log holds only that they were resolved (give an export as --alerts)"
        )
    return (
        f"{head}<p>An alert counts for each kind of answer it got; hours are the median (and middle half). {left}. Alerts "
        f"about fewer than {LEAST_CLIENTS} clients are not shown, and none by clinician: an alert that was rightly left "
        f"alone is no fault.</p>{table(columns, rows)}"
    )


def _gaps(report: Report) -> str:
    rows = []
    for clinic in report.gaps.clinics:
        if clinic.gap is not None:
            rows.append((clinic.clinic, clinic.gap, "–", "–", ""))
            continue
        rows += [
            (clinic.clinic, TITLES[cell.gap], share(cell.share),
             "–" if clinic.against is None else f"{share(cell.usual)} {AGAINST[clinic.against]}", "more" if cell.more else "")
            for cell in clinic.cells
            if cell.share >= LEAST_TOLD
        ]  # fmt: skip
    head = ("clinic", "what a score could not know", "moments", "usually", "")
    return (
        "<h2>What is missing, by clinic?</h2><p>The share of moments whose score names the gap. What is usual is that "
        "of the same clinic before the window or, where little was seen then, that of the other clinics, each with as "
        f"many moments after each number of sessions. Clinics with fewer than {LEAST_CLIENTS} clients are not shown.</p>"
        f"{table(head, rows)}"
    )


def _how() -> str:
    return (
        "<h2>What is not in here</h2><ul><li>Whether alerts help: that takes a trial.</li><li>Whether a change is for "
        "better or worse: the figures say that something differs, not why.</li></ul>"
    )
