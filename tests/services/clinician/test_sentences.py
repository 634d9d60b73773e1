"""The sentences of the clinician's pages: each in the table where the catalogue finds it, none unused, none missing."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Final, get_args

from babel.messages.extract import extract_from_dir

import services.clinician
from docs.catalogue import KEYWORDS
from keepwell.alerting.playbook import Where
from keepwell.contract.words import State
from services.clinician import sentences
from services.clinician.sentences import COUNTS, KINDS, WHY, WORDS
from services.clinician.templates import PLACES
from services.clinician.views import Why

ROOM: Final = Path(services.clinician.__file__).parent
NAMING: Final = ("render.py", "web.py", "people_pages.py", "prompt_pages.py", "prompts/mail.py")
"""The modules that name sentences."""
TEMPLATES: Final = {
    one.name: one.read_text(encoding="utf-8")
    for one in files("services.clinician").joinpath("pages").iterdir()
    if one.is_file()
}


def test_every_sentence_is_found_where_the_catalogue_looks() -> None:
    found = {row[2] for row in extract_from_dir(ROOM, keywords=KEYWORDS, method_map=[("**.py", "python")])}
    told = {one.msgid for table in (WORDS, KINDS, WHY) for one in table.values()}
    assert told <= found and set(COUNTS.values()) <= found
    assert {one.msgid for one in (*sentences.MONTHS, *sentences.WEEKDAYS)} <= found


def test_templates_hold_no_words_of_their_own() -> None:
    for name, text in TEMPLATES.items():
        bare = re.sub(r"\{#.*?#\}|\{\{.*?\}\}|\{%.*?%\}", "", text, flags=re.DOTALL)
        bare = (
            bare.replace(' class="paper"', "").replace(' data-stream="/api/v1/stream"', "").replace(' data-of=""', "")
        )
        words = re.findall(r"[A-Za-z]{2,}", re.sub(r'<[^>]*>|[\w-]+="[^"]*"', "", bare))
        assert [word for word in words if word != "Keepwell"] == [], name
        titled = re.findall(r'(?:aria-label|title|placeholder|alt)="([^"{]*\w[^"{]*)"', bare)
        assert titled == [], name


def test_every_sentence_is_used_and_every_one_that_is_used_is_there() -> None:
    code = [(ROOM / name).read_text(encoding="utf-8") for name in NAMING]
    text = "\n".join([*TEMPLATES.values(), *code])
    named = set(re.findall(r'\b(?:t|words)\("(\w+)"', text))
    assert named <= set(WORDS)
    asked = set(re.findall(r'\bn\("(\w+)"', text))
    assert asked <= set(COUNTS)
    elsewhere = {name for places in PLACES.values() for _, name in places} | set(get_args(Where))
    quoted = set(re.findall(r'"(\w+)"', text))
    assert set(WORDS) - named - elsewhere - quoted == set()
    assert set(COUNTS) - asked == {"minutes_ago"}


def test_every_word_of_a_view_has_its_sentence() -> None:
    assert set(WHY) == set(get_args(Why)) and set(get_args(State)) == {"open", "stopped", "ended"}
