"""The fit from start to end: a landmark table in, a scorecard with all that is to be said of it out."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import msgspec
import numpy as np
from threadpoolctl import threadpool_limits

from keepwell.alerting.policy import Policy
from keepwell.scoring.scorecard import HEADLINE, NEXT, OUTPUTS, Offsets, Output, Scorecard
from keepwell.scoring.scorer import coherent
from training.dataset import FEATURE_COLUMNS, Dataset
from training.fit.bags import Material, bag
from training.fit.bins import Matrix, Vector, bins_of
from training.fit.calibrate import Calibration, beginning, calibrate
from training.fit.compile import compile_card
from training.fit.estimator import Estimator
from training.fit.held_out import HeldOut
from training.fit.learners import Apart, Learner, Recipe
from training.fit.line import AlertLine, at, check_line, line_of
from training.fit.logit import clustering, expit
from training.fit.measures import Measures, log_loss, measures
from training.fit.offsets import crossed, usual_of, usual_of_all
from training.fit.recalibrate import calibrated_clinics
from training.fit.reference import Reference, reference_of
from training.fit.refuse import check, check_features, check_result
from training.fit.sample import Coded, Sample, sample_of
from training.fit.select import Choice, choose, splits_of
from training.fit.signs import NEEDS_YEARS
from training.fit.start import Start, start_at
from training.fit.treated import Treated, treated_of

Seats = Literal["auto", "on", "off", "aside"]
"""Whether what is usual at a clinic and with a clinician is used: as validation says, always, never; `aside`: it is learnt,
so that no feature stands for it, and let go of, as in a release for other clinics."""
MOST_ROWS: Final = 60_000
"""Rows that one fit reads, where nothing else is said; ours, for the time that it takes."""
CALMER: Final = (0.5, 0.75, 1.0)
"""Parts of what is usual at a clinic and with a clinician that validation chooses from; ours."""
BUDGET: Final = 10.0
"""Alerts per 100 sessions, of all kinds but safety, where nothing else is said: one in ten sessions; ours."""
OF_SEATS: Final = (HEADLINE, NEXT)
"""The outputs for which it is learnt before the others are fitted; the other horizons take that of the headline."""


class Beginning(NamedTuple):
    """The release that a fit begins at."""

    digest: str
    card: Scorecard


class Options(NamedTuple):
    """What a person decides. `budget` is in alerts per 100 sessions; one of `budget` and `cost_ratio` is given. `treated`
    is the weight of rows that an alert or act may have changed: 1 keeps them, 0 leaves them out. `start` is the release
    whose scorecard the fit begins at; None begins at nothing. `few` fits to fewer stops than can be trusted: to be compared
    with, not to be used. `most`: rows that one fit of a bag reads; the bags draw apart, so together they read more."""

    learner: Learner = "both"
    budget: float | None = BUDGET
    cost_ratio: float | None = None
    treated: float = 1.0
    seats: Seats = "auto"
    apart: Apart = "client"
    start: Beginning | None = None
    few: bool = False
    most: int = MOST_ROWS
    seed: int = 0
    jobs: int = 1

    @property
    def recipe(self) -> Recipe:
        """How rows are learnt from."""
        return Recipe(self.learner, self.treated, self.apart, self.most, self.seed, self.jobs)


class FitReport(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of a fit; each of `measures` and of those after it is on clients that the model had not seen, at the
    moments at which somebody decides, with what is usual at a clinic and with a clinician where it is used."""

    rows: int
    moments: int
    clients: int
    episodes: int
    stops: int
    measures: dict[str, Measures]
    without_offsets: dict[str, Measures]
    """Without what is usual at a clinic and with a clinician."""
    with_offsets: dict[str, Measures]
    """With it, whether it is used or not: made of other clients than those judged. Where it is let go of, as without it."""
    gain: float
    """By how much it lowers the log loss at the headline on clients who came later, at `calmer` times its size: the best of
    `training.fit.fit.CALMER`, by which it is held back besides."""
    calmer: float
    spread: dict[str, float]
    """Standard deviation between clinicians, in log-odds, by output."""
    begun: str | None
    """The digest of the release that it began at."""
    choice: Choice
    seen: dict[str, int]
    """Rows that one bag read, by output."""
    line: AlertLine
    treated: Treated
    left_out: dict[Output, str] | msgspec.UnsetType = msgspec.UNSET
    """The outputs that the release does not have, each with the reason; not written where it has all."""
    held_out: HeldOut | msgspec.UnsetType = msgspec.UNSET
    """What the hold-out of the release that was in use shows, to be added by who knows that release."""


class Fitted(NamedTuple):
    """A fitted model, ready to be released. `calibrated_for`: the clinics that its risks are calibrated to."""

    card: Scorecard
    policy: Policy
    offsets: Offsets
    estimator: Estimator
    reference: Reference
    report: FitReport
    calibrated_for: tuple[str, ...]


def fit(dataset: Dataset, base: Policy, options: Options) -> Fitted:
    """Fits a release to a landmark table. `base` is the policy whose line is set anew.

    The same table and options give the same result, whatever `jobs`. Raises `training.fit.refuse.NotFitted`, and `ValueError`
    for options that contradict themselves.
    """
    with threadpool_limits(limits=1):  # as in `learners.learn`, for all that runs here
        return _fit(dataset, base, options)


def _fit(dataset: Dataset, base: Policy, options: Options) -> Fitted:
    check_line(options.budget, options.cost_ratio)
    sample = sample_of(dataset)
    left_out = check(sample, begun=options.start is not None or options.few)
    sample = sample.without(left_out)
    check_features(sample, FEATURE_COLUMNS)
    start = start_at(None if options.start is None else options.start.card, dataset)
    material = Material(_coded(sample, options.jobs), start, np.zeros_like(start.sums))
    choice = choose(material, options.recipe)
    material = material.only(choice.features)
    if options.seats != "off":
        material = material._replace(usual=_usual(material, options.recipe, choice))
    bagged = bag(material, options.recipe, choice.settings, sample.outputs)
    alone = _calibrated(sample, start, bagged.raw)
    aside = options.seats == "aside"
    calmer, gain = (0.0, 0.0) if aside else _calmer(sample, alone, options.recipe)
    active = options.seats == "on" or (options.seats == "auto" and gain > 0)
    together = alone
    if not aside:
        together = _calibrated(sample, start, bagged.raw + calmer * crossed(sample, alone.logits, alone.scale))
    usual = usual_of_all(sample, together.of(bagged.raw), together.scale).times(calmer)
    used = together if active else alone
    risks = coherent(expit(used.logits))
    found = _measured(sample, risks)
    check_result(sample, risks)
    line = line_of(sample, risks[:, HEADLINE], base, options.budget, options.cost_ratio)
    final = tuple(
        one.steeper(calmed, float(bagged.raw[sample.judged(output), output].mean()))
        for output, one, calmed in zip(sample.outputs, used.calibrations, bagged.calmed, strict=True)
    )
    coded, decisive = material.coded, sample.decisive
    card = compile_card(coded.bins, bagged.steps, final, lambda name: sample.column(name)[decisive], start.card)
    slopes = [bagged.calmed[place] if place < len(bagged.calmed) else 1.0 for place in range(len(OUTPUTS))]
    return Fitted(
        card=card,
        policy=at(base, line.line, line.absent),
        offsets=Offsets(active=False, clinics={}, clinicians={}) if aside else usual.told(sample, active, slopes),
        estimator=Estimator(coded.bins, bagged.estimators, final, start.card),
        reference=reference_of(coded.bins, coded.codes[decisive], risks[decisive]),
        report=FitReport(
            rows=len(coded.codes),
            moments=int(decisive.sum()),
            clients=len(np.unique(sample.client)),
            episodes=len(np.unique(sample.episode)),
            stops=sample.stops(),
            measures=found,
            without_offsets=_measured(sample, coherent(expit(alone.logits))),
            with_offsets=_measured(sample, coherent(expit(together.logits))),
            gain=gain,
            calmer=calmer,
            spread=usual.spread,
            begun=None if options.start is None else options.start.digest,
            choice=choice,
            seen={OUTPUTS[output]: rows for output, rows in zip(sample.outputs, bagged.seen, strict=True)},
            line=line,
            treated=treated_of(material, options.recipe, choice.settings, risks[:, HEADLINE]),
            left_out=left_out or msgspec.UNSET,
        ),
        calibrated_for=() if aside else calibrated_clinics(sample, active),
    )


def _coded(sample: Sample, jobs: int) -> Coded:
    """Every row's codes, in the bins of the features that may be learnt from."""
    years = sample.years()
    allowed = [name for name in FEATURE_COLUMNS if years >= NEEDS_YEARS.get(name, 0.0)]
    bins = bins_of(lambda name: sample.column(name)[sample.decisive], allowed, jobs)
    return Coded(sample, bins, bins.codes(sample.column, jobs))


class _Calibrated(NamedTuple):
    """The calibration of each of the sample's outputs, the calibrated log-odds of every row by `OUTPUTS`, NaN at another
    output, and by how much what is added to a row's sum counts in them."""

    sample: Sample
    calibrations: tuple[Calibration, ...]
    logits: Matrix
    scale: Matrix

    def of(self, raw: Matrix) -> Matrix:
        """The log-odds of other sums."""
        found = np.full_like(raw, np.nan)
        for output, one in zip(self.sample.outputs, self.calibrations, strict=True):
            found[:, output] = one.of(raw[:, output], self.sample.stage)
        return found


def _calibrated(sample: Sample, start: Start, raw: Matrix) -> _Calibrated:
    calibrations = []
    scale = np.ones_like(raw)
    for output in sample.outputs:
        known = sample.judged(output)
        began, target, stage = beginning(start.pairs[:, output]), sample.targets[known, output], sample.stage[known]
        alone = np.column_stack([np.ones(len(target)), began.of(raw[known, output], stage)])
        alike = clustering(alone, target, np.array([0.0, 1.0]), sample.client[known])
        found = calibrate(raw[known, output], target, stage, began, 1 / alike)
        calibrations.append(found)
        scale[:, output] = found.slopes[sample.stage]
    unread = _Calibrated(sample, tuple(calibrations), raw, scale)
    return unread._replace(logits=unread.of(raw))


def _usual(material: Material, recipe: Recipe, choice: Choice) -> Matrix:
    """What is usual at each row's clinic and with its clinician, by a first fit that does not know of them: so that what
    follows learns no feature in place of a clinician."""
    sample, start = material.coded.sample, material.start
    outputs = [output for output in OF_SEATS if output in sample.outputs]
    first = bag(material, recipe._replace(learner="logistic"), choice.settings, outputs)
    some = sample.without(name for place, name in enumerate(OUTPUTS) if place not in outputs)
    found = _calibrated(some, start, first.raw)
    added = usual_of_all(some, found.logits, found.scale).added(some)
    for output in sample.outputs:
        if output not in outputs:
            added[:, output] = added[:, HEADLINE]
    return added


def _calmer(sample: Sample, alone: _Calibrated, recipe: Recipe) -> tuple[float, float]:
    """Which part of what is usual at a clinic and with a clinician, made of earlier clients, lowers the log loss of later
    ones at the headline most, and by how much."""
    headline = sample.without(name for name in OUTPUTS if name != OUTPUTS[HEADLINE])
    gains = np.zeros(len(CALMER))
    splits = splits_of(sample, recipe)[1]
    for split in splits:
        known = split.test & sample.judged(HEADLINE)
        added = usual_of(headline, alone.logits, alone.scale, split.train).added(sample)[known, HEADLINE]
        target, scale = sample.targets[known, HEADLINE], alone.scale[known, HEADLINE]
        without = alone.logits[known, HEADLINE]
        loss = _loss(without, target)
        gains += [(loss - _loss(without + scale * part * added, target)) / len(splits) for part in CALMER]
    best = int(np.argmax(gains))
    return CALMER[best], float(gains[best])


def _loss(logits: Vector, target: Vector) -> float:
    """The log loss of log-odds, right on the whole."""
    alike = np.zeros(len(logits), dtype=np.int64)
    return log_loss(target, expit(calibrate(logits, target, alike).of(logits, alike)))


def _measured(sample: Sample, risks: Matrix) -> dict[str, Measures]:
    return {
        OUTPUTS[output]: measures(sample.targets[known, output], risks[known, output])
        for output in sample.outputs
        for known in [sample.judged(output)]
    }
