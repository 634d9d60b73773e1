"""How long scores stand still when a predictor is killed and started again under its name, on Kafka."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import cycle

from benchmarks.feeder import Feeder, sender, visible
from benchmarks.figures import Figure, Plan, at_most
from benchmarks.material import accepted, events
from keepwell.streams.log import Partition, Record
from tests.system import DEADLINE, System


def measure(plan: Plan) -> list[Figure]:
    """Seconds from kill -9 to the first score of the successor, which is started at once, with events coming all the time."""
    if plan.kafka is None:
        return []
    folder = plan.folder / "takeover"
    folder.mkdir()
    with (
        System(f"kafka://{plan.kafka}", f"b{uuid.uuid4().hex[:10]}.", folder, partitions=12) as system,
        sender(system.log, plan.kafka) as send,
        closing(visible(system.log, system.topics.scores, f"{system.prefix}reader")) as scores,
    ):
        enough = round(plan.rate * DEADLINE)
        messages = accepted(events(enough), system.topics.episodes)
        system.start("predictor", "bench")
        with Feeder(send, cycle(messages), plan.rate):
            _next(system, scores, {})
            samples = [_stall(system, scores, plan.seconds) for _ in range(plan.rounds)]
    return [Figure("Kafka: kill -9 → first score of the successor", samples, "s", at_most(2.5))]


def _stall(system: System, scores: Iterator[Sequence[Record]], seconds: float) -> float:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        _next(system, scores, {})
    system.kill("predictor", "bench")
    killed = time.perf_counter()
    system.start("predictor", "bench")
    # Whatever the dead one wrote lies below; its successor takes longer than this to start.
    ends = {partition: system.log.bounds(partition)[1] for partition in system.partitions(system.topics.scores)}
    return _next(system, scores, ends) - killed


def _next(system: System, scores: Iterator[Sequence[Record]], ends: dict[Partition, int]) -> float:
    """When the next score at or above these offsets was seen."""
    deadline = time.monotonic() + DEADLINE
    while not any(record.offset >= ends.get(record.partition, 0) for record in next(scores)):
        if time.monotonic() > deadline:
            raise RuntimeError(f"no score within {DEADLINE:.0f} s\n{system.told()}")
    return time.perf_counter()
