"""The page of the contract names what the code has: every type of event, every instrument, every kind of alert."""

from __future__ import annotations

import re
from pathlib import Path

from keepwell.care.instruments import KNOWN
from keepwell.contract.events import EVENT_TYPES
from keepwell.contract.words import ALERT_KINDS

TEXT = (Path(__file__).parents[2] / "docs" / "design" / "CONTRACT.md").read_text("utf-8")


def test_every_type_has_its_row_in_the_contract_and_every_row_its_type() -> None:
    events = TEXT.partition("\n## 2. ")[0]
    rows = re.findall(r"^\| `([a-z]+\.[a-z]+)` \|", events, re.MULTILINE)
    assert sorted(rows) == sorted(".".join(name.split(".")[1:3]) for name in EVENT_TYPES)


def test_the_contract_names_every_instrument_known_by_name() -> None:
    (named,) = re.findall(r"Instruments known by name: (.+?), each with", TEXT, re.DOTALL)
    assert [name.strip() for name in named.split(",")] == list(KNOWN)


def test_the_contract_says_what_every_kind_of_alert_is() -> None:
    (said,) = re.findall(r"^`kind`: (.+?) `status`: ", TEXT, re.MULTILINE | re.DOTALL)
    assert {name for name in ALERT_KINDS if f"`{name}` (" in said} == set(ALERT_KINDS)
