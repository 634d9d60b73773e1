"""Hypothesis strategies for event logs: plausible courses of care with everything that can go wrong in a record.

A log is drawn as a list of steps, each a pure function of the moment it happens at, and amendments of what was sent
before. Dropping a step leaves a valid log, so failures shrink to the few events that matter. Every event is one that
`keepwell.contract.decode.decode` accepts.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from itertools import accumulate
from typing import Any, Final, NamedTuple, get_args, get_type_hints

import msgspec
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from keepwell.care.instruments import KNOWN
from keepwell.contract.events import (
    EVENT_TYPES,
    Actioned,
    AnyEvent,
    Attended,
    Booked,
    Cancelled,
    ClinicianChange,
    ClockTicked,
    Contact,
    Data,
    Ended,
    Event,
    Feedback,
    HomeworkAssignment,
    HomeworkReview,
    Measured,
    Missed,
    Opened,
    RepairAttempt,
    Rescheduled,
    Retracted,
    RuptureNote,
    Skipped,
)
from keepwell.contract.words import (
    Action,
    CancelReason,
    DismissReason,
    EndReason,
    Initiator,
    MissReason,
    Modality,
    Pillar,
    Purpose,
    Rater,
    Via,
)

BASE: Final = datetime(2026, 1, 5, 9, tzinfo=UTC)
"""When the logs begin."""

CLINICS: Final = ("north", "south")

_SUMMER = timezone(timedelta(hours=2))

HOUR: Final = 3_600_000_000
DAY: Final = 24 * HOUR

_GAPS = (
    *(0, DAY, 7 * DAY) * 3,
    *(HOUR, 1, 3 * DAY, 23 * HOUR, DAY - 1, 27 * DAY, 30 * DAY - 1, 30 * DAY, 33 * DAY, 90 * DAY),
)
"""Microseconds between steps: the distances at which the definition of stopping changes its mind, and next to them."""

_NOTICE = (7 * DAY, 0, HOUR, DAY, DAY - 1, 2 * DAY, 27 * DAY, 30 * DAY, 60 * DAY, -HOUR, -3 * DAY)
"""How far ahead a visit is booked; behind, where it was booked afterwards."""


def moment(us: int) -> datetime:
    """The moment `us` microseconds after `BASE`."""
    return BASE + timedelta(microseconds=us)


_EVENT_OF: Final[Mapping[type[Data], type[Event]]] = {get_type_hints(cls)["data"]: cls for cls in EVENT_TYPES.values()}


def make(
    data: Data,
    at: int,
    event_id: str,
    *,
    source: str = "/north/booking",
    subject: str = "ep-1",
    corrects: str | None = None,
) -> AnyEvent:
    """An event that happened `at` microseconds after `BASE`; its type follows from its data."""
    cls: Any = _EVENT_OF[type(data)]
    event: AnyEvent = cls(
        specversion="1.0", id=event_id, source=source, subject=subject, time=moment(at), corrects=corrects, data=data
    )
    return event


# ── what one event says ─────────────────────────────────────────────────────────────────────────────────


def _some(strategy: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return st.none() | strategy


def _one_of(choices: object) -> SearchStrategy[Any]:
    return st.sampled_from(get_args(choices))


_flags = _some(st.booleans())
_clinicians = st.sampled_from(("c-1", "c-2"))
_visit_ids = st.sampled_from(("a-1", "a-2", "a-3", "a-4", "a-5"))
_pillars = _one_of(Pillar)
_alliance = _some(st.sampled_from(("goals", "tasks", "bond")))
_minutes = _some(st.sampled_from((0.0, 50.0, 7.5)))


def _quarters(low: float, high: float) -> SearchStrategy[float]:
    return st.integers(0, int((high - low) * 4)).map(lambda n: low + n / 4)


@st.composite
def _measured(draw: DrawFn) -> Measured:
    name = draw(st.sampled_from(("PHQ-9", "PHQ-9", "ORS", "SRS", "WAI-SR", "GAD-7", "OQ-45", "CORE-10", "X-11")))
    known = KNOWN.get(name)
    low, high = (known.low, known.high) if known else (-1e6, 1e6)
    scores = {} if draw(_one_in(8)) else {"total": draw(st.sampled_from((low, high)) | _quarters(low, high))}
    for scale, (least, most) in known.scales.items() if known else ():
        if not scores or draw(st.booleans()):
            scores[scale] = draw(_quarters(least, most))
    if known and known.scales and scores.keys() >= known.scales.keys() and "total" in scores:
        scores["total"] = sum(scores[scale] for scale in known.scales)
    return Measured(
        instrument=draw(st.sampled_from((name, name.lower(), name.replace("-", " ")))),
        scores=_respelled(draw, scores or {"total": low}),
        rater="clinician" if draw(_one_in(4)) else "client",
        appointment_id=draw(_some(_visit_ids)),
        safety_item=draw(_some(st.sampled_from((0.0, 1.0, 3.0)))),
    )


def _respelled(draw: DrawFn, scores: Mapping[str, float]) -> dict[str, float]:
    return {draw(st.sampled_from((scale, scale, scale.upper()))): score for scale, score in scores.items()}


def _one_in(n: int) -> SearchStrategy[bool]:
    return st.integers(0, n - 1).map(lambda drawn: drawn == n - 1)


_opened = st.builds(
    Opened,
    client_id=st.sampled_from(("p-1", "p-2")),
    clinician_id=_clinicians,
    service=_some(st.just("adult")),
    modality=_some(_one_of(Modality)),
    planned_sessions=_some(st.sampled_from((1, 12))),
    referral=_some(st.sampled_from(("self", "court"))),
    preference_met=_flags,
    previous_episodes=_some(st.sampled_from((0, 2))),
    fairness=_some(st.just({"age_band": "25-34"})),
)
_attended = st.builds(
    Attended,
    appointment_id=_some(_visit_ids),
    minutes_late=_some(st.sampled_from((0.0, -5.0, 20.0))),
    duration_minutes=_minutes,
    clinician_id=_some(_clinicians),
    modality=_some(_one_of(Modality)),
    purpose=_some(_one_of(Purpose)),
)
_cancelled = st.builds(
    Cancelled, appointment_id=_visit_ids, initiator=_one_of(Initiator), reason=_some(_one_of(CancelReason))
)
_missed = st.builds(Missed, appointment_id=_visit_ids, reason=_one_of(MissReason))
_ended = st.builds(Ended, reason=st.sampled_from(("client_stopped", *get_args(EndReason))), mutual=_flags)
_homework_ids = _some(st.just("h-1"))
_remarks: SearchStrategy[Data] = st.one_of(
    st.builds(HomeworkAssignment, homework_id=_homework_ids),
    st.builds(HomeworkReview, completion=st.sampled_from((0.0, 0.5, 1.0)), homework_id=_homework_ids),
    st.builds(
        Feedback,
        pillar=_pillars,
        sentiment=st.sampled_from(("negative", "neutral", "positive")),
        wants_change=st.sampled_from(("none", "approach", "clinician", "format")),
    ),
    st.builds(
        RuptureNote,
        kind=st.sampled_from(("withdrawal", "confrontation")),
        pillar=_alliance,
        noted_by=_one_of(Rater),
    ),
    st.builds(
        RepairAttempt,
        pillar=_some(_pillars),
        strategy=_some(st.just("bond-invite-feedback")),
        alert_id=_some(st.just("al-1")),
        outcome=st.sampled_from(("unknown", "better", "same", "worse")),
    ),
    st.builds(
        Contact,
        direction=st.sampled_from(("inbound", "outbound")),
        channel=_some(st.sampled_from(("phone", "email"))),
        purpose=st.sampled_from(("other", "outreach", "reply", "complaint", "reminder")),
        reached=_flags,
    ),
    st.builds(
        ClinicianChange,
        clinician_id=_clinicians,
        reason=st.sampled_from(("other", "client_request", "absence", "service")),
    ),
    st.builds(
        Skipped,
        instrument=st.sampled_from(("PHQ-9", "SRS", "X-11")),
        rater=_some(_one_of(Rater)),
        appointment_id=_some(_visit_ids),
        reason=st.sampled_from(("unknown", "declined", "not_offered", "technical")),
    ),
    st.builds(
        Actioned,
        alert_id=st.just("al-1"),
        action=_one_of(Action),
        by=_clinicians,
        until=_some(st.sampled_from((DAY, 7 * DAY)).map(moment)),
        helpful=_flags,
        via=_some(_one_of(Via)),
    ),
    st.builds(
        Actioned,
        alert_id=st.just("al-1"),
        action=st.just("dismissed"),
        by=_clinicians,
        reason=_some(_one_of(DismissReason)),
    ),
)

# ── steps: what happens from a moment on ────────────────────────────────────────────────────────────────

Step = Callable[[int], list[tuple[int, Data]]]
"""From the moment it begins to what happens, and when."""


def _now(data: Data) -> Step:
    return lambda at: [(at, data)]


def _book(visit: str, notice: int, purpose: Any) -> Step:
    return lambda at: [(at, Booked(appointment_id=visit, starts_at=moment(at + notice), purpose=purpose))]


def _reschedule(visit: str, notice: int, initiator: Any) -> Step:
    return lambda at: [(at, Rescheduled(appointment_id=visit, starts_at=moment(at + notice), initiator=initiator))]


def _started(data: Attended) -> Step:
    return lambda at: [(at, _with_start(data, at - HOUR))]


def _with_start(data: Attended, start: int) -> Attended:
    return Attended(appointment_id=data.appointment_id, started_at=moment(start), purpose=data.purpose)


def _visit(visit: str, purpose: Any, days_ahead: int, then: str, measured: Measured | None) -> Step:
    """A visit as it is recorded: booked, perhaps moved, and then attended, missed, called off or forgotten; or attended and
    marked as missed before or after, booked once more, or its start corrected when it is past."""

    def happen(at: int) -> list[tuple[int, Data]]:
        start = at + days_ahead * DAY
        found: list[tuple[int, Data]] = [(at, Booked(appointment_id=visit, starts_at=moment(start), purpose=purpose))]
        if then == "moved":
            start += 2 * DAY
            found.append((at + HOUR, Rescheduled(appointment_id=visit, starts_at=moment(start), initiator="client")))
        if then in ("attended", "moved"):
            found.append((start + HOUR, Attended(appointment_id=visit)))
        if then == "missed":
            found.append((start + HOUR, Missed(appointment_id=visit)))
        if then == "called off":
            found.append((start - 2 * HOUR, Cancelled(appointment_id=visit, initiator="client")))
        if then == "came late":
            found.append((start + HOUR // 2, Missed(appointment_id=visit)))
            found.append((start + HOUR, Attended(appointment_id=visit)))
        if then == "marked late":
            found.append((start + HOUR, Attended(appointment_id=visit)))
            found.append((start + 3 * HOUR, Missed(appointment_id=visit)))
        if then in ("marked late", "sent again"):
            found.append((start + DAY, Booked(appointment_id=visit, starts_at=moment(start), purpose=purpose)))
        if then == "corrected":
            found.append((start + HOUR, Missed(appointment_id=visit)))
            corrected = moment(start + HOUR // 2)
            found.append((start + DAY, Rescheduled(appointment_id=visit, starts_at=corrected, initiator="clinic")))
        if then == "another start":
            found.append((start + HOUR, Missed(appointment_id=visit)))
            found.append(
                (start + DAY, Booked(appointment_id=visit, starts_at=moment(start + 7 * DAY), purpose=purpose))
            )
            found.append((start + 7 * DAY + HOUR, Attended(appointment_id=visit)))
        if measured is not None:
            found.append((found[-1][0], measured))
        return found

    return happen


_visits = st.builds(
    _visit,
    _visit_ids,
    st.sampled_from(("treatment", "intake", "review", "assessment")),
    st.sampled_from((7, 1, 14, 28)),
    st.sampled_from(
        (
            "attended",
            "missed",
            "called off",
            "moved",
            "forgotten",
            "came late",
            "marked late",
            "sent again",
            "corrected",
            "another start",
        )
    ),
    _some(_measured()),
)
_outcomes = st.sampled_from((("PHQ-9", 20.0, 5.0), ("PHQ-9", 12.0, 9.0), ("ORS", 20.0, 25.0), ("ORS", 30.0, 20.0)))


def _progress(course: tuple[str, float, float]) -> Step:
    instrument, first, last = course
    return lambda at: [
        (at, Measured(instrument=instrument, scores={"total": first})),
        (at + 7 * DAY, Measured(instrument=instrument, scores={"total": last})),
    ]


_steps: SearchStrategy[Step] = st.one_of(
    _visits,
    _visits,
    _visits,
    st.one_of(_attended, _attended, _missed, _cancelled, _opened).map(_now),
    st.builds(_book, _visit_ids, st.sampled_from(_NOTICE), _one_of(Purpose)),
    st.builds(_reschedule, _visit_ids, st.sampled_from(_NOTICE), _one_of(Initiator)),
    _attended.map(_started),
    _outcomes.map(_progress),
    st.one_of(_measured(), _remarks, _ended).map(_now),
)

# ── amendments: what is said afterwards of what was sent ────────────────────────────────────────────────


class _Amendment(NamedTuple):
    how: str
    """`correct` the data, `postpone` the time, `retract`, `repeat`, `correct unknown` or `retract unknown`."""
    of: int
    """Which of the events so far, counted from the last and wrapped round."""
    after: int
    data: Data | None


_amendments = st.builds(
    _Amendment,
    st.sampled_from(("retract", "repeat", "correct", "postpone", "retract unknown", "correct unknown")),
    st.integers(0, 20),
    st.sampled_from((*_GAPS, -DAY, -40 * DAY)),
    st.one_of(_attended, _missed, _cancelled, _ended, _opened, _measured()),
)


def _amend(events: list[AnyEvent], amendment: _Amendment) -> AnyEvent:
    old = events[-1 - amendment.of % len(events)]
    if amendment.how == "repeat":
        return old
    new_id = f"x-{len(events)}"
    at = (old.time - BASE) // timedelta(microseconds=1) + amendment.after
    if amendment.how.startswith("retract"):
        named = old.id if amendment.how == "retract" else "never-sent"
        return make(Retracted(event_id=named), at, new_id, source=old.source, subject=old.subject)
    named = "never-sent" if amendment.how == "correct unknown" else old.id
    data = old.data if amendment.how == "postpone" or amendment.data is None else amendment.data
    return make(data, at, new_id, source=old.source, subject=old.subject, corrects=named)


# ── logs ────────────────────────────────────────────────────────────────────────────────────────────────


@st.composite
def episode_logs(draw: DrawFn, clinic: str = "north", subject: str = "ep-1", max_steps: int = 12) -> list[AnyEvent]:
    """The events of one episode in order of arrival, at least one.

    Openings may be missing or late, times may be equal, ids are unique by source only, and events come late, twice,
    corrected and retracted. Holds no control events and no erasure: those are nothing of the episode's own.
    """
    steps = draw(st.lists(st.tuples(st.sampled_from(_GAPS), _steps), min_size=1, max_size=max_steps))
    opening = draw(_some(_opened))
    happened: list[tuple[int, Data]] = [] if opening is None else [(0, opening)]
    at = 0
    for gap, step in steps:
        found = step(at + gap)
        happened += found
        at = max(at + gap, found[-1][0])
    sources = draw(st.lists(st.booleans(), min_size=len(happened), max_size=len(happened)))
    events: list[AnyEvent] = []
    sent = {True: 0, False: 0}
    for (when, data), other in zip(happened, sources, strict=True):
        sent[other] += 1
        source = f"/{clinic}/{'ehr' if other else 'booking'}"
        event = make(data, when, f"e-{sent[other]}", source=source, subject=subject)
        events.append(msgspec.structs.replace(event, time=event.time.astimezone(_SUMMER)) if other else event)
    for amendment in draw(st.lists(_amendments, max_size=4)):
        events.append(_amend(events, amendment))
    return _arrive(draw, events)


@st.composite
def clinic_logs(draw: DrawFn, max_episodes: int = 4) -> list[AnyEvent]:
    """The events of several episodes of two clinics in order of arrival; both clinics use the same subjects and ids."""
    events: list[AnyEvent] = []
    for n in range(draw(st.integers(1, max_episodes))):
        events += draw(episode_logs(CLINICS[n % 2], f"ep-{n // 2 + 1}", max_steps=5))
    return _arrive(draw, events)


def ticks(max_size: int = 10) -> SearchStrategy[list[ClockTicked]]:
    """Ticks of the clock in order of time, as Keepwell writes them to a partition."""
    return st.lists(st.sampled_from(_GAPS), max_size=max_size).map(
        lambda gaps: [
            ClockTicked(specversion="1.0", id=f"tick-{n}", source="/keepwell/clock", subject="_clock", time=moment(at))
            for n, at in enumerate(accumulate(gaps))
        ]
    )


def _arrive(draw: DrawFn, events: list[AnyEvent]) -> list[AnyEvent]:
    """In the order they were drawn, or in any other."""
    seed = draw(st.integers(0, 2**16))
    if seed:
        random.Random(seed).shuffle(events)
    return events
