"""Features of silence: how long nothing was heard, what was skipped, what went unanswered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keepwell.care.course import Course
from keepwell.scoring.features.feature import NOTHING, Feature, Value, counted, recent, says, share, since


def _silence(c: Course, now: int) -> Value:
    """Days since the client was in touch, criticism and complaints apart (`Course.heard_at`)."""
    return since(c.heard_at if c.heard_at is not None else c.first_at, now)


SILENCE: Final[Sequence[Feature]] = (
    Feature("days_since_heard", "silence", "days", _silence,
            lambda v: f"No session or ordinary contact for {counted(v, 'day', 'days')}", NOTHING, "heard"),
    Feature("silence_in_rhythm", "silence", "times the usual interval",
            lambda c, now: None if (s := _silence(c, now)) is None else s / max(c.rhythm, 1.0),
            lambda v: f"No session or ordinary contact for {v:.1f} times the usual interval", NOTHING, "heard"),
    Feature("skips_in_a_row", "silence", "measures", lambda c, now: float(c.skips_in_a_row),
            lambda v: f"{counted(v, 'questionnaire', 'questionnaires')} skipped in a row", "", "skipped"),
    Feature("declined_share", "silence", "share", lambda c, now: share(c.declined, c.declined + c.completed),
            lambda v: f"{v:.0%} of questionnaires declined", "Fewer than two questionnaires were due", "skipped"),
    Feature("outreach_unanswered", "silence", "contacts", lambda c, now: float(c.unanswered),
            lambda v: f"{counted(v, 'contact', 'contacts')} unanswered since the client was last heard from", "", "outreach"),
    Feature("outreach_answered", "silence", "0/1", lambda c, now: float(c.unanswered == 0) if c.outreaches else None,
            says("The client was heard from since the last outreach", "The last outreach has no answer yet"),
            "Nobody has reached out", "outreach"),
    Feature("reply_recent", "silence", "0/1", lambda c, now: float(recent(c.replied_at, now)),
            says("The client replied in the last two months", "No reply in the last two months"), "", "heard"),
    Feature("inbound_recent", "silence", "0/1", lambda c, now: float(recent(c.inbound_at, now)),
            says("The client wrote or called in the last two months",
                  "No message from the client in the last two months"), "",
            "heard"),
)  # fmt: skip
