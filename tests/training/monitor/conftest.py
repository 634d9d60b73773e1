"""Small simulated clinics, and a release recalibrated to one of them, for all tests of monitoring."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.release import Release, default, read_in, verified
from training.dataset import Dataset, build
from training.fit.bins import bins_of
from training.fit.publish import release_again
from training.fit.recalibrate import recalibrate
from training.fit.reference import Reference, reference_of
from training.fit.sample import sample_of
from training.simulate import simulate

EPISODES = 260


@pytest.fixture(scope="session")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the events of a clinic (`then`), of the same clinic later (`now`), and of another (`other`)."""
    folder = tmp_path_factory.mktemp("worlds")
    simulate("clinic", EPISODES, 21, folder / "then", rollouts=0)
    simulate("clinic", EPISODES, 23, folder / "now", rollouts=0)
    simulate("shifted", EPISODES, 23, folder / "other", rollouts=0)
    return folder


@pytest.fixture(scope="session")
def then(worlds: Path) -> Dataset:
    return build([worlds / "then" / "events.jsonl"])


@pytest.fixture(scope="session")
def now(worlds: Path) -> Dataset:
    return build([worlds / "now" / "events.jsonl"])


@pytest.fixture(scope="session")
def other(worlds: Path) -> Dataset:
    return build([worlds / "other" / "events.jsonl"])


@pytest.fixture(scope="session")
def folder(then: Dataset, worlds: Path) -> Path:
    """The folder of a release that knows `then`."""
    shipped = default()
    release_again(
        recalibrate(then, shipped.scorer), then, worlds / "release", base=shipped.digest, policy=shipped.policy
    )
    return worlds / "release"


@pytest.fixture(scope="session")
def release(folder: Path) -> Release:
    return verified(read_in(folder), str(folder))


@pytest.fixture(scope="session")
def reference(then: Dataset, release: Release) -> Reference:
    """The reference of `then` with bins as fine as those of a fit."""
    sample = sample_of(then)
    names = (
        "rhythm",
        "gain",
        "early_gain",
        "alliance_level",
        "missed_share",
        "sessions",
        "weeks",
        "season_sin",
        "remote",
    )
    bins = bins_of(sample.column, names)
    risks = release.scorer.risks(then.matrix([term.feature for term in release.scorer.card.terms]))
    return reference_of(bins, bins.codes(sample.column), risks)
