"""What a client said or showed to be wrong, or the clinic broke: followed until it is repaired, answered or passed.

A concern is heard at once, whatever a model says of it. Who speaks up and is answered is the alliance at work: ruptures that
are repaired go with better outcomes than none at all (Eubanks, Muran & Safran 2018, Psychotherapy 55:508).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from keepwell.care.history import AlertAnswer, Opinion, Repair, Touch

About = Literal["feedback", "complaint", "break", "homework"]
"""What was said of a pillar, a complaint, a break of continuity by the clinic, homework left more and more."""
Closed = Literal["repaired", "answered", "passed"]

PASSED_SESSIONS: Final = 3
"""Sessions after which a concern that was neither answered nor said again has passed; ours."""
PILLAR_OF_COMPLAINT_DAYS: Final = 14
"""A complaint is about the pillar of negative feedback this close (days); otherwise about none in particular; ours."""
CANCELLED_IN_A_ROW: Final = 2
"""Visits cancelled by the clinic with no session between that are a break; one alone happens to everybody; ours."""
HOMEWORK_FALLS: Final = 2
"""Falls in a row, three pieces of homework each less done than the one before, ..."""
LITTLE_DONE: Final = 1 / 3
"""... down to so much of it, that say what nobody says: the tasks may not fit; ours."""
ACTING: Final = frozenset(
    ("repair_planned", "outreach_planned", "approach_changed", "transfer_offered", "ending_planned")
)
"""Answers to an alert that announce an act."""
TALKED: Final = frozenset(("already_talked", "ended_well"))
"""Reasons of a dismissed alert that say that the concern was answered."""
_DAY: Final = 86_400_000_000


@dataclass(slots=True)
class Concern:
    """One concern, from when it was voiced to how it closed. Times in µs."""

    opened_at: int
    about: About
    pillar: str | None
    event: tuple[int, str]
    """Source index and id of the event that voiced it."""
    waited: int = 0
    """Sessions since it was voiced."""
    answered: bool = False
    closed_at: int | None = None
    closed: Closed | None = None


@dataclass(slots=True)
class Concerns:
    """All concerns of an episode, at the end of its sweep."""

    open: dict[tuple[About, str | None], Concern] = field(default_factory=dict)
    """In the order in which they were voiced, a matter each."""
    last: Concern | None = None
    """The one that closed last."""
    repaired: int = 0
    """How many were repaired or answered."""
    _negative: tuple[int, str] | None = None
    _cancelled: int = 0

    @property
    def newest(self) -> Concern | None:
        """The open one that was voiced last; None where none is open."""
        return max(self.open.values(), key=_opened, default=None)

    def take_opinion(self, entry: Opinion) -> None:
        """Negative feedback opens a concern of its pillar; positive feedback repairs it, and neutral what was answered."""
        key: tuple[About, str | None] = ("feedback", entry.pillar)
        if entry.sentiment == "negative":
            self._negative = (entry.at, entry.pillar)
            self._voice(key, entry.at, (entry.source, entry.id))
            return
        for about in ("feedback", "break"):
            concern = self.open.get((about, entry.pillar))
            if concern is not None and (entry.sentiment == "positive" or concern.answered):
                self._close(concern, entry.at, "repaired")

    def take_contact(self, entry: Touch) -> None:
        """A complaint opens a concern."""
        if entry.purpose != "complaint":
            return
        pillar = None
        if self._negative is not None and entry.at - self._negative[0] <= PILLAR_OF_COMPLAINT_DAYS * _DAY:
            pillar = self._negative[1]
        self._voice(("complaint", pillar), entry.at, (entry.source, entry.id))

    def take_break(self, at: int, event: tuple[int, str]) -> None:
        """The clinic broke continuity: another clinician because of absence, a visit moved for the second time."""
        self._voice(("break", "consistency"), at, event)

    def take_cancelled(self, at: int, event: tuple[int, str]) -> None:
        """The clinic cancelled a visit: the second with no session between is a break."""
        self._cancelled += 1
        if self._cancelled >= CANCELLED_IN_A_ROW:
            self._voice(("break", "consistency"), at, event)

    def take_review(self, at: int, event: tuple[int, str], falls: int, done: float) -> None:
        """Homework was looked at: `falls` in a row, and how much of it was `done`. More than little again repairs."""
        if falls >= HOMEWORK_FALLS and done <= LITTLE_DONE:
            self._voice(("homework", "tasks"), at, event)
        elif done > LITTLE_DONE and ("homework", "tasks") in self.open:
            self._close(self.open["homework", "tasks"], at, "repaired")

    def take_repair(self, entry: Repair) -> None:
        """An attempt at repair answers what is open of its pillar, or of all; one that went better repairs it."""
        for concern in self._open(entry.pillar):
            if entry.outcome == "better":
                self._close(concern, entry.at, "repaired")
            else:
                concern.answered = entry.outcome != "worse"

    def take_answer(self, entry: AlertAnswer) -> None:
        """A clinician's answer that announces an act, or says that it was talked about, answers what is open."""
        if entry.action in ACTING or (entry.action == "dismissed" and entry.reason in TALKED):
            for concern in self.open.values():
                concern.answered = True

    def take_session(self, at: int, begun: int) -> None:
        """A session that ended at `at` (µs): what was answered is closed, and what nobody came back to passes in the end.
        What was voiced from `begun` on was voiced in it, and has not waited yet."""
        self._cancelled = 0
        for concern in list(self.open.values()):
            concern.waited += concern.opened_at < begun
            if concern.answered:
                self._close(concern, at, "answered")
            elif concern.waited >= PASSED_SESSIONS:
                self._close(concern, at, "passed")

    def take_rating(self, at: int, pillar: str, steady: bool) -> None:
        """A rating of the alliance after a session since: steady, it repairs what is open of its pillar."""
        concern = self.open.get(("feedback", pillar))
        if concern is not None and steady and concern.waited:
            self._close(concern, at, "repaired")

    def _voice(self, key: tuple[About, str | None], at: int, event: tuple[int, str]) -> None:
        """Opens a concern; said again before it was answered, it is the same one, and waits anew."""
        held = self.open.get(key)
        if held is not None and not held.answered:
            held.waited = 0
            return
        self.open.pop(key, None)
        self.open[key] = Concern(at, key[0], key[1], event)

    def _open(self, pillar: str | None) -> list[Concern]:
        return [one for one in self.open.values() if pillar in (None, one.pillar) or one.pillar is None]

    def _close(self, concern: Concern, at: int, how: Closed) -> None:
        concern.closed_at, concern.closed = at, how
        self.repaired += how != "passed"
        self.last = concern
        del self.open[concern.about, concern.pillar]


def _opened(concern: Concern) -> int:
    return concern.opened_at
