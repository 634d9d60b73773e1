"""What a report on a prediction model must tell: TRIPOD+AI and the source attributes of HTI-1, filled from the run.

An item that this run cannot know is a gap and stands as one: somebody has to write it before the report leaves the house.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from training.evaluate.cells import LEAST_CLIENTS

if TYPE_CHECKING:
    from training.evaluate.report import Report

Standard = Literal["TRIPOD+AI", "HTI-1"]

TRIPOD_SOURCE: Final = "Collins et al. 2024, BMJ 385:e078378"
HTI_SOURCE: Final = "45 CFR 170.315(b)(11)(iv)(B), ONC HTI-1 final rule 2024"


class Disclosed(msgspec.Struct, frozen=True, kw_only=True):
    """One item of a standard, in short, and what this run tells of it; None is a gap."""

    standard: Standard
    number: str
    item: str
    told: str | None


def disclosed(report: Report) -> tuple[Disclosed, ...]:
    """Every item of both standards, in their order."""
    tripod = (Disclosed(standard="TRIPOD+AI", number=n, item=item, told=told) for n, item, told in _tripod(report))
    hti = (Disclosed(standard="HTI-1", number=n, item=item, told=told) for n, item, told in _hti(report))
    return (*tripod, *hti)


Row = tuple[str, str, str | None]


def _tripod(report: Report) -> Iterator[Row]:
    data = report.data
    counts = data.about.counts
    yield "1", "Title", f"Evaluation of “{report.release.title}”, a model of the risk of stopping psychotherapy"
    yield "2", "Abstract", "The section “In short”"
    yield "3a", "Context and rationale", "One client in five stops early, and clinicians foresee less than half of it"
    yield "3b", "Intended purpose and users", _USE
    yield "3c", "Known health inequalities", None
    yield "4", "Objectives", "To judge a released model on events that are named below; no model is developed here"
    yield "5a", "Source of data", _source(report)
    yield (
        "5b",
        "Dates",
        f"Outcomes known until {data.about.as_of}; the quarters are in “Does it hold over time, and elsewhere?”",
    )
    yield "6a", "Setting, number and place of centres", None
    yield "6b", "Eligibility", "Every episode that the events tell of; none is left out for what was measured or not"
    yield (
        "6c",
        "Treatments received",
        f"{data.treated} moments lie within 30 days after an alert or an act of the clinician",
    )
    yield (
        "7",
        "Data preparation",
        f"By replay through the live code; {counts.refused} events refused, the same for everyone",
    )
    yield (
        "8a",
        "Outcome, its horizon, and why",
        f"{report.definition} within 14, 30 and 60 days; three others beside it",
    )
    yield (
        "8b",
        "Who assessed the outcome",
        "Nobody: it follows from events by rule; the clinician's own word is compared",
    )
    yield "8c", "Blinding of outcome assessment", "The rule does not know the prediction; the clinician's word may"
    yield (
        "9a",
        "Choice of predictors",
        "Declared by pillar from the literature; days to the first visit and sessions left were added after looking at "
        "simulated data; kept visits, and sessions without a next one, after looking at the trial CTN-0027 as well",
    )
    yield "9b", "Definition of predictors", "The features of the release, with unit and plain words, drawn below"
    yield "9c", "Who assessed predictors", "As sent by the clinics' systems"
    yield (
        "10",
        "Sample size",
        f"{counts.episodes} episodes of {counts.clients} clients, {counts.rows} moments; all there were",
    )
    yield "11", "Missing data", "A missing value is a fact with points of its own; an undetermined outcome is left out"
    yield "12a", "Use of data", "For evaluation only; the comparison models are fitted across folds of clients"
    yield "12b", "Handling of predictors", "As step functions, drawn below"
    yield "12c", "Model type and building", "An additive scorecard; how it was made is in the manifest and card"
    yield "12d", "Heterogeneity between clusters", _CLUSTERS
    yield (
        "12e",
        "Measures of performance",
        "Discrimination, calibration, net benefit, alerts as they would have been raised, precision at the burden of rules",
    )
    yield "12f", "Updating", "None in this run"
    yield "12g", "How predictions were made", "By the scorecard that serves live, through the same code"
    yield (
        "13",
        "Class imbalance",
        "A fit to very many rows draws some of them, stops first, and weights restore the balance; risks keep their meaning",
    )
    yield (
        "14",
        "Fairness",
        f"Figures by every attribute told, from {LEAST_CLIENTS} clients" if report.fairness else None,
    )
    yield "15", "Model output", "Risks at 14, 30 and 60 days and of missing the next visit; an alert at a line of " + (
        f"{report.alerts.line:.0%}"
    )  # fmt: skip
    yield "16", "Training against evaluation data", _apart(report)
    yield "17", "Ethical approval", None
    yield "18a", "Funding", None
    yield "18b", "Conflicts of interest", None
    yield "18c", "Protocol", None
    yield "18d", "Registration", None
    yield "18e", "Availability of data", f"Fingerprint of the events: {data.about.fingerprint}"
    yield "18f", "Availability of code", f"Keepwell {report.release.code}, Apache-2.0; `keepwell evaluate`"
    yield "19", "Involvement of patients and the public", None
    yield "20a", "Flow of participants", f"{counts.events} events, {counts.episodes} episodes, {counts.rows} moments, of " + (
        f"which {counts.undetermined['30d']} undetermined at 30 days and {data.not_settled['30d']} more not settled"
    )  # fmt: skip
    yield "20b", "Characteristics", "By fairness attribute below" if report.fairness else None
    yield "20c", "Comparison with the development data", None
    yield "21", "Numbers in each analysis", "In every table"
    yield "22", "Full model", "All points of all features are drawn below, and are data in `scorecard.json`"
    yield "23a", "Performance with intervals, and in subgroups", "Sections below"
    yield "23b", "Heterogeneity of performance", "By landmark, session, quarter; the spread between clinics"
    yield "24", "Results of updating", "None in this run"
    yield "25", "Interpretation", "“In short”, and below each figure how to read it"
    yield "26", "Limitations", _limits(report)
    yield "27a", "Poor or missing input", "Gaps are told with each score; a missing signal has its own points"
    yield "27b", "Interaction needed from users", "None to be scored; an alert can be answered"
    yield "27c", "Next steps", None


def _hti(report: Report) -> Iterator[Row]:
    data = report.data
    same = _apart(report)
    simulated = data.simulated > 0
    yield "1.i", "Developer and contact", None
    yield "1.ii", "Funding of development", None
    yield (
        "1.iii",
        "Value that is produced",
        "Chances from 0 to 1, of stopping within 14, 30, 60 days and of missing the next visit",
    )
    yield "1.iv", "Kind of output", "A prediction with reasons, and alerts with suggestions"
    yield "2.i", "Intended use", _USE
    yield "2.ii", "Intended patient population", "People in outpatient psychotherapy"
    yield "2.iii", "Intended users", "Their clinicians"
    yield "2.iv", "Role in decisions", "It informs; it decides nothing"
    yield (
        "3.i",
        "Out-of-scope tasks and populations",
        "Risk to life; judging clinicians; deciding who is treated, or for how long",
    )
    yield "3.ii", "Known risks and limits", _limits(report)
    yield "4.i", "Inclusion and exclusion in training data", None
    yield "4.ii", "Demographic variables as input", "None: fairness attributes reach no feature"
    yield "4.iii", "Demographic representativeness of training data", None
    yield "4.iv", "Relevance of training data to the setting", report.release.origin
    yield (
        "5.i",
        "How fairness of the output is sought",
        "Attributes kept out of features; figures by group before a release",
    )
    yield (
        "5.ii",
        "How bias is managed",
        "A missing signal is never filled with an average, which would favour the measured",
    )
    yield "6.i", "Source of external data", _source(report) if same is not None else None
    yield "6.ii", "Who tested externally", None
    yield "6.iii", "Representativeness of external data", None
    yield "6.iv", "How external validation was done", None if simulated else same
    yield "7.i", "Validity, same source", _auroc(report) if data.same_as_fitted else None
    yield "7.ii", "Fairness, same source", "“Is it the same for everyone?”" if data.same_as_fitted else None
    yield "7.iii", "Validity, other source", _auroc(report) if same is not None else None
    yield "7.iv", "Fairness, other source", "“Is it the same for everyone?”" if same and report.fairness else None
    yield "7.v", "Evidence of effect on outcomes", None
    yield "8.i", "Monitoring of validity", None
    yield "8.ii", "Validity in local data", None if simulated else _auroc(report)
    yield "8.iii", "Monitoring of fairness", None
    yield (
        "8.iv",
        "Fairness in local data",
        None if simulated or not report.fairness else "“Is it the same for everyone?”",
    )
    yield "9.i", "Update process and schedule", None
    yield "9.ii", "Correction when performance falls", None


_CLUSTERS: Final = "Intervals by bootstrap over clients; between clinics, the spread that chance does not explain"
_USE: Final = (
    "To tell clinicians early, with reasons, that a person may be about to stop coming, and to offer what to try"
)


def _source(report: Report) -> str:
    data = report.data
    made_up = f"; {data.simulated} of them made up by a program" if data.simulated else ""
    return f"Events of {data.about.counts.episodes} episodes{made_up}; fingerprint {data.about.fingerprint}"


def _apart(report: Report) -> str | None:
    if report.data.fitted_to is None:
        return "The release was fitted to no data, so these are all new to it"
    if report.data.same_as_fitted:
        return None
    return "Another fingerprint than the data that the release was fitted to; whether persons are in both is not known here"


def _limits(report: Report) -> str:
    simulated = "The data are simulated and show nothing about people. " if report.data.simulated else ""
    return simulated + "Alerts change outcomes, and whether they help anyone has not been studied"


def _auroc(report: Report) -> str:
    value = next(found for found in report.performance if found.output == "30d").pooled.auroc.value
    return "AUROC at 30 days: " + ("not known" if value is None else f"{value:.3f}")
