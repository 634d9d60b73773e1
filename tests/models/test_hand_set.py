"""The shipped default: what its table says, no more, and honest about where its numbers come from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from keepwell.features import BY_NAME
from models import hand_set
from models.hand_set import BASE, POLICY, TABLE, scorecard
from models.release import DEFAULT, default


def test_the_shipped_default_is_what_its_table_builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hand_set, "DEFAULT", tmp_path / "default")
    hand_set.build()
    [built] = (tmp_path / "default").iterdir()
    [shipped] = DEFAULT.iterdir()
    assert built.name == shipped.name, "run `python -m models.hand_set` and commit what it writes"
    assert {file.name: file.read_bytes() for file in built.iterdir()} == {
        file.name: file.read_bytes() for file in shipped.iterdir()
    }


def test_building_again_takes_the_place_of_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hand_set, "DEFAULT", tmp_path / "default")
    (tmp_path / "default" / "sha256-old").mkdir(parents=True)
    hand_set.build()
    assert [folder.name for folder in (tmp_path / "default").iterdir()] == [next(DEFAULT.iterdir()).name]


def test_the_manifest_says_that_it_was_set_by_hand_and_fitted_to_nothing() -> None:
    manifest = default().manifest
    assert "by hand" in manifest.origin.lower()
    assert "not fitted" in manifest.origin
    assert "published effects" in manifest.origin


def test_the_shipped_default_loads_as_the_table_says() -> None:
    release = default()
    assert (release.scorer.card, release.policy) == (scorecard(), POLICY)


@pytest.mark.parametrize("feature", sorted(TABLE))
def test_every_row_names_a_feature_fits_its_edges_and_gives_a_source(feature: str) -> None:
    edges, points, _, share, source = TABLE[feature]
    assert feature in BY_NAME
    assert len(points) == len(edges) + 1
    assert 0 <= share <= 1.5
    assert source.startswith("ours") or re.search(r"\b(19|20)\d\d\b", source)
    assert max(abs(point) for point in points) <= 1.5


def test_the_base_rises_with_the_horizon() -> None:
    assert BASE[0] < BASE[1] < BASE[2]


def test_no_feature_counts_that_names_who_the_person_is() -> None:
    assert not re.search(r"age_|gender|ethnic|language|deprivation|fairness|race|sex", " ".join(TABLE))
