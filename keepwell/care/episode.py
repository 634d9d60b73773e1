"""An episode of care: a small sorted history, and `fold`, which takes an event in whatever order it arrives.

The history is the state; it is what the changelog holds. The course (running sums) follows from it. When an event is the
newest, the course takes it and is done; for anything else it is rebuilt from the history, so order of arrival, repetition,
corrections and retractions cannot matter.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from keepwell.care.course import Interpret, course_of
from keepwell.care.history import AnyEntry, Retraction, effective, entry_of, order
from keepwell.contract.events import AnyEvent

MAX_ENTRIES: Final = 4000
"""Events an episode may have: eight years of a session a week with ten events each. Beyond it an event is refused, so that
a runaway sender cannot make the state outgrow a record of the changelog."""

Folded = Literal["taken", "repeated", "full"]


class Episode(msgspec.Struct, array_like=True):
    """The history of an episode, sorted by `history.order`, and the sorted sources that its entries point to."""

    key: str
    sources: list[str] = []
    history: list[AnyEntry] = []

    @property
    def latest(self) -> int:
        """The latest time of any accepted event, in µs."""
        return self.history[-1].at

    def reference(self, ref: tuple[int, str]) -> str:
        """An event as evidence names it: `<source>#<id>`."""
        return f"{self.sources[ref[0]]}#{ref[1]}"


def episode_from(key: str, told: Iterable[AnyEvent]) -> Episode:
    """The history that folding these events one by one leads to, in one go."""
    taken: dict[tuple[str, str], AnyEvent] = {}
    for event in told:
        if len(taken) < MAX_ENTRIES:
            taken.setdefault((event.source, event.id), event)
    sources = sorted({source for source, _ in taken})
    place = {source: number for number, source in enumerate(sources)}
    entries = [entry_of(event, place[event.source]) for event in taken.values()]
    return Episode(key, sources, sorted(entries, key=order))


class Live:
    """An episode in memory: its history with the course that follows from it.

    `interpret` finds the instruments of the episode's clinic.
    """

    __slots__ = ("_interpret", "_named", "_seen", "course", "episode")

    def __init__(self, episode: Episode, interpret: Interpret) -> None:
        self.episode = episode
        self._interpret = interpret
        self._seen = {(episode.sources[entry.source], entry.id) for entry in episode.history}
        self._named = {name for entry in episode.history if (name := self._points_at(entry))}
        self.course = course_of(effective(episode.history), interpret)

    def fold(self, event: AnyEvent) -> Folded:
        """Takes an episode event. `repeated`: seen before, nothing changed; `full`: the episode has `MAX_ENTRIES`."""
        identity = (event.source, event.id)
        if identity in self._seen:
            return "repeated"
        history = self.episode.history
        if len(history) >= MAX_ENTRIES:
            return "full"
        entry = entry_of(event, self._source(event.source))
        self._seen.add(identity)
        target = self._points_at(entry)
        newest = not history or order(history[-1]) < order(entry)
        if newest and target is None and identity not in self._named:
            history.append(entry)
            if not self.course.take(entry):
                self.course = course_of(effective(history), self._interpret)
            return "taken"
        if target is not None:
            self._named.add(target)
        insort(history, entry, key=order)
        self.course = course_of(effective(history), self._interpret)
        return "taken"

    def read_again(self) -> None:
        """Reads the history anew, after the clinic came to mean something else by the name of an instrument."""
        self.course = course_of(effective(self.episode.history), self._interpret)

    def holds(self, source: str, name: str) -> bool:
        """Whether an event of the history is in force: neither retracted nor replaced."""
        sources = self.episode.sources
        return any(entry.id == name and sources[entry.source] == source for entry in effective(self.episode.history))

    def _points_at(self, entry: AnyEntry) -> tuple[str, str] | None:
        """The identity that a correction or retraction is about, whether it has arrived or not."""
        source = self.episode.sources[entry.source]
        if entry.corrects is not None:
            return source, entry.corrects
        return (source, entry.event) if isinstance(entry, Retraction) else None

    def _source(self, source: str) -> int:
        """The index of a source; a new one moves those behind it, in every entry, to keep the order one of names."""
        sources = self.episode.sources
        place = bisect_left(sources, source)
        if place < len(sources) and sources[place] == source:
            return place
        sources.insert(place, source)
        if place < len(sources) - 1:
            moved = [
                msgspec.structs.replace(entry, source=entry.source + 1) if entry.source >= place else entry
                for entry in self.episode.history
            ]
            self.episode.history[:] = moved
            self.course = course_of(effective(moved), self._interpret)
        return place
