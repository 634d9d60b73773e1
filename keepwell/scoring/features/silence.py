"""Features of silence: how long nothing was heard, what was skipped, what went unanswered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keepwell.care.course import Course
from keepwell.contract.say import counted, said
from keepwell.scoring.features.feature import (
    NOTHING,
    Feature,
    Value,
    ago,
    mostly,
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
            lambda v: said("The last session or ordinary contact was {ago}", ago=ago(v)), NOTHING, "heard"),
    Feature("silence_in_rhythm", "silence", "times the usual interval",
            lambda c, now: None if (s := _silence(c, now)) is None else s / max(c.rhythm, 1.0),
            lambda v: times(v, said("The client was heard from more recently than is usual between sessions"),
                            said("The client was heard from about as recently as is usual between sessions"),
                            said("Nothing was heard from the client for {times} times the usual time between sessions")),
            NOTHING, "heard"),
    Feature("skips_in_a_row", "silence", "measures", lambda c, now: float(c.skips_in_a_row),
            lambda v: counted(v, "The last questionnaire was left out", "The last {count} questionnaires were left out",
                              said("No questionnaire left out lately")), None, "skipped"),
    Feature("declined_share", "silence", "share", lambda c, now: share(c.declined, c.declined + c.completed),
            mostly(said("Less than half of the questionnaires were left out"),
                   said("Half of the questionnaires or more were left out")),
            said("Fewer than two questionnaires were due"), "skipped",
            lambda c: of(c.declined, c.declined + c.completed, said("{part} of {whole} questionnaires left out"),
                         said("None of {whole} questionnaires left out")), lasting=True),
    Feature("outreach_unanswered", "silence", "contacts", lambda c, now: float(c.unanswered),
            lambda v: counted(v, "{count} contact has had no answer yet", "{count} contacts have had no answer yet",
                              said("No contact waits for an answer")), None, "outreach"),
    Feature("outreach_answered", "silence", "0/1", lambda c, now: float(c.unanswered == 0) if c.outreaches else None,
            says(said("The client was heard from after the last message"),
                 said("The last message to the client has no answer yet")),
            said("Nobody has written or called to hear from the client"), "outreach"),
    Feature("reply_recent", "silence", "0/1", lambda c, now: float(recent(c.replied_at, now)),
            says(said("The client replied in the last two months"), said("No reply in the last two months")), None, "heard"),
    Feature("inbound_recent", "silence", "0/1", lambda c, now: float(recent(c.inbound_at, now)),
            says(said("The client wrote or called in the last two months"),
                 said("No message from the client in the last two months")), None, "heard"),
)  # fmt: skip
