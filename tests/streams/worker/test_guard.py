"""When a feed counts as broken."""

import pytest

from keepwell.streams.worker.guard import BrokenFeed, Guard, Limits


def test_a_run_of_refusals_is_broken_by_one_accepted_record() -> None:
    guard = Guard(Limits(run=10, share=1.0))
    for received, refused in [(6, 6), (4, 3), (6, 6)]:
        guard.check(received, refused)
        guard.count(received, refused)
    guard.check(4, 4)
    with pytest.raises(BrokenFeed, match="11 records in a row"):
        guard.check(5, 5)


def test_a_share_of_refusals_counts_over_a_full_window_only() -> None:
    guard = Guard(Limits(run=1000, share=0.5, window=10))
    guard.check(9, 8)
    guard.count(9, 8)
    with pytest.raises(BrokenFeed, match=r"8 of the last 10 records were refused \(limit 50%\)"):
        guard.check(1, 0)


def test_what_lies_before_the_window_does_not_count() -> None:
    guard = Guard(Limits(run=1000, share=0.5, window=10))
    guard.count(9, 9)
    guard.count(30, 0)
    guard.check(10, 9)
    guard.count(10, 9)
    with pytest.raises(BrokenFeed):
        guard.check(10, 9)


def test_a_check_changes_nothing() -> None:
    guard = Guard(Limits(run=10))
    for _ in range(5):
        guard.check(10, 10)
