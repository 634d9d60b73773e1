"""The moments of the landmark table: after which events and after which silences an episode is looked at, and why.

Live, every accepted event gives a score. Here a moment gets a row where something happened that moves a risk; the rest
would only repeat the row before. A *silence* is a moment that comes without any event, as a tick of the clock falls due.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keepwell.alerting.decide import timers
from keepwell.alerting.policy import Memory
from keepwell.care.endings import DAY
from keepwell.care.episode import Live
from keepwell.care.history import Miss, effective
from keepwell.care.moments import MOMENTS, ON_THE_WAY_OUT, Moment
from keepwell.care.visits import in_force
from keepwell.contract import events as ev

_NAMED: Final[Mapping[type[ev.Event], str]] = {
    ev.SessionAttended: "session",  # the landmark of the literature: after session n
    ev.AppointmentMissed: "missed",  # the strongest single sign
    ev.AppointmentCancelled: "cancelled",
    ev.AppointmentRescheduled: "rescheduled",
    ev.AppointmentBooked: "booked",  # the first is the landmark "at booking"; later ones end a silence
    ev.EpisodeOpened: "opened",  # before anything is known but the referral
    ev.EventRetracted: "corrected",  # what was believed changes, and with it the risk
    ev.MeasureCompleted: "measured",
    ev.MeasureSkipped: "skipped",
    ev.RuptureNoted: "rupture",
    ev.RepairAttempted: "repair",
    ev.FeedbackGiven: "feedback",
    ev.ClinicianChanged: "clinician_changed",
    ev.ContactMade: "contact",  # ends a silence, or deepens it when unanswered
    ev.HomeworkReviewed: "homework",
}

NO_ROW: Final = frozenset((ev.HomeworkAssigned, ev.AlertActioned, ev.EpisodeEnded, ev.ClientErased))
"""What the clinician did, which moves hardly a feature; and after what nobody is at risk."""

EVENT_KINDS: Final[Mapping[type[ev.Event], str]] = {
    **_NAMED,
    **{
        cls: "_".join(name.split(".")[1:3])
        for name, cls in ev.EVENT_TYPES.items()
        if name not in ev.CONTROL_TYPES and cls not in _NAMED and cls not in NO_ROW
    },
}
"""What the row after an event is called; a type of which nothing is said above has rows under its own name. Where several
events fall on one moment there is one row, of what is known after all of them, and the kind that stands first names it."""

TIMER_KINDS: Final[Mapping[str, str]] = {
    "not-rebooked": "not_rebooked",
    "nothing-booked": "nothing_booked",
    "visit-unrecorded": "unrecorded",
}
"""What the row after a live timer (`keepwell.alerting.decide.timers`) is called. `stop-declared` ends the risk, and
`snooze-over` and `caught-up` are about alerts, not about the episode."""

AFTER_MISS: Final = "missed_10d"
AFTER_MISS_DAYS: Final = 10
"""A row ten days after a missed visit, where none was attended, cancelled or missed since: a landmark that reports judge by;
ours."""

KINDS: Final = (*EVENT_KINDS.values(), AFTER_MISS, *TIMER_KINDS.values())
"""Every kind, the one that names a shared moment first."""
RANK: Final = {kind: rank for rank, kind in enumerate(KINDS)}


def silences(live: Live) -> list[tuple[int, str]]:
    """The moments (µs) at which an episode is looked at if nothing happens after its newest entry, with their kinds."""
    course = live.course
    due = timers(Memory(), course, live.episode.latest)
    found = [(at, TIMER_KINDS[name]) for at, name in due if name in TIMER_KINDS]
    if course.last_lost == "missed":
        held = in_force(effective(live.episode.history))
        missed_at = next(entry.at for entry in reversed(held) if type(entry) is Miss)
        found.append((missed_at + AFTER_MISS_DAYS * DAY, AFTER_MISS))
    return sorted(found)


# ── the moments at which somebody decides (keepwell.care.moments) ───────────────────────────────────────

Mask = NDArray[np.bool_]

_LOST: Final = ("missed", "cancelled")
_SILENT: Final = (*TIMER_KINDS.values(), AFTER_MISS)


def moments_of(frame: pd.DataFrame) -> pd.Categorical[str]:
    """Of each row of a landmark table (sorted by episode and time) the moment that it is; missing for all other rows."""
    found = np.full(len(frame), -1, dtype=np.int8)
    kind = frame["kind"]
    masks: Mapping[Moment, Mask] = {
        "booking": _bookings(frame),
        "session": after_sessions(frame),
        "lost": kind.isin(_LOST).to_numpy(dtype=np.bool_) & (frame["lost_in_a_row"] > 0).to_numpy(dtype=np.bool_),
        "silence": kind.isin(_SILENT).to_numpy(dtype=np.bool_),
    }
    for place, moment in enumerate(MOMENTS):
        found[masks[moment]] = place
    return pd.Categorical.from_codes(found, categories=pd.Index(list(MOMENTS), dtype="str"))


def after_sessions(frame: pd.DataFrame) -> Mask:
    """After every session one moment: the last one within `ON_THE_WAY_OUT`."""
    episode, session = frame["episode"].cat.codes.to_numpy(), frame["session"].to_numpy()
    ends = frame["as_of"].where((frame["kind"] == "session") & (frame["session"] > 0))
    end = ends.groupby([episode, session]).transform("first")
    latest = end + pd.Timedelta(microseconds=ON_THE_WAY_OUT)
    within = ((frame["as_of"] >= end) & (frame["as_of"] <= latest)).to_numpy(dtype=np.bool_)
    follows = np.r_[(episode[1:] == episode[:-1]) & (session[1:] == session[:-1]) & within[1:], False]
    found: Mask = within & ~follows
    return found


def _bookings(frame: pd.DataFrame) -> Mask:
    """Every booking before the first session; of an episode without one, its opening."""
    before = frame["session"] == 0
    booked = before & (frame["kind"] == "booked")
    any_booked = booked.groupby(frame["episode"].cat.codes).transform("any")
    return (booked | (before & (frame["kind"] == "opened") & ~any_booked)).to_numpy(dtype=np.bool_)
