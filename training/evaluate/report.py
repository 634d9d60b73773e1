"""The evaluation of a release on a set of events: every figure of `report.json`, computed in one place and told in types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from keepwell.endings import DEFINITION
from keepwell.events import AnyEvent
from keepwell.scorecard import OUTPUTS
from models.release import Release
from training.dataset import Dataset
from training.dataset.table import About
from training.evaluate import cells, definitions, rules
from training.evaluate.alerts import Alerts, Raised, clinician_weeks, judged
from training.evaluate.cells import Cell, FairCell
from training.evaluate.challengers import challengers, out_of_fold
from training.evaluate.definitions import Outcome
from training.evaluate.disclosure import Disclosed, disclosed
from training.evaluate.metrics import (
    Benefit,
    Estimate,
    Point,
    Vector,
    auroc_difference,
    calibration_curve,
    decision_curve,
    discrimination,
    precision_at,
)
from training.evaluate.oracle import Moment, Oracle, compared
from training.fit.sample import Sample, sample_of

FORMAT: Final = 1
DIGITS: Final = 6
"""Digits that figures keep, so that the same input gives the same bytes."""
HEADLINE: Final = OUTPUTS.index("30d")
THRESHOLDS: Final = np.round(np.arange(0.02, 0.51, 0.02), 2)
"""Of the decision curve: from a talk costing hardly anything to as many needless as needed ones."""
TENTH: Final = 0.10
"""Share flagged at which a rule that only ranks is compared."""
SIMULATED_SERVICE: Final = "simulated"
"""`service` of every episode that `keepwell simulate` makes up."""


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """What the evaluation rests on. `simulated`: episodes made up by a program; `not_settled`: rows too near the end of the
    data for their outcome to count, by output; `fitted_to`: fingerprint of the data that the release was fitted to."""

    about: About
    simulated: int
    not_settled: Mapping[str, int]
    fitted_to: str | None
    same_as_fitted: bool
    treated: int
    """Rows shortly after an alert or an act of the clinician: what was done may have changed what came of them."""


class OfRelease(msgspec.Struct, frozen=True, kw_only=True):
    """The release that is judged, as its manifest tells."""

    digest: str
    title: str
    origin: str
    created: str
    code: str


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """How good the risks of one output are."""

    output: str
    pooled: Cell
    landmarks: tuple[Cell, ...]
    sessions: tuple[Cell, ...]
    quarters: tuple[Cell, ...]
    curve: tuple[Point, ...]
    decision: tuple[Benefit, ...]


class ByDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """Discrimination of the 30-day risk under one definition of dropout. Calibration is of the model's own only."""

    name: str
    title: str
    words: str
    source: str
    rows: int
    clients: int
    rate: float | None
    auroc: Estimate
    average_precision: Estimate


class AgainstRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule beside the model, with as many rows flagged as the rule flags. `lift` is the model's precision in parts of the
    rule's; `begins_per_clinician_week`: how often the rule begins to hold, which is what a clinician would be told."""

    name: str
    title: str
    source: str
    flagged: float
    begins_per_clinician_week: float | None
    rule_precision: float | None
    rule_recall: float | None
    model_precision: float | None
    model_recall: float | None
    lift: float | None


class AgainstModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model without constraints beside the release, on the same rows, each fitted where it saw no row of the client."""

    name: str
    rows: int
    release: Estimate
    other: Estimate
    release_less_other: Estimate


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    format: int
    definition: str
    release: OfRelease
    data: Data
    performance: tuple[Performance, ...]
    definitions: tuple[ByDefinition, ...]
    alerts: Alerts
    rules: tuple[AgainstRule, ...]
    challengers: tuple[AgainstModel, ...]
    oracle: Oracle | None
    fairness: tuple[FairCell, ...]
    disclosures: tuple[Disclosed, ...] = ()


def evaluate(
    release: Release,
    dataset: Dataset,
    events: Sequence[AnyEvent],
    found: Mapping[str, Outcome],
    alerts: Sequence[Raised],
    now: int,
    refused: int,
    truth: Sequence[Moment] | None = None,
    sampled: int = 1,
) -> Report:
    """Judges a release on a landmark table.

    `events` are those the table was made from, `found` what became of each episode until `now` (µs), `alerts` those that the
    predictor raised over the events, `refused` how many lines were no events; `truth` are scored moments of a simulator,
    every `sampled`-th of them. Raises `ValueError` where nothing is settled.
    """
    sample = sample_of(dataset)
    if not sample.known(HEADLINE).any():
        raise ValueError("no outcome is settled: the data end less than 60 days after every moment in them")
    risk = release.scorer.risks(dataset.matrix([term.feature for term in release.scorer.card.terms]))
    verdicts = rules.verdicts(dataset.frame, events)
    line = release.policy.line
    report = Report(
        format=FORMAT,
        definition=DEFINITION,
        release=OfRelease(
            digest=release.digest, title=release.manifest.title, origin=release.manifest.origin,
            created=release.manifest.created, code=release.manifest.code,
        ),
        data=_data(release, dataset, sample, events, refused),
        performance=tuple(_performance(sample, risk, column) for column in range(len(OUTPUTS))),
        definitions=_by_definition(sample, risk[:, HEADLINE], found, now),
        alerts=judged(alerts, found, dataset.frame, line, now),
        rules=_against_rules(sample, risk[:, HEADLINE], verdicts),
        challengers=_against_models(sample, risk[:, HEADLINE]),
        oracle=compared(truth, sampled, dataset.frame, verdicts) if truth is not None else None,
        fairness=_fairness(sample, dataset, risk[:, HEADLINE], line),
    )  # fmt: skip
    return msgspec.structs.replace(report, disclosures=disclosed(report))


def encode(report: msgspec.Struct) -> bytes:
    """A report as JSON. Equal reports are equal bytes."""
    return msgspec.json.format(msgspec.json.encode(_rounded(msgspec.to_builtins(report))), indent=1) + b"\n"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value


def _data(release: Release, dataset: Dataset, sample: Sample, events: Sequence[AnyEvent], refused: int) -> Data:
    basis = release.manifest.data
    made_up = {event.key for event in events if getattr(event.data, "service", None) == SIMULATED_SERVICE}
    undetermined = dataset.about.counts.undetermined
    return Data(
        about=msgspec.structs.replace(
            dataset.about, counts=msgspec.structs.replace(dataset.about.counts, refused=refused)
        ),
        simulated=len(made_up),
        not_settled={
            output: int((~sample.known(column)).sum()) - undetermined[output] for column, output in enumerate(OUTPUTS)
        },
        fitted_to=basis.fingerprint if basis is not None else None,
        same_as_fitted=basis is not None and basis.fingerprint == dataset.about.fingerprint,
        treated=int(sample.treated.sum()),
    )


def _performance(sample: Sample, risk: Vector, column: int) -> Performance:
    target, given, frame = sample.targets[:, column], risk[:, column], sample.frame

    def figures(groups: Any) -> tuple[Cell, ...]:
        return tuple(cells.cell(group, target, given, sample.client) for group in groups)

    known = sample.known(column)
    return Performance(
        output=OUTPUTS[column],
        pooled=cells.cell(cells.everything(frame), target, given, sample.client),
        landmarks=figures(cells.landmarks(frame)),
        sessions=figures(cells.sessions(frame)),
        quarters=figures(cells.quarters(frame)),
        curve=calibration_curve(target[known], given[known]) if known.any() else (),
        decision=decision_curve(target[known], given[known], THRESHOLDS) if known.any() else (),
    )


def _by_definition(sample: Sample, risk: Vector, found: Mapping[str, Outcome], now: int) -> tuple[ByDefinition, ...]:
    own = definitions.Definition(
        DEFINITION, "Stopped coming, nothing agreed", "No sign and no session pending for 30 days, or ended as "
        "`client_stopped`; within 30 days of the moment.", "This project's contract, section 3",
    )  # fmt: skip
    columns = {own.name: sample.targets[:, HEADLINE]} | definitions.targets(sample, found, now)
    return tuple(
        _of_definition(definition, columns[definition.name], risk, sample) for definition in (own, *definitions.OTHERS)
    )


def _of_definition(definition: definitions.Definition, target: Vector, risk: Vector, sample: Sample) -> ByDefinition:
    known = ~np.isnan(target)
    auroc, average_precision = discrimination(target[known], risk[known], sample.client[known])
    return ByDefinition(
        **definition._asdict(),
        rows=int(known.sum()),
        clients=len(np.unique(sample.client[known])),
        rate=float(target[known].mean()) if known.any() else None,
        auroc=auroc,
        average_precision=average_precision,
    )


def _against_rules(sample: Sample, risk: Vector, verdicts: Mapping[str, Vector]) -> tuple[AgainstRule, ...]:
    known = sample.known(HEADLINE)
    target, given = sample.targets[known, HEADLINE], risk[known]
    weeks = clinician_weeks(sample.frame)
    compared_rules = []
    for rule in rules.RULES:
        verdict = verdicts[rule.name]
        flagged = TENTH * len(target) if rule.ranks else float(verdict[known].sum())
        base = AgainstRule(
            name=rule.name, title=rule.title, source=rule.source, flagged=flagged / len(target),
            begins_per_clinician_week=None if rule.ranks or not weeks else _begins(sample, verdict) / weeks,
            rule_precision=None, rule_recall=None, model_precision=None, model_recall=None, lift=None,
        )  # fmt: skip
        if flagged > 0:
            its = precision_at(target, verdict[known], flagged)
            mine = precision_at(target, given, flagged)
            stops = float(target.sum())
            base = msgspec.structs.replace(
                base, rule_precision=its, model_precision=mine,
                rule_recall=its * flagged / stops if stops else None,
                model_recall=mine * flagged / stops if stops else None, lift=mine / its if its > 0 else None,
            )  # fmt: skip
        compared_rules.append(base)
    return tuple(compared_rules)


def _begins(sample: Sample, verdict: Vector) -> int:
    """How often a rule begins to hold in an episode."""
    same = np.r_[False, sample.episode[1:] == sample.episode[:-1]]
    before = np.where(same, np.r_[0.0, verdict[:-1]], 0.0)
    return int(((verdict == 1) & (before == 0)).sum())


def _against_models(sample: Sample, risk: Vector) -> tuple[AgainstModel, ...]:
    target = sample.targets[:, HEADLINE]
    compared_models = []
    for name, make in challengers().items():
        other = out_of_fold(make, sample.frame, sample.values, target)
        rows = ~np.isnan(other)
        truth, mine, theirs, client = target[rows], risk[rows], other[rows], sample.client[rows]
        compared_models.append(
            AgainstModel(
                name=name,
                rows=int(rows.sum()),
                release=discrimination(truth, mine, client)[0],
                other=discrimination(truth, theirs, client)[0],
                release_less_other=auroc_difference(truth, mine, theirs, client),
            )
        )
    return tuple(compared_models)


def _fairness(sample: Sample, dataset: Dataset, risk: Vector, line: float) -> tuple[FairCell, ...]:
    target = sample.targets[:, HEADLINE]
    return tuple(
        cells.fair_cell(group, target, risk, sample.client, line)
        for group in cells.fair_groups(dataset.frame, dataset.fairness)
    )
