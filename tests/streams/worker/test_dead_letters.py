"""Dead letters: untouched, listed, put back, given up, and never in a loop."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepwell.streams.log import Doubt, Message, Partition, Record, Topic
from keepwell.streams.memory import MemoryLog
from keepwell.streams.worker import dead_letters
from keepwell.streams.worker.dead_letters import MAX_ATTEMPTS, Outcome, letter, letters

LETTERS, SOURCE = "dead-letters", "session-events"
HEADERS = st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=10)), max_size=4).map(tuple)


@pytest.fixture
def log() -> MemoryLog:
    log = MemoryLog()
    log.create_topics([Topic(SOURCE, 3), Topic(LETTERS, 3)])
    return log


def refuse(log: MemoryLog, message: Message, reason: str = "bad-json") -> Record:
    """Lets a message come through the source and be refused."""
    [(partition, offset)] = log.append([message])
    record = next(log.read(partition, offset))
    log.append([letter(LETTERS, record, reason, "$.data.scores")])
    return record


@given(key=st.none() | st.binary(max_size=9), value=st.none() | st.binary(max_size=9), headers=HEADERS)
def test_a_letter_keeps_key_value_and_headers_and_tells_why_and_whence(
    key: bytes | None, value: bytes | None, headers: tuple[tuple[str, bytes], ...]
) -> None:
    log = MemoryLog()
    log.create_topics([Topic(SOURCE, 3), Topic(LETTERS, 3)])
    record = refuse(log, Message(SOURCE, key, value, headers, 2))
    [found] = letters(log, LETTERS)
    assert (found.record.key, found.record.value) == (b"" if key is None and value is None else key, value)
    assert found.headers == tuple(header for header in headers if header[0] != dead_letters.ATTEMPTS)
    assert (found.reason, found.detail, found.attempts) == ("bad-json", "$.data.scores", 1)
    assert (found.source, found.source_offset) == (record.partition, record.offset)


def test_of_a_record_too_large_to_be_written_again_the_letter_tells_the_place_and_is_never_put_back(
    log: MemoryLog,
) -> None:
    record = refuse(log, Message(SOURCE, b"k", b"x" * (dead_letters.MAX_BYTES + 1), (("h", b"v"),)), "too-large")
    [found] = letters(log, LETTERS)
    assert (found.source, found.source_offset, found.reason) == (record.partition, record.offset, "too-large")
    assert (found.record.value, found.headers) == (b"", ())
    assert dead_letters.replay(log, [found]) == Outcome(0, 1)


def test_a_record_with_neither_key_nor_value_gets_a_letter_that_kafka_takes(log: MemoryLog) -> None:
    refuse(log, Message(SOURCE, None, None, partition=2))
    [found] = letters(log, LETTERS)
    assert (found.record.key, found.record.value, found.source.number) == (b"", None, 2)
    assert dead_letters.replay(log, [found]) == Outcome(1, 0)


def test_a_sender_that_writes_our_headers_is_told_apart_from_us(log: MemoryLog) -> None:
    spoofed = ((dead_letters.REASON, b"fine"), (dead_letters.SETTLES, b"0"), (dead_letters.ATTEMPTS, b"lots"))
    refuse(log, Message(SOURCE, b"k", b"v", spoofed))
    [found] = letters(log, LETTERS)
    assert (found.reason, found.attempts, found.headers) == ("bad-json", 1, spoofed[:2])


def test_the_reason_is_read_from_letters_only() -> None:
    record = Record(Partition(SOURCE, 0), 5, b"k", b"v")
    assert dead_letters.reason_of(letter(LETTERS, record, "bad-json", "$")) == "bad-json"
    assert dead_letters.reason_of(Message("risk-scores", b"k", b"v")) is None


def test_a_replayed_letter_comes_back_to_its_partition_untouched_with_the_attempts_counted(log: MemoryLog) -> None:
    record = refuse(log, Message(SOURCE, b"k", b"v", (("traceparent", b"00-1"),), 2))
    assert dead_letters.replay(log, letters(log, LETTERS)) == Outcome(1, 0)
    back = list(log.read(record.partition, record.offset + 1))
    assert [(b.key, b.value) for b in back] == [(b"k", b"v")]
    assert back[0].headers == (("traceparent", b"00-1"), (dead_letters.ATTEMPTS, b"1"))
    assert letters(log, LETTERS) == []


def test_a_letter_refused_again_and_again_is_put_back_no_more(log: MemoryLog) -> None:
    partition = refuse(log, Message(SOURCE, b"k", b"v", partition=0)).partition
    for attempt in range(1, MAX_ATTEMPTS):
        assert letters(log, LETTERS)[0].attempts == attempt
        assert dead_letters.replay(log, letters(log, LETTERS)) == Outcome(1, 0)
        *_, back = log.read(partition)
        log.append([letter(LETTERS, back, "bad-json", "$")])
    assert dead_letters.replay(log, letters(log, LETTERS)) == Outcome(0, 1)
    assert [found.attempts for found in letters(log, LETTERS)] == [MAX_ATTEMPTS]
    assert dead_letters.drop(log, letters(log, LETTERS)) == 1
    assert letters(log, LETTERS) == []


def test_a_dry_run_changes_nothing(log: MemoryLog) -> None:
    refuse(log, Message(SOURCE, b"k", b"v"))
    before = letters(log, LETTERS)
    assert dead_letters.replay(log, before, dry_run=True) == Outcome(1, 0)
    assert dead_letters.drop(log, before, dry_run=True) == 1
    assert letters(log, LETTERS) == before


def test_letters_come_in_the_order_of_their_source_and_only_those_wanted(log: MemoryLog) -> None:
    for reason in ("a", "b", "a"):
        refuse(log, Message(SOURCE, b"k", b"v", partition=1), reason)
    refuse(log, Message(SOURCE, b"other", b"v", partition=0), "a")
    found = letters(log, LETTERS, lambda one: one.reason == "a")
    assert [(one.source.number, one.source_offset) for one in found] == [(0, 0), (1, 0), (1, 2)]


def test_a_letter_is_found_by_its_name_until_it_is_settled(log: MemoryLog) -> None:
    refuse(log, Message(SOURCE, b"k", b"v"))
    [found] = letters(log, LETTERS)
    assert dead_letters.find(log, LETTERS, found.name) == found
    dead_letters.drop(log, [found])
    assert dead_letters.find(log, LETTERS, found.name) is None
    assert dead_letters.find(log, LETTERS, "99/0") is None
    with pytest.raises(ValueError, match="3/17"):
        dead_letters.find(log, LETTERS, "17")


@pytest.mark.parametrize("moment", ["append.before", "append.after"])
def test_a_replay_in_doubt_lists_exactly_what_was_not_put_back(log: MemoryLog, moment: str) -> None:
    record = refuse(log, Message(SOURCE, b"k", b"v"))
    chosen = letters(log, LETTERS)

    def fail(point: str) -> None:
        if point == moment:
            raise Doubt("armed")

    log.faults = fail
    with pytest.raises(Doubt):
        dead_letters.replay(log, chosen)
    log.faults = None
    put_back = len(list(log.read(record.partition, record.offset + 1)))
    assert (put_back, len(letters(log, LETTERS))) == ((1, 0) if moment == "append.after" else (0, 1))


def test_many_letters_are_put_back_in_order(log: MemoryLog) -> None:
    count = 450
    places = log.append([Message(SOURCE, b"k", str(number).encode(), partition=0) for number in range(count)])
    records = list(log.read(places[0][0]))
    log.append([letter(LETTERS, record, "bad-json", "$") for record in records])
    assert dead_letters.replay(log, letters(log, LETTERS)) == Outcome(count, 0)
    assert [record.value for record in log.read(places[0][0], count)] == [record.value for record in records]
