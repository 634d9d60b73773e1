"""The worlds that the simulator's tests share, each made once a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.simulate.worlds import Log, Truth, truths
from training.simulate import PRESETS, simulate

EPISODES = 2_500


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A log of each preset, without the truth."""
    found = {name: tmp_path_factory.mktemp(name) for name in PRESETS}
    for name, folder in found.items():
        simulate(name, EPISODES, 2, folder, rollouts=0)
    return found


@pytest.fixture(scope="session")
def logs(folders: dict[str, Path]) -> dict[str, Log]:
    return {name: Log.read(folder / "events.jsonl") for name, folder in folders.items()}


@pytest.fixture(scope="session")
def with_truth(tmp_path_factory: pytest.TempPathFactory) -> list[Truth]:
    """A small `community` with the true risks beside what came of each row."""
    folder = tmp_path_factory.mktemp("truth")
    simulate("community", 1_000, 5, folder, rollouts=32)
    return truths(folder / "truth.jsonl", Log.read(folder / "events.jsonl"))
