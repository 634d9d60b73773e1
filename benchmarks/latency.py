"""How long after an event is sent its score, and with it any alert, is visible; ingest and predictor are processes."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing

import msgspec
import numpy as np

from benchmarks.feeder import Feeder, Send, sender, visible
from benchmarks.figures import Figure, Plan, at_most
from benchmarks.material import events
from keepwell.events import ClientErased, Event, encode
from keepwell.streams.log import Message, Record
from tests.system import DEADLINE, System

WARM_UP_SECONDS = 2.0


class Told(msgspec.Struct):
    """Of a score, what it was for."""

    trigger: str
    trigger_source: str | None


def measure(plan: Plan) -> list[Figure]:
    """Percentiles over windows of `plan.seconds`, from the moment an event was due to be sent."""
    figures = _on("SQLite", f"sqlite:///{plan.folder / f'latency-{uuid.uuid4().hex}.db'}", None, plan)
    if plan.kafka is not None:
        figures += _on("Kafka", f"kafka://{plan.kafka}", plan.kafka, plan)
    return figures


def _on(name: str, url: str, kafka: str | None, plan: Plan) -> list[Figure]:
    folder = plan.folder / f"latency-{name}"
    folder.mkdir()
    with (
        System(url, f"b{uuid.uuid4().hex[:10]}.", folder, partitions=12) as system,
        sender(system.log, kafka) as send,
        closing(visible(system.log, system.topics.scores, f"{system.prefix}reader")) as scores,
    ):
        for service in ("ingest", "predictor"):
            system.start(service, "bench")
        windows = _windows(system, send, scores, plan)
    where = f"{name}: event → visible score at {plan.rate:g}/s"
    return [
        Figure(f"{where}, p50", [float(np.percentile(window, 50)) for window in windows], "ms"),
        Figure(f"{where}, p99", [float(np.percentile(window, 99)) for window in windows], "ms", at_most(100)),
    ]


def _windows(system: System, send: Send, scores: Iterator[Sequence[Record]], plan: Plan) -> list[list[float]]:
    """The latencies in ms, window by window. A warm-up is fed and worked off before."""
    warm = max(1, round(WARM_UP_SECONDS * plan.rate))
    size = max(1, round(plan.seconds * plan.rate))
    happened = events(warm + plan.rounds * size)
    _feed(system, send, scores, happened[:warm], plan.rate)
    latencies = _feed(system, send, scores, happened[warm:], plan.rate)
    return [latencies[start : start + size] for start in range(0, len(latencies), size)][: plan.rounds]


def _feed(
    system: System, send: Send, scores: Iterator[Sequence[Record]], happened: Sequence[Event], rate: float
) -> list[float]:
    """The latency in ms of each event, in order; an erasure gives no score and is left out."""
    scored = [event for event in happened if not isinstance(event, ClientErased)]
    with Feeder(send, [_message(system, event) for event in scored], rate) as feeder:
        seen = _wait(system, scores, {(event.source, event.id) for event in scored})
    return [(seen[event.source, event.id] - due) * 1000 for event, due in zip(scored, feeder.due, strict=True)]


def _message(system: System, event: Event) -> Message:
    return Message(system.topics.sessions, event.subject.encode(), encode(event))


def _wait(
    system: System, scores: Iterator[Sequence[Record]], wanted: set[tuple[str, str]]
) -> dict[tuple[str, str], float]:
    """When the score of each event was first seen; raises `RuntimeError` where one does not come."""
    seen: dict[tuple[str, str], float] = {}
    decoder = msgspec.json.Decoder(Told)
    moved = time.monotonic()
    while len(seen) < len(wanted):
        records = next(scores)
        now = time.perf_counter()
        for record in records:
            told = decoder.decode(record.value or b"")
            trigger = (told.trigger_source or "", told.trigger)
            if trigger in wanted:
                seen.setdefault(trigger, now)
                moved = time.monotonic()
        if time.monotonic() - moved > DEADLINE:
            raise RuntimeError(f"{len(wanted) - len(seen)} of {len(wanted)} scores never came\n{system.told()}")
    return seen
