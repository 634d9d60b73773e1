"""From an episode at a moment to what is told: the score, and the alerts that the policy draws from it, in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from msgspec import UNSET

from keepwell.alerting.conditions import conditions_of
from keepwell.alerting.decide import Decision, decide
from keepwell.alerting.kinds import KINDS
from keepwell.alerting.kinds.rupture import MENDED
from keepwell.alerting.playbook import suggest
from keepwell.alerting.policy import Memory, Policy, Situation
from keepwell.alerting.signals import signals_of
from keepwell.care.endings import DEFINITION
from keepwell.care.episode import Live
from keepwell.contract.events import rfc3339
from keepwell.contract.outputs import Alert, Reason, Risk, Score
from keepwell.contract.say import render
from keepwell.scoring.gaps import gaps
from keepwell.scoring.reasons import Ground, Reasons, raising
from keepwell.scoring.scorer import Scored, Scorer

RISK_DIGITS: Final = 4


class Trigger(NamedTuple):
    """What gave rise to a score: an event (`source` set) or a due timer. The rest as in `Situation`."""

    id: str
    source: str | None = None
    traceparent: str | None = None
    endorsed: int | None = None
    history_at: int | None = None
    caught_up: bool = False


class Assessor:
    """Assesses episodes with one release: its digest, scorecard and policy."""

    def __init__(self, model: str, scorer: Scorer, policy: Policy) -> None:
        self.model = model
        self.scorer = scorer
        self.policy = policy
        self._reasons = Reasons(scorer.told)

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
            expected = course.visits.next_visit(now) is not None
            next_missed = following if expected and self.scorer.tells_next else None
            reasons = self._reasons.of(scored, course)
        score = Score(
            episode=live.episode.key, clinician_id=course.clinician, as_of=rfc3339(now), trigger=trigger.id,
            trigger_source=trigger.source, model=self.model, definition=DEFINITION, state=state, risk=risk,
            next_visit_missed=next_missed, reasons=reasons, gaps=tuple(gaps(course, now)),
            traceparent=trigger.traceparent if trigger.traceparent is not None else UNSET,
        )  # fmt: skip
        return score, scored

    def assess(self, live: Live, memory: Memory, now: int, trigger: Trigger) -> tuple[Score, list[Alert], Memory]:
        """The score, the alerts to tell, and what the policy remembers from here on."""
        score, scored = self.score(live, now, trigger)
        origin = trigger.id if trigger.source is None else f"{trigger.source}#{trigger.id}"
        situation = Situation(
            live.episode.key, origin, self.model, now, score.state, score.risk.d30 if score.risk else None,
            live.course, signals_of(live.course, now), trigger.endorsed, trigger.history_at, trigger.caught_up,
        )  # fmt: skip
        decisions, memory = decide(self.policy, memory, situation)
        if not decisions:
            return score, [], memory
        upwards = raising(self._reasons.grounds(scored, live.course)) if scored else []
        return (
            score,
            [self._alert(live, score, upwards, decision, memory, origin=origin, now=now) for decision in decisions],
            memory,
        )

    def _alert(
        self, live: Live, score: Score, upwards: Sequence[Ground], decision: Decision, memory: Memory, *, origin: str,
        now: int,
    ) -> Alert:  # fmt: skip
        course = live.course
        kind = KINDS[decision.kind]
        told = decision.status != "resolved"
        pillar = kind.pillar(course, upwards)
        found = kind.grounds(course, now, upwards)
        words = found.words if told else (render(MENDED),) if decision.why == "repaired" else ()
        # Attendance is no pillar at fault, but what helps with it stands in the playbook under logistics.
        about = pillar or ("logistics" if upwards and upwards[0].feature.pillar == "attendance" else None)
        risk = score.risk.d30 if score.risk and kind.shows_risk else None
        return Alert(
            alert_id=decision.id, episode=score.episode, clinician_id=score.clinician_id, kind=decision.kind,
            status=decision.status, at=score.as_of, risk=risk,
            horizon="30d" if risk is not None else None, reasons=words, pillar=pillar,
            suggestions=suggest(decision.kind, about, conditions_of(course, now, memory.unsettled - 1)) if told else (),
            also=tuple(one.id for one in memory.open if one.id != decision.id),
            evidence=_evidence(live, found.topics, origin), model=self.model,
            why=decision.why if decision.why is not None else UNSET, traceparent=score.traceparent,
        )  # fmt: skip


def _evidence(live: Live, topics: Sequence[str], origin: str) -> tuple[str, ...]:
    """The event that gave rise to it, where there is one, then those behind its reasons; each once."""
    refs = live.course.refs
    found = [] if origin.startswith("timer:") else [origin]
    found.extend(live.episode.reference(refs[topic]) for topic in topics if topic in refs)
    return tuple(dict.fromkeys(found))
