"""Everything a person reads: an English sentence with named places, what fills them, and how that reads in a language.

The English sentence is the id of its translations, as in gettext; `python docs/catalogue.py` finds every call of `said`,
`counted` and `pair` with a literal sentence, so a sentence that is put together elsewhere is missing from the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

Language = Literal["en", "de"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
"""English, in which sentences are written, and the complete translations."""
LOCALE: Final = Path(__file__).with_name("locale")
DOMAIN: Final = "keepwell"
_POINTS: Final[dict[str, str]] = {"en": ".", "de": ","}


class Said(NamedTuple):
    """A sentence, or a piece of one, that is not yet in any language. `amount` chooses between `msgid` and `plural`."""

    msgid: str
    arguments: tuple[tuple[str, Argument], ...] = ()
    plural: str | None = None
    amount: int = 0


Argument = str | int | float | Said
"""What fills a place: a name as it is, a count, a rating or another measured number, a piece that is translated itself."""


def said(msgid: str, /, **arguments: Argument) -> Said:
    """A sentence with what fills its places.

    >>> render(said("{instrument} {score} of {high}", instrument="SRS", score=27.0, high=40.0))
    'SRS 27 of 40'
    """
    return Said(msgid, tuple(arguments.items()))


def counted(count: float, one: str, many: str, none: Said | None = None, /, **arguments: Argument) -> Said:
    """A sentence about so many, rounded: its place `{count}`. `none` is what is said instead where there are none.

    >>> render(counted(2, "{count} visit missed so far", "{count} visits missed so far"))
    '2 visits missed so far'
    """
    whole = round(count)
    if whole == 0 and none is not None:
        return none
    return Said(one, (("count", whole), *arguments.items()), many, whole)


def pair(one: str, many: str, /) -> tuple[str, str]:
    """Singular and plural of a sentence that is counted elsewhere (`counted(count, *pair)`)."""
    return one, many


def render(words: Said, language: Language = "en") -> str:
    """A sentence in a language. Raises `ValueError` for a language that is none of `LANGUAGES`.

    Counts have no decimals, other numbers at most one and none where it is zero, with the language's decimal mark.

    >>> render(said("about {rating} of {high}", rating=6.08, high=10.0)), render(said("{rating}", rating=6.08), "de")
    ('about 6.1 of 10', '6,1')
    """
    return _renderer(language)(words)


def number(value: float, language: Language = "en") -> str:
    """A number as `render` writes it: 3 sessions, a rating of 6.1."""
    if isinstance(value, int):
        return str(value)
    short = f"{value:.1f}"
    short = short.removesuffix(".0")
    return "0" if short == "-0" else short.replace(".", _POINTS[language])


@cache
def _renderer(language: Language) -> Callable[[Said], str]:
    if language not in LANGUAGES:
        raise ValueError(f"{language}: the sentences are there in {', '.join(LANGUAGES)}")
    found = translations(language)

    def tell(words: Said) -> str:
        msgid, arguments, plural, amount = words
        text = found.gettext(msgid) if plural is None else found.ngettext(msgid, plural, amount)
        if not arguments:
            return text
        filled = {name: fill(value) for name, value in arguments}
        told = text.format_map(filled)
        return told[0].upper() + told[1:] if text[0] == "{" and _begins_with_a_piece(text, arguments) else told

    def fill(value: Argument) -> str:
        if type(value) is str:
            return value
        return tell(value) if isinstance(value, Said) else number(value, language)  # type: ignore[arg-type]  # no str

    return tell


def _begins_with_a_piece(text: str, arguments: tuple[tuple[str, Argument], ...]) -> bool:
    """Whether the sentence begins with a piece, which stands in lower case; not with a name, which stays as it is."""
    name = text[1 : text.index("}")]
    return any(name == each and isinstance(value, Said) and value.msgid[0] != "{" for each, value in arguments)


@cache
def translations(language: Language) -> NullTranslations:
    """The translations of a language, read once; English needs none."""
    if language == "en":
        return NullTranslations()
    with (LOCALE / language / "LC_MESSAGES" / f"{DOMAIN}.mo").open("rb") as file:
        return GNUTranslations(file)
