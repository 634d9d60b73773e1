"""The sections of the page that set the release beside something: alerts, rules, other models, the truth, groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from training.evaluate.burden import UNITS, AtBurden
from training.evaluate.cells import LEAST_CLIENTS
from training.evaluate.html import (
    TITLES,
    details,
    estimate,
    gap,
    notes,
    number,
    paragraph,
    section,
    share,
    shares,
    table,
)
from training.evaluate.oracle import HEADLINE, KNOWN, RISKS, UNKNOWN, NearOracle, share_of
from training.evaluate.report import Data, Report
from training.evaluate.rules import GAP, RULES
from training.fit.held_out import words

RULE_TITLES: Final = {rule.name: rule.title for rule in RULES}


def alerts(report: Report) -> str:
    """The alerts that clinicians would have got."""
    found = report.alerts
    rows = [
        (one.kind, f"{one.raised:,}", number(one.per_clinician_week, 3), shares(one.precision), share(one.recall),
         share(one.in_time), "–" if one.lead_days is None else "{1:.0f} ({0:.0f} to {2:.0f})".format(*one.lead_days))
        for one in found.kinds
    ]  # fmt: skip
    head = (
        "kind", "raised", "per clinician-week", "followed by a stop", "of stops told", "told before the last session",
        "days ahead of declaration, median (middle half)",
    )  # fmt: skip
    return section(
        "alerts",
        "What would clinicians have got?",
        paragraph(
            "The predictor itself was run over the events: these are the alerts it would have shown, with the "
            f"release's line at {found.line:.0%}, its hysteresis and its rests. {found.stops:,} spells ended in a "
            f"stop; {found.clinician_weeks:,} clinician-weeks."
        ),
        table(head, rows),
    )


def withheld(report: Report) -> str:
    """What came of clients whose alert was withheld by lot; nothing where the release withholds none."""
    found, why = report.held_out, no_effect(report)
    if found is None:
        return ""
    return section(
        "withheld",
        "What do alerts do?",
        paragraph(words(found, _who(report.data))) if why is None else gap(f"gap: {why}"),
        paragraph(
            "By lot and not by what was done. Where not nearly all for whom it was raised had had an alert, the release was "
            "not in use all the time, or alerts that were shown are missing here (--alerts), and the difference says little."
        ),
    )


def no_effect(report: Report) -> str | None:
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


def rules(report: Report) -> str:
    """The model beside simple rules."""
    flagging = report.rules.flagging
    tables = []
    for unit, told in flagging.units.items():
        rows = [_rule_row(one, ("rule", "model"), "model/rule") for one in report.rules.at_burden if one.unit == unit]
        head = (
            "rule",
            "flagged",
            "right: rule",
            "right: model",
            "model in parts of the rule",
            "of stops: rule",
            "model",
        )
        tables.append(f"<h3>{UNITS[unit]}</h3>{_small(told)}{table(head, rows)}")
    begins = [(RULE_TITLES[name], number(value, 3)) for name, value in report.rules.begins_per_clinician_week.items()]
    return section(
        "rules",
        "Is it better than simple rules?",
        paragraph(
            "Each rule flags some moments. The model is given as many, those of highest risk, so that neither asks "
            "for more attention. “Right”: a stop follows within 30 days. Intervals are from bootstrap samples of "
            "clients."
        ),
        *tables,
        details(
            "How it is counted, and where the rules come from",
            notes([f"{flagging.flagged}.", f"{flagging.ties}.", f"{flagging.right}."])
            + notes([*(f"{rule.title}: {rule.source}." for rule in RULES), GAP])
            + table(("How often each rule begins to hold", "per clinician-week"), begins),
        ),
    )


def models(report: Report) -> str:
    """The release beside models without constraints."""
    rows = [
        (found.name, f"{found.rows:,}", estimate(found.release), estimate(found.other),
         estimate(found.release_less_other, signed=True))
        for found in report.challengers
    ]  # fmt: skip
    head = ("model", "moments", "AUROC of the release", "AUROC of the other", "difference")
    return section(
        "readable",
        "What does being readable cost?",
        paragraph(
            "Models that may combine features as they like, on the same features and rows, fitted on these very "
            "data across folds of clients. They know this world; the release may have been fitted elsewhere."
        ),
        table(head, rows) if rows else gap("gap: left out of this run (--no-challengers), or too few clients"),
    )


def oracle(report: Report) -> str:
    """The release beside the truth; nothing where it is not known."""
    found = report.oracle
    if found is None:
        return ""
    head = (
        "moment", "moments", "stops", "model", "truth, clinician unknown", "truth, clinician known", "part of the first",
        "part of the second",
    )  # fmt: skip
    by_horizon = {
        horizon: table(head, [_near_row(near) for near in found.near if near.horizon == horizon])
        for horizon in dict.fromkeys(near.horizon for near in found.near)
    }
    rule_head = (
        "rule", "flagged", "right: rule", "right: model", "truth, clinician unknown", "truth, clinician known",
        "model in parts of the first", "model in parts of the second",
    )  # fmt: skip
    tables = []
    for unit in report.rules.flagging.units:
        some = [one for one in found.rules if one.unit == unit]
        rows = [_rule_row(one, ("rule", *RISKS), f"model/{UNKNOWN}", f"model/{KNOWN}", recall=()) for one in some]
        tables.append(f"<h3>At the rules' own burden: {UNITS[unit].lower()}</h3>{table(rule_head, rows)}")
    return section(
        "oracle",
        "How near is it to the best that can be done?",
        paragraph(
            "These data are simulated, so the true risk at a moment is known, to one who knows the clinician's part "
            "in it and to one who does not: nobody can do better. “Part”: what the model's AUROC has above .5 in "
            f"parts of what the truth's has. {found.rows:,} moments; {found.unnamed:,} of them are at no landmark "
            "and count only in the first line."
        ),
        f"<h3>AUROC {TITLES[HEADLINE]}</h3>",
        by_horizon.pop(HEADLINE),
        *(details(f"AUROC {TITLES[horizon]}", one) for horizon, one in by_horizon.items()),
        *tables,
    )


def definitions(report: Report) -> str:
    """The headline by other meanings of dropout."""
    rows = [
        (f"{found.title} ({found.name})", f"{found.rows:,}", share(found.rate), estimate(found.auroc),
         estimate(found.average_precision))
        for found in report.definitions
    ]  # fmt: skip
    meanings = [(found.title, found.words, found.source) for found in report.definitions]
    return section(
        "meanings",
        "Does it hold by other meanings of “dropout”?",
        paragraph("The same 30-day risk, judged by what others call dropout. It was not made for these."),
        table(("dropout is …", "moments", "share", "AUROC", "average precision"), rows),
        details("What each of them means", table(("", "that is", "source"), meanings, words=True)),
    )


def fairness(report: Report) -> str:
    """The headline by fairness attribute."""
    if not report.fairness:
        body = gap("gap: no fairness attribute is told in these events")
    else:
        head = (
            "group", "clients", "AUROC", "happened less told", "above the line", "… of those who stop",
            "… of those who stay",
        )  # fmt: skip
        body = table(head, list(_fair_rows(report)))
    return section(
        "fair",
        "Is it the same for everyone?",
        paragraph(
            "No feature knows these attributes. Where people are measured less they can still be served worse. "
            f"Groups of fewer than {LEAST_CLIENTS} clients are not shown. Many groups are compared: one interval in "
            "twenty leaves its true value out by chance."
        ),
        body,
    )


def _who(data: Data) -> str:
    """What to call the clients of these data."""
    if not data.simulated:
        return "clients"
    return "simulated clients" if data.simulated >= data.about.counts.episodes else "clients, some of them simulated"


def _small(told: str) -> str:
    return f"<p class='small'>{told}.</p>"


def _fair_rows(report: Report) -> Iterator[Sequence[str]]:
    for fair in report.fairness:
        if fair.cell.clients == 0:
            yield (fair.cell.title, f"gap: {fair.cell.gap}")
        else:
            yield (
                fair.cell.title, f"{fair.cell.clients:,}", estimate(fair.cell.auroc),
                estimate(fair.observed_less_expected, signed=True), shares(fair.flagged), shares(fair.found),
                shares(fair.needless),
            )  # fmt: skip


def _near_row(near: NearOracle) -> Sequence[str]:
    counts = (near.title, f"{near.rows:,}", f"{near.positive:,}")
    if near.gap is not None:
        return (*counts, f"gap: {near.gap}")
    return (
        *counts, *(estimate(near.auroc.get(which), 2) for which in RISKS), shares(share_of(near, UNKNOWN)),
        shares(share_of(near, KNOWN)),
    )  # fmt: skip


def _rule_row(
    found: AtBurden, who: Sequence[str], *ratios: str, recall: Sequence[str] = ("rule", "model")
) -> Sequence[str]:
    title, flagged = RULE_TITLES[found.rule], share(found.flagged)
    if found.gap is not None:
        return (title, flagged, f"gap: {found.gap}")
    return (
        title, flagged, *(shares(found.precision.get(one)) for one in who),
        *(estimate(found.ratio.get(one), 2) for one in ratios), *(share(found.recall.get(one)) for one in recall),
    )  # fmt: skip
