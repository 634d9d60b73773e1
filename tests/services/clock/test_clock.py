"""The rules of the clock."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from urllib.request import urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepwell.contract.events import ClockTicked, decode_accepted
from keepwell.streams.log import Doubt, LogError, Partition
from keepwell.streams.memory import MemoryLog
from keepwell.streams.topics import Topics
from keepwell.web.service import serve
from services.clock.bootstrap import make
from services.clock.clock import Clock, boundary
from services.clock.settings import ClockSettings

TOPICS = Topics("t.")
PARTITIONS = 3
START = datetime(2026, 3, 2, 10, 0, 30, tzinfo=UTC)


class Time:
    """A wall clock that goes on only when somebody waits, and the stop that is set after so many waits."""

    def __init__(self, waits: int = 0) -> None:
        self.now = START
        self.waited: list[float] = []
        self._waits = waits

    def __call__(self) -> datetime:
        return self.now

    def is_set(self) -> bool:
        return len(self.waited) >= self._waits

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waited.append(timeout)
        self.now += timedelta(seconds=timeout)
        return self.is_set()


@pytest.fixture
def log() -> MemoryLog:
    log = MemoryLog()
    log.create_topics(TOPICS.all(PARTITIONS))
    return log


def ticks(log: MemoryLog, number: int = 0) -> list[ClockTicked]:
    """The ticks in one partition."""
    found = [decode_accepted(record.value or b"") for record in log.read(Partition(TOPICS.episodes, number))]
    assert all(isinstance(event, ClockTicked) for event in found)
    return [event for event in found if isinstance(event, ClockTicked)]


def times(log: MemoryLog, number: int = 0) -> list[str]:
    return [event.time.strftime("%d %H:%M:%S") for event in ticks(log, number)]


def test_a_tick_reaches_every_partition_under_a_key_of_its_own(log: MemoryLog) -> None:
    for _ in range(2):
        Clock(log, TOPICS.episodes, 60, Time()).turn()
    for number in range(PARTITIONS):
        first, second = ticks(log, number)
        assert first.id.startswith("tick-2026-03-02T10:00:00Z.")
        assert (first.source, first.subject) == ("/keepwell/clock", "_clock")
        assert first.time == second.time == datetime(2026, 3, 2, 10, tzinfo=UTC)
        keys = [record.key for record in log.read(Partition(TOPICS.episodes, number))]
        assert keys == [f"_clock#{event.id}".encode() for event in (first, second)]
        assert len(set(keys)) == 2, "compaction would remove one of them, and with it the place where time moved"


def test_ticks_come_at_multiples_of_the_interval(log: MemoryLog) -> None:
    time = Time(waits=4)
    Clock(log, TOPICS.episodes, 60, time).run(time)
    assert times(log) == ["02 10:00:00", "02 10:01:00", "02 10:02:00", "02 10:03:00"]
    assert time.waited == [30, 60, 60, 60]


def test_after_a_pause_comes_one_tick_and_not_many(log: MemoryLog) -> None:
    time = Time()
    clock = Clock(log, TOPICS.episodes, 60, time)
    clock.turn()
    time.now += timedelta(days=3, seconds=5)
    clock.turn()
    assert times(log) == ["02 10:00:00", "05 10:00:00"]


def test_a_wall_clock_that_is_set_back_gives_no_tick_until_it_has_caught_up(log: MemoryLog) -> None:
    time = Time()
    clock = Clock(log, TOPICS.episodes, 60, time)
    for minutes in (0, -5, 1, 5):
        time.now = START + timedelta(minutes=minutes)
        clock.turn()
    assert times(log) == ["02 10:00:00", "02 10:01:00", "02 10:05:00"]


def test_two_clocks_on_one_log_say_nothing_that_one_would_not(log: MemoryLog) -> None:
    alone, first, second = Time(waits=5), Time(waits=5), Time(waits=5)
    second.now += timedelta(seconds=7.5)
    Clock(log, TOPICS.episodes, 60, alone).run(alone)
    said = {event.time for number in range(PARTITIONS) for event in ticks(log, number)}
    threads = [
        threading.Thread(target=Clock(log, TOPICS.episodes, 60, time).run, args=(time,)) for time in (first, second)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {event.time for number in range(PARTITIONS) for event in ticks(log, number)} == said
    assert len(ticks(log)) == 15


def test_a_log_that_refuses_a_tick_gets_it_later(log: MemoryLog) -> None:
    errors: list[LogError] = [Doubt("?"), LogError("down")]

    def faults(call: str) -> None:
        if call == "append.before" and errors:
            raise errors.pop()

    log.faults = faults
    time = Time(waits=3)
    clock = Clock(log, TOPICS.episodes, 60, time)
    assert not clock.ready().ok
    clock.run(time)
    log.faults = None
    assert times(log) == ["02 10:00:00"]
    assert time.waited == [2, 2, 26]
    assert clock.ready().ok


def test_a_clock_whose_newest_tick_is_old_is_not_ready(log: MemoryLog) -> None:
    time = Time()
    clock = Clock(log, TOPICS.episodes, 60, time)
    clock.turn()
    assert clock.ready().ok
    time.now += timedelta(seconds=180)
    assert not clock.ready().ok
    assert clock.live().ok


@given(
    st.datetimes(datetime(1970, 1, 1), datetime(2199, 1, 1), timezones=st.timezones()), st.integers(1, 86_400)
)  # fmt: skip
def test_a_boundary_is_the_newest_multiple_of_the_interval(moment: datetime, interval: int) -> None:
    found = boundary(moment, interval)
    assert found <= moment < found + timedelta(seconds=interval)
    assert (found - datetime(1970, 1, 1, tzinfo=UTC)) % timedelta(seconds=interval) == timedelta(0)


class Once:
    """A stop that is set at the first wait, after a look from outside."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.pages: dict[str, int] = {}

    def is_set(self) -> bool:
        return bool(self.pages)

    def wait(self, timeout: float | None = None) -> bool:
        for page in ("livez", "readyz", "metrics"):
            with urlopen(f"http://127.0.0.1:{self.port}/{page}", timeout=10) as answer:
                self.pages[page] = answer.status
        return True


def test_the_service_ticks_and_shows_its_health(unused_port: int) -> None:
    log = MemoryLog()
    log.create_topics(TOPICS.all())
    stop = Once(unused_port)
    serve(make(ClockSettings(topic_prefix="t.", clock_port=unused_port), log), stop)
    assert stop.pages == {"livez": 200, "readyz": 200, "metrics": 200}
    assert len(ticks(log)) == 1
