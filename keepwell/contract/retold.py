"""Sentences of the log, which are English, told in another language: `render` backwards, then forwards again.

Which sentence of the catalogue a text is, is found by its fixed words; what fills its places may be such a sentence itself.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Final, NamedTuple

from keepwell.contract.say import DOMAIN, LOCALE, Argument, Language, Said, render

REMEMBERED: Final = 8_192
"""Texts whose translation is kept; ours: some thousand reasons make up most of what a clinic reads."""
DEEPEST: Final = 4
"""Sentences in sentences: more than the code nests."""
_PLACE: Final = re.compile(r"\{(\w+)\}")
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?")


class _Pattern(NamedTuple):
    """A sentence of the catalogue: what a text of it looks like, with short pieces first and with long ones. `many`: it is
    the plural of `msgid`; `fixed`: how many letters stand in it."""

    looks: tuple[re.Pattern[str], re.Pattern[str]]
    msgid: str
    plural: str | None
    many: bool
    fixed: int


@lru_cache(REMEMBERED)
def retold(text: str, language: Language) -> str:
    """An English text of the log in a language; as it is where no sentence of the catalogue fits.

    >>> retold("SRS bond 5.5 of 10; usually about 9", "de")
    'SRS Bindung 5,5 von 10; üblich sind etwa 9'
    """
    if language == "en":
        return text
    found = _read(text, language, DEEPEST)
    return text if found is None else render(found, language)


def _read(text: str, language: Language, depth: int) -> Said | None:
    """The sentence that reads so in English: of several the one of whose pieces most is known, then with most fixed words."""
    lower = text[:1].lower() + text[1:]
    best: tuple[int, Said] | None = None
    for pattern in _patterns(language):
        for looks in pattern.looks:
            match = looks.fullmatch(text) or looks.fullmatch(lower)
            if match is None or not all(map(_is_balanced, match.groups())):
                continue
            arguments = {name: _argument(value, language, depth) for name, value in match.groupdict().items()}
            unknown = sum(map(_unknown, arguments.values()))
            if best is None or unknown < best[0]:
                best = unknown, _said(pattern, arguments)
            if unknown == 0:
                return best[1]
    return None if best is None else best[1]


def _said(pattern: _Pattern, arguments: dict[str, Argument]) -> Said:
    if pattern.plural is None:
        return Said(pattern.msgid, tuple(arguments.items()))
    count = arguments.get("count")
    amount = count if isinstance(count, int) else 2 if pattern.many else 1
    return Said(pattern.msgid, tuple(arguments.items()), pattern.plural, amount)


def _argument(value: str, language: Language, depth: int) -> Argument:
    if _NUMBER.fullmatch(value):
        return float(value) if "." in value else int(value)
    found = _read(value, language, depth - 1) if depth else None
    return value if found is None else found


def _unknown(argument: Argument) -> int:
    """Letters that are no number, no name of one word and no sentence of the catalogue; a mere list of pieces counts as one,
    as what has words of its own is the likelier reading."""
    if isinstance(argument, Said):
        is_list = not re.search(r"[^\W\d_]", _PLACE.sub("", argument.msgid))
        return is_list + sum(_unknown(value) for _, value in argument.arguments)
    return len(argument) if isinstance(argument, str) and " " in argument else 0


def _is_balanced(piece: str) -> bool:
    """Whether brackets close what they open, in order: else the piece was cut out of the middle of a sentence."""
    level = 0
    for letter in piece:
        level += (letter == "(") - (letter == ")")
        if level < 0:
            return False
    return level == 0


@cache
def _patterns(language: Language) -> tuple[_Pattern, ...]:
    found = []
    for msgid, plural in _sentences(language):
        for text, many in ((msgid, False), (plural, True)):
            fixed = "" if text is None else _PLACE.sub("", text)
            if text is not None and fixed.strip():
                found.append(_Pattern(_looks(text), msgid, plural, many, len(fixed)))
    return tuple(sorted(found, key=lambda one: -one.fixed))


def _looks(text: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """A place that comes twice holds the same both times."""
    found = []
    for piece in (".+?", ".+"):
        seen: set[str] = set()
        parts = []
        for number, part in enumerate(_PLACE.split(text)):
            if number % 2 == 0:
                parts.append(re.escape(part))
            else:
                parts.append(f"(?P={part})" if part in seen else f"(?P<{part}>{piece})")
                seen.add(part)
        found.append(re.compile("".join(parts)))
    return found[0], found[1]


def _sentences(language: Language) -> Iterator[tuple[str, str | None]]:
    """Every English sentence of a catalogue with its plural, as the file (GNU gettext's MO) holds them."""
    data = (LOCALE / language / "LC_MESSAGES" / f"{DOMAIN}.mo").read_bytes()
    order = "<" if data[:4] == b"\xde\x12\x04\x95" else ">"
    count, table = struct.unpack_from(f"{order}2I", data, 8)
    for number in range(count):
        length, place = struct.unpack_from(f"{order}2I", data, table + 8 * number)
        msgid, _, plural = data[place : place + length].decode().partition("\x00")
        if msgid:
            yield msgid, plural or None
