"""The AsyncAPI 3.0 document: every topic with its key, clean-up, messages and headers, and who reads and writes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from keepwell.contract.events import CONTROL_TYPES, EVENT_TYPES, Event
from keepwell.contract.schema import CONTRACT_VERSION, OUTPUTS, components
from keepwell.streams import topics
from keepwell.streams.topics import PARTITIONS, TopicRow
from keepwell.streams.worker import dead_letters
from services.catalogue import readers, writers

_KAFKA: Final = "0.5.0"
"""Version of the Kafka binding of AsyncAPI that is used here."""

_TOMBSTONE: Final = "A record without a value deletes those of its key before it, as an erasure does."

_LETTER_HEADERS: Final = {
    dead_letters.REASON: "Code of the refusal.",
    dead_letters.DETAIL: "JSON path of what was refused, beginning with `$`, and what to change.",
    dead_letters.TOPIC: "Topic that the record was read from.",
    dead_letters.PARTITION: "Partition that the record was read from, a decimal number.",
    dead_letters.OFFSET: "Offset of the record there, a decimal number.",
    dead_letters.ATTEMPTS: "How often the record was refused so far, a decimal number.",
}
_MARKER_HEADERS: Final = {
    dead_letters.SETTLES: "Offset of the letter in the same partition that this marker settles, a decimal number.",
    dead_letters.ACTION: "What became of the letter: `replayed` or `dropped`.",
}

_ACCEPTED_HEADERS: Final = {
    "keepwell-origin": "The record of `session-events` that it came from, as `<topic>/<partition>/<offset>`.",
    "traceparent": "W3C trace context of the event, where it had one.",
}


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI 3.0.0 document of an installation without a topic prefix."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Keepwell",
            "version": CONTRACT_VERSION,
            "description": "Session events in, risk scores and alerts out. An installation may put a prefix before "
            "every topic (`KEEPWELL_TOPIC_PREFIX`). Read with `isolation.level=read_committed`: what a transaction "
            "did not commit was never said.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": _channels(),
        "operations": _operations(),
        "components": {"messages": _messages(), "schemas": components("#/components/schemas/")},
    }


def _channels() -> dict[str, Any]:
    return {
        topic.name: {
            "address": topic.name,
            "description": topic.holds if topic.cleanup == "delete" else f"{topic.holds} {_TOMBSTONE}",
            "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _HELD[topic]},
            "bindings": {
                "kafka": {
                    "topic": topic.name,
                    "partitions": topic.partitions or PARTITIONS,
                    "topicConfiguration": {"cleanup.policy": topic.cleanup.split(",")},
                    "bindingVersion": _KAFKA,
                }
            },
        }
        for topic in topics.TABLE
    }


_HELD: Final[Mapping[TopicRow, Sequence[str]]] = {
    topics.SESSIONS: [name for name in EVENT_TYPES if name not in CONTROL_TYPES],
    topics.EPISODES: [f"{name}.accepted" for name in EVENT_TYPES],
    topics.DEAD_LETTERS: ["dead-letter", "marker"],
    topics.SCORES: ["score"],
    topics.ALERTS: ["alert"],
    topics.SHADOW_SCORES: ["score"],
    topics.STATE: ["state"],
    topics.RELEASES: ["release"],
}
"""The messages of each topic."""


def _operations() -> dict[str, Any]:
    """What Keepwell receives and sends, topic by topic; the tags are the services that do."""
    found: dict[str, Any] = {}
    for topic in topics.TABLE:
        channel = "".join(word.capitalize() for word in topic.name.split("-"))
        for action, verb, services in (("receive", "Read", readers(topic)), ("send", "Written", writers(topic))):
            if services:
                found[action + channel] = {
                    "action": action,
                    "channel": {"$ref": f"#/channels/{topic.name}"},
                    "summary": f"{verb} by {', '.join(services)}.",
                    "tags": [{"name": service} for service in services],
                }
    return found


def _messages() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, cls in EVENT_TYPES.items():
        if name not in CONTROL_TYPES:
            found[name] = _event_message(name, cls, _key(topics.SESSIONS))
        accepted = _event_message(name, cls, _key(topics.EPISODES))
        if name not in CONTROL_TYPES:
            accepted["headers"] = _headers(_ACCEPTED_HEADERS, required=("keepwell-origin",))
        found[f"{name}.accepted"] = accepted
    for name, output in OUTPUTS.items():
        (topic, *_) = (topic for topic in topics.TABLE if name in _HELD[topic])
        found[name] = _message(name, output.__name__, output.__doc__, _key(topic))
    found["dead-letter"] = {
        "name": "dead-letter",
        "summary": "A refused record: its bytes and headers as they came, followed by these headers.",
        "contentType": "application/octet-stream",
        "payload": {"description": "The untouched bytes."},
        "headers": _headers(_LETTER_HEADERS, required=_LETTER_HEADERS),
        "bindings": {
            "kafka": {"key": _key(topics.DEAD_LETTERS) | {"type": ["string", "null"]}, "bindingVersion": _KAFKA}
        },
    }
    found["marker"] = {
        "name": "marker",
        "summary": "Settles a letter: it was put back where it came from, or given up.",
        "contentType": "application/octet-stream",
        "payload": {"description": "Empty."},
        "headers": _headers(_MARKER_HEADERS, required=_MARKER_HEADERS),
        "bindings": {"kafka": {"key": {"const": ""}, "bindingVersion": _KAFKA}},
    }
    found["state"] = {
        "name": "state",
        "summary": "A state record of the predictor.",
        "contentType": "application/octet-stream",
        "payload": {"description": "Private."},
        "bindings": {"kafka": {"key": _key(topics.STATE), "bindingVersion": _KAFKA}},
    }
    found["release"] = {
        "name": "release",
        "summary": "The manifest of a model release.",
        "payload": {"type": "object"},
        "bindings": {"kafka": {"key": _key(topics.RELEASES), "bindingVersion": _KAFKA}},
    }
    return found


def _key(topic: TopicRow) -> dict[str, Any]:
    return {"type": "string", "description": f"{topic.key[0].upper()}{topic.key[1:]}."}


def _event_message(name: str, cls: type[Event], key: dict[str, Any]) -> dict[str, Any]:
    return _message(name, cls.__name__, cls.__doc__, key) | {"contentType": "application/cloudevents+json"}


def _message(name: str, schema: str, summary: str | None, key: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "summary": (summary or name).splitlines()[0],
        "payload": {"$ref": f"#/components/schemas/{schema}"},
        "bindings": {"kafka": {"key": key, "bindingVersion": _KAFKA}},
    }


def _headers(names: Mapping[str, str], required: Iterable[str]) -> dict[str, Any]:
    members = {name: {"type": "string", "description": what} for name, what in names.items()}
    return {"type": "object", "properties": members, "required": list(required)}
