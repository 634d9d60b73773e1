"""The vocabularies of the contract: complete, and used as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest

from keepwell.contract import words
from keepwell.contract.decode import MAX_BYTES
from keepwell.contract.events import FUTURE_TOLERANCE
from keepwell.contract.words import HORIZONS, REFUSALS, VOCABULARIES, AlliancePillar, Horizon, Pillar, RefusalCode, Unit

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", VOCABULARIES)
def test_every_word_says_something_and_nothing_else_does(name: str) -> None:
    vocabulary = VOCABULARIES[name]
    assert set(vocabulary.says) == set(vocabulary.words)
    assert all(vocabulary.says.values())


def test_every_literal_of_the_file_is_a_vocabulary() -> None:
    literals = {get_args(each) for each in vars(words).values() if get_origin(each) is Literal}
    told_elsewhere = {get_args(AlliancePillar), get_args(Unit)}  # part of another; words for people already
    assert literals - told_elsewhere == {vocabulary.words for vocabulary in VOCABULARIES.values()}


def test_every_code_of_a_refusal_is_said_somewhere() -> None:
    code = [
        file for room in ("keepwell", "services") for file in (ROOT / room).rglob("*.py") if file.name != "words.py"
    ]
    said = {text for file in code for text in re.findall(r'"([a-z_0-9]+)"', file.read_text("utf-8"))}
    assert set(get_args(RefusalCode)) - said == set()


def test_the_pillars_of_the_alliance_come_first_among_the_pillars() -> None:
    assert get_args(Pillar)[:3] == get_args(AlliancePillar)


def test_every_horizon_has_its_days() -> None:
    assert {horizon: int(horizon.removesuffix("d")) for horizon in get_args(Horizon)} == HORIZONS


def test_what_a_refusal_says_of_limits_is_what_the_code_holds_to() -> None:
    assert f"{MAX_BYTES // 1024} KiB" in REFUSALS["too_large"]
    assert f"{FUTURE_TOLERANCE.total_seconds() / 3600:g} h" in REFUSALS["future_time"]
