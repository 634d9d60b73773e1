"""What a kind of alert decides and says: one subclass a kind, one file each; what most kinds leave as it is stands here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar, Final, Literal, NamedTuple

from keepwell.alerting.policy import OpenAlert, Policy, Situation
from keepwell.care.course import Course
from keepwell.contract.words import AlertKind, ResolvedBecause
from keepwell.scoring.reasons import Ground

MOST_GROUNDS: Final = 3
"""Reasons that an alert names at most (CONTRACT section 3)."""

Holding = Literal["holds", "over", "between"]


class Grounds(NamedTuple):
    """Why an alert is told: plain words, and the topics (`Course.refs`) of the events behind them."""

    words: tuple[str, ...]
    topics: tuple[str, ...]


class Kind(ABC):
    """A kind of alert: what it says."""

    name: ClassVar[AlertKind]
    shows_risk: ClassVar[bool] = True

    @abstractmethod
    def grounds(self, course: Course, now: int, raising: Sequence[Ground]) -> Grounds:
        """What an alert says of its reasons; `raising` are the parts of the score that raise the risk, strongest first."""

    def pillar(self, course: Course, raising: Sequence[Ground]) -> str | None:
        """The pillar most in question; None where none stands out."""
        return None


class LastingKind(Kind):
    """A kind whose alert stays open from the moment its condition holds until that is over."""

    withheld: ClassVar[bool] = False
    """Whether a policy's hold-out leaves it unsaid for a share of episodes."""

    each_news: ClassVar[bool] = False
    """Whether each news is a matter of its own, and not the same said again."""

    @abstractmethod
    def holds(self, policy: Policy, now: Situation) -> Holding:
        """Whether the condition holds, is over, or lies between; asked only where the episode is open."""

    @abstractmethod
    def over_because(self, alert: OpenAlert, now: Situation) -> ResolvedBecause | None:
        """Why an alert is resolved whose condition is over; None where it stays open all the same."""

    def news(self, now: Situation) -> int | None:
        """When what it tells of happened (µs), where that is news whatever was told before; None where it is a risk that was
        crossed, which waits its turn."""
        return None

    def joins(self, policy: Policy, now: Situation) -> int | None:
        """Since when (µs) an alert of the client, open and not put aside, has to have been told to tell of this too; None
        where none does."""
        return None

    def escalates(self, policy: Policy, alert: OpenAlert, now: Situation) -> bool:
        """Whether an open alert is to be told once more, more urgently."""
        return False

    def timers(self, course: Course) -> Iterable[tuple[int, str]]:
        """The moments (µs) at which the condition can begin to hold without any event, each with its name."""
        return ()
