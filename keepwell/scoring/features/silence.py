"""Features of silence: how long nothing was heard, what was skipped, what went unanswered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keepwell.care.course import Course
from keepwell.scoring.features.feature import (
    NOTHING,
    Feature,
    Value,
    ago,
    counted,
    of,
    recent,
    says,
    share,
    since,
    times,
)


def _silence(c: Course, now: int) -> Value:
    """Days since the client was in touch, criticism and complaints apart (`Course.heard_at`)."""
    return since(c.heard_at if c.heard_at is not None else c.first_at, now)


SILENCE: Final[Sequence[Feature]] = (
    Feature("days_since_heard", "silence", "days", _silence,
            lambda v: f"The last session or ordinary contact was {ago(v)}", NOTHING, "heard"),
    Feature("silence_in_rhythm", "silence", "times the usual interval",
            lambda c, now: None if (s := _silence(c, now)) is None else s / max(c.rhythm, 1.0),
            lambda v: f"The last session or ordinary contact is {times(v, 'long ago')} the usual time between sessions",
            NOTHING, "heard"),
    Feature("skips_in_a_row", "silence", "measures", lambda c, now: float(c.skips_in_a_row),
            lambda v: f"The last {counted(v, 'questionnaire was', 'questionnaires were')} left out" if round(v)
            else "The last questionnaire was filled in", "", "skipped"),
    Feature("declined_share", "silence", "share", lambda c, now: share(c.declined, c.declined + c.completed),
            lambda v: f"{v:.0%} of the questionnaires left out", "Fewer than two questionnaires were due", "skipped",
            lambda c: f"{of(c.declined, c.declined + c.completed, 'questionnaires')} left out"),
    Feature("outreach_unanswered", "silence", "contacts", lambda c, now: float(c.unanswered),
            lambda v: f"{counted(v, 'contact has', 'contacts have')} had no answer yet", "", "outreach"),
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
