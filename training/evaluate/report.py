"""The evaluation of a release on a set of events: every figure of `report.json`, computed in one place and told in types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from keepwell.care.endings import DEFINITION
from keepwell.contract.events import EpisodeOpened, Event
from keepwell.scoring.scorecard import HEADLINE, OUTPUTS
from models.release import Release
from training.dataset import Dataset
from training.dataset.landmarks import after_sessions
from training.dataset.table import About
from training.evaluate import cells, definitions, moments, rules
from training.evaluate.aims import Aim, aims
from training.evaluate.alert_table import AlertLog, Alerts, alert_facts, told_of
from training.evaluate.alerts import clinician_weeks
from training.evaluate.burden import AFTER_SESSION, FLAGGING, LANDMARKS, MODEL, AtBurden, Flagging, at_burden
from training.evaluate.cells import Cell, FairCell
from training.evaluate.challengers import FOLDS, challengers, out_of_fold
from training.evaluate.clinics import Clinics, clinics
from training.evaluate.curve import Curve, learning_curve
from training.evaluate.definitions import EpisodeOutcome
from training.evaluate.disclosure import Disclosed, disclosed
from training.evaluate.metrics import (
    Benefit,
    Estimate,
    Point,
    Vector,
    calibration_curve,
    compared,
    decision_curve,
    difference,
    discrimination,
)
from training.evaluate.oracle import TruthCheck, oracle
from training.evaluate.replays import AlertMoment
from training.evaluate.truth import Moment
from training.evaluate.worlds.table import WorldsTable
from training.fit.bins import Matrix
from training.fit.held_out import HeldOut, held_out
from training.fit.refuse import check_sessions
from training.fit.sample import Sample, sample_of

FORMAT: Final = 3
DIGITS: Final = 6
"""Digits that figures keep, so that the same input gives the same bytes."""
THRESHOLDS: Final = np.round(np.arange(0.02, 0.51, 0.02), 2)
"""Of the decision curve: from a talk costing hardly anything to as many needless as needed ones."""


SIMULATED_SERVICE: Final = "simulated"
"""`service` of every episode that `keepwell simulate` makes up."""


class DataFacts(msgspec.Struct, frozen=True, kw_only=True):
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

    @classmethod
    def of(cls, release: Release) -> OfRelease:
        """What the manifest of a release tells."""
        told = release.manifest
        return cls(
            digest=release.digest, title=told.title, origin=told.origin, created=told.created, code=told.code
        )  # fmt: skip


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


class OfRules(msgspec.Struct, frozen=True, kw_only=True):
    """The model beside simple rules. `begins_per_clinician_week`: how often each rule begins to hold, which is what a
    clinician would be told of."""

    flagging: Flagging
    begins_per_clinician_week: Mapping[str, float]
    at_burden: tuple[AtBurden, ...]


class AgainstModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model without constraints beside the release, on the same rows, each fitted where it saw no row of the client."""

    name: str
    rows: int
    release: Estimate
    other: Estimate
    release_less_other: Estimate


class Elsewhere(msgspec.Struct, frozen=True, kw_only=True):
    """The release on another log that it is compared with: what that is, and the figures of all its moments by output.
    `same_as_fitted`: the release was fitted to that log."""

    about: About
    simulated: int
    same_as_fitted: bool
    pooled: Mapping[str, Cell]


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; performance, and the spread of clinics, of the outputs that the release has."""

    format: int
    definition: str
    release: OfRelease
    data: DataFacts
    performance: tuple[Performance, ...]
    clinics: Mapping[str, Clinics]
    definitions: tuple[ByDefinition, ...]
    alerts: Alerts
    held_out: HeldOut | None
    """None where the release withholds no alerts."""
    rules: OfRules
    challengers: tuple[AgainstModel, ...]
    oracle: TruthCheck | None
    aims: tuple[Aim, ...]
    fairness: tuple[FairCell, ...]
    learning_curve: Curve | None
    """None where it was not asked for, or too few clients could be held out."""
    elsewhere: Elsewhere | None
    worlds: WorldsTable | None
    """What the release, or the one it was made from, is worth in simulated worlds left out; None where it does not say."""
    disclosures: tuple[Disclosed, ...] = ()


class JudgedLog(NamedTuple):
    """A landmark table and the events it was made from."""

    dataset: Dataset
    events: Sequence[Event]


class Evidence(NamedTuple):
    """What a release is judged by: a log, what became of each of its episodes until `now` (µs), the alerts that the predictor
    told over it, and scored moments of a simulator's truth."""

    log: JudgedLog
    outcomes: Mapping[str, EpisodeOutcome]
    alerts: Sequence[AlertMoment]
    now: int
    truth: Sequence[Moment] | None = None


def evaluate(
    release: Release,
    evidence: Evidence,
    elsewhere: JudgedLog | None = None,
    with_curve: bool = False,
    with_challengers: bool = True,
    *,
    worlds: WorldsTable | None = None,
) -> Evaluation:
    """Judges a release. `elsewhere` is another log to compare with; `with_curve` asks for the learning curve, and
    `with_challengers` for other models: both take several fits. Raises `ValueError` where nothing is settled, or no session
    is told of."""
    (dataset, events), found = evidence.log, evidence.outcomes
    sample = sample_of(dataset)
    check_sessions(sample)
    if not sample.known(HEADLINE).any():
        raise ValueError("no outcome is settled: the data end less than 60 days after every moment in them")
    risk = risks_of(release, dataset)
    verdicts = rules.verdicts(dataset.frame, events)
    data = _data(release, dataset, sample, events)
    sample = sample.at_moments()
    line = release.policy.line
    of_rules = _against_rules(sample, risk[:, HEADLINE], verdicts)
    of_oracle = oracle(evidence.truth, dataset.frame, verdicts) if evidence.truth is not None else None
    report = Evaluation(
        format=FORMAT,
        definition=DEFINITION,
        release=OfRelease.of(release),
        data=data,
        performance=tuple(_performance(sample, risk, OUTPUTS.index(output)) for output in release.scorer.card.outputs),
        clinics={
            output: clinics(sample.frame, sample.targets[:, column], risk[:, column], sample.client)
            for column, output in enumerate(OUTPUTS)
            if output in release.scorer.card.outputs
        },
        definitions=_by_definition(sample, risk[:, HEADLINE], found, evidence.now),
        alerts=told_of([alert_facts(_alert_log(evidence, risk[:, HEADLINE]))], line),
        held_out=held_out(dataset, release, risk[:, HEADLINE]) if release.policy.withhold is not None else None,
        rules=of_rules,
        challengers=_against_models(sample, risk[:, HEADLINE]) if with_challengers else (),
        oracle=of_oracle,
        aims=aims(of_oracle, of_rules.at_burden),
        fairness=_fairness(sample, dataset, risk[:, HEADLINE], line),
        learning_curve=learning_curve(sample, _features(release), risk[:, HEADLINE]) if with_curve else None,
        elsewhere=_elsewhere(release, elsewhere) if elsewhere is not None else None,
        worlds=worlds,
    )  # fmt: skip
    return msgspec.structs.replace(report, disclosures=disclosed(report))


def _alert_log(evidence: Evidence, risk: Vector) -> AlertLog:
    dataset, events = evidence.log
    return AlertLog(
        dataset, risk, events, found=evidence.outcomes, now=evidence.now, told=evidence.alerts, truth=evidence.truth
    )


def risks_of(release: Release, dataset: Dataset) -> Matrix:
    """The risks of every row by `OUTPUTS`, with the offsets of clinics and clinicians where the release uses them."""
    scorer, frame = release.scorer, dataset.frame
    offsets: Matrix | float = 0.0
    if scorer.offsets is not None:
        seats = frame[["clinic", "clinician"]].astype(object)
        named = seats["clinician"].where(seats["clinician"].notna(), None)
        offsets = np.array(
            [
                scorer.offsets.of(clinic, None if clinician is None else str(clinician).partition("/")[2])
                for clinic, clinician in zip(seats["clinic"], named, strict=True)
            ]
        )
    return scorer.risks(dataset.matrix(_features(release)), offsets)


def simulated(events: Iterable[Event]) -> int:
    """How many episodes say of themselves that a program made them up."""
    return len({one.key for one in events if isinstance(one, EpisodeOpened) and one.data.service == SIMULATED_SERVICE})


def _features(release: Release) -> list[str]:
    return [term.feature for term in release.scorer.card.terms]


def encode(report: msgspec.Struct) -> bytes:
    """A report as JSON. Equal reports are equal bytes."""
    return msgspec.json.format(msgspec.json.encode(_rounded(msgspec.to_builtins(report))), indent=1) + b"\n"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value


def _data(release: Release, dataset: Dataset, sample: Sample, events: Sequence[Event]) -> DataFacts:
    basis = release.manifest.data
    undetermined = dataset.about.counts.undetermined
    return DataFacts(
        about=dataset.about,
        simulated=simulated(events),
        not_settled={
            output: int((~sample.known(column)).sum()) - undetermined[output] for column, output in enumerate(OUTPUTS)
        },
        fitted_to=basis.fingerprint if basis is not None else None,
        same_as_fitted=_fitted_to(release, dataset),
        treated=int(sample.treated.sum()),
    )


def _fitted_to(release: Release, dataset: Dataset) -> bool:
    basis = release.manifest.data
    return basis is not None and basis.fingerprint == dataset.about.fingerprint


def _performance(sample: Sample, risk: Vector, column: int) -> Performance:
    target, given, frame = sample.targets[:, column], risk[:, column], sample.frame

    def figures(groups: Any) -> tuple[Cell, ...]:
        return tuple(cells.cell(group, target, given, sample.client) for group in groups)

    known = sample.known(column)
    return Performance(
        output=OUTPUTS[column],
        pooled=cells.cell(moments.everything(frame), target, given, sample.client),
        landmarks=figures(moments.landmarks(frame)),
        sessions=figures(moments.sessions(frame)),
        quarters=figures(moments.quarters(frame)),
        curve=calibration_curve(target[known], given[known]) if known.any() else (),
        decision=decision_curve(target[known], given[known], THRESHOLDS) if known.any() else (),
    )


def _by_definition(
    sample: Sample, risk: Vector, found: Mapping[str, EpisodeOutcome], now: int
) -> tuple[ByDefinition, ...]:
    columns = {DEFINITION: sample.targets[:, HEADLINE]} | definitions.targets(sample, found, now)
    return tuple(_of_definition(one, columns[one.name], risk, sample) for one in definitions.DEFINITIONS)


def _of_definition(definition: definitions.Definition, target: Vector, risk: Vector, sample: Sample) -> ByDefinition:
    known = ~np.isnan(target)
    auroc, average_precision = discrimination(target[known], risk[known], sample.client[known])
    return ByDefinition(
        **msgspec.structs.asdict(definition),
        rows=int(known.sum()),
        clients=len(np.unique(sample.client[known])),
        rate=float(target[known].mean()) if known.any() else None,
        auroc=auroc,
        average_precision=average_precision,
    )


def _against_rules(sample: Sample, risk: Vector, verdicts: Mapping[str, Vector]) -> OfRules:
    known = sample.known(HEADLINE)
    units = {
        AFTER_SESSION: after_sessions(sample.frame) & known,
        LANDMARKS: moments.at_landmarks(sample.frame) & known,
    }
    weeks = clinician_weeks(sample.frame)
    return OfRules(
        flagging=FLAGGING,
        begins_per_clinician_week={
            rule.name: _begins(sample, verdicts[rule.name]) / weeks for rule in rules.RULES if weeks and not rule.ranks
        },
        at_burden=tuple(
            at_burden(
                rule, unit, verdicts[rule.name][rows], {MODEL: risk[rows]}, target=sample.targets[rows, HEADLINE],
                client=sample.client[rows],
            )
            for unit, rows in units.items()
            for rule in rules.RULES
        ),
    )  # fmt: skip


def _begins(sample: Sample, verdict: Vector) -> int:
    """How often a rule begins to hold in an episode."""
    same = np.r_[False, sample.episode[1:] == sample.episode[:-1]]
    before = np.where(same, np.r_[0.0, verdict[:-1]], 0.0)
    return int(((verdict == 1) & (before == 0)).sum())


def _against_models(sample: Sample, risk: Vector) -> tuple[AgainstModel, ...]:
    target = sample.targets[:, HEADLINE]
    if len(np.unique(sample.client)) < FOLDS:
        return ()
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
                release_less_other=compared(truth, mine, theirs, client, difference),
            )
        )
    return tuple(compared_models)


def _fairness(sample: Sample, dataset: Dataset, risk: Vector, line: float) -> tuple[FairCell, ...]:
    target = sample.targets[:, HEADLINE]
    return tuple(
        cells.fair_cell(group, target, risk, sample.client, line)
        for group in moments.fair_groups(dataset.frame, dataset.fairness)
    )


def _elsewhere(release: Release, log: JudgedLog) -> Elsewhere:
    dataset, events = log
    sample, risk = sample_of(dataset).at_moments(), risks_of(release, dataset)
    everything = moments.everything(dataset.frame)
    return Elsewhere(
        about=dataset.about,
        simulated=simulated(events),
        same_as_fitted=_fitted_to(release, dataset),
        pooled={
            output: cells.cell(everything, sample.targets[:, column], risk[:, column], sample.client)
            for column, output in enumerate(OUTPUTS)
            if output in release.scorer.card.outputs
        },
    )
