"""The golden examples of events, and what the contract makes of an event."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from keepwell.care.instruments import Instruments
from keepwell.contract.decode import Accepted, decode
from keepwell.contract.events import CONTROL_TYPES, EVENT_TYPES
from keepwell.contract.refusal import Refusal
from keepwell.contract.words import RefusalCode

GOLDEN = Path(__file__).parent / "golden"
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SENT = sorted(set(EVENT_TYPES) - CONTROL_TYPES)
CASES = [
    (name, size)
    for name in sorted(EVENT_TYPES)
    if (GOLDEN / f"{name}.json").exists()
    for size in json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))
]
MOMENTS = ["starts_at", "started_at", "until"]
"""The members of data that are moments."""


def golden(name: str, size: str = "full") -> dict[str, Any]:
    event: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))[size]["in"]
    return event


def read(event: object, **options: Any) -> Accepted | Refusal:
    value = event if isinstance(event, bytes) else json.dumps(event).encode()
    return decode(value, now=NOW, instruments=Instruments(), **options)


def accepted(event: object, **options: Any) -> Accepted:
    outcome = read(event, **options)
    assert isinstance(outcome, Accepted), outcome
    return outcome


def refused(event: object, **options: Any) -> Refusal:
    outcome = read(event, **options)
    assert isinstance(outcome, Refusal), outcome
    assert outcome.code in get_args(RefusalCode)
    assert outcome.path.startswith("$")
    assert outcome.detail.endswith(".") and " " in outcome.detail
    return outcome
