"""The instruments table: the published facts, the sense of each direction, and a clinic's own instruments."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from keepwell.care import instruments
from keepwell.care.instruments import KNOWN, Instrument, Instruments, instrument_of
from keepwell.contract.control import registration
from keepwell.contract.events import Range, Registered

PUBLISHED = {
    # name: low, high, cut-off, reliable change, higher is better (CONTRACT section 1; WAI-SR: ranges only)
    "ORS": (0, 40, 25, 5, True),
    "SRS": (0, 40, 36, 5, True),
    "PHQ-9": (0, 27, 10, 6, False),
    "GAD-7": (0, 21, 8, 4, False),
    "OQ-45": (0, 180, 63, 14, False),
    "CORE-10": (0, 40, 11, 6, False),
}


def test_the_table_holds_the_instruments_of_the_contract() -> None:
    assert set(KNOWN) == {*PUBLISHED, "WAI-SR"}


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_an_instrument_has_its_published_facts(name: str) -> None:
    known = KNOWN[name]
    facts = (known.low, known.high, known.cutoff, known.reliable_change, known.higher_is_better)
    assert facts == PUBLISHED[name]


def test_the_srs_warns_by_item_at_nine_and_wai_subscales_run_from_4_to_20() -> None:
    assert KNOWN["SRS"].item_cutoff == 9
    assert {KNOWN["WAI-SR"].limits(scale) for scale in ("goals", "tasks", "bond")} == {(4, 20)}


def test_every_instrument_of_the_file_is_known_by_its_name() -> None:
    assert [each for each in vars(instruments).values() if isinstance(each, Instrument)] == list(KNOWN.values())


@pytest.mark.parametrize("instrument", KNOWN.values(), ids=lambda i: i.name)
def test_every_instrument_names_its_source_and_its_subscales_add_up_to_its_range(instrument: Instrument) -> None:
    assert instrument.source
    assert instrument.low <= instrument.cutoff <= instrument.high
    if instrument.scales:
        assert sum(low for low, _ in instrument.scales.values()) == instrument.low
        assert sum(high for _, high in instrument.scales.values()) == instrument.high
    assert set(instrument.aliases.values()) <= set(instrument.scales)


@pytest.mark.parametrize("instrument", KNOWN.values(), ids=lambda i: i.name)
def test_a_change_towards_the_better_end_is_a_gain(instrument: Instrument) -> None:
    worst, best = (
        (instrument.low, instrument.high) if instrument.higher_is_better else (instrument.high, instrument.low)
    )
    assert instrument.gain(worst, best) == instrument.high - instrument.low
    assert instrument.past_cutoff(best) and not instrument.past_cutoff(worst)


@pytest.mark.parametrize("instrument", KNOWN.values(), ids=lambda i: i.name)
def test_change_is_reliable_from_the_reliable_change_index_on(instrument: Instrument) -> None:
    step = instrument.reliable_change if instrument.higher_is_better else -instrument.reliable_change
    middle = (instrument.low + instrument.high) / 2
    assert instrument.reliably_improved(middle, middle + step)
    assert not instrument.reliably_improved(middle, middle + step * 0.99)
    assert not instrument.reliably_improved(middle, middle - step)


def test_the_cutoff_itself_is_clinical_where_low_is_good_and_not_where_high_is_good() -> None:
    assert not KNOWN["PHQ-9"].past_cutoff(10)
    assert KNOWN["ORS"].past_cutoff(25)


def test_a_subscale_is_known_by_the_instruments_own_word_too() -> None:
    srs = KNOWN["SRS"]
    assert srs.limits("approach") == srs.limits("tasks") == (0, 10)
    assert srs.limits("relationship") == srs.limits("bond")
    assert srs.limits("something") is None


FACTS: dict[str, Any] = {
    "name": "MY-SCALE", "kind": "outcome", "lowest": 0.0, "highest": 50.0, "higher_is_better": False, "cutoff": 20.0,
    "reliable_change": 7.0,
}  # fmt: skip


@pytest.mark.parametrize("scale", ["total", "Total", "TOTAL", "Approach", "RELATIONSHIP", "Goals"])
def test_the_name_of_a_score_counts_whatever_its_case(scale: str) -> None:
    assert KNOWN["SRS"].limits(scale) == KNOWN["SRS"].limits(scale.lower()) is not None


@pytest.mark.parametrize("name", ["ORS", "SRS", "WAI-SR"])
def test_a_missing_total_is_the_sum_where_all_subscales_are_there(name: str) -> None:
    known = KNOWN[name]
    scores = {scale.title(): high - 0.1 for scale, (_, high) in known.scales.items()}
    assert known.readable(scores)["total"] == pytest.approx(known.high - 0.1 * len(scores), abs=1e-12)
    for scale in scores:
        assert "total" not in known.readable({each: score for each, score in scores.items() if each != scale})


def test_a_total_that_was_given_is_left_as_it_was() -> None:
    scores = {"individual": 4, "interpersonal": 5, "social": 4, "overall": 5, "total": 22}
    assert KNOWN["ORS"].readable(scores)["total"] == 22


def test_of_one_score_under_two_names_the_exact_one_counts_whatever_the_order() -> None:
    for scores in ({"total": 12, "Total": 13}, {"Total": 13, "total": 12}):
        assert KNOWN["PHQ-9"].readable(scores) == {"total": 12}


def test_scores_that_the_instrument_does_not_know_are_not_readable() -> None:
    assert KNOWN["PHQ-9"].readable({"sum": 12, "item_9": 1}) == {}
    assert KNOWN["PHQ-9"].refusal({"sum": 1200}) is None


def test_a_score_out_of_range_is_none() -> None:
    assert KNOWN["ORS"].readable({"individual": 4, "social": 11, "total": 41}) == {"individual": 4}


@pytest.mark.parametrize(("name", "refused"), [("ORS", True), ("SRS", True), ("WAI-SR", False)])
def test_a_total_must_be_the_sum_where_the_contract_says_so(name: str, refused: bool) -> None:
    known = KNOWN[name]
    scores = {scale: low for scale, (low, _) in known.scales.items()} | {"total": known.high - 1}
    assert (known.refusal(scores) is not None) is refused


def _own(high: float) -> Instrument:
    return Instrument(
        name="OWN", low=0, high=high, higher_is_better=True, cutoff=5, reliable_change=2, source="own",
        scales={"Mood": (0, 10), "sleep": (0, 10)},
    )  # fmt: skip


def test_an_own_instrument_adds_up_where_its_range_is_that_of_its_subscales_together() -> None:
    assert _own(20).readable({"mood": 3, "SLEEP": 4}) == {"Mood": 3, "sleep": 4, "total": 7}
    assert _own(10).readable({"mood": 3, "SLEEP": 4}) == {"Mood": 3, "sleep": 4}
    assert _own(10).refusal({"mood": 3, "sleep": 4, "total": 3.5}) is None


@pytest.mark.parametrize("name", ["phq-9", "PHQ9", "PHQ 9", "phq_9", "Phq\u20119", "PHQ-9 "])
def test_an_instrument_is_known_however_its_name_is_spelled(name: str) -> None:
    assert Instruments().get("north", name) is KNOWN["PHQ-9"]


@pytest.mark.parametrize("name", ["PHQ", "PHQ-8", "PHQ-9-A", "PHQ-9.2", "GAD", "", "X"])
def test_a_name_that_nobody_registered_stays_unknown(name: str) -> None:
    assert Instruments().get("north", name) is None


def test_an_exact_name_goes_before_another_spelling() -> None:
    own = msgspec.structs.replace(_own(20), name="mood-5"), msgspec.structs.replace(_own(10), name="MOOD 5")
    instruments = Instruments({"north": {each.name: each for each in own}})
    assert instruments.get("north", "mood-5") is own[0]
    assert instruments.get("north", "MOOD 5") is own[1]
    assert instruments.get("north", "Mood5") is own[1]
    assert instruments.get("south", "Mood5") is None


def test_an_own_instrument_holds_for_its_clinic_only() -> None:
    instruments = Instruments.of([registration("north", Registered(**FACTS), datetime(2026, 1, 1, tzinfo=UTC))])
    own = instruments.get("north", "MY-SCALE")
    assert own is not None and own.limits("total") == (0, 50)
    assert instruments.get("south", "MY-SCALE") is None
    assert instruments.get("north", "PHQ-9") is KNOWN["PHQ-9"]


def test_without_registration_only_the_known_are_known() -> None:
    assert Instruments().get("north", "PHQ-9") is KNOWN["PHQ-9"]
    assert Instruments().get("north", "MY-SCALE") is None


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"name": "PHQ-9"}, "known already"),
        ({"highest": -1.0}, "`lowest`"),
        ({"highest": float("inf")}, "finite"),
        ({"cutoff": 70.0}, "`cutoff`"),
        ({"cutoff": float("nan")}, "finite"),
        ({"reliable_change": 0.0}, "`reliable_change`"),
        ({"reliable_change": 51.0}, "`reliable_change`"),
        ({"subscales": {"mood": Range(lowest=3, highest=3)}}, "`mood`"),
    ],
)
def test_facts_that_cannot_be_are_refused_by_name(change: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        instrument_of(Registered(**(FACTS | change)))
