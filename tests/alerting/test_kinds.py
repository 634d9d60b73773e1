"""Every kind of alert of the contract is a file, and every file a kind."""

from __future__ import annotations

from pathlib import Path

from keepwell.alerting import kinds
from keepwell.alerting.kinds import KINDS, LASTING
from keepwell.contract.words import ALERT_KINDS


def test_every_file_is_a_kind_of_the_contract_and_says_its_own_name() -> None:
    files = {file.stem for file in Path(kinds.__path__[0]).glob("*.py")} - {"__init__", "kind"}
    assert files == set(ALERT_KINDS)
    assert {name: kind.name for name, kind in KINDS.items()} == {name: name for name in ALERT_KINDS}


def test_safety_is_told_of_an_event_and_every_other_kind_lasts() -> None:
    assert [kind.name for kind in LASTING] == [name for name in ALERT_KINDS if name != "safety"]
