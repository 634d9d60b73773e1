"""The contract of events: what is accepted, what it becomes, and how everything else is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keepwell.care.instruments import KNOWN, Instruments
from keepwell.contract.decode import MAX_BYTES, Accepted, decode
from keepwell.contract.events import (
    CONTROL_TYPES,
    EVENT_TYPES,
    UPCASTERS,
    MeasureCompleted,
    SessionAttended,
    Time,
    data_of,
    decode_accepted,
    encode,
    members_of,
    micros,
    rfc3339,
)
from keepwell.contract.refusal import Refusal
from keepwell.contract.schema import event_schema
from keepwell.contract.words import Action, DismissReason, Pillar, RefusalCode
from tests.contract.examples import CASES, GOLDEN, MOMENTS, NOW, SENT, accepted, golden, read, refused

# ── golden files ────────────────────────────────────────────────────────────────────────────────────────


def test_every_type_has_a_golden_file_and_no_golden_file_lacks_its_type() -> None:
    assert {path.stem for path in GOLDEN.glob("keepwell.*.json")} == {*EVENT_TYPES, *UPCASTERS}


def test_the_class_of_an_event_is_called_as_its_type_is_on_the_wire() -> None:
    for name, cls in EVENT_TYPES.items():
        noun, verb = name.split(".")[1:3]
        assert cls.__name__ == noun.title() + verb.title()


@pytest.mark.parametrize(("name", "size"), CASES)
def test_an_event_becomes_the_bytes_of_its_golden_file(name: str, size: str) -> None:
    case = json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))[size]
    if name in CONTROL_TYPES:
        event = decode_accepted(json.dumps(case["in"]).encode())
    else:
        event, unknown = accepted(case["in"])
        assert unknown == 0
    assert encode(event).decode() == case["out"]
    assert decode_accepted(encode(event)) == event


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_the_full_golden_example_names_every_member(name: str) -> None:
    data_class = msgspec.inspect.type_info(EVENT_TYPES[name])
    assert isinstance(data_class, msgspec.inspect.StructType)
    data = next(field.type for field in data_class.fields if field.name == "data")
    assert isinstance(data, msgspec.inspect.StructType)
    assert set(golden(name)["data"]) == {field.name for field in data.fields}


# ── identity, binary mode, nulls, unknown members ───────────────────────────────────────────────────────


def test_the_clinic_is_the_first_segment_of_the_source_and_the_key_names_the_episode() -> None:
    event = accepted(golden("keepwell.session.attended.v1")).event
    assert (event.clinic, event.key) == ("north", "north/ep-17")


@pytest.mark.parametrize("prefix", ["ce_", "ce-", "CE-", "Ce_"])
@pytest.mark.parametrize("name", SENT)
def test_binary_mode_gives_the_same_event_as_structured_mode(name: str, prefix: str) -> None:
    event = golden(name)
    data = json.dumps(event.pop("data")).encode()
    headers = [(prefix + attribute, text.encode()) for attribute, text in event.items()]
    assert read(data, headers=headers) == read(golden(name))


def test_binary_mode_without_a_body_is_an_event_without_data() -> None:
    event = golden("keepwell.homework.assigned.v1", "minimal")
    headers = [("ce_" + attribute, text.encode()) for attribute, text in event.items()]
    assert isinstance(decode(b"", headers, now=NOW, instruments=Instruments()), Accepted)


def test_other_headers_do_not_make_an_event_binary() -> None:
    event = golden("keepwell.session.attended.v1")
    assert read(event, headers=[("traceparent", b"00"), ("content-type", b"application/json")]) == read(event)


@pytest.mark.parametrize("name", SENT)
def test_a_null_is_the_same_as_leaving_the_member_out(name: str) -> None:
    least, full = golden(name, "minimal"), golden(name)
    nulls = {member: None for member in full["data"] if member not in least.get("data", {})}
    sent = least | {"data": least.get("data", {}) | nulls, "corrects": None, "traceparent": None}
    assert read(sent) == read(least)


def test_a_null_for_a_required_member_is_refused_as_missing() -> None:
    event = golden("keepwell.appointment.missed.v1")
    event["data"]["appointment_id"] = None
    assert refused(event)[:2] == ("missing", "$.data.appointment_id")


@pytest.mark.parametrize("name", SENT)
def test_unknown_members_are_ignored_and_counted(name: str) -> None:
    event = golden(name)
    event["data"] |= {"mood": "x", "x-extra": {"deep": [1]}}
    event["extension"] = "ignored"
    plain, outcome = accepted(golden(name)), accepted(event)
    assert outcome.unknown == 2
    assert outcome.event == plain.event


def test_of_two_members_with_one_name_the_last_counts() -> None:
    text = json.dumps(golden("keepwell.homework.reviewed.v1", "minimal"))
    doubled = text.replace('"completion": 0.5', '"completion": 0.5, "completion": 0.75')
    event = accepted(doubled.encode()).event
    assert b'"completion":0.75' in encode(event)


# ── refusals, one rule each ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", SENT)
def test_each_required_member_is_missed_by_its_path(name: str) -> None:
    least = golden(name, "minimal")
    for attribute in ("specversion", "id", "source", "type", "subject", "time"):
        assert refused({k: v for k, v in least.items() if k != attribute})[:2] == ("missing", f"$.{attribute}")
    data = least.get("data", {})
    for member in data:
        without = least | {"data": {k: v for k, v in data.items() if k != member}}
        assert refused(without)[:2] == ("missing", f"$.data.{member}")


def test_a_wrong_value_is_refused_with_its_path() -> None:
    event = golden("keepwell.appointment.cancelled.v1")
    event["data"]["reason"] = "did not feel like it"
    assert refused(event)[:2] == ("invalid", "$.data.reason")


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "not_json"),
        (b"", "not_an_object"),
        (b"null", "not_an_object"),
        (b"[]", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"{", "not_json"),
        (b"{} {}", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b'{"id": "\xc3\x28"}', "not_json"),
        (b"[" * 100_000, "not_json"),
        (b'{"a":' * 40_000, "not_json"),
        (b"[" * 100_000 + b"]" * 100_000, "not_json"),
        (b" " * 5_000_000, "too_large"),
        (b'{"type": 7}', "unknown_type"),
        (b'{"type": {"a": 1}}', "unknown_type"),
        (b'{"type": "keepwell.session.attended.v2"}', "unknown_type"),
        (b"{}", "missing"),
    ],
)
def test_what_is_no_event_at_all_is_refused_by_kind(value: bytes | None, code: str) -> None:
    outcome = decode(value, now=NOW, instruments=Instruments())
    assert isinstance(outcome, Refusal)
    assert outcome.code == code


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 400, "1" + "0" * 5000, "01", "0x1"])
def test_a_number_that_is_not_finite_or_not_json_is_refused(number: str) -> None:
    text = json.dumps(golden("keepwell.homework.reviewed.v1", "minimal")).replace("0.5", number)
    refused(text.encode())
    measure = json.dumps(golden("keepwell.measure.completed.v1", "minimal") | {"id": "ev-2"})
    refused(measure.replace('"PHQ-9"', '"OWN-SCALE"').replace("14", number).encode())


def test_data_must_be_an_object() -> None:
    event = golden("keepwell.session.attended.v1") | {"data": [1]}
    assert refused(event)[:2] == ("invalid", "$.data")


@pytest.mark.parametrize("name", sorted(CONTROL_TYPES))
def test_control_types_are_refused_from_outside(name: str) -> None:
    assert refused(golden(name)).code == "control_type"


def test_an_event_may_lie_24_hours_ahead_and_no_further() -> None:
    event = golden("keepwell.session.attended.v1", "minimal")
    accepted(event | {"time": (NOW + timedelta(hours=24)).isoformat()})
    assert refused(event | {"time": (NOW + timedelta(hours=24, seconds=1)).isoformat()}).code == "future_time"


@pytest.mark.parametrize(
    ("time", "code"),
    [
        ("2026-03-02T10:00:00", "invalid"),
        ("2026-03-02", "invalid"),
        ("yesterday", "invalid"),
        (1772445600, "invalid"),
        ("0001-01-01T00:00:00+23:59", "time_out_of_range"),
        ("1969-12-31T23:59:59Z", "time_out_of_range"),
        ("9999-12-31T23:59:59-23:59", "future_time"),
    ],
)
def test_a_time_that_cannot_be_meant_is_refused(time: object, code: str) -> None:
    outcome = refused(golden("keepwell.session.attended.v1", "minimal") | {"time": time})
    assert outcome[:2] == (code, "$.time")


def test_the_moments_inside_the_data_are_found_by_their_type() -> None:
    found = {member for name in SENT for member in members_of(data_of(EVENT_TYPES[name]), Time)}
    assert found == set(MOMENTS)


@pytest.mark.parametrize("member", MOMENTS)
@pytest.mark.parametrize("moment", ["1969-12-31T23:59:59Z", "2200-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59"])
def test_moments_inside_the_data_must_lie_between_1970_and_2200(member: str, moment: str) -> None:
    name = next(name for name in SENT if member in golden(name)["data"])
    event = golden(name)
    event["data"][member] = moment
    assert refused(event)[:2] == ("time_out_of_range", f"$.data.{member}")


@pytest.mark.parametrize(
    ("attribute", "content"),
    [
        ("source", "north"),
        ("source", "/North"),
        ("source", "/north/a/b"),
        ("source", "/north\n"),
        ("source", "/" + "a" * 64),
        ("source", "//x"),
        ("subject", "ep 17"),
        ("subject", "ep-17\n"),
        ("subject", "é"),
        ("subject", "a" * 129),
        ("subject", ""),
        ("id", ""),
        ("specversion", "0.3"),
    ],
)
def test_an_attribute_out_of_form_is_refused_by_its_path(attribute: str, content: str) -> None:
    outcome = refused(golden("keepwell.session.attended.v1") | {attribute: content})
    assert outcome[:2] == ("invalid", f"$.{attribute}")


def test_another_clinics_source_is_refused_for_a_key_of_one_clinic() -> None:
    event = golden("keepwell.session.attended.v1")
    accepted(event, clinic="north")
    assert refused(event, clinic="nort")[:2] == ("foreign_source", "$.source")


def _out_of_range() -> Iterator[tuple[str, str, float]]:
    for instrument in KNOWN.values():
        for scale, (low, high) in {"total": (instrument.low, instrument.high), **instrument.scales}.items():
            yield instrument.name, scale, low - 0.5
            yield instrument.name, scale, high + 0.5
        for alias, scale in instrument.aliases.items():
            yield instrument.name, alias, instrument.scales[scale][1] + 0.5


@pytest.mark.parametrize(("instrument", "scale", "score"), list(_out_of_range()))
def test_a_score_out_of_range_is_refused(instrument: str, scale: str, score: float) -> None:
    event = golden("keepwell.measure.completed.v1", "minimal")
    event["data"] = {"instrument": instrument, "scores": {scale: score}}
    assert refused(event)[:2] == ("score_out_of_range", f"$.data.scores.{scale}")


def test_an_instrument_that_nobody_registered_is_accepted_uninterpreted() -> None:
    event = golden("keepwell.measure.completed.v1", "minimal")
    event["data"] = {"instrument": "OUR-OWN", "scores": {"total": -1e12}}
    assert isinstance(accepted(event).event, MeasureCompleted)


# ── pseudonyms ──────────────────────────────────────────────────────────────────────────────────────────

PSEUDONYMS = {
    "client_id", "clinician_id", "by", "appointment_id", "homework_id", "alert_id", "event_id", "strategy",
}  # fmt: skip
"""Members of `data` that hold an id or pseudonym (CONTRACT section 1)."""
PLACES = [
    (name, member)
    for name, size in CASES
    if size == "full" and name in SENT
    for member in golden(name)["data"]
    if member in PSEUDONYMS
]


def test_every_id_and_pseudonym_of_the_contract_stands_in_some_type() -> None:
    assert {member for _, member in PLACES} == PSEUDONYMS


@pytest.mark.parametrize(("name", "member"), PLACES)
@pytest.mark.parametrize(
    "text",
    ["Jane Doe jane@x.org", "Dr Ames +44 7700 900123", "a@b", "@", "a b", " a", "a\n", "a\t", "", "a" * 129, "Jürgen", "é",
     "\x7f", "a\xa0b", "\u200b", "\ud800"],
)  # fmt: skip
def test_what_may_be_a_name_or_a_contact_is_no_pseudonym(name: str, member: str, text: str) -> None:
    event = golden(name)
    event["data"][member] = text
    outcome = read(event)
    assert isinstance(outcome, Refusal)
    if text != "\ud800":  # JSON cannot carry it, so it is not even read
        assert outcome[:2] == ("not_a_pseudonym", f"$.data.{member}")
        assert "visible ASCII characters" in outcome.detail


@pytest.mark.parametrize(("name", "member"), PLACES)
@pytest.mark.parametrize("text", ["a", "a" * 128, "~", "!", "c-4", "North/17:b", "{7}", "0017", '"', "\\"])
def test_any_visible_ascii_without_an_at_sign_is_a_pseudonym(name: str, member: str, text: str) -> None:
    event = golden(name)
    event["data"][member] = text
    accepted(event)


@pytest.mark.parametrize("attribute", ["id", "corrects"])
def test_the_id_of_an_event_need_only_not_be_empty(attribute: str) -> None:
    event = golden("keepwell.session.attended.v1")
    accepted(event | {attribute: "Besuch 3 @ Nord · é"})
    assert refused(event | {attribute: ""})[:2] == ("invalid", f"$.{attribute}")


@pytest.mark.parametrize(("name", "member"), PLACES)
def test_a_log_from_before_the_rule_stays_readable(name: str, member: str) -> None:
    event = golden(name)
    event["data"][member] = "Jane Doe " + "x" * 240
    read_back = decode_accepted(json.dumps(event).encode())
    assert decode_accepted(encode(read_back)) == read_back


# ── answers and repairs ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("pillar", get_args(Pillar))
def test_a_repair_may_be_of_any_pillar_that_feedback_can_name(pillar: str) -> None:
    event = golden("keepwell.repair.attempted.v1")
    event["data"]["pillar"] = pillar
    accepted(event)


@pytest.mark.parametrize("reason", get_args(DismissReason))
@pytest.mark.parametrize("action", get_args(Action))
def test_a_reason_is_given_only_for_a_dismissal(action: str, reason: str) -> None:
    event = golden("keepwell.alert.actioned.v1")
    event["data"] |= {"action": action, "reason": reason}
    if action == "dismissed":
        accepted(event)
    else:
        assert refused(event)[:2] == ("invalid", "$.data.reason")


# ── measures ────────────────────────────────────────────────────────────────────────────────────────────


def measured(instrument: str, **scores: float) -> dict[str, Any]:
    event = golden("keepwell.measure.completed.v1", "minimal")
    return event | {"data": {"instrument": instrument, "scores": scores}}


def test_a_total_that_is_not_the_sum_of_its_subscales_is_refused_with_both_numbers() -> None:
    outcome = refused(measured("ORS", individual=4, interpersonal=5, social=4, overall=5, total=22))
    assert outcome[:2] == ("total_not_the_sum", "$.data.scores.total")
    assert "22" in outcome.detail and "18" in outcome.detail
    outcome = refused(measured("srs", Approach=9, RELATIONSHIP=9, goals=8.5, overall=9, TOTAL=36.5))
    assert outcome[:2] == ("total_not_the_sum", "$.data.scores.TOTAL")
    assert "36.5" in outcome.detail and "35.5" in outcome.detail


@pytest.mark.parametrize("total", [35.2, 35.200000000000003, 35.3, 35.0])
def test_a_total_may_differ_from_the_sum_by_what_rounding_makes(total: float) -> None:
    accepted(measured("SRS", goals=9.1, tasks=8.8, bond=8.4, overall=8.9, total=total))


def test_a_total_without_all_its_subscales_is_not_compared_with_them() -> None:
    accepted(measured("SRS", goals=9.1, tasks=8.8, bond=8.4, total=35.2))


@pytest.mark.parametrize("other", ["Total", "TOTAL"])
def test_one_score_twice_with_different_values_is_refused(other: str) -> None:
    assert refused(measured("PHQ-9", total=12, **{other: 13}))[:2] == ("score_given_twice", f"$.data.scores.{other}")
    accepted(measured("PHQ-9", total=12, **{other: 12}))
    assert refused(measured("SRS", tasks=8, Approach=9)).code == "score_given_twice"


def test_a_score_out_of_range_is_found_whatever_its_case_and_that_of_its_instrument() -> None:
    for instrument in ("PHQ-9", "phq9", "PHQ 9", "phq_9"):
        assert refused(measured(instrument, Total=28))[:2] == ("score_out_of_range", "$.data.scores.Total")


# ── what a refusal says ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", SENT)
def test_a_wrong_word_is_refused_with_the_words_that_are_allowed(name: str) -> None:
    schema = event_schema(name)["$defs"]
    data = next(iter(schema.values()))["properties"]
    for member, form in data.items():
        choices = form.get("enum") or next((part["enum"] for part in form.get("anyOf", ()) if "enum" in part), None)
        if not choices:
            continue
        event = golden(name)
        event["data"][member] = CANARY
        outcome = refused(event)
        assert outcome[:2] == ("invalid", f"$.data.{member}")
        assert all(f"`{choice}`" in outcome.detail for choice in choices if choice is not None)


def test_a_form_is_told_in_words_and_not_as_a_pattern() -> None:
    for attribute, word in (("source", "`/<clinic>/<system>`"), ("subject", "letters, digits"), ("time", "RFC 3339")):
        detail = refused(golden("keepwell.session.attended.v1") | {attribute: "?? ??"}).detail
        assert word in detail and detail.startswith("Send ")
        assert not set("^${}()") & set(detail)


@pytest.mark.parametrize(
    ("member", "key", "path"),
    [
        ("scores", "Bond", "$.data.scores.Bond"),
        ("scores", "item_3", "$.data.scores.item_3"),
        ("scores", "how do you feel?", "$.data.scores[...]"),
    ],
)
def test_the_path_names_the_key_of_the_score_that_is_wrong(member: str, key: str, path: str) -> None:
    event = golden("keepwell.measure.completed.v1")
    event["data"][member] = {"total": 12, key: "34,6"}
    assert refused(event) == ("invalid", path, "Send a number.")


@pytest.mark.parametrize(
    ("name", "member", "value", "detail"),
    [
        ("keepwell.homework.reviewed.v1", "completion", 1.5, "Send a number from 0 to 1."),
        ("keepwell.episode.opened.v1", "planned_sessions", 0, "Send a whole number from 1 to 10,000."),
        ("keepwell.episode.opened.v1", "preference_met", "yes", "Send true or false."),
        ("keepwell.episode.opened.v1", "service", "", "Send a text of 1 to 256 characters."),
        ("keepwell.measure.completed.v1", "scores", {}, "Send an object of 1 to 64 members."),
        ("keepwell.measure.completed.v1", "scores", [1], "Send an object of 1 to 64 members."),
        ("keepwell.appointment.booked.v1", "starts_at", 5,
         "Send a moment as RFC 3339 with offset, such as 2026-03-02T10:00:00Z."),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_with_what_to_send(name: str, member: str, value: object, detail: str) -> None:
    event = golden(name)
    event["data"][member] = value
    assert refused(event) == ("invalid", f"$.data.{member}", detail)


def test_an_unknown_type_is_refused_with_the_types_that_may_be_sent() -> None:
    detail = refused(golden("keepwell.session.attended.v1") | {"type": "keepwell.session.eaten.v1"}).detail
    assert all(name.removeprefix("keepwell.") in detail for name in SENT)
    assert not any(name.removeprefix("keepwell.") in detail for name in CONTROL_TYPES)


# ── nothing raises, nothing leaks ───────────────────────────────────────────────────────────────────────

CANARY = "Zq7canary"

_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([CANARY, "", "2026-03-02T10:00:00Z", "\ud800", "\x00", 10**400, -(2**64), 1e308]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "total", CANARY]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@st.composite
def broken(draw: st.DrawFn) -> dict[str, Any]:
    """A golden event with one or two places replaced by something else, or removed, or added."""
    event = golden(draw(st.sampled_from(sorted(EVENT_TYPES))))
    for _ in range(draw(st.integers(1, 2))):
        holder = draw(st.sampled_from([event, event.get("data") if isinstance(event.get("data"), dict) else event]))
        assert isinstance(holder, dict)
        place = draw(st.sampled_from([*sorted(holder), CANARY]))
        if draw(st.booleans()):
            holder[place] = draw(_json)
        else:
            holder.pop(place, None)
    return event


def _check_outcome(outcome: Accepted | Refusal) -> None:
    if isinstance(outcome, Accepted):
        assert decode_accepted(encode(outcome.event)) == outcome.event
        return
    assert outcome.code in get_args(RefusalCode)
    assert outcome.path.startswith("$")
    assert outcome.detail.endswith(".")
    named = outcome.path
    for member in ("scores", "fairness", "subscales"):
        named = named.removeprefix(f"$.data.{member}.")
    for end in ("lowest", "highest"):
        named = named.removesuffix(f".{end}")
    assert CANARY not in outcome.path or named == CANARY  # the key of an object is named, its value never
    assert CANARY not in outcome.detail


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(broken())
def test_decode_never_raises_and_a_refusal_holds_no_value_of_the_event(event: dict[str, Any]) -> None:
    _check_outcome(read(event))


@pytest.mark.parametrize("end", ["lowest", "highest"])
def test_a_range_without_an_end_is_refused_by_the_name_of_its_score(end: str) -> None:
    event = golden("keepwell.instrument.registered.v1")
    event["data"]["subscales"] = {CANARY: {"lowest": 0, "highest": 9}}
    del event["data"]["subscales"][CANARY][end]
    outcome = read(json.dumps(event).encode())
    assert isinstance(outcome, Refusal) and outcome.path == f"$.data.subscales.{CANARY}.{end}"
    _check_outcome(outcome)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(broken())
def test_decode_never_raises_in_binary_mode(event: dict[str, Any]) -> None:
    data = json.dumps(event.pop("data", None)).encode()
    headers = [("ce_" + str(name), str(text).encode("utf-8", "surrogatepass")) for name, text in event.items()]
    _check_outcome(read(data, headers=headers))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200), st.lists(st.tuples(st.text(max_size=8), st.binary(max_size=20)), max_size=4))
def test_decode_never_raises_for_any_bytes(value: bytes, headers: list[tuple[str, bytes]]) -> None:
    _check_outcome(read(value, headers=headers))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(SENT), st.data())
def test_decode_never_raises_for_damaged_bytes(name: str, data: st.DataObject) -> None:
    value = bytearray(json.dumps(golden(name)).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    _check_outcome(read(bytes(value[: data.draw(st.integers(0, len(value)))])))


@pytest.mark.parametrize("name", SENT)
def test_no_member_of_any_type_leaks_its_value_into_a_refusal(name: str) -> None:
    event = golden(name)
    for holder in (event, event["data"]):
        for place in list(holder):
            kept = holder[place]
            for wrong in (CANARY, CANARY * 1000, [CANARY], {CANARY: CANARY}, {CANARY: [CANARY]}):
                holder[place] = wrong
                _check_outcome(read(event))
            holder[place] = kept


def test_the_largest_event_is_measured_in_bytes_and_accepted() -> None:
    text = json.dumps(golden("keepwell.session.attended.v1")).encode()
    accepted(text + b" " * (MAX_BYTES - len(text)))
    assert refused(text + b" " * (MAX_BYTES - len(text) + 1)).code == "too_large"


# ── versions ────────────────────────────────────────────────────────────────────────────────────────────


def _from_v0(event: dict[str, Any]) -> dict[str, Any]:
    """A former version, as an upcaster for it would be: `late` in seconds became `minutes_late`."""
    data = event.get("data")
    data = dict(data) if isinstance(data, dict) else {}
    late = data.pop("late", None)
    if isinstance(late, int):
        data["minutes_late"] = late / 60
    return event | {"type": "keepwell.session.attended.v1", "data": data}


V0: dict[str, Any] = {"keepwell.session.attended.v0": _from_v0}


def test_a_former_version_is_accepted_through_its_upcaster() -> None:
    event = golden("keepwell.session.attended.v1", "minimal") | {"type": "keepwell.session.attended.v0"}
    read_back = accepted(event | {"data": {"late": 300}}, upcasters=V0).event
    assert isinstance(read_back, SessionAttended)
    assert read_back.data.minutes_late == 5


def test_what_a_log_holds_of_a_former_version_is_read_through_its_upcaster() -> None:
    """Ingest accepted it before the new version came: the record stays as it is, on every partition, for years."""
    event = accepted(golden("keepwell.session.attended.v1")).event
    held = json.loads(encode(event)) | {"type": "keepwell.session.attended.v0"}
    held["data"]["late"] = int(held["data"].pop("minutes_late") * 60)
    assert decode_accepted(json.dumps(held).encode(), V0) == event
    for wrong in (held | {"type": "keepwell.nothing.v0"}, held | {"type": 7}, [held], held | {"time": "then"}):
        with pytest.raises(msgspec.ValidationError):
            decode_accepted(json.dumps(wrong).encode(), V0)


def test_upcasters_chain_from_version_to_version() -> None:
    older = V0 | {"keepwell.visit.v0": lambda event: event | {"type": "keepwell.session.attended.v0"}}
    event = golden("keepwell.session.attended.v1", "minimal") | {"type": "keepwell.visit.v0"}
    assert isinstance(accepted(event, upcasters=older).event, SessionAttended)


def test_upcasters_that_turn_in_a_circle_end_in_a_refusal() -> None:
    circle = {
        "keepwell.a.v0": lambda event: event | {"type": "keepwell.b.v0"},
        "keepwell.b.v0": lambda event: event | {"type": "keepwell.a.v0"},
    }
    assert refused({"type": "keepwell.a.v0"}, upcasters=circle).code == "unknown_type"


def test_every_example_of_a_former_version_is_accepted_still_and_read_from_logs() -> None:
    for name in UPCASTERS:
        for case in json.loads((GOLDEN / f"{name}.json").read_text("utf-8")).values():
            event = accepted(case["in"]).event
            assert event.type in EVENT_TYPES
            assert decode_accepted(case["out"].encode()) == event


# ── time ────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 31), timezones=st.just(UTC)))
def test_a_moment_survives_the_way_to_microseconds_and_back(moment: datetime) -> None:
    assert datetime.fromisoformat(rfc3339(micros(moment))) == moment
