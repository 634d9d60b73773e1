"""Files of instruments: today's names of facts, those of the version before, and what is wrong where."""

from __future__ import annotations

from pathlib import Path

import pytest

from keepwell.contract.events import Range
from keepwell.files.instruments import read_registrations

NOW_NAMED = """
[north.MY-SCALE]
kind = "alliance"
lowest = 0
highest = 50
higher_is_better = false
cutoff = 20
reliable_change = 7
source = "our own validation, 2024"
subscales = { bond = { lowest = 0, highest = 10 } }
"""
FORMERLY = """
[north.MY-SCALE]
kind = "alliance"
low = 0
high = 50
higher_is_better = false
cutoff = 20
reliable_change = 7
source = "our own validation, 2024"
scales = { bond = [0, 10] }
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "instruments.toml"
    file.write_text(text, "utf-8")
    return file


@pytest.mark.parametrize("text", [NOW_NAMED, FORMERLY])
def test_a_file_of_this_version_and_of_the_one_before_register_the_same(tmp_path: Path, text: str) -> None:
    (event,) = read_registrations(written(tmp_path, text))
    assert (event.clinic, event.data.name, event.data.kind) == ("north", "MY-SCALE", "alliance")
    assert (event.data.lowest, event.data.highest, event.data.cutoff) == (0, 50, 20)
    assert event.data.subscales == {"bond": Range(lowest=0, highest=10)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("highest = 50", 'highest = "many"'), r"\[north\.MY-SCALE\]: highest: write a number$"),
        (("highest = 50\n", ""), r"\[north\.MY-SCALE\]: highest: is required: write a number$"),
        (('kind = "alliance"', 'kind = "mood"'), r"\[north\.MY-SCALE\]: kind: write one of: `outcome`, `alliance`$"),
        (
            ("subscales = { bond = { lowest = 0, highest = 10 } }", "subscales = 5"),
            r"\[north\.MY-SCALE\]: subscales: write a table",
        ),
        (("cutoff = 20", "cutof = 20"), r"no fact cutof.*cutoff"),
        (("cutoff = 20", "cutoff = 70"), r"\[north\.MY-SCALE\].*cutoff"),
        (("[north.MY-SCALE]", "[North.MY-SCALE]"), "North.*clinic"),
        (("[north.MY-SCALE]", "[MY-SCALE]"), "table"),
        (("[north.MY-SCALE]", "[north.MY-SCALE"), "not TOML"),
        ((NOW_NAMED, "# nothing"), "no instrument"),
    ],
)
def test_what_is_wrong_is_told_with_the_table(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_registrations(written(tmp_path, NOW_NAMED.replace(*change)))
