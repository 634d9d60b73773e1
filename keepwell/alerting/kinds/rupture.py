"""`rupture`: a strain of the alliance that is not repaired: voiced, reported, or shown by the ratings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keepwell.alerting.kinds.kind import MOST_GROUNDS, Grounds, Holding, LastingKind
from keepwell.alerting.kinds.risk import strongest_grounds, strongest_pillar
from keepwell.alerting.policy import OpenAlert, Policy, Situation
from keepwell.alerting.signals import newest_matter
from keepwell.care.alliance import Rupture
from keepwell.care.concerns import Concern
from keepwell.care.course import Course
from keepwell.contract.say import Said, render, said
from keepwell.contract.words import VOCABULARIES, ResolvedBecause
from keepwell.scoring.features.in_scale import below_usual
from keepwell.scoring.reasons import Ground


class RuptureAlert(LastingKind):
    """What is voiced or reported is told at once, a fall of the ratings where it is great or the risk is raised too."""

    name = "rupture"
    each_news = True

    def holds(self, policy: Policy, now: Situation) -> Holding:
        found = now.signals
        if found.voiced_at is not None:
            return "holds"
        if found.strained_at is None:
            return "over"
        return "holds" if now.risk is not None and now.risk >= policy.strain else "between"

    def over_because(self, alert: OpenAlert, now: Situation) -> ResolvedBecause | None:
        # Where nobody came back to it, or what was told was taken back, nothing was repaired.
        return "repaired" if now.signals.mended else "risk_fell"

    def news(self, now: Situation) -> int | None:
        return now.signals.voiced_at

    def escalates(self, policy: Policy, alert: OpenAlert, now: Situation) -> bool:
        # What is voiced besides joins the open matter, which is told once more.
        return now.signals.voiced_at is not None and now.signals.voiced_at > alert.told_at

    def grounds(self, course: Course, now: int, raising: Sequence[Ground]) -> Grounds:
        matters = _open_matters(course)
        if not matters:  # it was repaired, or taken back
            return strongest_grounds(raising)
        return Grounds(tuple(map(render, matters[:MOST_GROUNDS])), ("feedback", "rupture", "alliance", "continuity"))

    def pillar(self, course: Course, raising: Sequence[Ground]) -> str | None:
        matter = newest_matter(course)
        return matter.pillar if matter is not None else strongest_pillar(course, raising)


KIND: Final = RuptureAlert()
MENDED: Final = said("A concern that was spoken of and mended is the alliance at work")
"""What a resolved alert says of a matter that was repaired."""


def _open_matters(course: Course) -> list[Said]:
    """Every open matter in words, the newest first."""
    rupture = course.alliance.open
    matters: list[Rupture | Concern] = [*course.concerns.open.values()]
    if rupture is not None:
        matters.append(rupture)
    matters.sort(key=lambda one: -one.opened_at)
    return [_in_words(one, course) for one in matters]


def _in_words(matter: Rupture | Concern, course: Course) -> Said:
    if isinstance(matter, Rupture):
        if matter.evidence != "reported":
            return below_usual(matter.scale or "total")(course) or _FELL
        what = said(_KINDS[matter.kind])
        if matter.pillar not in _PILLARS:
            return said("A strain between the two was reported: the client {what}", what=what)
        about = said(_PILLARS[matter.pillar])
        return said("A strain between the two was reported, about {about}: the client {what}", about=about, what=what)
    if matter.about == "complaint":
        return said("The client complained")
    if matter.about == "homework":
        return said("Less homework done each time, three times in a row")
    if matter.about == "break":
        return _break_in_words(course)
    return _SAID[matter.pillar or ""]


def _break_in_words(course: Course) -> Said:
    if course.handover_reason == "absence":
        return said("The clinician changed because of absence")
    if course.moved_twice_at is not None:
        return said("The clinic moved the same visit twice")
    return said("The clinic cancelled two visits in a row")


_FELL: Final = said("An alliance rating fell well below what is usual for this person")
_PILLARS: Final = VOCABULARIES["pillar"].says
_KINDS: Final = VOCABULARIES["rupture_kind"].says
_SAID: Final = {
    "goals": said("The client said that the goals do not fit"),
    "tasks": said("The client said that the way of working does not fit"),
    "bond": said("The client said that the two do not get on well"),
    "trust": said("The client said that it is hard to speak freely"),
    "empathy": said("The client said that they do not feel understood"),
    "consistency": said("The client said that times or people change too much"),
    "culture": said("The client said that where they come from is not respected"),
    "pace": said("The client said that the pace does not fit"),
    "logistics": said("The client said that times, place or cost make it hard to come"),
}
"""What negative feedback on a pillar says."""
