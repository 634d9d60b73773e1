"""How fast the worker is: as a ratio to a bare kafka-python loop with the same outputs, and on the logs without a server."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import NamedTuple

from benchmarks import bare_loop
from benchmarks.captured import Captured, Replayed, Watched, capture, under
from benchmarks.figures import Figure, Mark, Plan, at_least, tuned_gc
from benchmarks.material import accepted, append, events, predictor
from keepwell.streams.log import Log, Message
from keepwell.streams.open import open_log
from keepwell.streams.topics import Topics, ensure_topics
from keepwell.streams.worker.loop import Worker
from keepwell.streams.worker.step import Processor, Step


class Run(NamedTuple):
    """One run: events a second, and processor time of this process in µs an event."""

    rate: float
    cpu: float


Contender = Callable[[Log, str, Topics], tuple[Mark, Mark]]
"""Works a source topic off, writing under topics; returns when the first records were in hand and the last committed."""


def measure(plan: Plan) -> list[Figure]:
    """The predictor's worker, the worker with captured outputs, and on Kafka the bare loop; by turns on each log."""
    source = accepted(events(plan.events), Topics().episodes)
    captured = capture(source)
    worker: dict[str, Contender] = {
        "worker, captured outputs": lambda log, feed, topics: _work(
            log, feed, topics, lambda: Replayed(under(topics, captured)), plan.events
        ),
        "worker, predictor": lambda log, feed, topics: _work(log, feed, topics, lambda: predictor(topics), plan.events),
    }
    figures: list[Figure] = []
    with tuned_gc():
        for name, url in (("memory", "memory://"), ("SQLite", f"sqlite:///{plan.folder / _prefix()}db")):
            figures += _rows(name, _by_turns(url, plan.rounds, source, worker))
        if plan.kafka is not None:
            bare: dict[str, Contender] = {"bare loop": _bare(plan.kafka, captured, plan.events)}
            runs = _by_turns(f"kafka://{plan.kafka}", plan.rounds, source, bare | worker)
            figures += _rows("Kafka", runs) + _ratios(runs)
    return figures


def _by_turns(
    url: str, rounds: int, source: Sequence[Message], contenders: dict[str, Contender]
) -> dict[str, list[Run]]:
    """The runs of each contender over the same source, in turn, every second round in reverse order."""
    runs: dict[str, list[Run]] = {name: [] for name in contenders}
    with closing(open_log(url)) as log:
        fed = Topics(_prefix())
        ensure_topics(log, fed)
        append(log, [message._replace(topic=fed.episodes) for message in source])
        for number in range(rounds):
            for name in list(contenders)[:: -1 if number % 2 else 1]:
                topics = Topics(_prefix())
                ensure_topics(log, topics)
                began, ended = contenders[name](log, fed.episodes, topics)
                wall, cpu = ended.wall - began.wall, ended.cpu - began.cpu
                runs[name].append(Run(len(source) / wall, cpu / len(source) * 1e6))
    return runs


def _work(log: Log, feed: str, topics: Topics, make: Callable[[], Processor], total: int) -> tuple[Mark, Mark]:
    watched = Watched(make())
    stop = threading.Event()
    done = 0
    ended = Mark.now()

    def count(steps: Sequence[Step]) -> None:
        nonlocal done, ended
        done += sum(step.received for step in steps)
        if done >= total:
            ended = Mark.now()
            stop.set()

    Worker(
        log,
        lambda: watched,
        group=f"{topics.prefix}group",
        source_topic=feed,
        instance="bench",
        changelog_topic=topics.state,
        after_commit=count,
    ).run(stop)
    if watched.began is None:
        raise RuntimeError("the worker was given nothing to do")
    return watched.began, ended


def _bare(bootstrap: str, captured: Captured, total: int) -> Contender:
    return lambda _, feed, topics: bare_loop.run(
        bootstrap, f"{topics.prefix}group", feed, topics, under(topics, captured), total
    )


def _rows(log: str, runs: dict[str, list[Run]]) -> list[Figure]:
    return [
        figure
        for name, each in runs.items()
        for figure in (
            Figure(f"{log}: {name}", [run.rate for run in each], "events/s"),
            Figure(f"{log}: {name}, processor time", [run.cpu for run in each], "µs/event"),
        )
    ]


def _ratios(runs: dict[str, list[Run]]) -> list[Figure]:
    """Round by round, as what else the machine does changes from one to the next."""
    return [
        Figure(
            f"Kafka: {name} ÷ bare loop",
            [run.rate / bare.rate for run, bare in zip(runs[name], runs["bare loop"], strict=True)],
            "",
            at_least(0.6),
        )
        for name in runs
        if name != "bare loop"
    ]


def _prefix() -> str:
    return f"b{uuid.uuid4().hex[:10]}."
