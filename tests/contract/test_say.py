"""Sentences with places, and how what fills them reads in a language."""

from __future__ import annotations

from typing import cast

import pytest

from keepwell.contract.say import Language, Said, counted, number, pair, render, said, translations

VISITS = pair("{count} visit missed so far", "{count} visits missed so far")
NONE = said("No visit missed so far")


@pytest.mark.parametrize(
    ("count", "english", "german"),
    [
        (0, "No visit missed so far", "Bisher kein Termin verpasst"),
        (0.4, "No visit missed so far", "Bisher kein Termin verpasst"),
        (1.0, "1 visit missed so far", "Bisher 1 Termin verpasst"),
        (2, "2 visits missed so far", "Bisher 2 Termine verpasst"),
        (1e4, "10000 visits missed so far", "Bisher 10000 Termine verpasst"),
    ],
)
def test_a_count_is_whole_and_has_the_form_of_its_language(count: float, english: str, german: str) -> None:
    words = counted(count, *VISITS, NONE)
    assert (render(words), render(words, "de")) == (english, german)


@pytest.mark.parametrize(
    ("value", "english", "german"),
    [
        (0.0, "0", "0"), (-0.01, "0", "0"), (1.0, "1", "1"), (1 / 3, "0.3", "0,3"), (4.999, "5", "5"), (27.5, "27.5", "27,5"),
        (-3.14, "-3.1", "-3,1"), (1e4, "10000", "10000"), (3, "3", "3"),
    ],
)  # fmt: skip
def test_a_number_has_at_most_one_decimal_and_the_mark_of_its_language(value: float, english: str, german: str) -> None:
    assert (number(value), number(value, "de")) == (english, german)


def test_a_piece_that_begins_a_sentence_gets_a_capital_and_a_name_stays_as_it_is() -> None:
    assert render(said("{share} was done", share=said("about half"))) == "About half was done"
    assert render(said("{instrument} 3 of 5", instrument="mood")) == "mood 3 of 5"
    assert render(said("{what} 3", what=said("{instrument} bond", instrument="mood"))) == "mood bond 3"
    assert render(said("done: {share}", share=said("about half"))) == "done: about half"


def test_a_name_may_hold_braces() -> None:
    assert render(said("the last {instrument} holds no score that can be read", instrument="{0}{x}")) == (
        "the last {0}{x} holds no score that can be read"
    )


def test_a_sentence_that_is_not_in_the_catalogue_is_told_in_english() -> None:
    assert render(said("Nobody has translated {this}", this="x"), "de") == "Nobody has translated x"


def test_a_language_that_is_none_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="xx: the sentences are there in en, de"):
        render(said("today"), cast("Language", "xx"))


def test_equal_sentences_are_equal_so_that_they_can_be_kept() -> None:
    def one() -> Said:
        return counted(3, *VISITS, NONE)

    assert one() == one() and hash(one()) == hash(one())


def test_the_header_of_a_translation_is_no_sentence() -> None:
    assert "Plural-Forms" in translations("de").gettext("")
    assert render(said("today"), "de") == "heute"
