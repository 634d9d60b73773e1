"""What a replay puts out, worked in this process; `keepwell.cli._processes` gives the same from several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import Final, NamedTuple, TypeVar

from keepwell.care.endings import spell_of
from keepwell.contract.events import micros
from keepwell.streams.log import Log, Message, Partition, Record
from keepwell.streams.standing import standing
from keepwell.streams.topics import Topics
from keepwell.streams.worker.step import Step
from services.predictor.step import PredictorProcessor
from services.predictor.turns import recorded

Item = TypeVar("Item")

BATCH: Final = 5000
"""Records a step, which bounds memory; the outcome does not depend on it."""

Advance = Callable[[int], object]
"""Is told of so many more records that are done."""


class EpisodeCounts(NamedTuple):
    """How many episodes are in which state at a moment, and how many spells ended how."""

    states: Counter[str]
    endings: Counter[str]

    def add(self, other: EpisodeCounts) -> None:
        """Adds those of other episodes."""
        self.states.update(other.states)
        self.endings.update(other.endings)


class LogPart(NamedTuple):
    """A partition of accepted events: which, up to which offset, without which, and whether the predictor begins with the
    release that it began with then."""

    number: int
    end: int
    set_aside: frozenset[int]
    as_begun: bool


@contextmanager
def of_files(
    worker: PredictorProcessor, stream: Iterator[Record], now: datetime, advance: Advance
) -> Iterator[tuple[Iterator[Sequence[Message]], EpisodeCounts]]:
    """What records of one partition amount to: the messages in order, and the episodes at `now`, counted by their end."""
    counts = EpisodeCounts(Counter(), Counter())

    def messages() -> Iterator[Sequence[Message]]:
        for batch in batches(stream):
            yield worker.step(0, batch).messages
            advance(len(batch))
        counts.add(counted(worker, now))

    yield messages(), counts


def of_log(source: Log, worker: PredictorProcessor, topics: Topics, part: LogPart) -> Iterator[Step]:
    """The steps over a partition, with the promotions taken and refused as they were then. Raises `InvalidRelease` where a
    release that was in use cannot be loaded here."""
    turns = recorded(source, topics, part.number)
    worker.recall(part.number, turns if part.as_begun else [turn for turn in turns if turn.role != "begin"])
    held = standing(source, Partition(topics.episodes, part.number), 0, part.end)
    # What was set aside counts where it was put back, though a newer version would take it where it stood at first.
    for batch in batches(record for record in held if record.offset not in part.set_aside):
        yield worker.step(part.number, batch)


def counted(worker: PredictorProcessor, now: datetime) -> EpisodeCounts:
    """The episodes that a worker holds, as they are at `now`, or at their newest entry where that is later."""
    at = micros(now)
    counts = EpisodeCounts(Counter(), Counter())
    for store in worker.stores.values():
        for key in store.keys():  # noqa: SIM118  # a method that sorts, not a dict
            held = store.get(key)
            if held is None:
                continue
            standing_ = held.live.course.standing
            moment = max(at, held.live.episode.latest)
            counts.states[standing_.state_at(moment)] += 1
            spells = standing_.spells_at(moment)
            counts.endings.update(spell.ending for spell in spells if spell.ending is not None)
            counts.endings["undetermined"] += spell_of(spells, moment) is not None
    return counts


def batches(stream: Iterator[Item]) -> Iterator[list[Item]]:
    """A stream in lists of `BATCH`."""
    while batch := list(islice(stream, BATCH)):
        yield batch
