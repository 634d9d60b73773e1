"""The rate limit of the HTTP intake: one token bucket a key."""

from __future__ import annotations


class RateLimit:
    """Lets each key send `rate` events a second, and up to `burst` at once. Not for use by several threads.

    >>> limit = RateLimit(rate=2, burst=4)
    >>> limit.take("key", 4, now=0.0)
    0.0
    >>> limit.take("key", 1, now=0.0)
    0.5
    >>> limit.take("key", 1, now=0.5)
    0.0
    """

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key: str, cost: int, now: float) -> float:
        """Takes `cost` tokens at the moment `now` (seconds of a clock that never goes back) and returns 0; where there are
        too few, takes none and returns the seconds until there are enough."""
        tokens, since = self._buckets.get(key, (float(self._burst), now))
        tokens = min(self._burst, tokens + (now - since) * self._rate)
        lacking = cost - tokens
        self._buckets[key] = (tokens if lacking > 0 else tokens - cost, now)
        return max(0.0, lacking / self._rate)
