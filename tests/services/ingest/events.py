"""Events to send, for the tests of ingest."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
"""The wall clock of these tests."""


def event(**changes: Any) -> dict[str, Any]:
    """A valid event with `changes`; a change to None removes the member."""
    whole = {
        "specversion": "1.0",
        "id": "ev-1",
        "source": "/north/booking",
        "type": "keepwell.homework.reviewed.v1",
        "subject": "ep-17",
        "time": "2026-03-02T10:00:00Z",
        "data": {"completion": 0.5},
    } | changes
    return {name: content for name, content in whole.items() if content is not None}


def text(**changes: Any) -> bytes:
    """`event` as JSON."""
    return json.dumps(event(**changes)).encode()
