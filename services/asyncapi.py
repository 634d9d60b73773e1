"""The AsyncAPI 3.0 document: every topic with its key, clean-up, messages and headers, and who reads and writes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from keepwell.contract.events import CONTROL_TYPES, EVENT_TYPES, Event
from keepwell.contract.outputs import Alert
from keepwell.contract.schema import CONTRACT_VERSION, OUTPUTS, components
from keepwell.streams.topics import Topics
from keepwell.streams.worker import dead_letters

_KAFKA: Final = "0.5.0"
"""Version of the Kafka binding of AsyncAPI that is used here."""

_TOMBSTONE: Final = "A record without a value deletes those before it: the client was erased."

_EPISODE_KEY: Final = {"type": "string", "description": "`<clinic>/<subject>`, the episode."}
_ALERT_KEY: Final = {
    "type": "string",
    "description": "`<clinic>/<subject>#<alert_id>.<status>`, one for each record; the partition is that of the episode.",
}
_SUBJECT_KEY: Final = {"type": "string", "description": "`<subject>`, or any key: the event says which episode it is."}
_LETTER_KEY: Final = {"type": ["string", "null"], "description": "The key of the refused record, or none."}
_CONTROL_KEY: Final = {"type": "string", "description": "The `subject`; the record is on every partition."}
_DIGEST_KEY: Final = {"type": "string", "description": "Digest of the release."}

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
    topics = Topics()
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
        "channels": _channels(topics),
        "operations": _operations(topics),
        "components": {"messages": _messages(), "schemas": components("#/components/schemas/")},
    }


def _channels(topics: Topics) -> dict[str, Any]:
    sent = [name for name in EVENT_TYPES if name not in CONTROL_TYPES]
    messages = {
        topics.sessions: sent,
        topics.episodes: [f"{name}.accepted" for name in EVENT_TYPES],
        topics.dead_letters: ["dead-letter", "marker"],
        topics.scores: ["score"],
        topics.alerts: ["alert"],
        topics.shadow_scores: ["score"],
        topics.state: ["state"],
        topics.releases: ["release"],
    }
    what = {
        topics.sessions: "Events as clinic platforms sent them: CloudEvents, structured or binary. Keyed by subject.",
        topics.episodes: "Accepted, normalised events, and control events on every partition.",
        topics.dead_letters: "Refused records, untouched, with the reason in the headers.",
        topics.scores: f"One score for every accepted event or due timer of an episode. {_TOMBSTONE}",
        topics.alerts: f"Alerts raised, escalated and resolved: every one stays until it is erased. {_TOMBSTONE}",
        topics.shadow_scores: f"Scores of a release on trial, beside those of the one in use. {_TOMBSTONE}",
        topics.state: "The predictor's changelog. Private: its form may change with any version.",
        topics.releases: "Manifests of model releases.",
    }
    return {
        topic.name: {
            "address": topic.name,
            "description": what[topic.name],
            "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages[topic.name]},
            "bindings": {
                "kafka": {
                    "topic": topic.name,
                    "partitions": topic.partitions,
                    "topicConfiguration": {"cleanup.policy": topic.cleanup.split(",")},
                    "bindingVersion": _KAFKA,
                }
            },
        }
        for topic in topics.all()
    }


def _operations(topics: Topics) -> dict[str, Any]:
    return {
        "receiveSessionEvents": _operation("receive", topics.sessions, "Ingest checks and normalises what was sent."),
        "sendEpisodeEvents": _operation("send", topics.episodes, "Ingest writes what it accepted; clock writes ticks."),
        "sendDeadLetters": _operation("send", topics.dead_letters, "Ingest writes what it refused."),
        "receiveEpisodeEvents": _operation("receive", topics.episodes, "Predictor folds and scores."),
        "sendScores": _operation("send", topics.scores, "Predictor writes scores."),
        "sendAlerts": _operation("send", topics.alerts, "Predictor writes alerts."),
        "sendShadowScores": _operation("send", topics.shadow_scores, "Predictor writes scores of a release on trial."),
        "sendState": _operation("send", topics.state, "Predictor writes its changelog."),
        "receiveReleases": _operation("receive", topics.releases, "Predictor learns of releases."),
    }


def _operation(action: str, topic: str, summary: str) -> dict[str, Any]:
    return {"action": action, "channel": {"$ref": f"#/channels/{topic}"}, "summary": summary}


def _messages() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, cls in EVENT_TYPES.items():
        if name not in CONTROL_TYPES:
            found[name] = _event_message(name, cls, _SUBJECT_KEY)
        if name in CONTROL_TYPES:
            found[f"{name}.accepted"] = _event_message(name, cls, _CONTROL_KEY)
        else:
            headers = {"headers": _headers(_ACCEPTED_HEADERS, required=("keepwell-origin",))}
            found[f"{name}.accepted"] = _event_message(name, cls, _EPISODE_KEY) | headers
    for name, output in OUTPUTS.items():
        found[name] = _message(name, output.__name__, output.__doc__, _ALERT_KEY if output is Alert else _EPISODE_KEY)
    found["dead-letter"] = {
        "name": "dead-letter",
        "summary": "A refused record: its bytes and headers as they came, followed by these headers.",
        "contentType": "application/octet-stream",
        "payload": {"description": "The untouched bytes."},
        "headers": _headers(_LETTER_HEADERS, required=_LETTER_HEADERS),
        "bindings": {"kafka": {"key": _LETTER_KEY, "bindingVersion": _KAFKA}},
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
        "bindings": {"kafka": {"key": _EPISODE_KEY, "bindingVersion": _KAFKA}},
    }
    found["release"] = {
        "name": "release",
        "summary": "The manifest of a model release.",
        "payload": {"type": "object"},
        "bindings": {"kafka": {"key": _DIGEST_KEY, "bindingVersion": _KAFKA}},
    }
    return found


def _event_message(name: str, cls: type[Event], key: dict[str, str]) -> dict[str, Any]:
    return _message(name, cls.__name__, cls.__doc__, key) | {"contentType": "application/cloudevents+json"}


def _message(name: str, schema: str, summary: str | None, key: dict[str, str]) -> dict[str, Any]:
    return {
        "name": name,
        "summary": (summary or name).splitlines()[0],
        "payload": {"$ref": f"#/components/schemas/{schema}"},
        "bindings": {"kafka": {"key": key, "bindingVersion": _KAFKA}},
    }


def _headers(names: Mapping[str, str], required: Iterable[str]) -> dict[str, Any]:
    members = {name: {"type": "string", "description": what} for name, what in names.items()}
    return {"type": "object", "properties": members, "required": list(required)}
