"""Every kind of alert of the contract is a file, and every file a kind."""

from __future__ import annotations

from pathlib import Path

from keepwell.alerting import kinds
from keepwell.alerting.kinds import KINDS, LASTING
from keepwell.alerting.kinds.risk import strongest_grounds
from keepwell.contract.words import ALERT_KINDS
from keepwell.scoring.features import BY_NAME
from keepwell.scoring.reasons import Ground, said_of
from tests.episodes import booked, lived, opened, srs, story


def test_every_file_is_a_kind_of_the_contract_and_says_its_own_name() -> None:
    files = {file.stem for file in Path(kinds.__path__[0]).glob("*.py")} - {"__init__", "kind"}
    assert files == set(ALERT_KINDS)
    assert {name: kind.name for name, kind in KINDS.items()} == {name: name for name in ALERT_KINDS}


def test_safety_is_told_of_an_event_and_every_other_kind_lasts() -> None:
    assert [kind.name for kind in LASTING] == [name for name in ALERT_KINDS if name != "safety"]


def test_where_nothing_known_raises_the_risk_an_alert_says_so_and_what_is_missing_comes_after_it() -> None:
    missing = ground("bond_level", None, 0.8)
    words = strongest_grounds([missing]).words
    assert words == (
        "Little is known of this client yet, and many who stop do so around the first sessions",
        "No alliance rating yet",
    )
    known = ground("mandated", 1.0, 0.2)
    assert strongest_grounds([known, missing]).words[0] == "Referred by a court or an employer"


def ground(name: str, value: float | None, points: float) -> Ground:
    course = lived(story((0, opened()), (0, booked("a", 3)))).course
    return Ground(BY_NAME[name], value, points, said_of(BY_NAME[name], value, course))


def test_a_fall_is_told_as_a_fall_though_the_last_rating_lies_where_it_usually_does_by_now() -> None:
    ratings = ((1, 9.0), (8, 9.0), (15, 2.0), (22, 6.0), (29, 7.0))
    course = lived(story(*((day, srs(9, 9, bond, 9)) for day, bond in ratings))).course
    words = KINDS["rupture"].grounds(course, 0, ()).words
    assert words == ("An alliance rating fell well below what is usual for this person",)
