"""The rules of the rate limit."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from keepwell.web.limits import RateLimit


def test_a_key_may_send_a_burst_and_then_its_rate() -> None:
    limit = RateLimit(rate=2, burst=4)
    assert [limit.take("key", 2, now) for now in (0.0, 0.0, 0.0, 1.0, 1.0)] == [0, 0, 1.0, 0, 1.0]


def test_a_long_pause_saves_up_no_more_than_a_burst() -> None:
    limit = RateLimit(rate=2, burst=4)
    assert [limit.take("key", 4, now) for now in (0.0, 1e9)] == [0, 0]
    assert limit.take("key", 1, 1e9) > 0


def test_one_key_does_not_hold_up_another() -> None:
    limit = RateLimit(rate=1, burst=1)
    assert [limit.take(key, 1, 0.0) for key in ("a", "b", "a")] == [0, 0, 1.0]


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 10)), max_size=40))
def test_no_more_passes_than_burst_and_rate_allow_and_the_told_wait_suffices(sent: list[tuple[float, int]]) -> None:
    limit, passed = RateLimit(rate=3, burst=10), 0
    now = 0.0
    for now, cost in zip(accumulate(pause for pause, _ in sent), (cost for _, cost in sent), strict=True):
        wait = limit.take("key", cost, now)
        passed += 0 if wait else cost
        assert passed <= 10 + 3 * now + 1e-6
    if sent:
        wait = limit.take("key", 10, now)
        assert not wait or limit.take("key", 10, now + wait + 1e-6) == 0
