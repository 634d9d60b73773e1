"""The way of the HTTP intake into the log: blocking appends off the event loop, those of waiting requests in one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from keepwell.streams.log import Doubt, Log, LogError, Message

MOST_WAITING: Final = 20_000
"""Messages that may wait for the log; beyond, senders are asked to come back. About 20 MB of ordinary events."""

PATIENCE: Final = 20.0
"""Seconds a request waits: more than a healthy log needs to recover by itself (KAFKA.md (d): an outage shows in 15 s)."""


class Writer:
    """Appends for many requests at a time, one append after the other. Belongs to one event loop."""

    def __init__(self, log: Log, patience: float = PATIENCE, most: int = MOST_WAITING) -> None:
        self._log = log
        self._patience = patience
        self._most = most
        self._waiting: list[tuple[Sequence[Message], asyncio.Future[None]]] = []
        self._count = 0
        self._running: asyncio.Task[None] | None = None

    async def write(self, messages: Sequence[Message]) -> None:
        """Returns when the messages are durable. Raises `LogError` where they certainly are not, `Doubt` where that is
        not known: the sender sends again, and what came twice is one event."""
        if self._count + len(messages) > self._most:
            raise LogError("too much waits for the log")
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((messages, done))
        self._count += len(messages)
        if self._running is None:
            self._running = asyncio.create_task(self._drain())
        finished, _ = await asyncio.wait([done], timeout=self._patience)
        if not finished:
            done.cancel()
            raise Doubt("the log did not answer in time")
        done.result()

    async def _drain(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            together = [message for messages, _ in batch for message in messages]
            error = await self._append(together)
            self._count -= len(together)
            for _, done in batch:
                if done.cancelled():
                    continue
                if error is None:
                    done.set_result(None)
                else:
                    done.set_exception(error)
        self._running = None

    async def _append(self, messages: Sequence[Message]) -> Exception | None:
        try:
            await asyncio.to_thread(self._log.append, messages)
        except Exception as error:  # each waiting request is told; none may wait for a task that died
            return error
        return None
