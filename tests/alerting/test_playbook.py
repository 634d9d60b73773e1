"""The playbook offers, never directs or blames; each entry has a source; every kind of alert and pillar finds one."""

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

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


def test_the_playbook_has_at_least_25_entries() -> None:
    assert len(PLAYBOOK) >= 25


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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pillar", [*PILLARS, None])
@pytest.mark.parametrize("rupture", ["withdrawal", "confrontation", None])
def test_every_kind_and_pillar_reaches_a_suggestion(kind: AlertKind, pillar: Pillar | None, rupture: None) -> None:
    offers = suggest(kind, pillar, rupture)
    assert 1 <= len(offers) <= 3
    assert len({offer.id for offer in offers}) == len(offers)


@pytest.mark.parametrize("pillar", PILLARS)
def test_risk_finds_entries_made_for_the_pillar_before_general_ones(pillar: Pillar) -> None:
    by_id = {entry.id: entry for entry in PLAYBOOK}
    first = by_id[suggest("risk", pillar)[0].id]
    assert first.pillars[0] == pillar


@pytest.mark.parametrize("pillar", ["goals", "tasks", "bond"])
def test_a_rupture_gets_what_fits_its_kind_and_nothing_made_for_the_other(pillar: Pillar) -> None:
    kinds = {entry.id: entry.rupture for entry in PLAYBOOK}
    for rupture, other in (("withdrawal", "confrontation"), ("confrontation", "withdrawal")):
        offered = [kinds[offer.id] for offer in suggest("rupture", pillar, rupture, limit=99)]  # type: ignore[arg-type] # the loop widens the literal
        assert offered[0] == rupture
        assert other not in offered
    assert not {"withdrawal", "confrontation"} & {kinds[offer.id] for offer in suggest("rupture", pillar, limit=99)}


@pytest.mark.parametrize("limit", [1, 3, 9])
def test_an_ending_gets_exactly_three_options_whatever_the_limit(limit: int) -> None:
    offers = suggest("ending", "bond", limit=limit)
    assert [offer.id for offer in offers] == [
        "ending-talk-about-ending-well",
        "ending-another-approach",
        "ending-warm-transfer",
    ]
    assert {offer.text.split(" is ")[0] for offer in offers} == {"One option"}, "none stands before the others"


@pytest.mark.parametrize("pillar", [*PILLARS, None])
def test_safety_says_only_to_follow_the_clinics_protocol(pillar: Pillar | None) -> None:
    assert [offer.text for offer in suggest("safety", pillar)] == ["Please follow your clinic's own safety protocol."]


def test_the_same_question_gives_the_same_suggestions() -> None:
    assert suggest("risk", "bond") == suggest("risk", "bond")


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
    ],
)
def test_a_broken_playbook_is_refused_with_what_is_wrong(tmp_path: Path, old: str, new: str, names: str) -> None:
    text = Path("keepwell/alerting/playbook.toml").read_text(encoding="utf-8")
    assert old in text
    broken = tmp_path / "playbook.toml"
    broken.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises((ValueError, msgspec.ValidationError), match=names):
        load(broken)
