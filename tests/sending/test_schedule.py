"""The schedule of tries: its steps, its end, and that neither a restart nor a receiver moves the end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from keepwell.sending.schedule import AGES, END, SOON, next_try

MOMENTS = st.floats(0, 2 * END)


def test_a_fresh_alert_is_tried_at_the_intervals_of_standard_webhooks_and_then_no_more() -> None:
    tries, now, waits = 0, 0.0, list[float]()
    while (due := next_try(tries := tries + 1, 0.0, now)) is not None:
        waits.append(due - now)
        now = due
    minute, hour = 60.0, 3600.0
    assert waits == [5.0, 5 * minute, 30 * minute, 2 * hour, 5 * hour, 10 * hour, 10 * hour]
    assert (tries, now) == (8, END)


def test_after_a_restart_it_is_tried_soon_again_and_then_by_its_age() -> None:
    assert next_try(1, 0.0, 10_000.0) == 10_000.0 + SOON[0]
    assert next_try(3, 0.0, 10_305.0) == AGES[2]


def test_an_alert_older_than_the_schedule_is_tried_three_times_by_each_process() -> None:
    now = 2 * END
    assert [next_try(tries, 0.0, now) is None for tries in (1, 2, 3)] == [False, False, True]


@given(tries=st.integers(1, 20), now=MOMENTS, after=st.none() | st.floats(0, 1e12))
def test_no_try_lies_in_the_past_and_none_beyond_the_end_but_those_soon_after_a_start(
    tries: int, now: float, after: float | None
) -> None:
    due = next_try(tries, 0.0, now, after)
    if due is not None:
        assert due > now
        assert due <= max(END, now + SOON[-1])


@given(tries=st.integers(1, 20), now=MOMENTS, after=st.floats(0, 1e6))
def test_the_receiver_can_ask_for_later_but_not_for_sooner_or_for_no_end(tries: int, now: float, after: float) -> None:
    plain, asked = next_try(tries, 0.0, now), next_try(tries, 0.0, now, after)
    assert (plain is None) == (asked is None)
    if plain is not None and asked is not None:
        assert asked >= plain
        assert asked >= min(now + after, END)
