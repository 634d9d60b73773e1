"""From an episode at a moment to what is told: the score, and the alerts that the policy draws from it, in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final, NamedTuple

from msgspec import UNSET

from keepwell.alerting.playbook import suggest
from keepwell.alerting.policy import Decision, Memory, Policy, Situation, decide, ending, silence
from keepwell.care.course import Course
from keepwell.care.endings import DEFINITION
from keepwell.care.episode import Live
from keepwell.contract.events import rfc3339
from keepwell.contract.outputs import Alert, Reason, Risk, Score
from keepwell.scoring.features import Value, gaps
from keepwell.scoring.scorecard import Part, Scored, Scorer

MOST_REASONS: Final = 5
"""Reasons named in a score; an alert names at most `ALERT_REASONS` of those that raise the risk."""
ALERT_REASONS: Final = 3
KEPT_REASONS: Final = 20_000
"""Reasons kept ready, about 10 MB; counts and ratings repeat, durations do not."""
LEAST_POINTS: Final = 0.05
"""Log-odds below which a part is not worth a sentence."""
RISK_DIGITS: Final = 4
POINT_DIGITS: Final = 3
PILLARS: Final = ("goals", "tasks", "bond", "trust", "empathy", "consistency", "culture", "pace", "logistics")


class Trigger(NamedTuple):
    """What gave rise to a score: an event (`source` set) or a due timer. `safety`: the event endorses a safety item."""

    id: str
    source: str | None = None
    traceparent: str | None = None
    safety: bool = False


class Assessor:
    """Assesses episodes with one release: its digest, scorecard and policy."""

    def __init__(self, model: str, scorer: Scorer, policy: Policy) -> None:
        self.model = model
        self.scorer = scorer
        self.policy = policy
        self._reasons: dict[tuple[str, Value], Reason] = {}

    def score(self, live: Live, now: int, trigger: Trigger) -> tuple[Score, Scored | None]:
        """The score of an episode at `now` (µs, not before its newest entry), and what it was made of; None if not open."""
        course = live.course
        state = course.standing.state_at(now)
        risk: Risk | None = None
        next_missed: float | None = None
        scored: Scored | None = None
        reasons: tuple[Reason, ...] = ()
        if state == "open":
            scored = self.scorer.score(course, now, live.episode.key.partition("/")[0])
            d14, d30, d60, following = [round(r, RISK_DIGITS) for r in scored.risks]
            risk = Risk(d14=d14, d30=d30, d60=d60)
            next_missed = following if any(starts > now for starts in course.standing.booked.values()) else None
            reasons = tuple([self._reason(part) for part in islice(scored.strongest(LEAST_POINTS), MOST_REASONS)])
        score = Score(
            episode=live.episode.key, clinician_id=course.clinician, as_of=rfc3339(now), trigger=trigger.id,
            trigger_source=trigger.source, model=self.model, definition=DEFINITION, state=state, risk=risk,
            next_visit_missed=next_missed, reasons=reasons, gaps=tuple(gaps(course, now)),
            traceparent=trigger.traceparent if trigger.traceparent is not None else UNSET,
        )  # fmt: skip
        return score, scored

    def _reason(self, part: Part) -> Reason:
        """The reason that a part makes. The same feature and value make the same reason, so sentences are kept ready."""
        key = (part.feature.name, part.value)
        found = self._reasons.get(key)
        if found is None:
            if len(self._reasons) >= KEPT_REASONS:
                self._reasons.clear()
            found = self._reasons[key] = _reason(part)
        return found

    def assess(self, live: Live, memory: Memory, now: int, trigger: Trigger) -> tuple[Score, list[Alert], Memory]:
        """The score, the alerts to tell, and what the policy remembers from here on."""
        score, scored = self.score(live, now, trigger)
        origin = trigger.id if trigger.source is None else f"{trigger.source}#{trigger.id}"
        situation = Situation(
            live.episode.key, origin, self.model, now, score.state, score.risk.d30 if score.risk else None,
            live.course, trigger.safety,
        )  # fmt: skip
        decisions, memory = decide(self.policy, memory, situation)
        if not decisions:
            return score, [], memory
        raising = [part for part in scored.strongest(LEAST_POINTS) if part.points > 0] if scored else []
        return score, [self._alert(live, score, raising, decision, origin, now) for decision in decisions], memory

    def _alert(
        self, live: Live, score: Score, raising: Sequence[Part], decision: Decision, origin: str, now: int
    ) -> Alert:
        course = live.course
        pillar = _pillar(course, decision, raising[:ALERT_REASONS])
        words, topics = self._grounds(course, decision, raising, now)
        told = decision.status != "resolved"
        # Attendance is no pillar at fault, but what helps with it stands in the playbook under logistics.
        about = pillar or ("logistics" if raising and raising[0].feature.pillar == "attendance" else None)
        latest = course.alliance.ruptures[-1] if course.alliance.ruptures else None
        rupture = latest.kind if latest and (latest.closed_at is None or decision.kind == "rupture") else None
        # The chance of stopping beside a safety item could be read as how great the danger is: it is left out.
        risk = score.risk.d30 if score.risk and decision.kind != "safety" else None
        return Alert(
            alert_id=decision.id, episode=score.episode, clinician_id=score.clinician_id, kind=decision.kind,
            status=decision.status, at=score.as_of, risk=risk,
            horizon="30d" if risk is not None else None, reasons=words if told else (), pillar=pillar,
            suggestions=suggest(decision.kind, about, rupture) if told else (),  # type: ignore[arg-type]  # both are checked words of the contract
            evidence=_evidence(live, topics, origin), model=self.model,
            why=decision.why if decision.why is not None else UNSET, traceparent=score.traceparent,
        )  # fmt: skip

    def _grounds(
        self, course: Course, decision: Decision, raising: Sequence[Part], now: int
    ) -> tuple[tuple[str, ...], list[str]]:
        """The reasons of an alert in plain words, and the topics of the events behind them."""
        drivers = [part.feature.topic for part in raising[:ALERT_REASONS] if part.feature.topic]
        words = tuple(_words(part) for part in raising[:ALERT_REASONS])
        if decision.kind == "safety":
            return ("A safety item was endorsed",), ["safety"]
        if decision.kind == "rupture" and course.alliance.ruptures:
            latest = course.alliance.ruptures[-1]
            how = "was reported" if latest.evidence == "reported" else "shows in the alliance ratings"
            first = f"A {latest.kind} rupture of the alliance {how}"
            rest = tuple(word for part, word in zip(raising, words, strict=False) if part.feature.topic == "alliance")
            return (first, *rest)[:ALERT_REASONS], ["rupture", "alliance"]
        if decision.kind == "silence":
            return tuple(silence(self.policy, course, now)[:ALERT_REASONS]), ["missed", "skipped", "outreach", "heard"]
        if decision.kind == "ending":
            return tuple(ending(self.policy, course)[:ALERT_REASONS]), ["outcome"]
        return words, drivers


def _words(part: Part) -> str:
    return part.feature.missing if part.value is None else part.feature.words(part.value)


def _reason(part: Part) -> Reason:
    value = None if part.value is None else round(part.value, POINT_DIGITS)
    return Reason(
        feature=part.feature.name,
        pillar=part.feature.pillar,
        value=value,
        points=round(part.points, POINT_DIGITS),
        text=_words(part),
    )


def _pillar(course: Course, decision: Decision, raising: Sequence[Part]) -> str | None:
    """The pillar most in question: of the rupture, or of the named reasons; None where none stands out."""
    latest = course.alliance.ruptures[-1] if course.alliance.ruptures else None
    if decision.kind in ("safety", "ending", "silence"):
        return None
    if decision.kind == "rupture" and latest is not None:
        return latest.pillar
    weights: dict[str, float] = {}
    for part in raising:
        pillar = part.feature.pillar
        if pillar == "alliance":
            pillar = latest.pillar if latest and latest.closed_at is None else course.alliance.lowest or pillar
        if pillar in PILLARS:
            weights[pillar] = weights.get(pillar, 0.0) + part.points
    return max(weights, key=lambda name: (weights[name], name)) if weights else None


def _evidence(live: Live, topics: Sequence[str], origin: str) -> tuple[str, ...]:
    """The event that gave rise to it, where there is one, then those behind its reasons; each once."""
    refs = live.course.refs
    found = [] if origin.startswith("timer:") else [origin]
    found.extend(live.episode.reference(refs[topic]) for topic in topics if topic in refs)
    return tuple(dict.fromkeys(found))
