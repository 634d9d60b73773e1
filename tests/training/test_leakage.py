"""The audit finds nothing in the table as it is built, and each kind of leak when one is put in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from keepwell.care.instruments import Instruments
from keepwell.testing.made_up import made_up_clinic
from tests.training.logs import as_log
from training import leakage
from training.dataset import FEATURE_COLUMNS, InMemory, build
from training.dataset.replay import Replayer, Rows, Ticks, Told
from training.dataset.sources import Gathered, gather
from training.dataset.split import Split
from training.leakage import Audit, audit, dealt, moved_by_the_future, suspects

START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def source() -> InMemory:
    return InMemory(list(made_up_clinic(150, 2, START, 300)))


@pytest.fixture(scope="module")
def gathered(source: InMemory) -> Gathered:
    return gather(source, (), None, {})


@pytest.fixture(scope="module")
def frame(source: InMemory) -> pd.DataFrame:
    return build(source).frame


def replayer(gathered: Gathered) -> Replayer:
    return Replayer(Instruments(), gathered.now)


class Leaky(Replayer):
    """Lets two features know the future: how many events there will be, and whether a session follows."""

    def replay(self, chunk: Sequence[Told], ticks: Ticks) -> Rows:
        rows = super().replay(chunk, ticks)
        features = rows.features.copy()
        features[:, 3] = sum(len(told.events) for told in chunk)
        features[:-1, 60] = np.diff(rows.session)
        return rows._replace(features=features)


def test_nothing_is_found_in_the_table_as_it_is_built(gathered: Gathered, frame: pd.DataFrame) -> None:
    found = audit(gathered, replayer(gathered), frame)
    assert found.findings == []
    assert found.compared > 1000 and all(len(values) == leakage.DEALS for values in found.dealt.values())


def test_nothing_is_found_in_order_of_arrival_either(source: InMemory) -> None:
    events = list(source.events)
    rng = np.random.default_rng(1)
    late = [events[n] for n in np.argsort(np.arange(len(events)) + rng.exponential(30, len(events)))]
    gathered = gather(as_log(late), (), None, {})
    moved, compared = moved_by_the_future(gathered, replayer(gathered))
    assert moved == {} and compared > 1000


def test_features_that_know_the_future_are_named(gathered: Gathered) -> None:
    moved, compared = moved_by_the_future(gathered, Leaky(Instruments(), gathered.now))
    assert sorted(moved) == sorted(FEATURE_COLUMNS[n] for n in (3, 60))
    assert all(0 < count <= compared for count in moved.values())
    told = Audit(compared=compared, moved=moved, dealt={}, suspects=()).findings
    assert any(f"{FEATURE_COLUMNS[3]} knows the future" in sentence for sentence in told)


def test_a_client_on_both_sides_shows_in_the_dealt_targets(
    frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    def torn(rows: pd.DataFrame, share: float, seed: int) -> Split:
        test = np.random.default_rng(seed).random(len(rows)) < share
        return Split(~test, test)

    monkeypatch.setattr(leakage, "hold_out", torn)
    found = Audit(compared=0, moved={}, dealt={"30d": dealt(frame, "30d")}, suspects=()).findings
    assert len(found) == 1 and "target 30d dealt out at random is foretold" in found[0]


@pytest.mark.parametrize("copy", ["as it is", "turned round", "by being missing", "half of it"])
def test_a_column_copied_from_the_target_is_named(frame: pd.DataFrame, copy: str) -> None:
    target = frame.target_30d
    copied = {
        "as it is": target,
        "turned round": -target,
        "by being missing": target.where(target == 1),
        "half of it": target.where(np.random.default_rng(0).random(len(frame)) < 0.9, 0.0),
    }
    tainted = frame.assign(gain=copied[copy])
    assert ("gain", "30d") in {(found.feature, found.output) for found in suspects(tainted)}


def test_too_few_rows_say_nothing(frame: pd.DataFrame) -> None:
    few = frame.head(50)
    assert dealt(few, "30d") == () and not list(suspects(few.assign(gain=few.target_30d)))
