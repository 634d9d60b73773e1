"""The rules by which the embedded logs share out partitions."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from keepwell.streams.rules import assign

groups = st.lists(st.integers(1, 12), unique=True, max_size=6)


@given(groups, st.integers(1, 20), st.dictionaries(st.integers(0, 25), st.integers(1, 12)))
def test_every_partition_has_one_member_and_shares_are_even(
    members: list[int], partitions: int, before: dict[int, int]
) -> None:
    after = assign(members, partitions, before)
    assert list(after) == (list(range(partitions)) if members else [])
    shares = [Counter(after.values())[member] for member in members]
    assert not members or max(shares) - min(shares) <= 1


@given(groups.filter(bool), st.integers(1, 20))
def test_an_assignment_that_stands_is_kept(members: list[int], partitions: int) -> None:
    after = assign(members, partitions, {})
    assert assign(members, partitions, after) == after
    assert assign(members[::-1], partitions, after) == after


@given(groups.filter(lambda members: len(members) > 1), st.integers(1, 20))
def test_a_leaver_moves_its_own_partitions_only(members: list[int], partitions: int) -> None:
    before = assign(members, partitions, {})
    after = assign(members[1:], partitions, before)
    moved = {number for number in before if before[number] != after[number]}
    assert moved == {number for number in before if before[number] == members[0]}
