"""No count below five can be told from supervision, by whoever knows every figure and how each is made."""

from __future__ import annotations

from collections import defaultdict
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from services.clinician.small import FEWEST, of_parts, shown, total

COUNTS = st.integers(0, 40)


def look(counts: tuple[int, ...]) -> tuple[tuple[int | None, ...], int | None]:
    """What is published of a column: its cells, and its total."""
    return tuple(map(shown, counts)), total(counts)


def test_every_hidden_count_could_be_another_whatever_is_published_beside_it() -> None:
    for length, most in ((1, 20), (2, 20), (3, 14), (4, 8), (6, 5)):
        alike: dict[tuple[tuple[int | None, ...], int | None], list[tuple[int, ...]]] = defaultdict(list)
        for counts in product(range(most), repeat=length):
            alike[look(counts)].append(counts)
        for published, possible in alike.items():
            for cell, values in zip(published[0], zip(*possible, strict=True), strict=True):
                assert cell is not None or len(set(values)) > 1, published


@given(st.lists(COUNTS, min_size=2, max_size=60), st.data())
def test_a_hidden_count_can_be_exchanged_for_another_and_nothing_that_is_published_changes(
    counts: list[int], data: st.DataObject
) -> None:
    small = [place for place, count in enumerate(counts) if count < FEWEST]
    if not small:
        return
    published = look(tuple(counts))
    place = data.draw(st.sampled_from(small))
    others = [other for other in small if other != place]
    changed = []
    for step in (-1, 1):
        for other in (None, *others):
            moved = list(counts)
            moved[place] += step
            if other is not None:
                moved[other] -= step
            if all(0 <= moved[each] < FEWEST for each in small):
                changed.append(look(tuple(moved)))
    assert published in changed


@given(st.lists(COUNTS, max_size=60))
def test_a_total_adds_up_from_what_is_shown_and_says_of_the_rest_no_more_than_their_rounded_sum(
    counts: list[int],
) -> None:
    found, parts = total(counts) or 0, sum(shown(count) or 0 for count in counts)
    hidden = [count for count in counts if count < FEWEST]
    assert found % FEWEST == 0 and 0 <= found - parts <= sum(hidden) + 2
    assert abs(found - sum(counts)) <= 2 * len(counts) + FEWEST


@given(COUNTS, COUNTS)
def test_of_two_parts_the_one_beside_a_small_one_is_hidden_too(part: int, others: int) -> None:
    found = of_parts(part, others)
    assert (found is None) == (min(part, others) < FEWEST)


@given(st.integers(0, 10_000))
def test_what_is_shown_is_a_multiple_of_five_at_most_two_off_and_never_of_less_than_five(count: int) -> None:
    found = shown(count)
    assert (found is None) == (count < 5)
    assert found is None or (found % 5 == 0 and abs(found - count) <= 2)
