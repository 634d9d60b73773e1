"""What to suggest with an alert: the playbook, read and checked once, and the choice by kind, pillar and what is true.

The entries are data (`playbook.toml`), each with its source in the literature; docs/reference/playbook.md is
generated from them.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from keepwell.alerting.conditions import Condition
from keepwell.contract.outputs import Suggestion
from keepwell.contract.words import AlertKind, Pillar

ENDING_OPTIONS: Final = 3
"""Ending well, another approach, a warm transfer: always all three, none before the others (CONTRACT section 3)."""

Where = Literal["contact", "session", "clinic"]
"""Where an entry is done: a call or a message today, the next session, or at the clinic without the client."""


class PlaybookEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of the playbook. Its first pillar is its main one; none: it fits whatever the pillar. It fits only where all
    of `when` are true and none of `unless` is."""

    id: Annotated[str, Meta(pattern=r"^[a-z]+(-[a-z]+)+$")]
    kinds: Annotated[tuple[AlertKind, ...], Meta(min_length=1)]
    pillars: tuple[Pillar, ...]
    text: Annotated[str, Meta(min_length=20, max_length=240)]
    why: Annotated[str, Meta(min_length=20, max_length=240)]
    source: Annotated[str, Meta(pattern=r"\b(19|20)\d\d\b")]
    where: Where = "session"
    when: tuple[Condition, ...] = ()
    unless: tuple[Condition, ...] = ()
    first: tuple[Condition, ...] = ()
    """Of one of the options at an ending: where any of these is true, it is named before the others."""

    def fits(self, kind: AlertKind, pillar: str | None, conditions: frozenset[Condition]) -> bool:
        """Whether the entry may be offered with such an alert."""
        about = not self.pillars or pillar in self.pillars
        return kind in self.kinds and about and conditions.issuperset(self.when) and conditions.isdisjoint(self.unless)

    def suggestion(self) -> Suggestion:
        """The part of the entry that goes into an alert."""
        return Suggestion(id=self.id, text=self.text, why=self.why)


def suggest(
    kind: AlertKind, pillar: str | None, conditions: frozenset[Condition], limit: int = 3
) -> tuple[Suggestion, ...]:
    """At most `limit` offers for an alert, the closest first.

    Of somebody absent, a contact comes before all that is said in a session. Where the same was told again and again, another
    way comes first. Then those of the pillar come before those for any, those for more of what is true before those for less,
    and those whose main pillar it is; of a `silence`, what is true counts before the pillar. Equals in the order of the file.
    An `ending` gets its three options whatever `limit` is, since leaving one out would favour the rest; what the
    client wishes for is named first.

    >>> [offer.id for offer in suggest("rupture", "bond", frozenset(("withdrawal", "rated")), limit=2)]
    ['bond-room-below-perfect', 'bond-notice-the-distance']
    """
    fitting = [entry for entry in PLAYBOOK if entry.fits(kind, pillar, conditions)]
    if kind == "ending":
        return tuple(entry.suggestion() for entry in sorted(fitting, key=lambda one: conditions.isdisjoint(one.first)))
    absent = "absent" in conditions

    def order(entry: PlaybookEntry) -> tuple[bool, bool, tuple[int, ...], bool]:
        close = (not entry.pillars, -len(entry.when))
        return (
            absent and entry.where != "contact",
            "repeated" not in entry.when,
            close[::-1] if kind == "silence" else close,
            entry.pillars[:1] != (pillar,),
        )

    return tuple(entry.suggestion() for entry in sorted(fitting, key=order)[:limit])


def load(file: Path) -> tuple[PlaybookEntry, ...]:
    """The entries of a playbook file, in its order.

    Raises ValueError or msgspec.ValidationError, which say what is wrong where, if the file is not a playbook.
    """
    with file.open("rb") as opened:
        entries = msgspec.convert(tomllib.load(opened)["suggestion"], tuple[PlaybookEntry, ...])
    for name, times in Counter(entry.id for entry in entries).items():
        if times > 1:
            raise ValueError(f"playbook: {name} is there {times} times")
    if sum("ending" in entry.kinds for entry in entries) != ENDING_OPTIONS:
        raise ValueError("playbook: `ending` takes exactly three options")
    for entry in entries:
        if {"ending", "safety"} & set(entry.kinds) and (entry.pillars or entry.when or entry.unless):
            raise ValueError(f"playbook: {entry.id} is for endings or safety, so it names no pillar and no condition")
        if entry.first and "ending" not in entry.kinds:
            raise ValueError(
                f"playbook: {entry.id} is no option at an ending, so it has no `first`: the others go by `when`"
            )
        if set(entry.when) & set(entry.unless):
            raise ValueError(f"playbook: {entry.id} can never fit: what it asks for it rules out")
    return entries


PLAYBOOK: Final = load(Path(__file__).with_name("playbook.toml"))
