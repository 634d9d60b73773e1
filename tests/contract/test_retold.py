"""English sentences of the log, told in another language."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

import msgspec
import pytest

from keepwell.contract.outputs import Alert, Score
from keepwell.contract.retold import retold
from keepwell.contract.say import Said, render, said, translations
from keepwell.streams.topics import Topics
from tests.services.clinician.lived import lived

PLACE = re.compile(r"\{(\w+)\}")


def test_a_sentence_with_its_numbers_and_pieces_is_found_and_told_again() -> None:
    for sentence in (
        said("{what} {score} of {high}; usually about {usual}", what=said("{instrument} bond", instrument="SRS"), score=4.5,
             high=10.0, usual=9.0),
        said("A strain between the two was reported: the client {what}", what=said("draws back")),
        said("Nothing asks for a thought now."),
    ):  # fmt: skip
        assert retold(render(sentence), "de") == render(sentence, "de") != render(sentence)


@pytest.mark.parametrize(("count", "german"), [(1, "1 Sitzung"), (7, "7 Sitzungen")])
def test_a_count_takes_its_singular_or_plural(count: int, german: str) -> None:
    assert retold(f"{count} session{'s' if count > 1 else ''}", "de") == german


def test_what_is_in_no_catalogue_stays_as_it_is_and_english_is_never_touched() -> None:
    for text in ("", "Quite another sentence", "north/ep-17", "12.5", "x" * 2_000):
        assert retold(text, "de") == retold(text, "en") == text


def test_every_reason_gap_and_alert_of_a_lived_clinic_is_told_in_german() -> None:
    log, topics = lived(30), Topics()
    texts: dict[str, str] = {}
    for topic, kind in ((log.scores, Score), (log.alerts, Alert)):
        for records in topic.values():
            for record in records:
                told: Any = msgspec.json.decode(record.value or b"", type=kind)
                reasons = told.reasons
                texts |= {getattr(one, "text", one): topics.scores for one in reasons}
                texts |= dict.fromkeys(getattr(told, "gaps", ()), "gap")
                for suggestion in getattr(told, "suggestions", ()):
                    texts |= {suggestion.text: "text", suggestion.why: "why"}
    assert len(texts) > 100
    same = [text for text in texts if retold(text, "de") == text]
    assert same == []
    english = re.compile(r"\b(raises|lowers|usually|since|visit|the|of|and)\b|\d\.\d")
    assert list(filter(english.search, (retold(text, "de") for text in texts))) == []


def test_no_two_sentences_of_the_catalogue_read_the_same_in_english_and_differ_in_german() -> None:
    known = translations("de")
    read: dict[str, set[str]] = defaultdict(set)
    for msgid in known._catalog:  # type: ignore[attr-defined]  # every sentence there is
        if isinstance(msgid, str) and re.search("[a-z]", PLACE.sub("", msgid)):
            read[PLACE.sub("{}", msgid)].add(PLACE.sub("{}", known.gettext(msgid)))
    assert [english for english, german in read.items() if len(german) > 1] == []


def test_a_word_with_a_place_is_a_sentence_of_its_own() -> None:
    assert render(Said("{one}, {two}", (("one", "a"), ("two", "b")))) == retold("a, b", "de") == "a, b"
