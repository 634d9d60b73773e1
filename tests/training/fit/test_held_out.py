"""The hold-out: who is in which arm, one moment a client, and no figures from few."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest

from keepwell.alerting.decide import withheld
from keepwell.scoring.scorecard import HEADLINE
from keepwell.streams.topics import Topics
from keepwell.testing.made_up import made_up_clinic
from models.registry import Releases
from models.release import Basis, Release, default
from services.predictor.bootstrap import processor
from tests.models.releases import released
from tests.training.fit.conftest import START
from training.dataset import Dataset, InMemory
from training.dataset.builder import table
from training.dataset.sources import gather
from training.evaluate.replays import replayed
from training.evaluate.report import risks_of
from training.fit.held_out import HeldOut, _difference, _share, held_out
from training.fit.sample import sample_of


def before(share: float, since: str | None = None) -> Release:
    """A release that withholds, fitted to what lies before `since`."""
    shipped = default()
    basis = Basis(fingerprint="", as_of=since, events=0, clients=0, episodes=0, rows=0, positive={}) if since else None
    return shipped._replace(
        policy=msgspec.structs.replace(shipped.policy, withhold=share),
        manifest=msgspec.structs.replace(shipped.manifest, data=basis),
    )


def firsts(dataset: Dataset, since: str = "2000-01-01T00:00:00Z") -> pd.DataFrame:
    """Each client's first moment since then, where its outcome counts: that of an alert, where every risk is high."""
    frame = dataset.frame.assign(known=sample_of(dataset).known(HEADLINE))
    frame = frame[frame["moment"].notna()]
    first = frame.groupby("episode", observed=True).head(1).sort_values("as_of", kind="stable")
    later = first[first["as_of"] > pd.Timestamp(since)].groupby("client", observed=True).head(1)
    return later[later["known"]].assign(inside=[withheld(0.2, str(key)) for key in later[later["known"]]["episode"]])


def shown(dataset: Dataset, share: float = 0.2, since: str | None = None, **columns: Any) -> HeldOut:
    told = replace(dataset, frame=dataset.frame.assign(**columns))
    return held_out(told, before(share, since), np.full(len(dataset.frame), 0.9))


def test_the_arms_are_those_of_the_policy_and_their_difference_is_told(dataset: Dataset) -> None:
    inside = dataset.frame["episode"].map({key: withheld(0.2, key) for key in dataset.frame["episode"].cat.categories})
    inside = inside.astype(np.bool_)
    # Of the hold-out everybody stops and nobody had an alert; of the others nobody stops and everybody had one.
    determined = dataset.frame["target_30d"].notna()
    found = shown(dataset, target_30d=inside.astype(np.float64).where(determined), alerted=~inside)
    counted = firsts(dataset)["inside"]
    assert (found.withheld.clients, found.raised.clients) == (counted.sum(), (~counted).sum())
    assert found.withheld.stopped is not None and found.raised.stopped is not None and found.difference is not None
    assert (found.withheld.stopped.value, found.raised.stopped.value, found.difference.value) == (1, 0, 1)
    assert (found.withheld.alerted, found.raised.alerted) == (0, 1)


def test_what_lies_before_the_release_can_have_been_in_use_does_not_count(dataset: Dataset) -> None:
    since = str(dataset.frame["as_of"].sort_values().iloc[len(dataset.frame) // 5].isoformat())
    every, later = shown(dataset), shown(dataset, since=since)
    counted = firsts(dataset, since)["inside"]
    assert later.raised.clients == (~counted).sum() < every.raised.clients
    assert later.withheld.clients == counted.sum() and later.since == since


def test_a_risk_above_the_line_where_nobody_decides_raises_nothing(dataset: Dataset) -> None:
    decisive = (dataset.frame["signal_deciding"] == 1).to_numpy()
    found, none = (held_out(dataset, before(0.2), np.where(decisive == at, 0.9, 0.0)) for at in (True, False))
    assert found.raised.clients == shown(dataset).raised.clients > 0
    assert (none.raised.clients, none.withheld.clients) == (0, 0)


def test_the_arms_are_those_of_a_predictor_at_work(tmp_path: Path) -> None:
    """Whoever is in the one arm had the alert at that very moment, and nobody in the other had any."""
    name = str(tmp_path)
    released(tmp_path, base=2.0, withhold=0.2)
    events = InMemory(list(made_up_clinic(320, 3, START, 500)))
    worker = processor(Topics(), name)
    told = [one for one in replayed(worker, gather(events, (), None, {}), Topics().alerts) if one.kind == "risk"]
    shown: dict[str, list[int]] = {}
    for one in told:
        shown.setdefault(one.episode, []).append(one.at)
    assert shown and not any(withheld(0.2, key) for key in shown)
    release = Releases().open(name)
    dataset = table(gather(events, (), None, shown))
    found = held_out(dataset, release, risks_of(release, dataset)[:, HEADLINE])
    assert (found.raised.alerted, found.withheld.alerted) == (1, 0)


def test_from_few_clients_no_figure_is_told(dataset: Dataset) -> None:
    found = shown(dataset, share=0.02)
    assert found.withheld.clients < found.least_clients <= found.raised.clients
    assert (found.raised.stopped, found.raised.alerted, found.withheld.stopped, found.difference) == (None,) * 4


def test_a_difference_has_the_published_interval() -> None:
    """Newcombe 1998, Stat Med 17:873, table II, method 10: 56 of 70 less 48 of 80."""
    found = _difference(_share(56, 70), _share(48, 80))
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
