"""What a small made-up clinic sends, for tests of the whole system."""

from __future__ import annotations

from datetime import UTC, datetime

from keepwell.contract.events import ClientErased
from keepwell.testing.made_up import made_up_clinic

START = datetime(2026, 1, 5, tzinfo=UTC)
EVENTS = [event for event in made_up_clinic(30, 5, START, 100) if not isinstance(event, ClientErased)]
"""Without erasures: what is sent again of an erased episode is new to whoever forgot it."""
