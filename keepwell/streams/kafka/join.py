"""Keeps the outcome of joining a group until a poll asks for it: kafka-python forgets one that comes between two polls.

`join_group_async` of kafka-python 3.0.12 starts a new join where the one under way has ended meanwhile, or none where it sees
no more need of one: then the member stays between two generations, alive and idle (KAFKA.md, F25). Members that work between
short polls join again and again, and a group may never settle (20 rounds of a second were seen without an end).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

JOIN_SECONDS: Final = 0.05
"""A poll during a join lasts at least so long, so that it can take the outcome."""

_LOOK_SECONDS: Final = 0.005


class HeldJoin:
    """Makes a consumer's join end only while a poll waits for it. All but the constructor runs on the client's own thread."""

    def __init__(self, coordinator: Any) -> None:
        self._coordinator = coordinator
        self._waiting = False
        self._join: Callable[[], Awaitable[Any]] = coordinator._do_join_and_sync_async
        self._wait: Callable[..., Awaitable[Any]] = coordinator.join_group_async
        self._wanted: Callable[[], bool] = coordinator.need_rejoin
        coordinator._do_join_and_sync_async = self._held
        coordinator.join_group_async = self._await
        coordinator.need_rejoin = lambda: self.under_way() or self._wanted()

    def under_way(self) -> bool:
        """Whether a join has begun of which no poll has taken the outcome."""
        return self._coordinator._join_task is not None

    async def _await(self, timeout_ms: float | None = None) -> Any:
        self._waiting = True
        try:
            return await self._wait(timeout_ms=timeout_ms)
        finally:
            self._waiting = False

    async def _held(self) -> Any:
        try:
            outcome = await self._join()
        except Exception:
            await self._until_asked()
            raise
        await self._until_asked()
        return outcome

    async def _until_asked(self) -> None:
        while not self._waiting:
            await self._coordinator._net.sleep(_LOOK_SECONDS)
