"""The catalogue of everything a person reads: current, completely translated, and in words that fit whatever fills them."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from math import isnan
from typing import Final

import pytest
from hypothesis import given, settings

from docs.catalogue import files, reading, sentences, template, translation
from keepwell.alerting.playbook import PLAYBOOK
from keepwell.care.course import Course
from keepwell.contract.events import AnyEvent
from keepwell.contract.say import LANGUAGES, Language, Said, render, translations
from keepwell.scoring.features import FEATURES, Feature
from keepwell.scoring.gaps import named_gaps
from keepwell.scoring.reasons import pushing, said_of
from keepwell.scoring.scorer import USUAL
from tests.episodes import INTERPRET, lived
from tests.strategies import episode_logs

TRANSLATED: Final[Sequence[Language]] = LANGUAGES[1:]

# ── the catalogue ───────────────────────────────────────────────────────────────────────────────────────


def test_the_files_of_the_catalogue_are_what_the_code_says() -> None:
    assert [path.name for path, held in files() if not path.exists() or path.read_bytes() != held] == []


def forms(told: str | Iterable[str] | None) -> tuple[str, ...]:
    """One sentence, or its singular and plural."""
    return (told,) if isinstance(told, str) else tuple(told or ())


def pairs(language: Language) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Every sentence in its forms, and in those of the translation."""
    for message in translation(language):
        if message.id:
            assert not message.fuzzy, message.id
            yield forms(message.id), forms(message.string)


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_sentence_is_translated_in_all_its_forms_with_the_same_places(language: Language) -> None:
    for english, told in pairs(language):
        assert len(told) == len(english) and all(told), english
        wanted = set.union(*map(places, english))
        # One of something may be told without its number.
        assert places(told[-1]) == wanted and all(places(one) <= wanted for one in told), english


@pytest.mark.parametrize("language", TRANSLATED)
def test_what_programs_read_is_what_people_translated(language: Language) -> None:
    found = translations(language)
    for english, told in pairs(language):
        if len(english) == 1:
            assert found.gettext(english[0]) == told[0]
        else:
            one, many = english
            assert tuple(found.ngettext(one, many, count) for count in (1, 2)) == told


# ── words ───────────────────────────────────────────────────────────────────────────────────────────────

BARRED: Final = {
    "en": re.compile(
        r"non-?complian|non-?adheren|\brefus|\bfail|\bresist|no-show|at risk|\blost\b|\bdrop(ped)?[- ]?out|\bpatients?\b|"
        r"unmotivated|uncooperative|unreliable|\blast sign\b|\bstanding\b|rebooking|\bexcuse|manipulat|hostile|%|\bbad\b|"
        r"\bpoor(ly)?\b|\burgent(ly)?\b(?! than)|\bmust\b|\bshould\b",
        re.IGNORECASE,
    ),
    "de": re.compile(
        r"verweiger|versag|gescheitert|widerst[aä]nd|unmotiviert|unkooperativ|unzuverl|schuld|therapieabbr|abbrecher|"
        r"risikopatient|\bpatient|gefährdet|geschwänzt|nicht erschienen|ausrede|manipulat|%|\bmuss\b|\bmüssen\b|\bsollte",
        re.IGNORECASE,
    ),
}  # fmt: skip
OF_THE_CLINICIAN: Final = frozenset(text for entry in PLAYBOOK for text in (entry.text, entry.why))
"""What the playbook says is written for the clinician, with findings of studies, and has a test of its own."""


def test_no_sentence_blames_labels_or_directs() -> None:
    for message in template():
        for text in forms(message.id) if message.id and message.id not in OF_THE_CLINICIAN else ():
            assert not BARRED["en"].search(text), text
    for language in TRANSLATED:
        for english, told in pairs(language):
            for text in told:
                assert not BARRED[language].search(text), (english, text)


def test_the_english_reads_easily() -> None:
    length, ease = reading(sentences())
    assert length < 14
    assert ease > 65, "plain English (Flesch 1948)"


@pytest.mark.parametrize(
    ("text", "ease"),
    [("The cat sat on the mat", 116), ("The Australian platypus is seemingly a hybrid", 24)],
)
def test_the_reading_level_is_about_what_is_published(text: str, ease: int) -> None:
    assert reading([text])[1] == pytest.approx(ease, abs=15)


# ── what fills them ─────────────────────────────────────────────────────────────────────────────────────

ODD: Final = (0, 0.0, 1, 1.0, 2, 0.5, 1 / 3, 4.999, 10, 1e4)
SIGNED: Final = frozenset(
    ("early", "early_usually", "later_than_usual", "shorter_than_usual", "plan_left", "last_push")
)
BOUNDED: Final = {
    "stage": 7,
    "day of the week": 6,
    "hour of the day": 23.999,
    "share": 1,
    "0/1": 1,
    "-1/0/1": 1,
    "-1 to 1": 1,
}
"""Units whose values end somewhere, and the highest of them."""
SIGNED_UNITS: Final = frozenset(("points of 10", "reliable changes", "standard errors", "-1/0/1", "-1 to 1"))
NOUN: Final = {
    "en": r"(visit|hour|day|week|minute|session|strain|contact|questionnaire|change|piece|rating|time|return|point)",
    "de": r"(Termin|Stunde|Tag|Woche|Minute|Sitzung|Belastung|Kontaktversuch|Fragebogen|Hausaufgabe|Bewertung|Punkt)",
}  # fmt: skip
ONE: Final = {
    "en": r"(?<![\d.,])1 " + NOUN["en"] + "s",
    "de": r"(?<![\d.,])1 (Termine|Stunden|Tagen?|Wochen|Minuten|Sitzungen|Belastungen|Kontaktversuche|Hausaufgaben|"
    r"Bewertungen)\b",
}


def values(feature: Feature) -> list[float]:
    """Odd values that a feature can take."""
    signed = feature.name in SIGNED or feature.unit in SIGNED_UNITS or feature.name.endswith("_fall")
    signed = signed and not feature.name.endswith("_level")
    found = [*ODD, *((-3.14, -1.0, -0.04) if signed else ())]
    high = BOUNDED.get(feature.unit)
    return found if high is None else [value for value in found if abs(value) <= high]


def faults(text: str, language: Language) -> list[str]:
    """What is wrong with a rendered sentence."""
    bare = re.sub(r"0 (to|bis) 10", "ten points", text)
    rules = {
        "an empty count": rf"(?<![\d.,])0 {NOUN[language]}",
        "one of many": ONE[language],
        "an empty decimal": r"\d[.,]0(?!\d)",
        "no number": r"\bnan\b|\bNone\b(?! of)|\binf\b",
        "a negative number": r"(?<!\w)-\d",
        "a share": "%",
        "a place": r"[{}]",
        "blanks": r"  |^ | $|\.$",
    }
    return [name for name, rule in rules.items() if re.search(rule, bare)]


def ids(words: Said) -> Iterator[tuple[str, ...]]:
    """The ids of a sentence and of its pieces."""
    yield (words.msgid,) if words.plural is None else (words.msgid, words.plural)
    for _, value in words.arguments:
        if isinstance(value, Said):
            yield from ids(value)


KNOWN: Final = {forms(message.id) for message in template()}


def checked(words: Said) -> None:
    assert set(ids(words)) <= KNOWN, "it is put together elsewhere, so the catalogue does not have it"
    for language in LANGUAGES:
        text = render(words, language)
        assert faults(text, language) == [], text
        assert len(text) < 180, text


@pytest.mark.parametrize("feature", [*FEATURES, *USUAL], ids=lambda feature: feature.name)
def test_every_sentence_of_a_feature_fits_odd_values_in_every_language(feature: Feature) -> None:
    course = Course(INTERPRET)
    absent = [None] if feature.missing is not None else []
    for value, points in product([*values(feature), *absent], (0.5, -0.5)):
        words = said_of(feature._replace(told=None), value, course)
        checked(pushing(words, points))
        assert re.match(r"[A-ZÄÖÜ0-9]", render(words, "de")) and re.match(r"[A-Z0-9]", render(words))


@settings(deadline=None, max_examples=100)
@given(episode_logs())
def test_whatever_happened_the_sentences_fit_in_every_language(events: list[AnyEvent]) -> None:
    live = lived(events)
    now = live.episode.latest
    for _, words in named_gaps(live.course, now):
        checked(words)
    for feature in FEATURES:
        value = feature.read(live.course, now)
        assert value is None or not isnan(value)
        checked(said_of(feature, value, live.course))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("0 visits missed so far", "an empty count"),
        ("1 visits missed so far", "one of many"),
        ("SRS 9.0 of 10", "an empty decimal"),
        ("rated nan", "no number"),
        ("-3 days", "a negative number"),
        ("100% of the visits", "a share"),
        ("{count} visits", "a place"),
        ("The last  visit", "blanks"),
    ],
)
def test_the_rules_find_what_they_are_for(text: str, fault: str) -> None:
    assert fault in faults(text, "en")
