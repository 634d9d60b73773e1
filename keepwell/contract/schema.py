"""JSON Schemas of what Keepwell takes and gives, generated from the types, so that no document can differ from the code."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from keepwell.contract.events import EVENT_TYPES
from keepwell.contract.outputs import Alert, Score

CONTRACT_VERSION: Final = "1.1.0"
"""Version of the contract, not of the software: it moves when a type does."""

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
OUTPUTS: Final[Mapping[str, type[msgspec.Struct]]] = {"score": Score, "alert": Alert}
"""By file name, what Keepwell writes for others to read."""

_PYTHON_END = r"$(?!\n)"  # what `events` writes for the end of a text; in a JSON Schema (ECMA 262) `$` alone is that


def event_schema(name: str) -> dict[str, Any]:
    """The JSON Schema 2020-12 of one event type, complete in itself.

    >>> event_schema("keepwell.event.retracted.v1")["required"]
    ['type', 'data', 'specversion', 'id', 'source', 'subject', 'time']
    """
    return _standalone(EVENT_TYPES[name], name)


def output_schema(name: str) -> dict[str, Any]:
    """The JSON Schema 2020-12 of `score` or `alert`, complete in itself."""
    return _standalone(OUTPUTS[name], name)


def bundle() -> dict[str, Any]:
    """All schemas in one document: `events` by type, `score` and `alert`."""
    return {
        "events": {name: event_schema(name) for name in EVENT_TYPES},
        **{name: output_schema(name) for name in OUTPUTS},
    }


def components(prefix: str) -> dict[str, Any]:
    """The schemas of all types by class name, referring to each other under `prefix`, for use inside another document."""
    types: Sequence[type[msgspec.Struct]] = (*EVENT_TYPES.values(), *OUTPUTS.values())
    found = msgspec.json.schema_components(types, ref_template=prefix + "{name}")[1]
    return {name: _standard(schema) for name, schema in sorted(found.items())}


def as_text(document: dict[str, Any]) -> str:
    """The JSON text of a document, as it is written to files and printed."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _standalone(cls: type[msgspec.Struct], name: str) -> dict[str, Any]:
    definitions = msgspec.json.schema_components([cls], ref_template="#/$defs/{name}")[1]
    own: dict[str, Any] = _standard(definitions.pop(cls.__name__))
    rest = {name: _standard(schema) for name, schema in sorted(definitions.items())}
    return {"$schema": DIALECT, "$id": f"{name}.json"} | own | ({"$defs": rest} if rest else {})


def _standard(schema: Any) -> Any:
    """The schema with regular expressions that every language reads alike, `const` for a choice of one, and a null
    allowed for every member that has a default: sent, it is the same as leaving the member out."""
    if isinstance(schema, list):
        return [_standard(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    out: dict[str, Any] = {name: _standard(part) for name, part in schema.items()}
    if isinstance(out.get("pattern"), str):
        out["pattern"] = out["pattern"].replace(_PYTHON_END, "$")
    choices = out.get("enum")
    if isinstance(choices, list) and len(choices) == 1:
        del out["enum"]
        out = {"const": choices[0]} | out
    if "default" in out and "anyOf" not in out:
        default = out.pop("default")
        out = {"anyOf": [out, {"type": "null"}], "default": default}
    return out
