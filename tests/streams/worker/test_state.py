"""State records: what they carry, and what a batch leaves in the changelog."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepwell.streams.log import LogError, Message, Partition, Record
from keepwell.streams.worker import state
from keepwell.streams.worker.state import POSITION, StateRecord


@given(st.integers(0, 2**63 - 1), st.binary(max_size=50))
def test_what_is_encoded_comes_back(offset: int, payload: bytes) -> None:
    record = StateRecord(offset, payload)
    assert state.decode(state.encode(record)) == record


@given(st.binary(max_size=12))
def test_other_bytes_are_refused_or_a_record_but_nothing_else_is_raised(value: bytes) -> None:
    try:
        assert state.encode(state.decode(value)) == value
    except ValueError:
        assert len(value) < 9 or value[0] != 1


def test_a_foreign_changelog_record_is_named_by_its_place_and_not_by_its_content() -> None:
    with pytest.raises(LogError, match=r"state\[2\]@7: not a state record") as caught:
        state.read(Record(Partition("state", 2), 7, b"north/ep-17", b"secret"))
    assert "ep-17" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_changed_key_is_one_record_on_the_partition_of_the_source() -> None:
    assert state.entries("state", 2, 7, {b"k": b"new"}) == [
        Message("state", b"k", state.encode(StateRecord(7, b"new")), partition=2)
    ]


@pytest.mark.parametrize("dirty", [{}, {b"k": None}])
def test_a_batch_that_leaves_no_state_still_leaves_its_offset(dirty: dict[bytes, bytes | None]) -> None:
    messages = state.entries("state", 2, 7, dirty)
    assert [message.key for message in messages if message.value is None] == list(dirty)
    assert messages[-1] == Message("state", POSITION, state.encode(StateRecord(7, b"")), partition=2)


def test_a_deletion_is_read_as_no_state() -> None:
    assert state.read(Record(Partition("state", 0), 1, b"k", None)) is None
