"""What is kept for a while is looked up once, by however many ask at once, and again when its time is over."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from services.clinician.kept import Kept

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)


def test_it_is_looked_up_again_once_its_time_is_over() -> None:
    clock, looks = [AT], [0]

    def look_up() -> int:
        looks[0] += 1
        return looks[0]

    kept = Kept[int](timedelta(seconds=30), lambda: clock[-1])
    assert [kept.get("north", look_up), kept.get("north", look_up), kept.get("south", look_up)] == [1, 1, 2]
    clock.append(AT + timedelta(seconds=30))
    assert [kept.get("north", look_up), kept.get("north", look_up)] == [3, 3]
    clock.append(AT - timedelta(days=1))
    assert kept.get("north", look_up) == 4, "where the clock was set back it is not kept for a day"


def test_one_looks_it_up_for_all_who_ask_at_once_and_nobody_waits_for_another_key() -> None:
    asked, free, found = threading.Event(), threading.Event(), list[int]()

    def look_up() -> int:
        asked.set()
        assert free.wait(30)
        return 7

    kept = Kept[int](timedelta(seconds=30), lambda: AT)
    threads = [threading.Thread(target=lambda: found.append(kept.get("north", look_up))) for _ in range(4)]
    threads[0].start()
    assert asked.wait(30)
    for thread in threads[1:]:
        thread.start()
    assert kept.get("south", lambda: 1) == 1
    free.set()
    for thread in threads:
        thread.join(30)
    assert found == [7] * 4
    assert kept.get("north", lambda: 8) == 7


def test_what_failed_is_not_kept() -> None:
    kept = Kept[int](timedelta(seconds=30), lambda: AT)

    def away() -> int:
        raise OSError("away")

    with pytest.raises(OSError, match="away"):
        kept.get("north", away)
    assert kept.get("north", lambda: 3) == 3
