"""How fast a predictor that starts is back where it was: from the changelog on each log."""

from __future__ import annotations

import time
import uuid
from contextlib import closing

from benchmarks.captured import Watched
from benchmarks.figures import Figure, Plan, at_least, tuned_gc
from benchmarks.material import append, open_episodes, predictor
from keepwell.streams.log import Log, Message, partition_for
from keepwell.streams.open import open_log
from keepwell.streams.topics import PARTITIONS, Topics, ensure_topics
from keepwell.streams.worker.loop import Worker
from keepwell.streams.worker.state import StateRecord, encode

DEADLINE = 120.0


def measure(plan: Plan) -> list[Figure]:
    """Episodes a second, from the first state record in hand to the last; joining the group not counted."""
    urls = {"memory": "memory://", "SQLite": f"sqlite:///{plan.folder / f'restore-{uuid.uuid4().hex}.db'}"}
    if plan.kafka is not None:
        urls["Kafka"] = f"kafka://{plan.kafka}"
    figures = []
    for name, url in urls.items():
        with closing(open_log(url)) as log, tuned_gc():
            topics = Topics(f"b{uuid.uuid4().hex[:10]}.")
            ensure_topics(log, topics)
            # The state includes offset 0 of the source, so the source must have held it.
            append(log, [Message(topics.episodes, b"ep#0.0", b"{}", (), number) for number in range(PARTITIONS)])
            append(log, _changelog(topics, plan.episodes))
            samples = [_rate(log, topics, plan.episodes) for _ in range(plan.rounds)]
        figures.append(Figure(f"restore from {name}", samples, "episodes/s", at_least(50_000)))
    return figures


def _changelog(topics: Topics, count: int) -> list[Message]:
    return [
        Message(topics.state, key, encode(StateRecord(0, payload)), (), partition_for(key, PARTITIONS))
        for key, payload in open_episodes(count)
    ]


def _rate(log: Log, topics: Topics, count: int) -> float:
    watched = Watched(predictor(topics))
    worker = Worker(
        log,
        lambda: watched,
        group=f"{topics.prefix}{uuid.uuid4().hex[:6]}",
        source_topic=topics.episodes,
        instance="bench",
        changelog_topic=topics.state,
    )
    deadline = time.monotonic() + DEADLINE
    try:
        while watched.restored < count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"restored {watched.restored} of {count} episodes within {DEADLINE:.0f} s")
            worker.turn(0.1)
    finally:
        worker.close()
    first, last = watched.restoring
    return count / (last - first)
