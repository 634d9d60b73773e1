"""Why an event is not accepted: a code, a place, and a sentence that says what to send instead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from types import UnionType
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec

from keepwell.contract.events import Event
from keepwell.contract.words import RefusalCode


class Refusal(NamedTuple):
    """Why an event was not accepted: a code, a JSON path, and a sentence that tells the sender what to change.

    Holds no value of the event, so it can be logged, counted and sent back. Two exceptions help the sender: the path
    names a key of `scores` or `fairness`, and `total_not_the_sum` the two numbers that differ.
    """

    code: RefusalCode
    path: str
    detail: str


def explain(error: Exception, cls: type[Event], raw: object) -> Refusal:
    """The refusal of what msgspec would not convert to an event type.

    The sentence follows from the type at the place of the fault, never from the message, which may quote the value.
    """
    match = _MESSAGE.match(str(error))
    what, path = (match["what"], match["path"]) if match else ("", None)
    place, hint = _place(cls, raw, path or "$")
    missing = _MISSING.search(what)
    if missing:
        member = missing["member"]
        return Refusal("missing", f"{place}.{member}", f"Add the required member `{member}`.")
    if path is None:
        return Refusal(
            "invalid", "$", "A number is too large, or the event nests too deep; send what the contract lists."
        )
    return Refusal("invalid", place, f"Send {in_words(hint)}.")


def in_words(hint: Any) -> str:
    """What a member may be, by its type, in words.

    >>> in_words(Literal["client", "clinic"]), in_words(Annotated[float, msgspec.Meta(ge=0, le=1)] | None)
    ('one of: `client`, `clinic`', 'a number from 0 to 1')
    """
    base, meta = _base(hint)
    if get_origin(base) is Literal:
        choices = ", ".join(f"`{choice}`" for choice in get_args(base))
        return f"one of: {choices}" if len(get_args(base)) > 1 else choices
    if meta is not None and meta.description:
        return meta.description[0].lower() + meta.description[1:].rstrip(".")
    return _KINDS.get(get_origin(base) or base, "an object") + (_bounds(base, meta) if meta is not None else "")


_KINDS: Final = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", datetime: "a moment"}
_MESSAGE: Final = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>.*)`)?$", re.DOTALL)
_MISSING: Final = re.compile(r"missing required field `(?P<member>\w+)`")
_STEP: Final = re.compile(r"\.(?P<member>\w+)|\[")
_SPEAKABLE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Keys that a path names: those that look like the name of a score."""


def _base(hint: Any) -> tuple[Any, msgspec.Meta | None]:
    """A type without the choice of null, and what is said of it beside."""
    if get_origin(hint) in (Union, UnionType):
        hint = next(part for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is Annotated:
        base, *said = get_args(hint)
        return base, next(each for each in said if isinstance(each, msgspec.Meta))
    return hint, None


def _bounds(base: Any, meta: msgspec.Meta) -> str:
    if meta.ge is not None and meta.le is not None:
        return f" from {meta.ge:,} to {meta.le:,}"
    if meta.min_length is not None and meta.max_length is not None:
        return f" of {meta.min_length:,} to {meta.max_length:,} {'characters' if base is str else 'members'}"
    return ""


def _place(cls: type[Event], raw: object, path: str) -> tuple[str, Any]:
    """The path with the key of an object where msgspec writes `[...]`, and the type of what stands there."""
    place, hint, value = "$", cls, raw
    for step in _STEP.finditer(path):
        base, _ = _base(hint)
        if step["member"]:
            place, hint = f"{place}.{step['member']}", get_type_hints(base, include_extras=True)[step["member"]]
            value = value.get(step["member"]) if isinstance(value, dict) else None
        else:
            hint = get_args(base)[1]
            key, value = next(_misfits(hint, value), ("", None))
            place += f".{key}" if _SPEAKABLE.fullmatch(key) else "[...]"
    return place, hint


def _misfits(hint: Any, value: object) -> Iterator[tuple[str, object]]:
    for key, content in value.items() if isinstance(value, dict) else ():
        try:
            msgspec.convert(content, hint)
        except (msgspec.ValidationError, OverflowError):
            yield key, content
