"""What an open episode weighs: in the predictor's memory, and in its changelog."""

from __future__ import annotations

import gc
import tracemalloc

from benchmarks.figures import Figure, Plan, at_most
from benchmarks.material import open_episodes
from keepwell.streams.worker.state import StateRecord, encode
from services.predictor.step import KEPT_LIVE
from services.predictor.store import PartitionStore


def measure(plan: Plan) -> list[Figure]:
    """One partition's store with all episodes restored, then with as many unfolded as it keeps. Counted by tracemalloc."""
    episodes = list(open_episodes(plan.episodes))
    keys = [key for key, _ in episodes]
    changelog = sum(len(key) + len(encode(StateRecord(0, payload))) for key, payload in episodes)
    gc.collect()
    tracemalloc.start()
    try:
        empty = _held()
        store = PartitionStore()
        for key, payload in episodes:
            store.restore(bytes(bytearray(key)), bytes(bytearray(payload)))
        stored = _held()
        unfolded = keys[:KEPT_LIVE]
        for key in unfolded:
            store.get(key)
        full = _held()
    finally:
        tracemalloc.stop()
    return [
        Figure("an episode at rest", [(stored - empty) / len(keys)], "bytes"),
        Figure("more for one that is unfolded", [(full - stored) / len(unfolded)], "bytes"),
        Figure(
            f"mean of {len(keys)} in one partition, {len(unfolded)} of them unfolded",
            [(full - empty) / len(keys)],
            "bytes",
            at_most(1500),
        ),
        Figure("changelog record, key included", [changelog / len(keys)], "bytes"),
    ]


def _held() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
