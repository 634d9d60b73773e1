"""Every feature a score can rest on, declared once: name, pillar, unit, plain words, and the function that reads it.

A feature is a function of the course of an episode and a moment not before its newest entry. It returns None where its
signal is missing: that is a fact of its own, never filled in. Nothing here can see a fairness attribute (the history does
not keep them) or anything after the moment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import cos, pi, sin
from typing import Final, Literal, NamedTuple, get_args

from keepwell.care.alliance import Rupture
from keepwell.care.course import Course
from keepwell.care.endings import DAY, RECORDING_TIME

Value = float | None
Read = Callable[[Course, int], Value]
Words = Callable[[float], str]

RECENT_DAYS: Final = 60
"""How long feedback, a wish to change or a hand-over counts as recent; ours."""
MANDATED: Final = frozenset(("court", "employer"))
REMOTE: Final = frozenset(("video", "phone", "text"))


class Feature(NamedTuple):
    """One declared feature. `words` puts a value in plain words; `missing` says what its absence means; `topic` names the
    newest event that bears on it (`Course.refs`)."""

    name: str
    pillar: str
    unit: str
    read: Read
    words: Words
    missing: str
    topic: str | None = None


def _since(moment: int | None, now: int) -> Value:
    return None if moment is None else (now - moment) / DAY


def _recent(moment: int | None, now: int) -> bool:
    return moment is not None and now - moment <= RECENT_DAYS * DAY


def _share(part: int, whole: int) -> Value:
    return part / whole if whole else None


def _n(count: float, one: str, many: str) -> str:
    return f"{count:.0f} {one if round(count) == 1 else many}"


def _says(text: str, otherwise: str) -> Words:
    """Words of a yes/no feature."""
    return lambda v: text if v else otherwise


def _silence(c: Course, now: int) -> Value:
    return _since(c.heard_at if c.heard_at is not None else c.first_at, now)


def _gap_in_rhythm(c: Course, now: int) -> Value:
    return None if c.last_session is None else (now - c.last_session) / DAY / max(c.rhythm, 1.0)


def _stretch(c: Course, now: int) -> Value:
    return c.stretch


def _until_next(c: Course, now: int) -> Value:
    starts = c.next_visit(now)
    return None if starts is None else (starts - now) / DAY


def _since_kept(c: Course, now: int) -> Value:
    return None if c.kept_at is None or c.next_visit(now) is None else _since(c.kept_at, now)


def _since_unbooked(c: Course, now: int) -> Value:
    return None if c.lost_at is not None or c.next_visit(now) is not None else _since(c.last_session, now)


def _usually_booked(c: Course, now: int) -> Value:
    if c.booked_ahead.count < 2 or c.lost_at is not None or c.next_visit(now) is not None:
        return None
    return c.booked_ahead.usual


def _unrecorded(c: Course, now: int) -> Value:
    return float(sum(starts + RECORDING_TIME < now for starts in c.standing.pending.values()))


def _level(scale: str) -> Read:
    def read(c: Course, now: int) -> Value:
        series = c.alliance.of(scale)
        return series.last if series else None

    return read


def _fall(scale: str) -> Read:
    def read(c: Course, now: int) -> Value:
        series = c.alliance.of(scale)
        return series.fall if series else None

    return read


def _change(scale: str) -> Read:
    def read(c: Course, now: int) -> Value:
        series = c.alliance.of(scale)
        return None if series is None or series.previous is None else series.last - series.previous

    return read


def _standard_fall(c: Course, now: int) -> Value:
    found = [s.standard for scale in ("total", "goals", "tasks", "bond") if (s := c.alliance.of(scale)) is not None]
    return max(found) if found else None


def _lowest(c: Course, now: int) -> Value:
    series = c.alliance.of(c.alliance.lowest) if c.alliance.lowest else None
    return series.last if series else None


def _open(test: Callable[[Rupture], bool]) -> Read:
    def read(c: Course, now: int) -> Value:
        rupture = c.alliance.open
        return float(rupture is not None and test(rupture))

    return read


def _rupture_age(c: Course, now: int) -> Value:
    rupture = c.alliance.open
    return None if rupture is None else (now - rupture.opened_at) / DAY


def _repaired(c: Course, now: int) -> Value:
    closed = [rupture.repaired for rupture in c.alliance.ruptures if rupture.closed_at is not None]
    return sum(closed) / len(closed) if closed else None


def _unrepaired(c: Course, now: int) -> Value:
    return float(sum(r.closed_at is not None and not r.repaired for r in c.alliance.ruptures))


def _gain(c: Course, now: int) -> Value:
    p = c.outcome
    return None if p is None or p.count < 2 else p.instrument.gain(p.first, p.last) / p.instrument.reliable_change


def _last_gain(c: Course, now: int) -> Value:
    p = c.outcome
    if p is None or p.previous is None:
        return None
    return p.instrument.gain(p.previous, p.last) / p.instrument.reliable_change


def _early_gain(c: Course, now: int) -> Value:
    p = c.outcome
    return None if p is None or p.early is None else p.early / p.instrument.reliable_change


def _lost_gain(c: Course, now: int) -> Value:
    p = c.outcome
    if p is None or p.count < 2:
        return None
    return (p.best - p.instrument.gain(p.first, p.last)) / p.instrument.reliable_change


def _to_cutoff(c: Course, now: int) -> Value:
    p = c.outcome
    return None if p is None else p.instrument.gain(p.last, p.instrument.cutoff) / p.instrument.reliable_change


def _severity(c: Course, now: int) -> Value:
    p = c.outcome
    return None if p is None else p.instrument.gain(p.first, p.instrument.cutoff) / p.instrument.reliable_change


def _homework_fall(c: Course, now: int) -> Value:
    return None if c.homework.count < 2 else c.homework.usual - c.homework.last


def _opinion(pillar: str) -> Read:
    def read(c: Course, now: int) -> Value:
        found = c.opinions.get(pillar)
        if found is None:
            return None
        return {"negative": -1.0, "neutral": 0.0, "positive": 1.0}[found[1]]

    return read


def _wish(what: str) -> Read:
    def read(c: Course, now: int) -> Value:
        return float(c.wish == what and _recent(c.wish_at, now))

    return read


def _last_late(c: Course, now: int) -> Value:
    return c.lateness.last if c.lateness.count else None


def _later_than_usual(c: Course, now: int) -> Value:
    return None if c.lateness.count < 2 else c.lateness.last - c.lateness.usual


def _shorter_than_usual(c: Course, now: int) -> Value:
    return None if c.duration.count < 2 else c.duration.usual - c.duration.last


def _plan_done(c: Course, now: int) -> Value:
    planned = c.opening.planned if c.opening else None
    return None if planned is None else c.sessions / planned


def _plan_left(c: Course, now: int) -> Value:
    planned = c.opening.planned if c.opening else None
    return None if planned is None else float(planned - c.sessions)


def _until_first(c: Course, now: int) -> Value:
    return None if c.sessions else _until_next(c, now)


def _waited(c: Course, now: int) -> Value:
    if c.sessions or c.first_at is None:
        return None
    return (now - c.first_at) / DAY


def _year(turn: Callable[[float], float]) -> Read:
    return lambda c, now: turn(2 * pi * (now / DAY % 365.2425) / 365.2425)


def _flag(test: Callable[[Course], bool]) -> Read:
    return lambda c, now: float(test(c))


def _of_opening(read: Callable[[Course], Value]) -> Read:
    return lambda c, now: None if c.opening is None else read(c)


_ORDINAL: Final = {"goals": "Agreement on goals", "tasks": "Agreement on tasks", "bond": "Bond"}


def _fall_words(scale: str) -> Words:
    name = _ORDINAL.get(scale, "Alliance")
    return lambda v: (
        f"{name} rating is {abs(v):.1f} of 10 points {'below' if v > 0 else 'above'} what was usual for this person"
    )


def _change_words(scale: str) -> Words:
    name = _ORDINAL.get(scale, "Alliance")
    return lambda v: f"{name} rating {'fell' if v < 0 else 'rose'} {abs(v):.1f} of 10 points since the last rating"


def _opinion_words(pillar: str) -> Words:
    return lambda v: f"Feedback on {pillar} was {('negative', 'neutral', 'positive')[round(v) + 1]}"


def _rc(v: float) -> str:
    return f"{abs(v):.1f} times the reliable change"


_NOTHING = "Nothing that was recorded still holds"
_NO_RATING = "No alliance rating yet"
_NO_OUTCOME = "No outcome measured twice yet"

FEATURES: Final[Sequence[Feature]] = (
    # ── attendance ───────────────────────────────────────────────────────────────────────────────────────────────
    Feature("missed", "attendance", "visits", lambda c, now: float(c.missed),
            lambda v: f"{_n(v, 'visit', 'visits')} missed so far", "", "missed"),
    Feature("missed_share", "attendance", "share", lambda c, now: _share(c.missed, c.missed + c.visits),
            lambda v: f"{v:.0%} of the visits so far were missed", "No visit has come due yet", "missed"),
    Feature("lost_in_a_row", "attendance", "visits", lambda c, now: float(c.lost_in_a_row),
            lambda v: f"{_n(v, 'visit', 'visits')} missed or cancelled by the client since the last one attended",
            "", "missed"),
    Feature("last_visit_missed", "attendance", "0/1", _flag(lambda c: c.last_lost == "missed"),
            _says("The last visit was missed", "The last visit was not missed"), "", "missed"),
    Feature("last_visit_cancelled_late", "attendance", "0/1", _flag(lambda c: c.last_lost == "late_cancelled"),
            _says("The last visit was cancelled within a day of its start", "The last visit was not cancelled late"),
            "", "missed"),
    Feature("late_cancelled", "attendance", "visits", lambda c, now: float(c.late_cancelled),
            lambda v: f"{_n(v, 'visit', 'visits')} cancelled within a day of the start", "", "missed"),
    Feature("client_cancelled", "attendance", "visits", lambda c, now: float(c.client_cancelled),
            lambda v: f"{_n(v, 'visit', 'visits')} cancelled by the client", "", "missed"),
    Feature("cancel_notice", "attendance", "hours", lambda c, now: c.last_notice,
            lambda v: f"The last cancellation came {_n(v, 'hour', 'hours')} before the visit",
            "The client has cancelled nothing", "missed"),
    Feature("excused_share", "attendance", "share", lambda c, now: _share(c.excused, c.missed),
            lambda v: f"A reason was given for {v:.0%} of the missed visits", "No visit was missed", "missed"),
    Feature("client_moves", "attendance", "visits", lambda c, now: float(c.client_moves),
            lambda v: f"{_n(v, 'visit', 'visits')} moved by the client", "", "moved"),
    Feature("last_push", "attendance", "days", lambda c, now: c.last_push,
            lambda v: f"The visit moved last was set for {_n(abs(v), 'day', 'days')} {'after' if v >= 0 else 'before'} the "
            "move", "No visit was moved", "moved"),
    Feature("awaiting_rebooking", "attendance", "days", lambda c, now: _since(c.lost_at, now),
            lambda v: f"A visit was lost {_n(v, 'day', 'days')} ago and nothing has been booked since",
            "No lost visit waits to be rebooked", "missed"),
    Feature("awaiting_kept_visit", "attendance", "days", _since_kept,
            lambda v: f"A visit was lost {_n(v, 'day', 'days')} ago; the next one had been booked before",
            "No lost visit is followed by one that was booked before", "missed"),
    Feature("rebooking_delay", "attendance", "days", lambda c, now: c.rebooking,
            lambda v: f"Rebooking took {_n(v, 'day', 'days')} the last time", "No lost visit was rebooked", "missed"),
    Feature("days_since_session", "attendance", "days", lambda c, now: _since(c.last_session, now),
            lambda v: f"Last session {_n(v, 'day', 'days')} ago", "No session yet", "attended"),
    Feature("rhythm", "attendance", "days", lambda c, now: c.rhythm if c.sessions > 1 else None,
            lambda v: f"About {_n(v, 'day', 'days')} between sessions", "Fewer than two sessions", "attended"),
    Feature("gap_in_rhythm", "attendance", "times the usual interval", _gap_in_rhythm,
            lambda v: f"The last session lies {v:.1f} times this person's usual interval back", "No session yet",
            "attended"),
    Feature("interval_stretch", "attendance", "times the usual interval", _stretch,
            lambda v: f"The last interval was {v:.1f} times the usual one", "Fewer than two sessions", "attended"),
    Feature("minutes_late", "attendance", "minutes", _last_late,
            lambda v: f"Came {_n(max(v, 0), 'minute', 'minutes')} after the start", "No arrival time recorded",
            "attended"),
    Feature("later_than_usual", "attendance", "minutes", _later_than_usual,
            lambda v: f"Came {_n(abs(v), 'minute', 'minutes')} {'later' if v > 0 else 'earlier'} than usual",
            "Fewer than two arrival times", "attended"),
    Feature("shorter_than_usual", "attendance", "minutes", _shorter_than_usual,
            lambda v: f"The last session was {_n(abs(v), 'minute', 'minutes')} {'shorter' if v > 0 else 'longer'} than "
            "usual", "Fewer than two durations", "attended"),
    Feature("nothing_booked", "attendance", "0/1", lambda c, now: float(c.next_visit(now) is None),
            _says("No further session is booked", "A further session is booked"), ""),
    Feature("awaiting_booking", "attendance", "days", _since_unbooked,
            lambda v: f"The last session was {_n(v, 'day', 'days')} ago and nothing has been booked since",
            "A further session is booked, or a lost one waits to be rebooked", "attended"),
    Feature("usually_booked", "attendance", "share", _usually_booked,
            lambda v: f"Nothing is booked yet; after {v:.0%} of the earlier sessions the next one was booked at once",
            "A further session is booked, a lost one waits to be rebooked, or there was one session only", "attended"),
    Feature("days_to_next_visit", "attendance", "days", _until_next,
            lambda v: f"The next session is {_n(v, 'day', 'days')} away", "No further session is booked"),
    Feature("days_to_first_visit", "attendance", "days", _until_first,
            lambda v: f"The first session is {_n(v, 'day', 'days')} away", "No first session lies ahead"),
    Feature("unrecorded", "attendance", "visits", _unrecorded,
            lambda v: f"{_n(v, 'visit has', 'visits have')} no record of having taken place", ""),
    Feature("waiting", "attendance", "days", _waited,
            lambda v: f"{_n(v, 'day', 'days')} without a first session", "The first session has taken place"),
    # ── alliance ─────────────────────────────────────────────────────────────────────────────────────────────────
    Feature("alliance_level", "alliance", "points of 10", _level("total"),
            lambda v: f"Alliance rated {v:.1f} of 10", _NO_RATING, "alliance"),
    Feature("goals_level", "goals", "points of 10", _level("goals"),
            lambda v: f"Agreement on goals rated {v:.1f} of 10", _NO_RATING, "alliance"),
    Feature("tasks_level", "tasks", "points of 10", _level("tasks"),
            lambda v: f"Agreement on tasks rated {v:.1f} of 10", _NO_RATING, "alliance"),
    Feature("bond_level", "bond", "points of 10", _level("bond"),
            lambda v: f"Bond rated {v:.1f} of 10", _NO_RATING, "alliance"),
    Feature("alliance_drop", "alliance", "points of 10", _fall("total"), _fall_words("total"), _NO_RATING, "alliance"),
    Feature("goals_drop", "goals", "points of 10", _fall("goals"), _fall_words("goals"), _NO_RATING, "alliance"),
    Feature("tasks_drop", "tasks", "points of 10", _fall("tasks"), _fall_words("tasks"), _NO_RATING, "alliance"),
    Feature("bond_drop", "bond", "points of 10", _fall("bond"), _fall_words("bond"), _NO_RATING, "alliance"),
    Feature("alliance_change", "alliance", "points of 10", _change("total"), _change_words("total"),
            "Fewer than two alliance ratings", "alliance"),
    Feature("bond_change", "bond", "points of 10", _change("bond"), _change_words("bond"),
            "Fewer than two ratings of the bond", "alliance"),
    Feature("steepest_fall", "alliance", "standard errors", _standard_fall,
            lambda v: f"The lowest alliance rating is {'far below' if v >= 2 else 'below' if v > 0 else 'not below'} "
            "what was to be expected of this person", _NO_RATING, "alliance"),
    Feature("lowest_pillar_level", "alliance", "points of 10", _lowest,
            lambda v: f"The lowest of goals, tasks and bond was rated {v:.1f} of 10",
            "No rating of goals, tasks and bond", "alliance"),
    Feature("below_cutoff", "alliance", "0/1",
            lambda c, now: None if c.alliance.instrument is None else float(c.alliance.below_cutoff),
            _says("The last alliance rating lies below the published cut-off",
                  "The last alliance rating lies below no published cut-off"), _NO_RATING, "alliance"),
    Feature("rupture_open", "alliance", "0/1", _open(lambda r: True),
            _says("A rupture of the alliance is open", "No rupture of the alliance is open"), "", "rupture"),
    Feature("rupture_withdrawal", "alliance", "0/1", _open(lambda r: r.kind == "withdrawal"),
            _says("A withdrawal rupture is open", "No withdrawal rupture is open"), "", "rupture"),
    Feature("rupture_confrontation", "alliance", "0/1", _open(lambda r: r.kind == "confrontation"),
            _says("A confrontation rupture is open", "No confrontation rupture is open"), "", "rupture"),
    Feature("rupture_reported", "alliance", "0/1", _open(lambda r: r.evidence == "reported"),
            _says("A rupture was reported and is open", "No reported rupture is open"), "", "rupture"),
    Feature("rupture_age", "alliance", "days", _rupture_age,
            lambda v: f"A rupture has been open for {_n(v, 'day', 'days')}", "No rupture is open", "rupture"),
    Feature("ruptures", "alliance", "ruptures", lambda c, now: float(len(c.alliance.ruptures)),
            lambda v: f"{_n(v, 'rupture', 'ruptures')} so far", "", "rupture"),
    Feature("ruptures_repaired", "alliance", "share", _repaired,
            lambda v: f"{v:.0%} of earlier ruptures were repaired", "No rupture has closed yet", "rupture"),
    Feature("ruptures_unrepaired", "alliance", "ruptures", _unrepaired,
            lambda v: f"{_n(v, 'rupture', 'ruptures')} passed without repair", "", "rupture"),
    Feature("last_repair", "alliance", "-1/0/1",
            lambda c, now: {"better": 1.0, "same": 0.0, "worse": -1.0}.get(c.alliance.last_repair or ""),
            lambda v: f"After the last attempt at repair things were {('worse', 'the same', 'better')[round(v) + 1]}",
            "No attempt at repair with a known outcome", "rupture"),
    Feature("perfect_run", "alliance", "ratings", lambda c, now: float(c.alliance.perfect_run),
            lambda v: f"{_n(v, 'perfect alliance rating', 'perfect alliance ratings')} in a row", "", "alliance"),
    Feature("sessions_since_alliance", "silence", "sessions", lambda c, now: float(c.since_alliance),
            lambda v: f"{_n(v, 'session', 'sessions')} since the alliance was last rated", "", "alliance"),
    # ── progress ─────────────────────────────────────────────────────────────────────────────────────────────────
    Feature("gain", "progress", "reliable changes", _gain,
            lambda v: f"{'Better' if v >= 0 else 'Worse'} than at the start by {_rc(v)}", _NO_OUTCOME, "outcome"),
    Feature("reliably_improved", "progress", "0/1",
            lambda c, now: None if (g := _gain(c, now)) is None else float(g >= 1),
            _says("Reliably better than at the start", "Not reliably better than at the start"), _NO_OUTCOME, "outcome"),
    Feature("deteriorated", "progress", "0/1",
            lambda c, now: None if (g := _gain(c, now)) is None else float(g <= -1),
            _says("Reliably worse than at the start", "Not reliably worse than at the start"), _NO_OUTCOME, "outcome"),
    Feature("early_gain", "progress", "reliable changes", _early_gain,
            lambda v: f"{'Gain' if v >= 0 else 'Loss'} in the first sessions of {_rc(v)}",
            "No change measured in the first sessions", "outcome"),
    Feature("last_gain", "progress", "reliable changes", _last_gain,
            lambda v: f"{'Better' if v >= 0 else 'Worse'} than at the last measure by {_rc(v)}", _NO_OUTCOME, "outcome"),
    Feature("lost_gain", "progress", "reliable changes", _lost_gain,
            lambda v: f"Below the best measure so far by {_rc(v)}", _NO_OUTCOME, "outcome"),
    Feature("distance_to_cutoff", "progress", "reliable changes", _to_cutoff,
            lambda v: f"{_rc(v)} {'short of' if v > 0 else 'past'} the cut-off", "No outcome measured yet", "outcome"),
    Feature("severity", "progress", "reliable changes", _severity,
            lambda v: f"Began {_rc(v)} {'short of' if v > 0 else 'past'} the cut-off", "No outcome measured yet",
            "outcome"),
    Feature("sessions_since_outcome", "silence", "sessions", lambda c, now: float(c.since_outcome),
            lambda v: f"{_n(v, 'session', 'sessions')} since the outcome was last measured", "", "outcome"),
    # ── homework ─────────────────────────────────────────────────────────────────────────────────────────────────
    Feature("homework_last", "homework", "share", lambda c, now: c.homework.last if c.homework.count else None,
            lambda v: f"{v:.0%} of the last homework was done", "No homework reviewed yet", "homework"),
    Feature("homework_mean", "homework", "share", lambda c, now: c.homework.mean if c.homework.count else None,
            lambda v: f"{v:.0%} of homework was done on average", "No homework reviewed yet", "homework"),
    Feature("homework_fall", "homework", "share", _homework_fall,
            lambda v: f"The last homework was done {abs(v):.0%} {'less' if v > 0 else 'more'} than usual",
            "Homework reviewed fewer than two times", "homework"),
    Feature("homework_unreviewed", "homework", "tasks", lambda c, now: float(c.assigned),
            lambda v: f"{_n(v, 'homework', 'pieces of homework')} not looked at together yet", "", "homework"),
    # ── feedback ─────────────────────────────────────────────────────────────────────────────────────────────────
    *(Feature(f"feedback_{pillar}", pillar, "-1/0/1", _opinion(pillar), _opinion_words(pillar),
              f"No feedback on {pillar}", "feedback")
      for pillar in ("goals", "tasks", "bond", "trust", "empathy", "consistency", "culture", "pace", "logistics")),
    Feature("negative_feedback_recent", "feedback", "0/1", lambda c, now: float(_recent(c.negative_at, now)),
            _says("Negative feedback in the last two months", "No negative feedback in the last two months"), "",
            "feedback"),
    Feature("wants_approach", "tasks", "0/1", _wish("approach"),
            _says("Wishes for another approach", "No open wish for another approach"), "", "feedback"),
    Feature("wants_clinician", "bond", "0/1", _wish("clinician"),
            _says("Wishes for another clinician", "No open wish for another clinician"), "", "feedback"),
    Feature("wants_format", "logistics", "0/1", _wish("format"),
            _says("Wishes for another format", "No open wish for another format"), "", "feedback"),
    Feature("complaint_recent", "feedback", "0/1", lambda c, now: float(_recent(c.complaint_at, now)),
            _says("A complaint in the last two months", "No complaint in the last two months"), "", "feedback"),
    # ── silence ──────────────────────────────────────────────────────────────────────────────────────────────────
    Feature("days_since_heard", "silence", "days", _silence,
            lambda v: f"Nothing heard from the client for {_n(v, 'day', 'days')}", _NOTHING, "heard"),
    Feature("silence_in_rhythm", "silence", "times the usual interval",
            lambda c, now: None if (s := _silence(c, now)) is None else s / max(c.rhythm, 1.0),
            lambda v: f"Nothing heard for {v:.1f} times the usual interval", _NOTHING, "heard"),
    Feature("skips_in_a_row", "silence", "measures", lambda c, now: float(c.skips_in_a_row),
            lambda v: f"{_n(v, 'questionnaire', 'questionnaires')} skipped in a row", "", "skipped"),
    Feature("declined_share", "silence", "share", lambda c, now: _share(c.declined, c.declined + c.completed),
            lambda v: f"{v:.0%} of questionnaires declined", "No questionnaire was due yet", "skipped"),
    Feature("outreach_unanswered", "silence", "contacts", lambda c, now: float(c.unanswered),
            lambda v: f"{_n(v, 'contact', 'contacts')} unanswered since the client was last heard from", "", "outreach"),
    # ── continuity ───────────────────────────────────────────────────────────────────────────────────────────────
    Feature("clinician_changes", "consistency", "changes", lambda c, now: float(c.handovers),
            lambda v: f"{_n(v, 'change', 'changes')} of clinician", "", "continuity"),
    Feature("clinician_change_recent", "consistency", "0/1", lambda c, now: float(_recent(c.handover_at, now)),
            _says("The clinician changed in the last two months", "No recent change of clinician"), "", "continuity"),
    Feature("clinician_change_wanted", "consistency", "0/1",
            lambda c, now: None if c.handover_reason is None else float(c.handover_reason == "client_request"),
            _says("The clinician changed at the client's request", "The change of clinician was not the client's wish"),
            "The clinician has not changed", "continuity"),
    Feature("stand_ins", "consistency", "visits", lambda c, now: float(c.stand_ins),
            lambda v: f"{_n(v, 'visit', 'visits')} with another clinician", "", "attended"),
    Feature("clinic_cancelled", "consistency", "visits", lambda c, now: float(c.clinic_cancelled),
            lambda v: f"{_n(v, 'visit', 'visits')} cancelled by the clinic", "", "continuity"),
    # ── context ──────────────────────────────────────────────────────────────────────────────────────────────────
    Feature("sessions", "context", "sessions", lambda c, now: float(c.sessions),
            lambda v: f"{_n(v, 'session', 'sessions')} so far", "", "attended"),
    Feature("weeks", "context", "weeks", lambda c, now: None if c.first_at is None else (now - c.first_at) / DAY / 7,
            lambda v: f"In care for {_n(v, 'week', 'weeks')}", _NOTHING),
    Feature("plan_done", "context", "share", _plan_done,
            lambda v: f"{v:.0%} of the planned sessions have taken place", "The number of sessions was not planned"),
    Feature("plan_left", "context", "sessions", _plan_left,
            lambda v: f"{_n(abs(v), 'session', 'sessions')} {'beyond' if v < 0 else 'left in'} the plan",
            "The number of sessions was not planned"),
    Feature("previous_episodes", "context", "episodes", _of_opening(
            lambda c: None if c.opening is None or c.opening.previous is None else float(c.opening.previous)),
            lambda v: f"{_n(v, 'earlier episode', 'earlier episodes')} of care", "Earlier episodes are not known"),
    Feature("preference_met", "context", "0/1", _of_opening(
            lambda c: None if c.opening is None or c.opening.preference_met is None else float(c.opening.preference_met)),
            _says("Offered the help the client preferred", "Not offered the help the client preferred"),
            "The client's preference is not known"),
    Feature("mandated", "context", "0/1", _of_opening(
            lambda c: None if c.opening is None or c.opening.referral is None else float(c.opening.referral in MANDATED)),
            _says("Referred by a court or an employer", "Not referred by a court or an employer"),
            "The referral is not known"),
    Feature("remote", "context", "0/1", lambda c, now: None if c.modality is None else float(c.modality in REMOTE),
            _says("Sessions take place at a distance", "Sessions take place in person"), "The format is not known"),
    Feature("group", "context", "0/1", lambda c, now: None if c.modality is None else float(c.modality == "group"),
            _says("Sessions take place in a group", "Sessions are individual"), "The format is not known"),
    Feature("returns", "context", "returns", lambda c, now: float(max(len(c.standing.spells) - 1, 0)),
            lambda v: f"{_n(v, 'return', 'returns')} after an earlier stop", ""),
    Feature("season_sin", "context", "-1 to 1", _year(sin), lambda v: "Time of year", ""),
    Feature("season_cos", "context", "-1 to 1", _year(cos), lambda v: "Time of year", ""),
)  # fmt: skip

BY_NAME: Final = {feature.name: feature for feature in FEATURES}

GAP_SESSIONS: Final = 3
"""Sessions without a measure after which its absence is named as a gap."""


GapKind = Literal[
    "opening", "unrecorded", "no_alliance", "old_alliance", "no_outcome", "old_outcome", "uninterpreted"
]  # fmt: skip
GAP_KINDS: Final[tuple[GapKind, ...]] = get_args(GapKind)


def gaps(course: Course, now: int) -> list[str]:
    """What a score at this moment could not know, in plain words."""
    return [words for _, words in named_gaps(course, now)]


def named_gaps(course: Course, now: int) -> list[tuple[GapKind, str]]:
    """The same, each with its kind, by which they can be counted."""
    found: list[tuple[GapKind, str]] = []
    if course.opening is None:
        found.append(("opening", "the opening of the episode was not received"))
    unrecorded = int(_unrecorded(course, now) or 0)
    if unrecorded:
        visits = _n(unrecorded, "visit is", "visits are")
        found.append(("unrecorded", f"{visits} recorded neither as attended nor as missed"))
    if course.alliance.instrument is None:
        found.append(("no_alliance", "no alliance rating yet"))
    elif course.since_alliance >= GAP_SESSIONS:
        found.append(("old_alliance", f"no alliance rating for {course.since_alliance} sessions"))
    if course.outcome is None:
        found.append(("no_outcome", "no outcome measure yet"))
    elif course.since_outcome >= GAP_SESSIONS:
        found.append(("old_outcome", f"no outcome measure for {course.since_outcome} sessions"))
    for name in sorted(course.uninterpreted):
        found.append(("uninterpreted", f"scores of {name} are not interpreted: nobody registered it"))
    return found
