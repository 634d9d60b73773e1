"""Features of silence: how long nothing was heard, what was skipped, what went unanswered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keepwell.care.course import Course
from keepwell.scoring.features.feature import NOTHING, Feature, Value, counted, share, since


def _silence(c: Course, now: int) -> Value:
    return since(c.heard_at if c.heard_at is not None else c.first_at, now)


SILENCE: Final[Sequence[Feature]] = (
    Feature("days_since_heard", "silence", "days", _silence,
            lambda v: f"Nothing heard from the client for {counted(v, 'day', 'days')}", NOTHING, "heard"),
    Feature("silence_in_rhythm", "silence", "times the usual interval",
            lambda c, now: None if (s := _silence(c, now)) is None else s / max(c.rhythm, 1.0),
            lambda v: f"Nothing heard for {v:.1f} times the usual interval", NOTHING, "heard"),
    Feature("skips_in_a_row", "silence", "measures", lambda c, now: float(c.skips_in_a_row),
            lambda v: f"{counted(v, 'questionnaire', 'questionnaires')} skipped in a row", "", "skipped"),
    Feature("declined_share", "silence", "share", lambda c, now: share(c.declined, c.declined + c.completed),
            lambda v: f"{v:.0%} of questionnaires declined", "No questionnaire was due yet", "skipped"),
    Feature("outreach_unanswered", "silence", "contacts", lambda c, now: float(c.unanswered),
            lambda v: f"{counted(v, 'contact', 'contacts')} unanswered since the client was last heard from", "", "outreach"),
)  # fmt: skip
