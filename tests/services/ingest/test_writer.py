"""The rules of the way into the log."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Final

import pytest

from keepwell.streams.log import Doubt, LogError, Message, Partition, Topic
from keepwell.streams.memory import MemoryLog
from services.ingest.writer import Writer

WAIT: Final = 20.0


class Gate:
    """A log whose appends wait until the gate is opened; counts them."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.appends = 0
        self.log = MemoryLog()
        self.log.create_topics([Topic("t", 1)])
        self.log.faults = self._wait

    def values(self) -> list[bytes | None]:
        return [record.value for record in self.log.read(Partition("t", 0))]

    def _wait(self, call: str) -> None:
        if call == "append.before":
            self.appends += 1
            assert self.open.wait(WAIT)


def message(value: bytes) -> Sequence[Message]:
    return [Message("t", b"k", value)]


def test_requests_that_wait_together_are_appended_together_and_in_order() -> None:
    gate = Gate()

    async def scene() -> None:
        door = Writer(gate.log)
        writes = [asyncio.create_task(door.write(message(b"%d" % number))) for number in range(30)]
        while not gate.appends:
            await asyncio.sleep(0)
        gate.open.set()
        await asyncio.gather(*writes)

    asyncio.run(scene())
    assert gate.values() == [b"%d" % number for number in range(30)]
    assert gate.appends <= 2


def test_a_slow_append_does_not_hold_up_the_event_loop() -> None:
    gate = Gate()

    async def scene() -> None:
        write = asyncio.create_task(Writer(gate.log).write(message(b"a")))
        turns = 0
        while turns < 100 or not gate.appends:
            await asyncio.sleep(0)
            turns += 1
        assert not write.done()
        gate.open.set()
        await write

    asyncio.run(scene())


def test_no_request_returns_before_its_messages_are_durable() -> None:
    gate = Gate()
    gate.open.set()

    async def write(door: Writer, number: int) -> bool:
        await door.write(message(b"%d" % number))
        return b"%d" % number in gate.values()

    async def scene() -> list[bool]:
        door = Writer(gate.log)
        return await asyncio.gather(*(write(door, number) for number in range(50)))

    assert all(asyncio.run(scene()))


def test_a_request_that_waited_too_long_is_in_doubt_and_the_next_is_served() -> None:
    gate = Gate()

    async def scene() -> None:
        door = Writer(gate.log, patience=0.05)
        with pytest.raises(Doubt):
            await door.write(message(b"a"))
        gate.open.set()
        while not gate.values():
            await asyncio.sleep(0.001)
        await Writer(gate.log).write(message(b"b"))
        await door.write(message(b"c"))

    asyncio.run(scene())
    assert gate.values() == [b"a", b"b", b"c"]


def test_more_than_may_wait_is_refused_at_once() -> None:
    gate = Gate()

    async def scene() -> None:
        door = Writer(gate.log, most=2)
        first = asyncio.create_task(door.write([*message(b"a"), *message(b"b")]))
        while not gate.appends:
            await asyncio.sleep(0)
        with pytest.raises(LogError, match="too much waits"):
            await door.write(message(b"c"))
        gate.open.set()
        await first
        await door.write(message(b"d"))

    asyncio.run(scene())
    assert gate.values() == [b"a", b"b", b"d"]


def test_everyone_who_waited_for_a_failed_append_is_told_and_those_after_it_are_not() -> None:
    gate = Gate()
    gate.open.set()
    fail = threading.Event()

    def faults(call: str) -> None:
        if call == "append.before" and fail.is_set():
            raise Doubt("?")

    gate.log.faults = faults
    fail.set()

    async def scene() -> None:
        door = Writer(gate.log)
        writes = [door.write(message(b"%d" % number)) for number in range(3)]
        assert all(isinstance(told, Doubt) for told in await asyncio.gather(*writes, return_exceptions=True))
        fail.clear()
        await door.write(message(b"next"))

    asyncio.run(scene())
    assert gate.values() == [b"next"]
