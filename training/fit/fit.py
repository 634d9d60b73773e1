"""The fit from start to end: a landmark table in, a scorecard with all that is to be said of it out."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
from threadpoolctl import threadpool_limits

from keepwell.alerting.policy import Policy
from keepwell.scoring.scorecard import HEADLINE, OUTPUTS, Offsets, Output, Scorecard, coherent
from training.dataset import FEATURE_COLUMNS, Dataset
from training.fit.bags import Bagged, bag
from training.fit.bins import Matrix, bins_of
from training.fit.calibrate import Calibration, calibrate
from training.fit.compile import compile_card
from training.fit.estimator import Estimator
from training.fit.held_out import HeldOut
from training.fit.learners import Learner, Recipe
from training.fit.line import AlertLine, at, check_line, line_of
from training.fit.logit import expit
from training.fit.measures import Measures, measures
from training.fit.offsets import crossed, offsets_of
from training.fit.reference import Reference, reference_of
from training.fit.refuse import check, check_features, check_result
from training.fit.sample import Coded, Sample, sample_of
from training.fit.select import Choice, choose, choose_size
from training.fit.signs import NEEDS_YEARS
from training.fit.treated import Treated, treated_of


class Options(NamedTuple):
    """What a person decides. `budget` is in alerts per clinician-week; one of `budget` and `cost_ratio` is given. `treated`
    is the weight of rows that an alert or act may have changed: 1 keeps them, 0 leaves them out."""

    learner: Learner = "boosting"
    budget: float | None = 1.0
    cost_ratio: float | None = None
    treated: float = 1.0
    use_offsets: bool = False
    seed: int = 0
    jobs: int = 1

    @property
    def recipe(self) -> Recipe:
        """How rows are learnt from."""
        return Recipe(self.learner, self.treated, self.seed, self.jobs)


class FitReport(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of a fit; each of `measures` and of those after it is on clients that the model had not seen."""

    rows: int
    clients: int
    episodes: int
    stops: int
    measures: dict[str, Measures]
    beside: Measures
    """The other learner's at the headline, on the same rows and folds."""
    with_offsets: dict[str, Measures]
    """With the offsets added, whether they are active or not: those made of the one half of the clients, on the other."""
    spread: dict[str, float]
    """Standard deviation between clinicians, in log-odds, by output."""
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
    """A fitted model, ready to be released."""

    card: Scorecard
    policy: Policy
    offsets: Offsets
    estimator: Estimator
    reference: Reference
    report: FitReport


def fit(dataset: Dataset, base: Policy, options: Options) -> Fitted:
    """Fits a release to a landmark table. `base` is the policy whose line is set anew.

    The same table and options give the same result, whatever `jobs`. Raises `training.fit.refuse.NotFitted`, and `ValueError`
    for options that contradict themselves.
    """
    with threadpool_limits(limits=1):  # as in `bags.learn`, for all that runs here
        return _fit(dataset, base, options)


def _fit(dataset: Dataset, base: Policy, options: Options) -> Fitted:
    check_line(options.budget, options.cost_ratio)
    sample = sample_of(dataset)
    left_out = check(sample)
    sample = sample.without(left_out)
    check_features(sample, FEATURE_COLUMNS)
    coded = _coded(sample, options.jobs)
    choice = choose(coded, options.recipe)
    coded = coded.only(choice.features)
    bagged = bag(coded, options.recipe, choice.settings, sample.outputs)
    calibrations, logits = _calibrated(sample, bagged)
    risks = coherent(expit(logits))
    found = _measured(sample, risks)
    for name, one in found.items():
        check_result(name, one.auroc)
    offsets, added, spread = offsets_of(sample, logits, options.use_offsets)
    shown = coherent(expit(logits + added)) if options.use_offsets else risks
    line = line_of(sample, shown[:, HEADLINE], base, options.budget, options.cost_ratio)
    final = tuple(
        one.steeper(calmed, float(bagged.raw[sample.known(output), output].mean()))
        for output, one, calmed in zip(sample.outputs, calibrations, bagged.calmed, strict=True)
    )
    card = compile_card(coded.bins, bagged.steps, final, coded.codes)
    return Fitted(
        card=card,
        policy=at(base, line.line),
        offsets=offsets,
        estimator=Estimator(coded.bins, bagged.estimators, final),
        reference=reference_of(coded.bins, coded.codes, risks),
        report=FitReport(
            rows=len(coded.codes),
            clients=len(np.unique(sample.client)),
            episodes=len(np.unique(sample.episode)),
            stops=sample.stops(),
            measures=found,
            beside=_beside(coded, choice, options.recipe),
            with_offsets=_measured(sample, coherent(expit(logits + crossed(sample, logits)))),
            spread=spread,
            choice=choice,
            seen={OUTPUTS[output]: rows for output, rows in zip(sample.outputs, bagged.seen, strict=True)},
            line=line,
            treated=treated_of(coded, options.recipe, choice.settings, risks[:, HEADLINE]),
            left_out=left_out or msgspec.UNSET,
        ),
    )


def _coded(sample: Sample, jobs: int) -> Coded:
    """Every row's codes, in the bins of the features that may be learnt from."""
    years = sample.years()
    allowed = [name for name in FEATURE_COLUMNS if years >= NEEDS_YEARS.get(name, 0.0)]
    bins = bins_of(sample.column, allowed, jobs)
    return Coded(sample, bins, bins.codes(sample.column, jobs))


def _calibrated(sample: Sample, bagged: Bagged) -> tuple[tuple[Calibration, ...], Matrix]:
    """The calibration of each of the sample's outputs, and the calibrated log-odds of every row, NaN at another output."""
    calibrations: list[Calibration] = []
    logits = np.full_like(bagged.raw, np.nan)
    for output in sample.outputs:
        known = sample.known(output)
        found = calibrate(bagged.raw[known, output], sample.targets[known, output], sample.session[known])
        calibrations.append(found)
        logits[:, output] = found.of(bagged.raw[:, output], sample.session)
    return tuple(calibrations), logits


def _measured(sample: Sample, risks: Matrix) -> dict[str, Measures]:
    return {
        OUTPUTS[output]: measures(sample.targets[known, output], risks[known, output])
        for output in sample.outputs
        for known in [sample.known(output)]
    }


def _beside(coded: Coded, choice: Choice, recipe: Recipe) -> Measures:
    """The measures at the headline, out of fold, of the learner that was not asked for, on the chosen features."""
    sample, other = coded.sample, recipe._replace(learner="logistic" if recipe.learner == "boosting" else "boosting")
    bagged = bag(coded, other, choose_size(coded, other, choice.power), (HEADLINE,))
    known = sample.known(HEADLINE)
    raw, target, session = bagged.raw[known, HEADLINE], sample.targets[known, HEADLINE], sample.session[known]
    return measures(target, expit(calibrate(raw, target, session).of(raw, session)))
