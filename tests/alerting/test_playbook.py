"""The playbook offers, never directs or blames; each entry has a source; every kind of alert and pillar finds one."""

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepwell.alerting.conditions import CONDITIONS, SAYS, Condition
from keepwell.alerting.playbook import PLAYBOOK, PlaybookEntry, load, suggest
from keepwell.contract.words import AlertKind, Pillar

KINDS = get_args(AlertKind)
PILLARS = get_args(Pillar)

DIRECTIVE_OR_BLAMING = re.compile(
    r"\b(must|should|ought|have to|has to|need to|needs to|never|make sure|ensure|required?|insist|warn|confront them"
    r"|fail(s|ed|ing|ure)?|fault|blame|guilt\w*|non-?complian\w+|non-?adheren\w+|resist\w*|refus\w+|unmotivated"
    r"|uncooperative|difficult (client|patient|person)|defaulter|manipulat\w+|untreatable|your mistake|wrong with)\b",
    re.IGNORECASE,
)
OFFER = re.compile(r"You might|Some clinicians|It can help|One option is|(If|Where) [^.]*\byou might\b")
AUTHOR_YEAR_WHERE = re.compile(r"^[A-ZÀ-Ža-z][^\d]+ [^\d]*(NG\d+ )?(19|20)\d\d, \S.{5,}")

every_entry = pytest.mark.parametrize("entry", PLAYBOOK, ids=lambda entry: entry.id)


def test_the_playbook_has_at_least_45_entries() -> None:
    assert len(PLAYBOOK) >= 45


@every_entry
def test_no_wording_directs_or_blames(entry: PlaybookEntry) -> None:
    for text in (entry.text, entry.why):
        assert not DIRECTIVE_OR_BLAMING.search(text), text


@every_entry
def test_every_text_is_an_offer_of_one_or_two_sentences(entry: PlaybookEntry) -> None:
    if entry.kinds != ("safety",):
        assert OFFER.match(entry.text), entry.text
    assert 1 <= len(re.findall(r"[.?](?= |$)", entry.text)) <= 2


@every_entry
def test_every_entry_names_author_year_and_where_it_was_published(entry: PlaybookEntry) -> None:
    for source in entry.source.split("; "):
        assert AUTHOR_YEAR_WHERE.match(source), source


anything_true = st.frozensets(st.sampled_from(CONDITIONS))
BY_ID = {entry.id: entry for entry in PLAYBOOK}


@settings(max_examples=300)
@given(st.sampled_from(KINDS), st.sampled_from([*PILLARS, None]), anything_true)
def test_every_kind_and_pillar_reaches_a_suggestion_that_fits_whatever_is_true(
    kind: AlertKind, pillar: Pillar | None, conditions: frozenset[Condition]
) -> None:
    offers = suggest(kind, pillar, conditions)
    assert 1 <= len(offers) <= 3
    assert len({offer.id for offer in offers}) == len(offers)
    for offer in offers:
        entry = BY_ID[offer.id]
        assert set(entry.when) <= conditions and not set(entry.unless) & conditions
        assert kind in entry.kinds and (not entry.pillars or pillar in entry.pillars)


@every_entry
def test_every_entry_is_offered_first_somewhere_or_among_the_three(entry: PlaybookEntry) -> None:
    pillar = entry.pillars[0] if entry.pillars else None
    assert any(entry.suggestion() in suggest(kind, pillar, frozenset(entry.when)) for kind in entry.kinds)


def test_every_condition_is_asked_for_by_some_entry_and_has_its_words() -> None:
    asked = {name for entry in PLAYBOOK for name in (*entry.when, *entry.unless, *entry.first)}
    assert asked == set(CONDITIONS) == set(SAYS)


@pytest.mark.parametrize("pillar", PILLARS)
@pytest.mark.parametrize("kind", ["risk", "rupture"])
def test_entries_made_for_the_pillar_come_before_general_ones(kind: AlertKind, pillar: Pillar) -> None:
    assert pillar in BY_ID[suggest(kind, pillar, frozenset())[0].id].pillars


@settings(max_examples=200)
@given(st.sampled_from([*PILLARS, None]), anything_true)
def test_of_somebody_absent_a_contact_comes_before_what_is_said_in_a_session(
    pillar: Pillar | None, conditions: frozenset[Condition]
) -> None:
    offers = suggest("silence", pillar, conditions | {"absent"})
    places = [BY_ID[offer.id].where == "contact" for offer in offers]
    assert places[0] and places == sorted(places, reverse=True)


@pytest.mark.parametrize("kind", ["risk", "rupture"])
def test_after_two_cycles_without_change_another_way_comes_first(kind: AlertKind) -> None:
    for pillar in (*PILLARS, None):
        assert suggest(kind, pillar, frozenset(("repeated",)))[0].id == "repeated-take-it-to-supervision"


def test_a_missed_visit_a_questionnaire_or_a_rating_is_named_only_where_there_is_one() -> None:
    words = {
        "missed visit": {"missed"},
        "questionnaire": {"skipped"},
        "ratings": {"rated"},
        "cancellation": {"cancelled"},
    }
    for entry in PLAYBOOK:
        for word, needed in words.items():
            if word in entry.text:
                assert needed <= set(entry.when), entry.id


@pytest.mark.parametrize("pillar", ["goals", "tasks", "bond"])
def test_a_rupture_gets_what_fits_its_kind_and_nothing_made_for_the_other(pillar: Pillar) -> None:
    for rupture, other in (("withdrawal", "confrontation"), ("confrontation", "withdrawal")):
        offered = [BY_ID[offer.id].when for offer in suggest("rupture", pillar, frozenset((rupture,)), limit=99)]  # type: ignore[arg-type]  # a word of `Condition`
        assert rupture in offered[0]
        assert not any(other in when for when in offered)


@pytest.mark.parametrize(
    ("condition", "first"),
    [
        ("wishes_change", "ending-another-approach"), ("stalled", "ending-another-approach"),
        ("wishes_clinician", "ending-warm-transfer"), ("measured", "ending-talk-about-ending-well"),
    ],
)  # fmt: skip
def test_of_the_three_options_what_the_client_wishes_for_is_named_first(condition: Condition, first: str) -> None:
    offers = suggest("ending", None, frozenset((condition,)))
    assert (offers[0].id, len(offers)) == (first, 3)


@pytest.mark.parametrize(
    ("kind", "pillar", "true", "ruled_out", "offer"),
    [
        ("silence", None, {"absent", "missed"}, {"booked", "unanswered"}, "silence-reach-out-soon"),
        ("silence", None, {"absent", "cancelled"}, {"booked", "unanswered"}, "silence-new-times-for-a-cancelled-visit"),
        ("silence", None, {"absent"}, {"before_first", "missed", "cancelled"}, "silence-offer-the-next-time"),
        ("risk", "logistics", {"remote"}, {"before_first"}, "remote-how-is-it-this-way"),
        ("risk", "logistics", set(), {"remote"}, "logistics-another-format"),
        ("risk", "tasks", set(), {"later", "absent"}, "tasks-how-therapy-works"),
    ],
)  # fmt: skip
def test_no_offer_where_what_is_true_rules_it_out(
    kind: AlertKind, pillar: Pillar | None, true: set[Condition], ruled_out: set[Condition], offer: str
) -> None:
    def offered(conditions: set[Condition]) -> list[str]:
        return [one.id for one in suggest(kind, pillar, frozenset(conditions), limit=99)]

    assert offer in offered(true)
    for one in ruled_out:
        assert offer not in offered({*true, one}), one


@pytest.mark.parametrize("limit", [1, 3, 9])
def test_an_ending_gets_exactly_three_options_whatever_the_limit(limit: int) -> None:
    offers = suggest("ending", "bond", frozenset(("absent", "repeated")), limit=limit)
    assert [offer.id for offer in offers] == [
        "ending-talk-about-ending-well",
        "ending-another-approach",
        "ending-warm-transfer",
    ]
    assert {offer.text.split(" is ")[0] for offer in offers} == {"One option"}, "none stands before the others"


@pytest.mark.parametrize("pillar", [*PILLARS, None])
def test_safety_says_only_to_follow_the_clinics_protocol(pillar: Pillar | None) -> None:
    assert [offer.text for offer in suggest("safety", pillar, frozenset(("absent", "voiced")))] == [
        "Please follow your clinic's own safety protocol."
    ]


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ('id = "bond-own-a-part"', 'id = "bond-invite-feedback"', "bond-invite-feedback is there 2 times"),
        ('kinds = ["ending"]', 'kinds = ["risk"]', "exactly three"),
        ('kinds = ["ending"]\npillars = []', 'kinds = ["ending"]\npillars = ["bond"]', "names no pillar"),
        ('pillars = ["tasks"]', 'pillars = ["motivation"]', "motivation"),
        ('kinds = ["silence"]', 'kinds = ["warning"]', "warning"),
        ('source = "NICE', 'quelle = "NICE', "quelle|source"),
        ('id = "goals-', 'id = "Goals ', r"\.id"),
        ('when = ["homework"]', 'when = ["homeworks"]', "homeworks"),
        ('when = ["homework"]', 'when = ["homework"]\nunless = ["homework"]', "can never fit"),
        ('kinds = ["ending"]\npillars = []', 'kinds = ["ending"]\npillars = []\nwhen = ["voiced"]', "no condition"),
        ('when = ["homework"]', 'when = ["homework"]\nfirst = ["stalled"]', "no option at an ending"),
    ],
)
def test_a_broken_playbook_is_refused_with_what_is_wrong(tmp_path: Path, old: str, new: str, names: str) -> None:
    text = Path("keepwell/alerting/playbook.toml").read_text(encoding="utf-8")
    assert old in text
    broken = tmp_path / "playbook.toml"
    broken.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises((ValueError, msgspec.ValidationError), match=names):
        load(broken)
