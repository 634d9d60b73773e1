"""What the API answers and the page shows of episodes: types, field for field in the order of CONTRACT section 5.

Times are RFC 3339 text in UTC (`keepwell.contract.events.rfc3339`), as everywhere outside the core. Reasons, alerts and
suggestions are those that the predictor wrote (`keepwell.contract.outputs`), word for word.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from keepwell.contract.outputs import Alert, Moment, Reason, Risk
from keepwell.contract.words import State

Why = Literal[
    "safety", "voiced", "rose", "likely", "rupture", "silence", "ending", "back_from_snooze", "session_today", "quiet"
]  # fmt: skip
"""Why an episode stands where it stands in the caseload; `quiet`: nothing asks for a thought."""


class NextVisit(msgspec.Struct, frozen=True, kw_only=True):
    """The next booked visit. `missed` is the chance that the client does not come to it; None where no model says."""

    starts_at: Moment
    missed: float | None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """How the 30-day risk moved since the last session before the newest (`since`), and the reasons that are new or grew."""

    since: Moment
    risk_30d: float
    because: tuple[Reason, ...]


class Rupture(msgspec.Struct, frozen=True, kw_only=True):
    """A strain of the alliance. `closed_at` is None while it is open."""

    opened_at: Moment
    pillar: str | None
    closed_at: Moment | None
    repaired: bool


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What was answered to an alert or done to repair: `settled` once the accepted event came back through the log."""

    event_id: str
    alert_id: str | None
    kind: Literal["answer", "repair"]
    action: str
    """Of an answer its `action`, of a repair its `strategy` or `attempted`."""
    at: Moment
    by: str | None
    until: Moment | None
    reason: str | None
    helpful: bool | None
    outcome: str | None
    settled: bool
    retracted: bool


class AnsweredAlert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert as it stands now: when it was raised, its newest record, and what was answered."""

    alert: Alert
    raised_at: Moment
    answers: tuple[Answer, ...]


class CaseloadItem(msgspec.Struct, frozen=True, kw_only=True):
    """One episode in one row."""

    episode: str
    clinician_id: str | None
    state: State
    as_of: Moment
    risk: Risk | None
    change: Change | None
    next_visit: NextVisit | None
    last_session: Moment | None
    sessions: int
    reasons: tuple[Reason, ...]
    gaps: tuple[str, ...]
    alerts: tuple[AnsweredAlert, ...]
    """Those that are open."""
    rupture: Rupture | None
    """The open one."""
    model: str
    calibrated: bool
    why: Why
    """Why it stands here in the order."""
    new: tuple[str, ...]
    """What is new since this user last saw it, in words; empty where nothing is, or nobody looks (an API token)."""
    measure: Measure | None
    """The measure to draw as the course line: the outcome measure if there is one, else the alliance."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One rating."""

    at: Moment
    value: float


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument's totals over the course, in its own scale, the oldest first."""

    instrument: str
    label: str
    low: float
    high: float
    higher_is_better: bool
    cutoff: float | None
    reliable_change: float | None
    usual: tuple[float, float] | None
    """This person's own band, mean ± one standard deviation of all but the newest; None below three."""
    points: tuple[Point, ...]


class TimelineEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened. `kind` is the short type of its event, `text` an English sentence of the catalogue that says
    more, or empty."""

    at: Moment
    kind: str
    text: str
    event: str
    """`<source>#<id>`."""


class ScoreAt(msgspec.Struct, frozen=True, kw_only=True):
    """A score as it was."""

    as_of: Moment
    risk: Risk | None
    reasons: tuple[Reason, ...]
    gaps: tuple[str, ...]
    model: str


class EpisodeView(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of one episode."""

    item: CaseloadItem
    timeline: tuple[TimelineEntry, ...]
    helped: tuple[TimelineEntry, ...]
    """What the client said is going well."""
    scores: tuple[ScoreAt, ...]
    ruptures: tuple[Rupture, ...]
    measures: tuple[Measure, ...]
    alerts: tuple[AnsweredAlert, ...]
    """All of them, the newest first."""
    answers: tuple[Answer, ...]


class Viewer(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: a user of one clinic in one role."""

    user: str
    """Pseudonym of the user: what answers carry as `by`."""
    role: Literal["clinician", "supervisor", "administrator", "data"]
    clinic: str
    clinician_id: str | None
    covers: frozenset[str] = frozenset()
    """Clinicians of the same clinic whose episodes this user sees for now, as cover."""


class TeamMember(msgspec.Struct, frozen=True, kw_only=True):
    """One clinician's numbers in supervision. None: hidden, as it is below five; others are rounded."""

    clinician_id: str
    episodes: int | None
    open: int | None
    answered: int | None
    unseen: int | None


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How many courses ended in a way. `count` is None where it is hidden."""

    how: str
    """A word of `keepwell.contract.words.EndReason`."""
    count: int | None


class TeamView(msgspec.Struct, frozen=True, kw_only=True):
    """What a supervisor sees of a clinic, over a while; None: hidden."""

    since: Moment
    until: Moment
    raised: int | None
    answered: int | None
    unseen: int | None
    hours_to_answer: float | None
    repairs: int | None
    repairs_better: int | None
    burden: float | None
    """Alerts raised a clinician and week."""
    budget: float | None
    endings: tuple[Ending, ...]
    members: tuple[TeamMember, ...]
    """By `clinician_id`."""


class SystemGaps(msgspec.Struct, frozen=True, kw_only=True):
    """What is missing of one system that sends events."""

    system: str
    """The `source` of its events."""
    last_event: Moment | None
    events: int
    gaps: tuple[tuple[str, int], ...]
    """What is missing, in words, and of how many clients."""


class CalledWrong(msgspec.Struct, frozen=True, kw_only=True):
    """How often a reason was shown in an alert, and how often such an alert was called wrong."""

    feature: str
    text: str
    shown: int
    wrong: int


class QualityView(msgspec.Struct, frozen=True, kw_only=True):
    """What is missing, and what was called wrong."""

    systems: tuple[SystemGaps, ...]
    wrong: tuple[CalledWrong, ...]


class ModelView(msgspec.Struct, frozen=True, kw_only=True):
    """The release in use in a clinic."""

    release: str
    """Its digest."""
    role: str
    """A word of `keepwell.contract.words.Role`."""
    calibrated: bool
    """Whether it was fitted or recalibrated to the clinic."""
    sources: tuple[tuple[str, str], ...]
    """Source attributes: a name and a value."""
    card: tuple[tuple[str, str], ...]
    """Sections: a heading and a text."""
    wrong: tuple[CalledWrong, ...]
