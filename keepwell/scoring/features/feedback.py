"""Features of what the client said about the work, and of wishes for a change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keepwell.care.course import Course
from keepwell.contract.words import PILLARS
from keepwell.scoring.features.feature import Feature, Read, Value, Words, ago, recent, says, since


def _opinion(pillar: str) -> Read:
    def read(c: Course, now: int) -> Value:
        found = c.opinions.get(pillar)
        if found is None:
            return None
        return {"negative": -1.0, "neutral": 0.0, "positive": 1.0}[found[1]]

    return read


def _wish(what: str) -> Read:
    def read(c: Course, now: int) -> Value:
        return float(recent(c.wishes.get(what), now))

    return read


def _negative(pillar: str) -> Read:
    def read(c: Course, now: int) -> Value:
        found = c.opinions.get(pillar)
        return float(found is not None and found[1] == "negative" and recent(found[0], now))

    return read


def _any_wish(c: Course, now: int) -> Value:
    return float(bool(c.wishes) and recent(max(c.wishes.values()), now))


def _opinion_words(pillar: str) -> Words:
    return lambda v: f"The last feedback on {pillar} was {('negative', 'neutral', 'positive')[round(v) + 1]}"


FEEDBACK: Final[Sequence[Feature]] = (
    *(Feature(f"feedback_{pillar}", pillar, "-1/0/1", _opinion(pillar), _opinion_words(pillar),
              f"No feedback on {pillar}", "feedback")
      for pillar in PILLARS),
    *(Feature(f"negative_feedback_{pillar}", pillar, "0/1", _negative(pillar),
              says(f"Negative feedback on {pillar} in the last two months", f"No recent negative feedback on {pillar}"), "",
              "feedback")
      for pillar in PILLARS),
    Feature("positive_feedback_recent", "feedback", "0/1", lambda c, now: float(recent(c.positive_at, now)),
            says("Positive feedback in the last two months", "No positive feedback in the last two months"), "", "feedback"),
    Feature("voiced_recent", "feedback", "0/1", lambda c, now: float(recent(c.voiced_at, now)),
            says("Criticism, a wish for a change or a complaint in the last two months",
                  "No criticism, wish for a change or complaint in the last two months"), "", "feedback"),
    Feature("days_since_voiced", "feedback", "days", lambda c, now: since(c.voiced_at, now),
            lambda v: f"Criticism, a wish for a change or a complaint was last heard {ago(v)}",
            "No criticism, wish for a change or complaint so far", "feedback"),
    Feature("wish_recent", "feedback", "0/1", _any_wish,
            says("Wishes for another approach, clinician or format", "No open wish for a change"), "", "feedback"),
    Feature("negative_feedback_recent", "feedback", "0/1", lambda c, now: float(recent(c.negative_at, now)),
            says("Negative feedback in the last two months", "No negative feedback in the last two months"), "",
            "feedback"),
    Feature("wants_approach", "tasks", "0/1", _wish("approach"),
            says("Wishes for another approach", "No open wish for another approach"), "", "feedback"),
    Feature("wants_clinician", "bond", "0/1", _wish("clinician"),
            says("Wishes for another clinician", "No open wish for another clinician"), "", "feedback"),
    Feature("wants_format", "logistics", "0/1", _wish("format"),
            says("Wishes for another format", "No open wish for another format"), "", "feedback"),
    Feature("complaint_recent", "feedback", "0/1", lambda c, now: float(recent(c.complaint_at, now)),
            says("A complaint in the last two months", "No complaint in the last two months"), "", "feedback"),
)  # fmt: skip
