"""Who is judged: a release as it is, recalibrated, or carried on by a fit to local episodes; a fit that begins with nothing;
and a model that may do what a scorecard may not. Each as a named set of options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from keepwell.scoring.scorecard import HEADLINE
from keepwell.scoring.scorer import Scorer
from models.release import Release
from training.dataset import FEATURE_COLUMNS, Dataset
from training.dataset.split import folds
from training.evaluate.challengers import FOLDS, LEAST_ROWS, LEAVES, RATE
from training.evaluate.metrics import SEED, Vector
from training.evaluate.worlds.world import JudgedWorld
from training.fit.fit import Beginning, Options, fit
from training.fit.recalibrate import recalibrate
from training.fit.sample import codes_of, sample_of

RELEASE: Final = "release"
"""What the release that is judged is called among `Releases`."""
STAGE: Final = "stage"
"""The feature that a card's calibration is found by."""
Releases = Mapping[str, Release]
Rows = Literal["as they are", "moments", "alike"]
"""Which rows may be learnt from: those that the fit chooses; those alone that are moments at which somebody decides; all of
them, as if each were such a moment."""
How = Literal["as it is", "recalibrated", "fitted", "unconstrained"]


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """One way to come to risks. `title` says it in words; `local` is how many local episodes it may see; `start` names the
    release that it is, or begins from, None where it begins with nothing; `options` are those of `training.fit.fit.Options`
    that differ from the defaults; `without` are patterns of the names of features that are hidden from it; `against` names
    the entrants that it is compared with."""

    name: str
    title: str
    how: How
    local: int = 0
    start: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    without: Sequence[str] = ()
    rows: Rows = "as they are"
    against: Sequence[str] = ()


RECALIBRATED_ON: Final = 100
"""Local episodes that a release is recalibrated on; from issue 9: it should then be right in the large."""
SIZES: Final = (300, 1_000, 6_000)
"""Local episodes that are fitted to."""

MOST_TREES, PATIENCE = 1_000, 50
"""Of the model without constraints: trees at most, and so many without a gain are enough. Its other settings are those of
`challengers`, half as fast and half as large, as local data are few: as they stand there they learn noise."""


def entrants(sizes: Sequence[int] = SIZES, others: Iterable[str] = ()) -> tuple[Entrant, ...]:
    """The usual ones, for so many local episodes. `others` are releases to judge beside the first, such as one that was
    fitted to one world."""
    most = max(sizes)
    found = [
        Entrant(name=RELEASE, title="the release alone", how="as it is", start=RELEASE),
        Entrant(
            name=f"recalibrated-{RECALIBRATED_ON}", title=f"the release, recalibrated on {RECALIBRATED_ON} episodes",
            how="recalibrated", local=RECALIBRATED_ON, start=RELEASE, against=(RELEASE,),
        ),
    ]  # fmt: skip
    for size in sorted(sizes):
        alone, carried = f"none-{size}", f"release-{size}"
        found += [
            Entrant(name=alone, title=f"{size:,} episodes alone", how="fitted", local=size),
            Entrant(
                name=carried, title=f"the release and {size:,} episodes", how="fitted", local=size, start=RELEASE,
                against=(RELEASE, alone),
            ),
        ]  # fmt: skip
    if find_spec("lightgbm") is not None:
        found += [
            Entrant(
                name=f"seatless-{most}", title=f"{most:,} episodes alone, without clinics and clinicians", how="fitted",
                local=most, options={"seats": "off"}, against=(f"none-{most}",),
            ),
            Entrant(
                name=f"lightgbm-{most}", title=f"LightGBM, {most:,} episodes", how="unconstrained", local=most,
                against=(f"seatless-{most}", f"release-{most}"),
            ),
        ]  # fmt: skip
    for other in others:
        found += [
            Entrant(name=other, title=f"{other} alone", how="as it is", start=other, against=(RELEASE,)),
            Entrant(
                name=f"{other}-{most}", title=f"{other} and {most:,} episodes", how="fitted", local=most, start=other,
                against=(f"release-{most}",),
            ),
        ]  # fmt: skip
    return tuple(found)


def variants(most: int, without: Sequence[str] = ()) -> tuple[Entrant, ...]:
    """Ablations: each a fit to the most local episodes without one of the things that a fit has, beside the whole fit. That
    it begins from a release is one of them already among `entrants`. `without` are patterns of features that one of them
    hides; it begins with nothing, as a release's scorecard would tell what they do."""
    carried, alone = f"{RELEASE}-{most}", f"none-{most}"
    changed: Mapping[str, tuple[str, Mapping[str, Any]]] = {
        "no-seats": ("without clinics and clinicians", {"seats": "off"}),
        "boosting": ("boosting alone", {"learner": "boosting"}),
        "logistic": ("logistic regression alone", {"learner": "logistic"}),
    }
    rows: Mapping[str, tuple[str, Rows]] = {
        "moments": ("moments of decision alone", "moments"),
        "every-event": ("a row at every event, all alike", "alike"),
    }
    found = [
        Entrant(
            name=f"{name}-{most}", title=f"… {words}", how="fitted", local=most, start=RELEASE, options=options,
            against=(carried,),
        )
        for name, (words, options) in changed.items()
    ]  # fmt: skip
    found += [
        Entrant(
            name=f"{name}-{most}", title=f"… {words}", how="fitted", local=most, start=RELEASE, rows=kind,
            against=(carried,),
        )
        for name, (words, kind) in rows.items()
    ]  # fmt: skip
    if without:
        title = f"… alone, without {', '.join(without)}"
        found.append(
            Entrant(name=f"without-{most}", title=title, how="fitted", local=most, without=without, against=(alone,))
        )
    return tuple(found)


def risks_of(entrant: Entrant, world: JudgedWorld, releases: Releases) -> Vector:
    """The 30-day risk at each of the world's moments. Raises `training.fit.refuse.NotFitted` where the local data are too
    few for it."""
    release = releases[entrant.start] if entrant.start is not None else None
    local = None
    if entrant.local:
        local = hidden(of_rows(first(world.local, entrant.local), entrant.rows), entrant.without)
    moments = world.moments.assign(**dict.fromkeys(_names(entrant.without), np.nan))
    if entrant.how == "unconstrained":
        assert local is not None
        return _unconstrained(local, moments)
    return _scored(_scorer(entrant, release, local, releases[RELEASE]), moments)


def first(local: Dataset, episodes: int) -> Dataset:
    """So many episodes, of clients in an order drawn once, so that the fewer are among the more."""
    clients, episode = codes_of(local.frame["client"]), codes_of(local.frame["episode"])
    each = np.bincount(clients[np.unique(episode, return_index=True)[1]])
    order = np.random.default_rng(SEED).permutation(len(each))
    taken = int(np.searchsorted(np.cumsum(each[order]), episodes)) + 1
    return local.part(np.isin(clients, order[:taken]))


def of_rows(dataset: Dataset, rows: Rows) -> Dataset:
    """The rows of a dataset that may be learnt from."""
    moment = dataset.frame["moment"]
    if rows == "moments":
        return dataset.part(moment.notna().to_numpy())
    if rows == "alike":
        return Dataset(dataset.frame.assign(moment=moment.fillna("session")), dataset.fairness, dataset.about)
    return dataset


def hidden(dataset: Dataset, without: Sequence[str]) -> Dataset:
    """The same dataset, with some features told of nobody."""
    names = _names(without)
    return Dataset(dataset.frame.assign(**dict.fromkeys(names, np.nan)), dataset.fairness, dataset.about)


def _names(without: Sequence[str]) -> list[str]:
    """The features that patterns name. Not the stage: a risk is calibrated by it."""
    return [name for name in FEATURE_COLUMNS if name != STAGE and any(fnmatchcase(name, one) for one in without)]


# ── what touches the fit ────────────────────────────────────────────────────────────────


def _scorer(entrant: Entrant, release: Release | None, local: Dataset | None, policy_of: Release) -> Scorer:
    """The scorecard that an entrant comes to, with its offsets."""
    if entrant.how == "as it is":
        assert release is not None
        return release.scorer
    assert local is not None
    if entrant.how == "recalibrated":
        assert release is not None
        return Scorer(recalibrate(local, release.scorer).card)
    start = None if release is None else Beginning(release.digest, release.scorer.card)
    fitted = fit(local, policy_of.policy, Options(start=start, few=True, **entrant.options))
    return Scorer(fitted.card, fitted.offsets)


def _scored(scorer: Scorer, moments: pd.DataFrame) -> Vector:
    added: Any = 0.0
    if scorer.offsets is not None:
        seats = zip(moments["clinic"], moments["clinician"], strict=True)
        added = np.array([scorer.offsets.of(clinic, clinician) for clinic, clinician in seats])
    values = moments[[term.feature for term in scorer.card.terms]].to_numpy(dtype=np.float64)
    found: Vector = scorer.risks(values, added)[:, HEADLINE]
    return found


def _unconstrained(local: Dataset, moments: pd.DataFrame) -> Vector:
    """LightGBM on the rows that are moments of decision and whose outcome is known: the mean over folds of clients, each of
    which says when the trees learnt from the others are enough. It is not told of clinics and clinicians: as categories they
    made it worse (.707 for .728 on 6,000 simulated episodes), so it is compared with the scorecard that is not either."""
    target = sample_of(local).targets[:, HEADLINE]
    rows = ~np.isnan(target) & local.frame["moment"].notna().to_numpy()
    names = list(FEATURE_COLUMNS)
    learnt, stops = local.frame.loc[rows, names], target[rows]
    lightgbm = import_module("lightgbm")
    risks = []
    with threadpool_limits(limits=1):
        for split in folds(local.frame[rows], "client", FOLDS):
            model = lightgbm.LGBMClassifier(
                learning_rate=RATE / 2, n_estimators=MOST_TREES, num_leaves=LEAVES // 2, min_child_samples=LEAST_ROWS,
                n_jobs=1, deterministic=True, force_row_wise=True, random_state=SEED, verbose=-1,
            )  # fmt: skip
            held = {"eval_X": learnt[split.test], "eval_y": stops[split.test]}
            patience = lightgbm.early_stopping(PATIENCE, verbose=False)
            model.fit(learnt[split.train], stops[split.train], **held, callbacks=[patience])
            risks.append(np.asarray(model.predict_proba(moments[names]), dtype=np.float64)[:, 1])
    found: Vector = np.mean(risks, axis=0)
    return found
