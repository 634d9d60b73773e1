"""The bytes of scores and alerts are those of before: what a replay gives may change only where CHANGELOG says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden import REPLAYS, kept, needs_data


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=needs_data) if name == "trial" else name for name in REPLAYS]
)
def test_a_replay_gives_the_bytes_of_before(name: str, tmp_path: Path) -> None:
    found = REPLAYS[name](tmp_path)
    assert found == kept()[name], (
        "scores or alerts differ by a byte. Where that is not meant, mend it; where it is, renew the digests with "
        "`python -m tests.golden`, and list the difference in CHANGELOG.md with its reason"
    )
