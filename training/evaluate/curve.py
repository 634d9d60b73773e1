"""The learning curve: what a model of the release's kind, fitted to fewer episodes of these data, would have been worth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import numpy as np

from keepwell.scoring.scorecard import HEADLINE
from training.dataset.split import hold_out
from training.evaluate.cells import too_few
from training.evaluate.metrics import NONE, SEED, Estimate, Ints, Vector, discrimination, mean_of
from training.fit.bags import from_nothing, held_of, rows_of
from training.fit.bins import bins_of
from training.fit.calibrate import calibrate
from training.fit.learners import Recipe, Tuning, learn
from training.fit.logit import expit
from training.fit.measures import losses
from training.fit.sample import Coded, Mask, Sample

SIZES: Final = (125, 250, 500, 1000, 2000, 4000, 8000, 16000)
"""Episodes, and all there are; the training data double, as curves are read on a logarithmic scale."""
NEAR: Final = 0.8
"""A size beyond this part of all there are is left out: it is about all."""
TESTED: Final = 0.3
"""Share of the clients on whom every size is judged."""
STOPPED_BY: Final = 4
"""Of so many clients one is not learnt from, but decides when to stop, and calibrates."""
LEAST_STOPS: Final = 10
"""Episodes that stopped, below which a side of a size is too small."""


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """So many training episodes, how many of them stopped, and what the model was worth on the clients held out."""

    episodes: int
    stops: int
    auroc: Estimate = NONE
    log_loss: Estimate = NONE
    gap: str | None = None


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """The sizes, and the release itself on the same `rows` of `clients` held out. One bag each, with the settings that
    training tries first: a release averages several, and is somewhat better at each size."""

    rows: int
    clients: int
    release_auroc: Estimate
    release_log_loss: Estimate
    sizes: tuple[Size, ...]


def learning_curve(sample: Sample, features: Sequence[str], risk: Vector) -> Curve | None:
    """The curve at 30 days for models of some features; `risk` is the release's. None where too few are held out."""
    split = hold_out(sample.frame, share=TESTED)
    test = split.test & sample.judged(HEADLINE)
    target, client = sample.targets[test, HEADLINE], sample.client[test]
    train = split.train & sample.known(HEADLINE)
    if too_few(target) is not None or not train.any():
        return None
    return Curve(
        rows=len(target),
        clients=len(np.unique(client)),
        release_auroc=discrimination(target, risk[test], client)[0],
        release_log_loss=_log_loss(target, risk[test], client),
        sizes=tuple(_sizes(sample, features, train, test)),
    )


def _sizes(sample: Sample, features: Sequence[str], train: Mask, test: Mask) -> Iterator[Size]:
    order = np.random.default_rng(SEED).permutation(np.unique(sample.client[train]))
    episodes = np.array([len(np.unique(sample.episode[train & (sample.client == client)])) for client in order])
    reached = np.cumsum(episodes)
    for size in (*(size for size in SIZES if size < NEAR * reached[-1]), int(reached[-1])):
        yield _size(sample, features, train, test, order[: int(np.searchsorted(reached, size)) + 1])


def _size(sample: Sample, features: Sequence[str], train: Mask, test: Mask, clients: Ints) -> Size:
    stopping = np.isin(sample.client, clients[::STOPPED_BY]) & train
    learning = np.isin(sample.client, clients) & train & ~stopping
    both = learning | stopping
    found = Size(episodes=len(np.unique(sample.episode[both])), stops=_stops(sample, both))
    if min(_stops(sample, learning), _stops(sample, stopping)) < LEAST_STOPS:
        return msgspec.structs.replace(found, gap=f"fewer than {LEAST_STOPS} episodes that stopped on one side")
    settings = Tuning()
    bins = bins_of(lambda name: sample.column(name)[learning], features)
    coded, recipe = Coded(sample, bins, bins.codes(sample.column)), Recipe(seed=SEED)
    material = from_nothing(coded)
    held = held_of(material, stopping, HEADLINE, recipe)
    rows = rows_of(material, learning, HEADLINE, settings, recipe)
    steps = learn(bins, rows, held, recipe, settings).steps(bins)
    calibration = calibrate(steps.logits(held.codes), held.target, np.zeros(len(held.target), dtype=np.int64))
    risk = expit(calibration.of(steps.logits(coded.codes[test]), np.zeros(int(test.sum()), dtype=np.int64)))
    target, client = sample.targets[test, HEADLINE], sample.client[test]
    return msgspec.structs.replace(
        found, auroc=discrimination(target, risk, client)[0], log_loss=_log_loss(target, risk, client)
    )


def _stops(sample: Sample, rows: Mask) -> int:
    return len(np.unique(sample.episode[rows & (sample.targets[:, HEADLINE] == 1)]))


def _log_loss(target: Vector, risk: Vector, client: Ints) -> Estimate:
    return mean_of(losses(target, risk), client)
