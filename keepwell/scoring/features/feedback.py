"""Features of what the client said about the work, and of wishes for a change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from keepwell.care.course import Course
from keepwell.contract.say import Said, said
from keepwell.contract.words import PILLARS, Pillar
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


def _opinion_words(name: Said) -> Words:
    def words(v: float) -> Said:
        if v == 0:
            return said("The last feedback on {pillar} was neither good nor critical", pillar=name)
        if v > 0:
            return said("The last feedback on {pillar} was good", pillar=name)
        return said("The last feedback on {pillar} was critical", pillar=name)

    return words


def _negative_words(name: Said) -> Words:
    return says(
        said("Critical feedback on {pillar} in the last two months", pillar=name),
        said("No critical feedback on {pillar} in the last two months", pillar=name),
    )


NAMES: Final[Mapping[Pillar, Said]] = {
    "goals": said("the goals"), "tasks": said("the way of working"), "bond": said("how the two get on"),
    "trust": said("trust"), "empathy": said("feeling understood"), "consistency": said("steady times and people"),
    "culture": said("respect for where the client comes from"), "pace": said("the pace"),
    "logistics": said("times, place and cost"),
}  # fmt: skip
"""What feedback is about, in words."""

FEEDBACK: Final[Sequence[Feature]] = (
    *[Feature(f"feedback_{pillar}", pillar, "-1/0/1", _opinion(pillar), _opinion_words(NAMES[pillar]),
              said("No feedback on {pillar} yet", pillar=NAMES[pillar]), "feedback")
      for pillar in PILLARS],
    *[Feature(f"negative_feedback_{pillar}", pillar, "0/1", _negative(pillar), _negative_words(NAMES[pillar]), None,
              "feedback")
      for pillar in PILLARS],
    Feature("positive_feedback_recent", "feedback", "0/1", lambda c, now: float(recent(c.positive_at, now)),
            says(said("Good feedback in the last two months"), said("No good feedback in the last two months")), None,
            "feedback"),
    Feature("voiced_recent", "feedback", "0/1", lambda c, now: float(recent(c.voiced_at, now)),
            says(said("Criticism, a wish for a change or a complaint in the last two months"),
                 said("No criticism, wish for a change or complaint in the last two months")), None, "feedback"),
    Feature("days_since_voiced", "feedback", "days", lambda c, now: since(c.voiced_at, now),
            lambda v: said("Criticism, a wish for a change or a complaint was last heard {ago}", ago=ago(v)),
            said("No criticism, wish for a change or complaint so far"), "feedback"),
    Feature("wish_recent", "feedback", "0/1", _any_wish,
            says(said("Would like another approach, clinician or format"), said("No open wish for a change")), None,
            "feedback"),
    Feature("negative_feedback_recent", "feedback", "0/1", lambda c, now: float(recent(c.negative_at, now)),
            says(said("Critical feedback in the last two months"), said("No critical feedback in the last two months")),
            None, "feedback"),
    Feature("wants_approach", "tasks", "0/1", _wish("approach"),
            says(said("Would like another approach"), said("No open wish for another approach")), None, "feedback"),
    Feature("wants_clinician", "bond", "0/1", _wish("clinician"),
            says(said("Would like another clinician"), said("No open wish for another clinician")), None, "feedback"),
    Feature("wants_format", "logistics", "0/1", _wish("format"),
            says(said("Would like another format"), said("No open wish for another format")), None, "feedback"),
    Feature("complaint_recent", "feedback", "0/1", lambda c, now: float(recent(c.complaint_at, now)),
            says(said("A complaint in the last two months"), said("No complaint in the last two months")), None, "feedback"),
)  # fmt: skip
