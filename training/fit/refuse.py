"""What is not fitted: data that are too few, of one class, or that tell the answer. Each refusal says what to change."""

from __future__ import annotations

from typing import Final

import numpy as np

from keepwell.contract.words import HORIZONS
from keepwell.scoring.scorecard import HEADLINE, NEXT, OUTPUTS, Output
from training.fit.bins import Matrix
from training.fit.measures import auroc
from training.fit.sample import Sample

LEAST_STOPS: Final = 100
"""Episodes that stopped, below which no model is fitted: with fewer, what is learnt is mostly noise (van Smeden et al. 2019,
Stat Methods Med Res 28:2455, on events a candidate parameter)."""
LEAST_BEGUN: Final = 20
"""The same where the fit begins at a release, from which few data hardly move it; ours."""
LEAST_CLIENTS: Final = 20
"""Clients with either answer at each output. Of fewer, a fold that is held out may have none to be judged by; ours."""
LEAK: Final = 0.90
"""AUROC above which a model is taken to know the answer, where no silence lasts. Honest models of dropout lie at .60-.80;
after a long silence most people have left, so that with these rows hardly any figure would be too good."""
FEATURE_LEAK: Final = 0.88
"""The same of a single feature, whichever way it points."""
LEAST_PRESENT: Final = 200
"""Rows of each class in which a feature must be present to be looked at alone."""

MOST_ROWS: Final = 50_000
"""Rows that a feature alone is looked at in."""


class NotFitted(ValueError):
    """Nothing is fitted; the message says why and what to do."""


def check(sample: Sample, begun: bool = False) -> dict[Output, str]:
    """The outputs that are left out, each with the reason: the second target (`next-visit-missed@1`) where too little is
    known of it, as in a clinic that sends no bookings. `begun`: the fit begins at a release. Raises `NotFitted` where the
    horizons cannot carry a model."""
    if not len(sample.client):
        raise NotFitted("the files hold no row to learn from: no event of an open episode was accepted")
    check_sessions(sample)
    for output in HORIZONS:
        why = _one_class(sample, OUTPUTS.index(output))
        if why is not None:
            raise NotFitted(f"{output}: {why}")
    stops = sample.stops()
    least = LEAST_BEGUN if begun else LEAST_STOPS
    if stops < least:
        raise NotFitted(
            f"{stops} episodes stopped with a known outcome, at least {least} are needed to fit a model; with fewer, "
            "fit a released one to this clinic: keepwell train --recalibrate RELEASE"
        )
    for output in HORIZONS:
        why = _few_clients(sample, OUTPUTS.index(output))
        if why is not None:
            raise NotFitted(f"{output}: {why}; take more data")
    if not sample.known(NEXT).any():
        return {"next": "of no visit is it known that it was booked, and whether it was kept"}
    why = _one_class(sample, NEXT) or _few_clients(sample, NEXT)
    return {} if why is None else {"next": why}


def check_sessions(sample: Sample) -> None:
    """Raises `NotFitted` where no session is told of: nobody can then be seen to stay, everyone would be taken to stop."""
    if len(sample.session) and not sample.session.any():
        raise NotFitted(
            "no attended session is told of (session.attended): bookings, ratings and contacts alone do not tell who stays; "
            "where there are no visits, make each rating or login a session.attended of modality text as well "
            "(docs/how-to/train.md)"
        )


def _one_class(sample: Sample, output: int) -> str | None:
    """Why there is nothing to tell apart at an output."""
    found = sample.targets[sample.known(output), output]
    if not len(found):
        return "no outcome is determined yet; data must go on for some months after the first visits"
    if found.min() == found.max():
        what = "the target" if found[0] else "no client reaches the target"
        return f"one class only ({what} in all {len(found)} rows); there is nothing to tell apart"
    return None


def _few_clients(sample: Sample, output: int) -> str | None:
    """Why some clients cannot be held out at an output."""
    for answer, what in ((1, "reach"), (0, "do not reach")):
        clients = len(np.unique(sample.client[sample.targets[:, output] == answer]))
        if clients < LEAST_CLIENTS:
            return f"{clients} clients {what} the target, at least {LEAST_CLIENTS} are needed, so that some can be held out"
    return None


def check_features(sample: Sample, names: tuple[str, ...]) -> None:
    """Raises `NotFitted` where one feature alone tells the answer."""
    rows = np.flatnonzero(sample.known(HEADLINE) & ~sample.silent)
    if len(rows) > MOST_ROWS:
        rows = np.random.default_rng(0).choice(rows, MOST_ROWS, replace=False)
    target = sample.targets[rows, HEADLINE]
    for name in names:
        column = sample.column(name)[rows]
        present = ~np.isnan(column)
        if min(target[present].sum(), (1 - target[present]).sum()) < LEAST_PRESENT:
            continue
        area = auroc(target[present], column[present])
        if max(area, 1 - area) > FEATURE_LEAK:
            raise NotFitted(
                f"leak: {name} alone tells who stops (AUROC {max(area, 1 - area):.2f}); look at how its events come to be "
                "recorded before trusting anything"
            )


def check_result(sample: Sample, risks: Matrix) -> None:
    """Raises `NotFitted` where a fitted model is too good to be true. `risks`: rows by outputs."""
    for output in sample.outputs:
        rows = sample.judged(output) & ~sample.silent
        target = sample.targets[rows, output]
        if 0 < target.sum() < len(target) and (area := auroc(target, risks[rows, output])) > LEAK:
            raise NotFitted(
                f"leak: AUROC {area:.2f} at {OUTPUTS[output]} is too good to be true (honest models reach .60 to .80); look "
                "for events that are recorded, or back-dated, only once a client has left"
            )
