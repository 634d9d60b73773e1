"""The scorecard as data: what fits, what is refused, and that it reads back as it was written."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from keepwell.care.moments import STAGES
from keepwell.scoring.scorecard import OUTPUTS, Scorecard, Term, check
from keepwell.scoring.scorer import Scorer
from models.hand_set import scorecard

TERM: Final = Term(feature="sessions", edges=(1, 3), points=((0.0,) * 4, (1.0,) * 4, (-1.0,) * 4))
STAGE: Final = Term(feature="stage", edges=(), points=((0.0,) * 4,))
CARD: Final = Scorecard(base=(-4, -3, -2, -1), terms=(TERM,))
BY_STAGE: Final = Scorecard(base=CARD.base, terms=(TERM, STAGE), stages=(((0.1, 0.9),) * len(OUTPUTS),) * len(STAGES))


def test_a_card_without_stages_is_written_as_before_there_were_any_and_one_with_them_reads_back() -> None:
    assert b"stages" not in msgspec.json.encode(CARD)
    assert msgspec.json.decode(msgspec.json.encode(BY_STAGE), type=Scorecard) == BY_STAGE
    assert CARD.pairs == (CARD.calibration,) * len(STAGES) and BY_STAGE.pairs == BY_STAGE.stages


# ── what is refused ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("card", "why"),
    [
        (msgspec.structs.replace(CARD, terms=(TERM, TERM)), "a feature has more than one term"),
        (
            msgspec.structs.replace(CARD, terms=(msgspec.structs.replace(TERM, feature="eye_colour"),)),
            "eye_colour: no such feature",
        ),
        (msgspec.structs.replace(CARD, terms=(msgspec.structs.replace(TERM, edges=(1,)),)), "sessions: 1 edges need 2"),
        (msgspec.structs.replace(CARD, terms=(msgspec.structs.replace(TERM, edges=(3, 1)),)), "edges must increase"),
        (msgspec.structs.replace(CARD, terms=(msgspec.structs.replace(TERM, edges=(1, 1)),)), "edges must increase"),
        (msgspec.structs.replace(CARD, calibration=((0, 1),) * 3), "calibration needs"),
        (msgspec.structs.replace(CARD, calibration=((0, 1), (0, 1), (0, 0), (0, 1))), "positive slope"),
        (msgspec.structs.replace(CARD, calibration=((0, 1), (0, -1), (0, 1), (0, 1))), "positive slope"),
        (
            msgspec.structs.replace(BY_STAGE, stages=BY_STAGE.pairs[1:]),
            "stages need a calibration for each of before, ",
        ),
        (msgspec.structs.replace(BY_STAGE, stages=(((0, 1),) * 3, *BY_STAGE.pairs[1:])), "calibration needs"),
        (msgspec.structs.replace(BY_STAGE, stages=(((0, 0),) * 4, *BY_STAGE.pairs[1:])), "positive slope"),
        (msgspec.structs.replace(CARD, stages=BY_STAGE.pairs), "a term of the feature stage"),
    ],
)
def test_a_card_that_does_not_fit_is_refused_with_the_reason(card: Scorecard, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check(card)
    with pytest.raises(ValueError, match=why):
        Scorer(card)


@pytest.mark.parametrize(
    "change",
    [
        b'"base":[0,0,0]', b'"base":[0,0,0,"x"]', b'"base":[0,0,0,1e999]', b'"base":[0,0,0,NaN]', b'"base":[0,0,0,null]',
        b'"base":[0,0,0,0],"extra":1',
    ],
)  # fmt: skip
def test_a_card_that_is_not_of_its_type_is_not_read(change: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        msgspec.json.decode(b"{" + change + b',"terms":[]}', type=Scorecard)


def test_a_card_reads_back_as_it_was_written() -> None:
    for card in (scorecard(), CARD):
        assert msgspec.json.decode(msgspec.json.encode(card), type=Scorecard) == card
