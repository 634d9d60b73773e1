"""The generated documents: true to the code, valid by their own standards, and up to date in the repository."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from typer.testing import CliRunner

from keepwell.care.instruments import Instruments
from keepwell.cli.main import app
from keepwell.contract.decode import Accepted
from keepwell.contract.events import CONTROL_TYPES, EVENT_TYPES
from keepwell.contract.outputs import Alert, Reason, Risk, Score, Suggestion, encode_output
from keepwell.contract.schema import bundle, event_schema, output_schema
from keepwell.streams.log import Partition, Record, Topic
from keepwell.streams.memory import MemoryLog
from keepwell.streams.topics import Topics
from keepwell.streams.worker import dead_letters
from services.asyncapi import asyncapi
from services.ingest.step import IngestProcessor
from services.reference import documents
from tests.contract.examples import CASES, GOLDEN, MOMENTS, NOW, SENT, golden, read

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"

SCORE = Score(
    episode="north/ep-17",
    clinician_id="c-4",
    as_of="2026-03-02T10:00:00Z",
    trigger="ev-9911",
    trigger_source="/north/booking",
    model="sha256:0a1b",
    definition="unilateral-stop@1",
    state="open",
    risk=Risk(d14=0.11, d30=0.19, d60=0.27),
    next_visit_missed=0.14,
    reasons=(Reason(feature="srs_bond_drop", pillar="bond", value=-3.1, points=0.62, text="Bond rating fell"),),
    gaps=("no outcome measure for 3 sessions",),
)
ALERT = Alert(
    alert_id="al-1",
    episode="north/ep-17",
    clinician_id="c-4",
    kind="risk",
    status="raised",
    at="2026-03-02T10:00:00Z",
    risk=0.31,
    horizon="30d",
    reasons=("Bond rating fell",),
    pillar="bond",
    suggestions=(Suggestion(id="bond-invite-feedback", text="Ask", why="It helps"),),
    also=("al-2",),
    evidence=("/north/booking#ev-9911",),
    model="sha256:0a1b",
)


def _valid(schema: dict[str, Any], value: object) -> bool:
    return bool(Draft202012Validator(schema).is_valid(value))


# ── schemas ─────────────────────────────────────────────────────────────────────────────────────────────


def test_the_schemas_are_those_of_the_golden_file() -> None:
    """Where a type was added: `keepwell schema --json > tests/contract/golden/schemas.json`."""
    assert bundle() == json.loads((GOLDEN / "schemas.json").read_text("utf-8"))


@pytest.mark.parametrize("schema", [*bundle()["events"].values(), output_schema("score"), output_schema("alert")])
def test_every_schema_is_valid_json_schema_2020_12_in_regular_expressions_of_every_language(
    schema: dict[str, Any],
) -> None:
    Draft202012Validator.check_schema(schema)
    assert "(?!" not in json.dumps(schema)


@pytest.mark.parametrize(("name", "size"), CASES)
def test_the_schema_takes_the_golden_examples(name: str, size: str) -> None:
    assert _valid(event_schema(name), golden(name, size))


WRONG_TEXT = "?? none of these ??"


def _mutations(event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for place in event:
        yield {k: v for k, v in event.items() if k != place}
        wrongs: tuple[object, ...] = (None, WRONG_TEXT, -7, 10**9, [], {}, True)
        for wrong in wrongs:
            yield event | {place: wrong}


@pytest.mark.parametrize("name", SENT)
def test_what_the_schema_refuses_decode_refuses_and_the_other_way_round(name: str) -> None:
    validator = Draft202012Validator(event_schema(name), format_checker=Draft202012Validator.FORMAT_CHECKER)
    event = golden(name)
    changed = [{**mutant, "type": name} for mutant in _mutations(event)]
    changed += [event | {"data": data} for data in _mutations(event["data"])]
    for mutant in changed:
        if not _beyond_the_schema(mutant):
            assert isinstance(read(mutant), Accepted) == validator.is_valid(mutant), mutant


def _beyond_the_schema(mutant: dict[str, Any]) -> bool:
    """Whether a schema cannot tell: the form of dates is to most validators an annotation."""
    data = mutant.get("data")
    members = data if isinstance(data, dict) else {}
    return WRONG_TEXT in [mutant.get("time"), *(members.get(name) for name in MOMENTS)]


def test_the_example_score_and_alert_of_the_contract_have_their_members_in_that_order_and_fit_their_schema() -> None:
    score, alert = json.loads(encode_output(SCORE)), json.loads(encode_output(ALERT))
    assert list(score) == [
        *("episode", "clinician_id", "as_of", "trigger", "trigger_source", "model", "definition", "state", "risk"),
        *("next_visit_missed", "reasons", "gaps"),
    ]
    assert list(score["risk"]) == ["14d", "30d", "60d"]
    assert list(alert) == [
        *("alert_id", "episode", "clinician_id", "kind", "status", "at", "risk", "horizon", "reasons", "pillar"),
        *("suggestions", "also", "evidence", "model"),
    ]
    assert _valid(output_schema("score"), score)
    assert _valid(output_schema("alert"), alert)


def test_where_the_episode_is_not_open_risks_are_null_and_fit_the_schema() -> None:
    closed = json.loads(encode_output(SCORE)) | {"state": "ended", "risk": None, "next_visit_missed": None}
    assert _valid(output_schema("score"), closed)


@pytest.mark.parametrize(("place", "wrong"), [("state", "gone"), ("risk", {"14d": 0.1}), ("next_visit_missed", 1.5)])
def test_the_score_schema_refuses_what_no_score_can_be(place: str, wrong: object) -> None:
    assert not _valid(output_schema("score"), json.loads(encode_output(SCORE)) | {place: wrong})


# ── AsyncAPI ────────────────────────────────────────────────────────────────────────────────────────────


def _asyncapi_validator() -> Draft7Validator:
    schema = json.loads(gzip.decompress((GOLDEN / "asyncapi-3.0.0.schema.json.gz").read_bytes()))
    return Draft7Validator(schema)


def test_the_asyncapi_document_is_valid_asyncapi_3() -> None:
    assert [error.message for error in _asyncapi_validator().iter_errors(asyncapi())] == []


def test_the_asyncapi_validator_would_notice_a_fault() -> None:
    document = asyncapi()
    document["operations"]["sendRiskScores"]["action"] = "shout"
    assert not _asyncapi_validator().is_valid(document)


def _references(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        for name, inner in part.items():
            if name == "$ref":
                yield inner
            yield from _references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _references(inner)


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = asyncapi()
    for reference in set(_references(document)):
        found: Any = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]


def test_the_asyncapi_document_has_every_topic_with_its_clean_up_and_every_type() -> None:
    channels = asyncapi()["channels"]
    topics = {topic.name: topic for topic in Topics().all()}
    assert set(channels) == set(topics)
    for name, channel in channels.items():
        kafka = channel["bindings"]["kafka"]
        assert ",".join(kafka["topicConfiguration"]["cleanup.policy"]) == topics[name].cleanup
    assert set(channels["session-events"]["messages"]) == set(EVENT_TYPES) - CONTROL_TYPES
    assert len(channels["episode-events"]["messages"]) == len(EVENT_TYPES)


def test_the_headers_of_dead_letters_and_their_markers_are_those_that_the_code_writes() -> None:
    log = MemoryLog()
    log.create_topics([Topic("out", 1)])
    refused = Record(Partition("in", 0), 7, b"k", b"{", (("own", b"1"),), 0)
    log.append([dead_letters.letter("out", refused, "not_json", "$")])
    dead_letters.drop(log, dead_letters.letters(log, "out"))
    letter, marker = log.read(Partition("out", 0))
    messages = asyncapi()["components"]["messages"]
    for name, record in (("dead-letter", letter), ("marker", marker)):
        written = {header for header, _ in record.headers} - {"own"}
        assert set(messages[name]["headers"]["required"]) == written


def test_the_headers_of_an_accepted_event_are_those_that_ingest_writes() -> None:
    event = golden("keepwell.session.attended.v1")
    record = Record(Partition("session-events", 0), 7, b"k", json.dumps(event).encode())
    ingest = IngestProcessor(Topics(), 1, Instruments(), lambda: NOW)
    (message,) = ingest.step(0, [record]).messages
    headers = asyncapi()["components"]["messages"]["keepwell.session.attended.v1.accepted"]["headers"]
    assert set(headers["properties"]) == {name for name, _ in message.headers}


# ── pages and command ───────────────────────────────────────────────────────────────────────────────────


def test_the_reference_in_the_repository_is_up_to_date() -> None:
    """Run `python docs/generate.py` after a change of the contract's words."""
    stale = [
        name
        for name, text in documents().items()
        if not (REFERENCE / name).exists() or (REFERENCE / name).read_text("utf-8") != text
    ]
    assert stale == []
    assert {path.name for path in (REFERENCE / "schemas").iterdir()} == {
        name.removeprefix("schemas/") for name in documents() if name.startswith("schemas/")
    }


def test_the_command_prints_types_schemas_and_asyncapi_and_writes_the_reference(tmp_path: Path) -> None:
    run = CliRunner().invoke
    assert all(name in run(app, ["schema"]).stdout for name in EVENT_TYPES)
    assert json.loads(run(app, ["schema", "--json"]).stdout) == bundle()
    assert json.loads(run(app, ["schema", "--asyncapi"]).stdout) == asyncapi()
    assert run(app, ["schema", "--out", str(tmp_path)]).exit_code == 0
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(documents())
