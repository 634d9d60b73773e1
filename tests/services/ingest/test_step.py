"""The rules of the ingest step: what is accepted, what becomes a dead letter, and that nothing else can happen."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepwell.care.instruments import Instruments
from keepwell.contract.events import decode_accepted
from keepwell.streams.log import Header, Partition, Record, partition_for
from keepwell.streams.topics import Topics
from keepwell.streams.worker.dead_letters import reason_of
from keepwell.streams.worker.step import Step
from services.ingest.step import ORIGIN, IngestProcessor
from tests.services.ingest.events import NOW, event, text

TOPICS = Topics("t.")
PARTITIONS = 5


def record(
    value: bytes | None, headers: tuple[Header, ...] = (), key: bytes | None = b"anything", offset: int = 0
) -> Record:
    return Record(Partition(TOPICS.sessions, 2), offset, key, value, headers)


def step(*records: Record) -> Step:
    return IngestProcessor(TOPICS, PARTITIONS, Instruments(), lambda: NOW).step(2, records)


def refused(value: bytes | None, headers: tuple[Header, ...] = ()) -> str | None:
    """The reason of the one dead letter that this value becomes."""
    done = step(record(value, headers))
    assert (done.accepted, done.refused) == (0, 1)
    (message,) = done.messages
    assert (message.topic, message.value) == (TOPICS.dead_letters, value)
    return reason_of(message)


def test_an_accepted_event_goes_normalised_to_the_episode_it_names_itself_under_a_key_of_its_own() -> None:
    sent = record(text(extension="x", data={"completion": 0.5, "note": "y"}), key=b"west/ep-1", offset=41)
    (message,) = step(sent).messages
    assert (message.topic, message.key) == (TOPICS.episodes, b"north/ep-17#2.41")
    assert message.partition == partition_for(b"north/ep-17", PARTITIONS)
    assert message.value is not None
    assert json.loads(message.value) == event()


def test_an_accepted_event_says_where_it_came_from_and_carries_its_trace() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    (message,) = step(record(text(traceparent=trace), offset=40)).messages
    assert dict(message.headers) == {ORIGIN: b"t.session-events/2/40", "traceparent": trace.encode()}


def test_a_binary_event_is_accepted_like_a_structured_one() -> None:
    headers = tuple((f"ce_{name}", content.encode()) for name, content in event(data=None).items())
    (binary,) = step(record(b'{"completion": 0.5}', headers)).messages
    (structured,) = step(record(text())).messages
    assert binary == structured


def test_an_erasure_reaches_every_partition() -> None:
    done = step(record(text(type="keepwell.client.erased.v1", data={"client_id": "c-1"})))
    assert [message.partition for message in done.messages] == list(range(PARTITIONS))
    assert {message.key for message in done.messages} == {b"_erased#2.0"}, "a key that names nobody"
    assert {message.topic for message in done.messages} == {TOPICS.episodes}
    assert (done.received, done.accepted, done.refused) == (1, 1, 0)


def test_a_duplicate_passes_under_another_key() -> None:
    keys = [message.key for message in step(record(text()), record(text(), offset=1)).messages]
    assert keys == [b"north/ep-17#2.0", b"north/ep-17#2.1"]


def test_a_dead_letter_tells_path_and_advice_and_keeps_key_bytes_and_headers() -> None:
    own = ("sender", b"\xff\x00")
    (message,) = step(record(text(time=None), (own,), key=b"k")).messages
    assert message.key == b"k"
    assert message.headers[0] == own
    told = dict(message.headers)
    assert told["keepwell-reason"] == b"missing"
    assert told["keepwell-detail"] == b"$.time: Add the required member `time`."


def test_a_bad_record_does_not_stop_those_after_it() -> None:
    done = step(record(b"{"), record(text(), offset=1), record(None, offset=2), record(text(id="ev-2"), offset=3))
    assert (done.received, done.accepted, done.refused) == (4, 2, 2)
    assert [message.topic for message in done.messages] == [
        TOPICS.dead_letters,
        TOPICS.episodes,
        TOPICS.dead_letters,
        TOPICS.episodes,
    ]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "not_json"),
        (b"", "not_an_object"),
        (text()[:-7], "not_json"),
        (b"\xff\xfe" + text(), "not_json"),
        (b"[" * 100_000, "not_json"),
        (text(data={"completion": float("nan")}), "not_json"),
        (b"[" + text() + b"]", "not_an_object"),
        (text(data={"completion": "half"}), "invalid"),
        (text(data=[0.5]), "invalid"),
        (text(data={"completion": 10**400}), "invalid"),
        (text().replace(b"0.5", b"1e999"), "not_json"),
        (text(id=7), "invalid"),
        (text(id=""), "invalid"),
        (text(type="keepwell.homework.eaten.v1"), "unknown_type"),
        (text(type="keepwell.clock.ticked.v1", data={}), "control_type"),
        (text(time="2026-03-02T10:00:00"), "invalid"),
        (text(time="yesterday"), "invalid"),
        (text(time="2026-03-03T12:00:01Z"), "future_time"),
        (text(time="0001-01-01T00:00:00+14:00"), "time_out_of_range"),
        (text(subject=None), "missing"),
        (text(subject="a/b"), "invalid"),
        (text(source="booking"), "invalid"),
        (text(data={"completion": 0.5, "padding": "x" * 5_000_000}), "too_large"),
        (
            text(type="keepwell.measure.completed.v1", data={"instrument": "SRS", "scores": {"total": 41}}),
            "score_out_of_range",
        ),
    ],
)
def test_bad_input_is_refused_with_a_reason(value: bytes | None, reason: str) -> None:
    assert refused(value) == reason


def test_a_binary_event_with_a_broken_header_is_refused() -> None:
    assert refused(b"{}", (("ce_type", b"\xff"), ("ce_id", b"ev-1"))) == "not_utf8"


def test_two_ids_that_differ_only_in_bytes_that_are_not_utf_8_are_refused_and_never_one_event() -> None:
    attributes = tuple((f"ce_{name}", content.encode()) for name, content in event(data=None, id=None).items())
    for raw in (b"besuch-\xe4", b"besuch-\xf6"):
        assert refused(b'{"completion": 0.5}', (*attributes, ("ce_id", raw))) == "not_utf8"


def test_a_binary_record_without_a_value_is_an_event_without_data() -> None:
    assigned = event(type="keepwell.homework.assigned.v1", data=None)
    attributes = tuple((f"ce_{name}", content.encode()) for name, content in assigned.items())
    for nothing in (None, b""):
        assert step(record(nothing, attributes)).accepted == 1


def test_a_whole_number_may_be_written_with_a_decimal_point() -> None:
    opened = {"client_id": "c-1", "clinician_id": "c-2", "planned_sessions": 12.0}
    assert step(record(text(type="keepwell.episode.opened.v1", data=opened))).accepted == 1
    assert refused(text(type="keepwell.episode.opened.v1", data=opened | {"planned_sessions": 12.5})) == "invalid"


def test_an_event_just_inside_the_tolerance_for_the_future_is_accepted() -> None:
    assert step(record(text(time="2026-03-03T12:00:00Z"))).accepted == 1


keys = st.none() | st.binary(max_size=20)
headers_of_senders = st.lists(
    st.tuples(st.sampled_from(["ce_type", "ce_id", "CE-Source", "x"]) | st.text(max_size=8), st.binary(max_size=30)),
    max_size=4,
).map(tuple)
scraps = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=30) | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=6,
)
mutilated = st.builds(
    lambda name, scrap: json.dumps(event(**{name: scrap})).encode(), st.sampled_from([*event(), "corrects"]), scraps
)
truncated = st.integers(0, 200).map(lambda size: text()[:size])
flipped = st.tuples(st.integers(0, len(text()) - 1), st.integers(0, 255)).map(
    lambda change: text()[: change[0]] + bytes([change[1]]) + text()[change[0] + 1 :]
)
values = st.none() | st.binary(max_size=60) | mutilated | truncated | flipped | st.just(text())


@given(st.lists(st.tuples(values, headers_of_senders, keys), max_size=12))
def test_invariant_1_accepted_and_dead_lettered_are_disjoint_and_all_that_was_received(
    sent: Sequence[tuple[bytes | None, tuple[Header, ...], bytes | None]],
) -> None:
    records = [record(value, headers, key, offset) for offset, (value, headers, key) in enumerate(sent)]
    done = step(*records)
    letters = {_offset_of(message.headers, "keepwell-source-offset"): message for message in done.messages
               if message.topic == TOPICS.dead_letters}  # fmt: skip
    accepted = {_offset_of(message.headers, ORIGIN): message for message in done.messages
                if message.topic == TOPICS.episodes}  # fmt: skip
    assert letters.keys() | accepted.keys() == set(range(len(sent)))
    assert not letters.keys() & accepted.keys()
    assert len(letters) + len(accepted) == len(done.messages) == done.received
    assert (done.accepted, done.refused) == (len(accepted), len(letters))
    for offset, message in letters.items():
        value, _, key = sent[offset]
        # No log takes a record with neither key nor value; its letter has the empty key.
        assert (message.value, message.key) == (value, b"" if value is None and key is None else key)
        assert message.headers[: len(sent[offset][1])] == sent[offset][1]
    for offset, message in accepted.items():
        assert message.value is not None
        assert message.key == decode_accepted(message.value).key.encode() + b"#2.%d" % offset


@given(st.lists(values, max_size=8), st.integers(0, 8))
def test_a_step_is_the_same_however_the_records_are_batched(sent: Sequence[bytes | None], cut: int) -> None:
    records = [record(value, offset=offset) for offset, value in enumerate(sent)]
    assert [*step(*records[:cut]).messages, *step(*records[cut:]).messages] == list(step(*records).messages)


def _offset_of(headers: tuple[Header, ...], name: str) -> int:
    ours = [content for header, content in headers if header == name]
    return int(ours[-1].rsplit(b"/", 1)[-1])
