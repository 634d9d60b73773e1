"""Why an event is not accepted: a code, a place, and a sentence that says what to send instead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, get_args, get_origin

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


def misfit(error: Exception, cls: type[msgspec.Struct], raw: object) -> str:
    """What to change in a file that people write and msgspec would not convert: the place with its keys, and what it may be.

    >>> class Line(msgspec.Struct, forbid_unknown_fields=True):
    ...     mark: Literal[",", "."]
    >>> try:
    ...     msgspec.convert({"mark": "x"}, Line)
    ... except msgspec.ValidationError as error:
    ...     print(misfit(error, Line, {"mark": "x"}))
    $.mark: write one of: `,`, `.`
    """
    match = _MESSAGE.match(str(error))
    what, path = (match["what"], match["path"]) if match else ("", None)
    place, hint = _place(cls, raw, path or "$")
    missing, unknown = _MISSING.search(what), _UNKNOWN.search(what)
    if missing:
        return f"{place}.{missing['member']}: is required: write {in_words(_members(_object(hint))[missing['member']])}"
    if unknown:
        members = _members(_object(hint))
        near = get_close_matches(unknown["member"], members, 1)
        meant = f": did you mean `{near[0]}`?" if near else f"; there are {', '.join(f'`{name}`' for name in members)}"
        return f"{place}.{unknown['member']}: there is no such member{meant}"
    return f"{place}: write {in_words(hint)}"


def in_words(hint: Any) -> str:
    """What a member may be, by its type, in words.

    >>> in_words(Literal["client", "clinic"]), in_words(Annotated[float, msgspec.Meta(ge=0, le=1)] | None)
    ('one of: `client`, `clinic`', 'a number from 0 to 1')
    """
    choices = _choices(hint)
    if len(choices) > 1:
        return " or ".join(map(in_words, choices))
    base, meta = _base(hint)
    if get_origin(base) is Literal:
        names = ", ".join(f"`{name}`" for name in get_args(base))
        return f"one of: {names}" if len(get_args(base)) > 1 else names
    if meta is not None and meta.description:
        return meta.description[0].lower() + meta.description[1:].rstrip(".")
    return _KINDS.get(get_origin(base) or base, "an object") + (_bounds(base, meta) if meta is not None else "")


_KINDS: Final = {
    bool: "true or false", int: "a whole number", float: "a number", str: "a text", datetime: "a moment",
    list: "a list", tuple: "a list",
}  # fmt: skip
_MESSAGE: Final = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>.*)`)?$", re.DOTALL)
_MISSING: Final = re.compile(r"missing required field `(?P<member>\w+)`")
_UNKNOWN: Final = re.compile(r"unknown field `(?P<member>[^`]*)`")
_STEP: Final = re.compile(r"\.(?P<member>\w+)|\[(?P<index>\d+|\.\.\.)\]")
_SPEAKABLE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Keys that a path names: those that look like the name of a score."""


def _choices(hint: Any) -> list[Any]:
    """The types of which a value is one, without that of null."""
    several = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return [each for each in several if each is not type(None)]


def _base(hint: Any) -> tuple[Any, msgspec.Meta | None]:
    """A type without the choice of null, and what is said of it beside."""
    hint = _choices(hint)[0]
    if get_origin(hint) is Annotated:
        base, *said = get_args(hint)
        return base, next(each for each in said if isinstance(each, msgspec.Meta))
    return hint, None


def _object(hint: Any) -> Any:
    """The one of its choices that has members."""
    return next(
        each for each in map(_bare, _choices(hint)) if isinstance(each, type) and issubclass(each, msgspec.Struct)
    )


def _bare(hint: Any) -> Any:
    return _base(hint)[0]


def _bounds(base: Any, meta: msgspec.Meta) -> str:
    if meta.ge is not None and meta.le is not None:
        return f" from {meta.ge:,} to {meta.le:,}"
    if meta.min_length is not None and meta.min_length == meta.max_length:
        return f" of {meta.min_length:,} {'character' if base is str else 'member'}{'s' * (meta.min_length > 1)}"
    if meta.min_length is not None and meta.max_length is not None:
        return f" of {meta.min_length:,} to {meta.max_length:,} {'characters' if base is str else 'members'}"
    return ""


def _place(cls: type[msgspec.Struct], raw: object, path: str) -> tuple[str, Any]:
    """The path with the key of an object where msgspec writes `[...]`, and the type of what stands there."""
    place, hint, value = "$", cls, raw
    for step in _STEP.finditer(path):
        base = next(each for each in map(_bare, _choices(hint)) if _has(each, step))
        if step["member"]:
            place, hint = f"{place}.{step['member']}", _members(base)[step["member"]]
            value = value.get(step["member"]) if isinstance(value, dict) else None
        elif step["index"].isdecimal():
            place, hint = f"{place}[{step['index']}]", get_args(base)[0]
            value = value[int(step["index"])] if isinstance(value, list) else None
        else:
            hint = get_args(base)[1]
            key, value = next(_misfits(hint, value), ("", None))
            place += f".{key}" if _SPEAKABLE.fullmatch(key) else "[...]"
    return place, hint


def _has(base: Any, step: re.Match[str]) -> bool:
    """Whether a type has what a step of a path leads to."""
    if step["member"]:
        return isinstance(base, type) and issubclass(base, msgspec.Struct)
    return get_origin(base) in ((list, tuple) if step["index"].isdecimal() else (dict, Mapping))


def _members(base: Any) -> dict[str, Any]:
    """The members of an object by the name that they are written with, and their types."""
    return {each.encode_name: each.type for each in msgspec.structs.fields(base)}


def _misfits(hint: Any, value: object) -> Iterator[tuple[str, object]]:
    for key, content in value.items() if isinstance(value, dict) else ():
        try:
            msgspec.convert(content, hint)
        except (msgspec.ValidationError, OverflowError):
            yield key, content
