"""What to suggest with an alert: the playbook, read and checked once, and the choice by kind and pillar.

The entries are data (`playbook.toml`), each with its source in the literature; docs/reference/playbook.md is
generated from them.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from keepwell.contract.outputs import Suggestion
from keepwell.contract.words import AlertKind, Pillar, RuptureKind

ENDING_OPTIONS: Final = 3
"""Ending well, another approach, a warm transfer: always all three, none before the others (CONTRACT section 3)."""


class PlaybookEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of the playbook. Its first pillar is its main one; none: it fits whatever the pillar. `rupture`: it
    fits only that kind."""

    id: Annotated[str, Meta(pattern=r"^[a-z]+(-[a-z]+)+$")]
    kinds: Annotated[tuple[AlertKind, ...], Meta(min_length=1)]
    pillars: tuple[Pillar, ...]
    text: Annotated[str, Meta(min_length=20, max_length=240)]
    why: Annotated[str, Meta(min_length=20, max_length=240)]
    source: Annotated[str, Meta(pattern=r"\b(19|20)\d\d\b")]
    rupture: RuptureKind | None = None

    def fits(self, kind: AlertKind, pillar: Pillar | None, rupture: RuptureKind | None) -> bool:
        """Whether the entry may be offered with such an alert."""
        about = not self.pillars or pillar in self.pillars
        return kind in self.kinds and about and self.rupture in (None, rupture)

    def suggestion(self) -> Suggestion:
        """The part of the entry that goes into an alert."""
        return Suggestion(id=self.id, text=self.text, why=self.why)


def suggest(
    kind: AlertKind, pillar: Pillar | None, rupture: RuptureKind | None = None, limit: int = 3
) -> tuple[Suggestion, ...]:
    """At most `limit` offers for an alert, the closest first.

    Those of the pillar come before those for any, of these the ones for this kind of rupture first, then the ones whose
    main pillar it is; equals in the order of the file. An `ending` gets its three options whatever `limit` is, since
    leaving one out would favour the rest.

    >>> [offer.id for offer in suggest("rupture", "bond", "withdrawal", limit=2)]
    ['bond-notice-the-distance', 'bond-room-below-perfect']
    """
    fitting = [entry for entry in PLAYBOOK if entry.fits(kind, pillar, rupture)]
    if kind == "ending":
        return tuple(entry.suggestion() for entry in fitting)
    fitting.sort(key=lambda entry: (not entry.pillars, entry.rupture is None, entry.pillars[:1] != (pillar,)))
    return tuple(entry.suggestion() for entry in fitting[:limit])


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
        if entry.pillars and {"ending", "safety"} & set(entry.kinds):
            raise ValueError(f"playbook: {entry.id} is for endings or safety, so it names no pillar")
    return entries


PLAYBOOK: Final = load(Path(__file__).with_name("playbook.toml"))
