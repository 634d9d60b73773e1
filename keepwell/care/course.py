"""The course of an episode: running sums over its effective entries in time order, from which every feature is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from keepwell.care.alliance import LEAST_FALL, Alliance
from keepwell.care.concerns import Concerns
from keepwell.care.endings import DAY, Sweep
from keepwell.care.history import (
    AlertAnswer,
    AnyEntry,
    Attendance,
    Booking,
    Cancellation,
    Handover,
    HomeworkEntry,
    Measure,
    Miss,
    Move,
    Noted,
    Opening,
    Opinion,
    Repair,
    Review,
    Skip,
    Touch,
)
from keepwell.care.instruments import Instrument
from keepwell.care.sums import Mean, Spread
from keepwell.care.visits import LATE_NOTICE, Visits

Interpret = Callable[[str], Instrument | None]
"""Finds the instrument that the episode's clinic means by a name."""

Ref = tuple[int, str]
"""An event of the episode: source index and id."""

HOUR: Final = 3_600_000_000
"""Microseconds an hour."""
SAME_VISIT: Final = 12 * HOUR
"""A measure at most so long before the end of a session belongs to that session; ours."""
RHYTHM_PRIOR: Final = 9.0
"""Days between sessions assumed before any interval is known: between weekly and fortnightly; ours."""
RHYTHM_WEIGHT: Final = 0.3
"""Weight of the newest interval in the rhythm's EWMA; ours."""
LONGEST_INTERVAL: Final = 42.0
"""Days; a longer pause teaches the rhythm no more than this; ours."""
EARLY_SESSIONS: Final = 3
"""Up to this session a gain is early (Lambert 2005, J Clin Psychol 61:855: most early responders by session 3)."""
LATELY: Final = 56 * DAY
"""Eight weeks: how far back sessions count as lately; ours."""
MANY_SKIPS: Final = 3
"""Questionnaires left out in a row from which their silence says something; ours."""
LONGEST_SNOOZE: Final = 30 * DAY
"""A snooze ends after so long at the latest ; ours."""
NEWEST_REVIEWS: Final = 3
"""Reviews of homework that count as the newest; ours."""


@dataclass(slots=True)
class Progress:
    """The course of one outcome instrument, in points, positive change meaning better."""

    instrument: Instrument
    first: float
    last: float
    previous: float | None = None
    early: float | None = None
    """Gain at the last measure up to session `EARLY_SESSIONS`, in points."""
    best: float = 0.0
    count: int = 1


@dataclass(slots=True)
class Course:
    """What the effective entries of an episode amount to, up to the newest of them. Times are µs, None: never."""

    interpret: Interpret
    standing: Sweep = field(default_factory=Sweep)
    visits: Visits = field(init=False)
    """Those of `standing`."""
    alliance: Alliance = field(default_factory=Alliance)
    concerns: Concerns = field(default_factory=Concerns)
    refs: dict[str, Ref] = field(default_factory=dict)
    """By topic (`missed`, `alliance`, …), the newest event that bears on it: the evidence of an alert."""

    first_at: int | None = None
    opening: Opening | None = None
    clinician: str | None = None
    modality: str | None = None

    sessions: int = 0
    attended: int = 0
    """Visits of any purpose that took place."""
    missed: int = 0
    excused: int = 0
    late_cancelled: int = 0
    client_cancelled: int = 0
    clinic_cancelled: int = 0
    client_moves: int = 0
    clinic_moves: int = 0
    """Moves by the clinic or the clinician."""
    clinic_moved: set[str] = field(default_factory=set)
    """The appointments that they moved."""
    moved_twice_at: int | None = None
    """When they last moved an appointment that they had moved before."""
    break_at: int | None = None
    """When the clinic last broke continuity: cancelled or moved a visit, sent a stand-in, or changed the clinician without
    the client having asked for it."""
    lost_in_a_row: int = 0
    """Visits missed or cancelled by the client since one was last attended."""
    last_lost: str | None = None
    """What became of the visit decided last, if it was lost: `missed`, `late_cancelled` or `cancelled`."""
    last_notice: float | None = None
    last_push: float | None = None
    lost_at: int | None = None
    """When a visit was lost with nothing booked since."""
    kept_at: int | None = None
    """When a visit was lost with the next one booked before; None once one was booked, moved by the client or attended."""
    rebooking: float | None = None
    booked_ahead: Mean = field(default_factory=Mean)
    """Over sessions, whether a later one was booked already when they were recorded (1 or 0)."""
    last_session: int | None = None
    rhythm: float = RHYTHM_PRIOR
    last_interval: float | None = None
    stretch: float | None = None
    """The last interval in terms of what was usual before it."""
    rhythms: Spread = field(default_factory=Spread)
    """The intervals between sessions in days, none longer than `LONGEST_INTERVAL`."""
    weekday_changes: int = 0
    """Sessions on another day of the week than the one before."""
    lately: list[int] = field(default_factory=list)
    """When the sessions of the last `LATELY` before the newest took place, that one included."""
    placed: int = 0
    """Sessions of which a booked start is known, and of these, those held on another day than first booked."""
    displaced: int = 0
    first_visit: str | None = None
    """The appointment of the session booked first."""
    first_start: int | None = None
    """When the first session was to start as offered, moved or, without a booking, took place."""
    lateness: Mean = field(default_factory=Mean)
    early: Mean = field(default_factory=Mean)
    """Whole days by which visits took place before they were booked for: work in writing, courses."""
    duration: Mean = field(default_factory=Mean)

    progress: dict[str, Progress] = field(default_factory=dict)
    outcome: Progress | None = None
    """The outcome instrument measured last."""
    uninterpreted: set[str] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)
    """Known instruments of whose newest measure no score could be read."""
    since_outcome: int = 0
    since_alliance: int = 0
    outcome_at: int | None = None
    alliance_at: int | None = None
    ratings: int = 0
    """Occasions on which the alliance was rated; instruments filled in within `SAME_VISIT` are one."""
    endorsed: dict[str, int] = field(default_factory=dict)
    """By instrument, when its safety item was endorsed, where that is the newest answer to it."""

    assigned: int = 0
    homework: Mean = field(default_factory=Mean)
    newest_reviews: tuple[float, ...] = ()
    """Of up to `NEWEST_REVIEWS`, what was done, 0 to 1."""
    homework_falling: int = 0
    """Reviews in a row each of less done than the one before."""

    opinions: dict[str, tuple[int, str]] = field(default_factory=dict)
    negative_at: int | None = None
    positive_at: int | None = None
    wishes: dict[str, int] = field(default_factory=dict)
    """By what is wished for (approach, clinician, format), when it was last said. Gone once met or feedback is good."""
    voiced_at: int | None = None
    """When the client last said something critical: negative feedback, a wish for a change, a complaint."""

    skips_in_a_row: int = 0
    skipping_since: int | None = None
    """When so many questionnaires were left out in a row (`MANY_SKIPS`) that nothing is heard by them any more."""
    declined: int = 0
    completed: int = 0
    heard_at: int | None = None
    """When the client was last heard from, but for what was critical (`voiced_at`): who complains and then stays away is
    silent from the last session on, so saying what is wrong never looks like being in touch."""
    unanswered: int = 0
    outreaches: int = 0
    inbound_at: int | None = None
    """When the client last wrote or called, complaints apart."""
    replied_at: int | None = None
    complaint_at: int | None = None

    handovers: int = 0
    handover_at: int | None = None
    handover_reason: str | None = None
    stand_ins: int = 0

    wished: bool = False
    """Whether a change was ever wished for."""
    snoozed_until: dict[str, int] = field(default_factory=dict)
    """By alert id, when its rest ends, at most `LONGEST_SNOOZE` after it began."""
    snoozed_to_session: set[str] = field(default_factory=set)
    """Alerts that rest until the next session, as no end was said."""
    answers: dict[str, str] = field(default_factory=dict)
    """By alert id, the newest answer a clinician gave."""

    def __post_init__(self) -> None:
        self.visits = self.standing.visits

    def take(self, entry: AnyEntry, holds: bool = True) -> bool:
        """Takes the next effective entry in time order. False: it undoes an outcome that was counted, so that the sums must
        be built anew. An outcome that does not hold (`holds`: as the whole history tells) is a part of none."""
        instrument = self.interpret(entry.instrument) if type(entry) is Measure else None
        change = self.standing.take(entry, instrument)
        if self.first_at is None:
            self.first_at = entry.at
        if type(entry) is Measure:
            self._measure(entry, instrument)
            return True
        take = TAKES.get(type(entry))
        if take is not None and holds and change != "ignored":
            take(self, entry)
        return change != "undone"

    def _hear(self, entry: AnyEntry) -> None:
        """The client was heard from: silence and unanswered outreach end."""
        self.heard_at = entry.at
        self.unanswered = 0
        self.refs["heard"] = (entry.source, entry.id)

    def _voice(self, entry: Opinion | Touch) -> None:
        """The client said what is wrong or wanted otherwise: it answers outreach, and ends no silence."""
        self.voiced_at = entry.at
        self.unanswered = 0

    def _open(self, entry: Opening) -> None:
        if self.opening is None:
            self.opening = entry
        self.clinician = entry.clinician
        self.modality = entry.modality or self.modality

    def _assign(self, entry: HomeworkEntry) -> None:
        self.assigned += 1

    def _review(self, entry: Review) -> None:
        falls = self.homework.count > 0 and entry.completion < self.homework.last
        self.homework_falling = self.homework_falling + 1 if falls else 0
        self.homework.add(entry.completion)
        self.concerns.take_review(entry.at, (entry.source, entry.id), self.homework_falling, entry.completion)
        self.newest_reviews = (*self.newest_reviews[1 - NEWEST_REVIEWS :], entry.completion)
        self.assigned = max(0, self.assigned - 1)
        self._hear(entry)
        self.refs["homework"] = (entry.source, entry.id)

    def _note(self, entry: Noted) -> None:
        self.alliance.take_note(entry)
        self.refs["rupture"] = (entry.source, entry.id)

    def _repair(self, entry: Repair) -> None:
        self.alliance.take_repair(entry)
        self.concerns.take_repair(entry)
        self.refs["rupture"] = (entry.source, entry.id)

    def _book(self, entry: Booking) -> None:
        if self.first_start is None and self.visits.by_id[entry.appointment].is_session:
            self.first_visit, self.first_start = entry.appointment, entry.starts
        self.modality = entry.modality or self.modality
        if self.lost_at is not None:
            self.rebooking = (entry.at - self.lost_at) / DAY
        self.lost_at = self.kept_at = None

    def _attend(self, entry: Attendance) -> None:
        self._hear(entry)
        self.attended += 1
        self.lost_in_a_row = 0
        self.last_lost = None
        self.lost_at = self.kept_at = None
        self.modality = entry.modality or self.modality
        if entry.late is not None:
            self.lateness.add(entry.late)
        visit = None if entry.appointment is None else self.visits.by_id[entry.appointment]
        if visit is not None and visit.starts is not None:
            self.early.add(float(round((visit.starts - entry.at) / DAY)))
        if entry.duration is not None:
            self.duration.add(entry.duration)
        if entry.clinician is not None and self.clinician is not None and entry.clinician != self.clinician:
            self.stand_ins += 1
            self.break_at = entry.at
        self.refs["attended"] = (entry.source, entry.id)
        if not self.visits.is_session(entry):
            return
        self.sessions += 1
        if self.first_start is None:
            self.first_start = entry.at
        if visit is not None and visit.given:
            self.placed += 1
            self.displaced += abs(entry.at - visit.given[0]) > SAME_VISIT
        self.booked_ahead.add(float(self.visits.next_session(entry.at) is not None))
        # What was filled in just before or in a session belongs to it.
        self.since_outcome += self.outcome_at is None or entry.at - self.outcome_at > SAME_VISIT
        self.since_alliance += self.alliance_at is None or entry.at - self.alliance_at > SAME_VISIT
        if self.last_session is not None:
            self.last_interval = (entry.at - self.last_session) / DAY
            self.stretch = self.last_interval / max(self.rhythm, 1.0)
            interval = min(self.last_interval, LONGEST_INTERVAL)
            self.rhythm += RHYTHM_WEIGHT * (interval - self.rhythm)
            self.rhythms.add(interval)
            self.weekday_changes += 0.5 < self.last_interval % 7 < 6.5
        self.last_session = entry.at
        self.lately.append(entry.at)
        while self.lately[0] <= entry.at - LATELY:
            del self.lately[0]
        self.alliance.take_session(entry.at)
        self.concerns.take_session(entry.at, entry.at - SAME_VISIT)
        for alert in self.snoozed_to_session:
            self.snoozed_until[alert] = min(self.snoozed_until[alert], entry.at)
        self.snoozed_to_session.clear()

    def _measure(self, entry: Measure, instrument: Instrument | None) -> None:
        if entry.safety is not None:
            name = entry.instrument if instrument is None else instrument.name
            if entry.safety > 0:
                self.endorsed[name] = entry.at
                self.refs["safety"] = (entry.source, entry.id)
            else:
                self.endorsed.pop(name, None)
        if entry.rater != "client":
            return
        self._hear(entry)
        self.skips_in_a_row = 0
        self.skipping_since = None
        self.completed += 1
        if instrument is None:
            self.uninterpreted.add(entry.instrument)
            return
        scores = instrument.readable(entry.scores)
        if not scores or (instrument.kind == "outcome" and "total" not in scores):
            self.unread.add(instrument.name)
            return
        self.unread.discard(instrument.name)
        if instrument.kind == "alliance":
            self.since_alliance = 0
            self.ratings += self.alliance_at is None or entry.at - self.alliance_at > SAME_VISIT
            self.alliance_at = entry.at
            self.refs["alliance"] = (entry.source, entry.id)
            self.alliance.take_measure(entry, instrument, scores)
            self._steady(entry.at)
            opened = self.alliance.open
            if opened and opened.opened_at == entry.at:
                self.refs["rupture"] = (entry.source, entry.id)
        else:
            self._progress(entry, instrument, scores["total"])

    def _steady(self, at: int) -> None:
        """What a rating says of the concerns that are open: on its pillar, where it was rated, else on the whole."""
        alliance = self.alliance
        if not self.concerns.open:
            return
        honest = not alliance.below_cutoff and alliance.perfect_run == 0  # perfect may be politeness
        for _, pillar in list(self.concerns.open):
            series = alliance.of(pillar or "total") or alliance.of("total")
            if pillar is not None and series is not None:
                self.concerns.take_rating(at, pillar, honest and series.fall <= LEAST_FALL / 2)

    def _progress(self, entry: Measure, instrument: Instrument, total: float) -> None:
        self.since_outcome = 0
        self.outcome_at = entry.at
        self.refs["outcome"] = (entry.source, entry.id)
        course = self.progress.get(instrument.name)
        if course is None:
            course = self.progress[instrument.name] = Progress(instrument, total, total)
        else:
            course.previous = course.last
            course.last = total
            course.count += 1
        gain = instrument.gain(course.first, total)
        course.best = max(course.best, gain)
        if self.sessions <= EARLY_SESSIONS and course.count > 1:
            course.early = gain
        self.outcome = course

    def _skip(self, entry: Skip) -> None:
        if entry.rater not in (None, "client") or entry.reason in ("not_offered", "technical"):
            return
        self.skips_in_a_row += 1
        if self.skips_in_a_row == MANY_SKIPS:
            self.skipping_since = entry.at
        self.declined += entry.reason == "declined"
        self.refs["skipped"] = (entry.source, entry.id)

    def _move(self, entry: Move) -> None:
        if entry.initiator == "client":
            self.client_moves += 1
            self._hear(entry)
            self.kept_at = None
            self.refs["moved"] = (entry.source, entry.id)
        else:
            self.clinic_moves += 1
            self.break_at = entry.at
            if entry.appointment in self.clinic_moved:
                self.moved_twice_at = entry.at
                self.concerns.take_break(entry.at, (entry.source, entry.id))
            self.clinic_moved.add(entry.appointment)
            self.refs["continuity"] = (entry.source, entry.id)
        if entry.appointment == self.first_visit and self.sessions == 0:
            self.first_start = entry.starts
        self.last_push = (entry.starts - entry.at) / DAY
        self.lost_at = None

    def _cancel(self, entry: Cancellation) -> None:
        if entry.initiator != "client":
            self.clinic_cancelled += 1
            if not self.lost_in_a_row:  # the visits of somebody who stays away are cleared: that breaks nothing
                self.concerns.take_cancelled(entry.at, (entry.source, entry.id))
            self.break_at = entry.at
            self.refs["continuity"] = (entry.source, entry.id)
            return
        self._hear(entry)
        starts = self.visits.by_id[entry.appointment].starts
        late = starts is not None and starts - entry.at < LATE_NOTICE
        self.client_cancelled += 1
        self.late_cancelled += late
        self.last_notice = None if starts is None else max(starts - entry.at, 0) / HOUR
        self._lose(entry, "late_cancelled" if late else "cancelled")

    def _miss(self, entry: Miss) -> None:
        self.missed += 1
        self.excused += entry.reason not in ("no_show", "unknown", "other")
        self._lose(entry, "missed")

    def _lose(self, entry: Cancellation | Miss, how: str) -> None:
        self.lost_in_a_row += 1
        self.last_lost = how
        self.refs["missed"] = (entry.source, entry.id)
        if self.visits.next_session(entry.at) is None:
            self.lost_at, self.kept_at = entry.at, None
        else:
            self.kept_at = entry.at

    def _opine(self, entry: Opinion) -> None:
        self.opinions[entry.pillar] = (entry.at, entry.sentiment)
        self.refs["feedback"] = (entry.source, entry.id)
        if entry.sentiment == "negative" or entry.wants != "none":
            self._voice(entry)
        else:
            self._hear(entry)
        if entry.sentiment == "negative":
            self.negative_at = entry.at
        elif entry.sentiment == "positive":
            self.positive_at = entry.at
        if entry.wants != "none":
            self.wished = True
            self.wishes[entry.wants] = entry.at
        elif entry.sentiment == "positive":
            self.wishes.clear()
        self.alliance.take_opinion(entry)
        self.concerns.take_opinion(entry)

    def _touch(self, entry: Touch) -> None:
        heard = entry.direction == "inbound" or entry.reached
        if entry.purpose == "outreach" and entry.direction == "outbound":
            self.outreaches += 1
        if entry.purpose == "complaint":
            if heard:
                self._voice(entry)
            self.complaint_at = entry.at
            self.refs["feedback"] = (entry.source, entry.id)
        elif heard:
            self._hear(entry)
            if entry.direction == "inbound":
                self.inbound_at = entry.at
                if entry.purpose == "reply":
                    self.replied_at = entry.at
        elif entry.purpose == "outreach":
            self.unanswered += 1
            self.refs["outreach"] = (entry.source, entry.id)
        self.alliance.take_contact(entry)
        self.concerns.take_contact(entry)

    def _hand_over(self, entry: Handover) -> None:
        self.handovers += 1
        self.handover_at = entry.at
        self.handover_reason = entry.reason
        self.clinician = entry.clinician
        if entry.reason == "absence":
            self.concerns.take_break(entry.at, (entry.source, entry.id))
        if entry.reason != "client_request" and "clinician" not in self.wishes:
            self.break_at = entry.at
        self.wishes.pop("clinician", None)
        self.refs["continuity"] = (entry.source, entry.id)

    def _answer(self, entry: AlertAnswer) -> None:
        self.answers[entry.alert] = entry.action
        self.concerns.take_answer(entry)
        self.snoozed_until.pop(entry.alert, None)
        self.snoozed_to_session.discard(entry.alert)
        if entry.action == "snoozed":
            latest = entry.at + LONGEST_SNOOZE
            self.snoozed_until[entry.alert] = latest if entry.until is None else min(entry.until, latest)
            if entry.until is None:
                self.snoozed_to_session.add(entry.alert)
        if entry.action == "approach_changed":
            self.wishes.pop("approach", None)
        elif entry.action == "transfer_offered":
            self.wishes.pop("clinician", None)
        elif entry.action == "ending_planned":
            self.wishes.clear()


TAKES: Final[dict[type, Callable[[Course, Any], None]]] = {
    Opening: Course._open,
    Booking: Course._book,
    Move: Course._move,
    Cancellation: Course._cancel,
    Miss: Course._miss,
    Attendance: Course._attend,
    Skip: Course._skip,
    HomeworkEntry: Course._assign,
    Review: Course._review,
    Opinion: Course._opine,
    Noted: Course._note,
    Repair: Course._repair,
    Touch: Course._touch,
    Handover: Course._hand_over,
    AlertAnswer: Course._answer,
}
"""What each kind of entry adds to a course. Apart are only measures, which need their instrument, endings, which `standing`
takes, and retractions, which undo others before a course is built: a test fails for any other kind that is left out."""


def course_of(entries: Sequence[AnyEntry], interpret: Interpret) -> Course:
    """The course that effective entries in time order amount to."""
    course = Course(interpret)
    whole = True
    for entry in entries:
        whole &= course.take(entry)
    if whole:
        return course
    void = course.visits.void
    course = Course(interpret)
    for entry in entries:
        course.take(entry, (entry.source, entry.id) not in void)
    return course
