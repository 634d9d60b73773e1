"""What is dear to look up and may be a moment old: kept for so long, and looked up once by however many ask."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

Found = TypeVar("Found")


class Kept(Generic[Found]):
    """What was found by key, for as long as `life` by the clock `now`. For any thread: of those who ask for one key at once,
    one looks it up and the others wait for it. Where that fails nothing is kept, and the next who asks looks again."""

    def __init__(self, life: timedelta, now: Callable[[], datetime]) -> None:
        self._life = life
        self._now = now
        self._lock = threading.Lock()
        self._places: dict[Hashable, _Place[Found]] = {}

    def get(self, key: Hashable, look_up: Callable[[], Found]) -> Found:
        """What is kept under a key, or what `look_up` finds."""
        with self._lock:
            place = self._places.setdefault(key, _Place())
        with place.lock:
            at = self._now()
            if place.found is None or not place.found[0] <= at < place.found[0] + self._life:
                place.found = at, look_up()
            return place.found[1]


class _Place(Generic[Found]):
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.found: tuple[datetime, Found] | None = None
