"""The predictor's memory of a partition: at rest it is small, and awake it is what the changelog holds."""

from __future__ import annotations

import sys
from typing import Final

from keepwell.contract.events import AnyEvent
from services.predictor.store import PartitionStore
from tests.episodes import opened, srs, story, weekly

KEYS: Final = [f"north/ep-{number}".encode() for number in range(6)]


def lived_through(keep: int) -> tuple[PartitionStore, dict[bytes, bytes | None]]:
    """A store after some months of several episodes, of which it keeps so many unfolded, and what it put out last of each."""
    events: list[AnyEvent] = story(
        (0, opened()), *weekly(12), *((7.0 * n + 1, srs(8.0, 8.0, 8.0, 8.0)) for n in range(12))
    )
    store, told = PartitionStore(), dict[bytes, bytes | None]()
    for event in events:
        for key in KEYS:
            held = store.get(key) or store.open(key)
            held.live.fold(event)
            store.schedule(key, 17)
            store.dirty.add(key)
            told |= store.flush(keep)
    return store, told


def test_an_episode_at_rest_is_as_the_changelog_holds_it_and_goes_on_as_one_that_is_awake() -> None:
    resting, told = lived_through(keep=0)
    assert resting.payloads() == told == lived_through(keep=len(KEYS))[0].payloads()
    restored = PartitionStore()
    for key, payload in told.items():
        restored.restore(key, payload)
    assert restored.payloads() == told
    assert restored.keys() == KEYS


def test_an_episode_at_rest_takes_less_than_half_of_what_the_changelog_holds() -> None:
    store, told = lived_through(keep=0)
    kept = sum(sys.getsizeof(payload) for payload in store._stored.values())
    assert kept < sum(len(payload or b"") for payload in told.values()) / 2
