"""How long after an event is sent its score, and with it any alert, is visible; ingest and predictor are processes."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import msgspec
import numpy as np

from benchmarks.feeder import Feeder, Send, sender, visible
from benchmarks.figures import Aim, Figure, Plan, at_most
from benchmarks.material import events
from keepwell.contract.events import ClientErased, Event, encode
from keepwell.streams.log import Message, Record, Topic
from keepwell.streams.topics import PARTITIONS
from tests.system import DEADLINE, System

WARM_UP_SECONDS = 2.0


Name = tuple[str, str]
"""Source and id of an event."""


class Told(msgspec.Struct):
    """Of a score, the event it was for."""

    trigger: str
    trigger_source: str | None


class Sent(msgspec.Struct):
    """Of an event, its name."""

    id: str
    source: str


def measure(plan: Plan) -> list[Figure]:
    """Percentiles over windows of `plan.seconds`, from the moment an event was due to be sent.

    Beside it, as the yardstick of a busy machine, the same events sent straight to the reader, with nothing in between.
    """
    figures = _on("SQLite", f"sqlite:///{plan.folder / f'latency-{uuid.uuid4().hex}.db'}", None, plan)
    if plan.kafka is not None:
        figures += _on("Kafka", f"kafka://{plan.kafka}", plan.kafka, plan)
    return figures


def _on(name: str, url: str, kafka: str | None, plan: Plan) -> list[Figure]:
    folder = plan.folder / f"latency-{name}"
    folder.mkdir()
    with (
        System(url, f"b{uuid.uuid4().hex[:10]}.", folder, partitions=PARTITIONS) as system,
        sender(system.log, kafka) as send,
    ):
        direct = f"{system.prefix}direct"
        system.log.create_topics([Topic(direct, PARTITIONS)])
        straight = _windows(system, send, direct, direct, _sent, plan)
        for service in ("ingest", "predictor"):
            system.start(service, "bench")
        through = _windows(system, send, system.topics.sessions, system.topics.scores, _scored, plan)
    return [
        *_percentiles(f"{name}: event → visible score at {plan.rate:g}/s", through, at_most(100)),
        *_percentiles(f"{name}: the same event straight to the reader", straight, None),
    ]


def _percentiles(what: str, windows: Sequence[Sequence[float]], aim: Aim | None) -> list[Figure]:
    return [
        Figure(f"{what}, p50", [float(np.percentile(window, 50)) for window in windows], "ms"),
        Figure(f"{what}, p99", [float(np.percentile(window, 99)) for window in windows], "ms", aim),
    ]


def _windows(
    system: System, send: Send, into: str, out: str, name: Callable[[bytes], Name], plan: Plan
) -> list[list[float]]:
    """The latencies in ms from one topic to another, window by window. A warm-up is fed and worked off before."""
    warm = max(1, round(WARM_UP_SECONDS * plan.rate))
    size = max(1, round(plan.seconds * plan.rate))
    happened = events(warm + plan.rounds * size)
    with closing(visible(system.log, out, f"{out}-reader")) as seen:
        _feed(system, send, into, seen, name, happened[:warm], plan.rate)
        latencies = _feed(system, send, into, seen, name, happened[warm:], plan.rate)
    return [latencies[start : start + size] for start in range(0, len(latencies), size)][: plan.rounds]


def _feed(
    system: System,
    send: Send,
    topic: str,
    seen: Iterator[Sequence[Record]],
    name: Callable[[bytes], Name],
    happened: Sequence[Event],
    rate: float,
) -> list[float]:
    """The latency in ms of each event, in order; an erasure gives no score and is left out."""
    scored = [event for event in happened if not isinstance(event, ClientErased)]
    messages = [Message(topic, event.subject.encode(), encode(event)) for event in scored]
    with Feeder(send, messages, rate) as feeder:
        moments = _wait(system, seen, name, {(event.source, event.id) for event in scored})
    return [(moments[event.source, event.id] - due) * 1000 for event, due in zip(scored, feeder.due, strict=True)]


def _wait(
    system: System, seen: Iterator[Sequence[Record]], name: Callable[[bytes], Name], wanted: set[Name]
) -> dict[Name, float]:
    """When each event was first seen at the end of its way; raises `RuntimeError` where one does not come."""
    moments: dict[Name, float] = {}
    moved = time.monotonic()
    while len(moments) < len(wanted):
        records = next(seen)
        now = time.perf_counter()
        for record in records:
            event = name(record.value or b"")
            if event in wanted:
                moments.setdefault(event, now)
                moved = time.monotonic()
        if time.monotonic() - moved > DEADLINE:
            raise RuntimeError(f"{len(wanted) - len(moments)} of {len(wanted)} events never came\n{system.told()}")
    return moments


def _scored(value: bytes) -> Name:
    score = msgspec.json.decode(value, type=Told)
    return score.trigger_source or "", score.trigger


def _sent(value: bytes) -> Name:
    event = msgspec.json.decode(value, type=Sent)
    return event.source, event.id
