"""How fast `keepwell replay FILE` is: the live code over a file, results written."""

from __future__ import annotations

import time

from benchmarks.figures import Figure, Plan, at_least, tuned_gc
from benchmarks.material import events, predictor
from keepwell.cli.replay import replay_files
from keepwell.streams.topics import Topics
from keepwell.testing.made_up import to_jsonl


def measure(plan: Plan) -> list[Figure]:
    """Events a second from the file to scores, alerts and summary, daily ticks included; the start of Python is not."""
    file = plan.folder / "events.jsonl"
    with file.open("wb") as out:
        to_jsonl(events(plan.events), out)
    with tuned_gc():
        samples = [_rate(plan, str(file), number) for number in range(plan.rounds)]
    return [Figure("replay of a file", samples, "events/s", at_least(50_000))]


def _rate(plan: Plan, file: str, number: int) -> float:
    topics = Topics()
    began = time.perf_counter()
    replay_files([file], None, predictor(topics), topics, [], out=plan.folder / f"replayed-{number}")
    return plan.events / (time.perf_counter() - began)
