"""However a clinic sends a measure, the fold reads the same, and what it cannot read is named in the gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from keepwell.alerting.assess import Trigger
from keepwell.care.episode import Live
from keepwell.contract.events import Attended, Measured
from keepwell.contract.outputs import Score
from keepwell.scoring.gaps import gaps, named_gaps
from tests.episodes import Happening, assessor_of_all, lived, on, opened, story

ORS = ("individual", "interpersonal", "social", "overall")
SRS = ("goals", "tasks", "bond", "overall")
COURSE = (
    ((4, 5, 4, 5), (9.5,) * 4),
    ((4, 4, 4, 4), (9.4,) * 4),
    ((3, 4, 3, 4), (9.0,) * 4),
    ((3,) * 4, (5.5, 5, 5, 5.5)),
)
"""Four sessions of the trial case: ORS falls slowly, SRS falls from the cliff at the last."""


def told(spell: Mapping[str, str]) -> Live:
    """The course sent in one way; `spell` gives the names of the scores that are sent."""
    happenings: list[Happening] = [(0, opened())]
    for week, (wellbeing, rating) in enumerate(COURSE, start=1):
        for day, name, items, values in ((7 * week, "ORS", ORS, wellbeing), (7 * week + 0.1, "SRS", SRS, rating)):
            whole = {**dict(zip(items, values, strict=True)), "total": round(sum(values), 1)}
            sent = {spell[scale]: score for scale, score in whole.items() if scale in spell}
            happenings.append((day, Measured(instrument=spell.get(name, name), scores=sent)))
        happenings.append((7 * week + 0.05, Attended()))
    return lived(story(*sorted(happenings, key=lambda each: each[0])))


def score(live: Live) -> Score:
    """Its score a day after the last session."""
    return assessor_of_all().score(live, on(29), Trigger("any"))[0]


ALL = {name: name for name in (*ORS, *SRS, "total")}
CAPITALS = {name: name.upper() for name in ALL} | {"ORS": "ors", "SRS": "S R S"}
ITEMS = {name: name for name in ALL if name != "total"}
ALIASES = ALL | {"tasks": "Approach", "bond": "Relationship"}


@pytest.mark.parametrize("spell", [CAPITALS, ITEMS, ALIASES, ITEMS | {"tasks": "approach"}])
def test_items_only_capitals_and_other_names_give_the_score_of_the_whole(spell: Mapping[str, str]) -> None:
    assert score(told(spell)) == score(told(ALL))


def test_a_total_only_gives_the_course_of_the_totals() -> None:
    whole, totals = told(ALL).course, told({"total": "Total"}).course
    assert totals.progress == whole.progress
    assert totals.alliance.current["total"] == whole.alliance.current["total"]
    assert named_gaps(totals, on(29)) == named_gaps(whole, on(29)) == []


@pytest.mark.parametrize(
    ("instrument", "scores"),
    [("ORS", {"individual": 4.0}), ("ORS", {"sum": 18.0}), ("SRS", {"sum": 30.0}), ("phq9", {"item_1": 2.0})],
)
def test_a_known_instrument_of_which_nothing_could_be_read_is_named_in_the_gaps_until_something_is(
    instrument: str, scores: dict[str, float]
) -> None:
    told: Sequence[Happening] = [(0, opened()), (7, Measured(instrument=instrument, scores=scores))]
    name = {"phq9": "PHQ-9"}.get(instrument, instrument)
    assert f"the last {name} holds no score that can be read" in gaps(lived(story(*told)).course, on(8))
    assert "unread" in dict(named_gaps(lived(story(*told)).course, on(8)))
    later = [*told, (14, Measured(instrument=name, scores={"total": 12.0}))]
    assert "unread" not in dict(named_gaps(lived(story(*later)).course, on(15)))


def test_an_alliance_measure_that_could_not_be_read_is_not_taken_for_a_rating() -> None:
    visits: list[Happening] = [(7.0 * week, Attended()) for week in range(1, 5)]
    unread: list[Happening] = [
        (7.0 * week - 0.1, Measured(instrument="SRS", scores={"sum": 30.0})) for week in range(2, 5)
    ]
    rated: Happening = (6.9, Measured(instrument="SRS", scores={"total": 38.0}))
    course = lived(story(*sorted([(0, opened()), rated, *visits, *unread], key=lambda each: each[0]))).course
    assert "no alliance rating for 3 sessions" in gaps(course, on(29))
    assert "old_alliance" in dict(named_gaps(course, on(29)))


@pytest.mark.parametrize(("instrument", "sent"), [("ORS", ORS), ("ors", tuple(name.title() for name in ORS))])
def test_an_ending_is_an_improved_leavers_by_subscales_alone(instrument: str, sent: Sequence[str]) -> None:
    happenings: list[Happening] = [(0, opened())]
    for week, item in ((1, 3.0), (2, 8.0)):
        happenings += [
            (7.0 * week, Measured(instrument=instrument, scores=dict.fromkeys(sent, item))),
            (7.0 * week, Attended()),
        ]
    (spell,) = lived(story(*happenings)).course.standing.spells_at(on(60))
    assert spell.ending == "improved_leaver"
