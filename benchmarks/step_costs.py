"""What an event costs in processor time, piece by piece, in batches and without any log."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from benchmarks.figures import Figure, Plan, at_most, tuned_gc
from benchmarks.material import accepted, by_partition, events, predictor
from keepwell.care.episode import Episode, Live
from keepwell.care.instruments import Instruments
from keepwell.contract.decode import decode
from keepwell.contract.events import AnyEvent, ClientErased, Event, decode_accepted, encode, micros
from keepwell.streams.topics import PARTITIONS, Topics
from keepwell.streams.worker.loop import Pace
from services.ingest.step import IngestProcessor

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def measure(plan: Plan) -> list[Figure]:
    """Decode, fold, features with scorecard, the whole step of the predictor; decode and the whole step of ingest."""
    happened = [event for event in events(plan.events) if not isinstance(event, ClientErased)]
    values = [encode(event) for event in happened]
    accepted_ones = [decode_accepted(value) for value in values]
    instruments = Instruments()
    with tuned_gc():
        rounds = range(plan.rounds)
        decoding = [_each(lambda: _decode(values), len(values)) for _ in rounds]
        folding = [_each(lambda: _fold(accepted_ones, instruments), len(values)) for _ in rounds]
        both = [_each(lambda: _fold_and_score(accepted_ones, instruments), len(values)) for _ in rounds]
        scoring = [together - fold for together, fold in zip(both, folding, strict=True)]
        checking = [_each(lambda: _check(values, instruments), len(values)) for _ in rounds]
        stepping = [_predict(happened) for _ in rounds]
        ingesting = [_ingest(happened, instruments) for _ in rounds]
    sums = [sum(parts) for parts in zip(decoding, both, strict=True)]
    return [
        Figure("decode an accepted event", decoding, "µs/event"),
        Figure("fold", folding, "µs/event"),
        Figure("features and scorecard", scoring, "µs/event"),
        Figure("decode + fold + features + score", sums, "µs/event", at_most(25)),
        Figure("whole step of the predictor", stepping, "µs/event"),
        Figure("ingest: decode and check", checking, "µs/event"),
        Figure("whole step of ingest", ingesting, "µs/event"),
    ]


def _each(work: Callable[[], None], count: int) -> float:
    """Processor time of `work` in µs for each of `count`."""
    began = time.process_time()
    work()
    return (time.process_time() - began) / count * 1e6


def _decode(values: list[bytes]) -> None:
    for value in values:
        decode_accepted(value)


def _fold(happened: Sequence[AnyEvent], instruments: Instruments) -> None:
    episodes: dict[str, Live] = {}
    for event in happened:
        _live(episodes, event.key, instruments).fold(event)


def _fold_and_score(happened: Sequence[AnyEvent], instruments: Instruments) -> None:
    scorer = predictor(Topics()).default.scorer
    episodes: dict[str, Live] = {}
    for event in happened:
        live = _live(episodes, event.key, instruments)
        live.fold(event)
        scorer.score(live.course, micros(event.time))


def _live(episodes: dict[str, Live], key: str, instruments: Instruments) -> Live:
    live = episodes.get(key)
    if live is None:
        clinic = key.partition("/")[0]
        live = episodes[key] = Live(Episode(key), lambda name: instruments.get(clinic, name))
    return live


def _check(values: list[bytes], instruments: Instruments) -> None:
    for value in values:
        decode(value, now=NOW, instruments=instruments)


def _predict(happened: Sequence[Event]) -> float:
    """In batches as a worker that catches up gets them: `Pace.records` over all partitions."""
    worker = predictor(Topics())
    size = max(1, Pace().records // PARTITIONS)
    batches = [
        (number, records[start : start + size])
        for number, records in by_partition(accepted(happened, Topics().episodes)).items()
        for start in range(0, len(records), size)
    ]

    def work() -> None:
        for number, batch in batches:
            worker.step(number, batch)

    return _each(work, len(happened))


def _ingest(happened: Sequence[Event], instruments: Instruments) -> float:
    ingest = IngestProcessor(Topics(), PARTITIONS, instruments, lambda: NOW)
    sent = by_partition(accepted(happened, Topics().sessions))

    def work() -> None:
        for number, records in sent.items():
            ingest.step(number, records)

    return _each(work, len(happened))
