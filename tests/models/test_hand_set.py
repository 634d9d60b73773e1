"""The release set by hand: what its table says, no more, and honest about where its numbers come from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from keepwell.scoring.features import BY_NAME
from models.hand_set import BASE, POLICY, TABLE, build, scorecard
from models.release import load


def test_it_is_a_release_of_what_its_table_says_and_says_what_it_is(tmp_path: Path) -> None:
    release = load(build(tmp_path))
    assert (release.scorer.card, release.policy) == (scorecard(), POLICY)
    for words in ("set by hand", "not fitted", "published effects"):
        assert words in release.manifest.origin.lower()


def test_building_it_again_changes_nothing(tmp_path: Path) -> None:
    assert build(tmp_path) == build(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


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
