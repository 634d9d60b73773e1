"""Other definitions, rules and replays, each on an episode short enough to judge by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keepwell.care.endings import DAY, Spell
from keepwell.contract.events import AnyEvent, Attended, Ended, Missed, decode_accepted
from keepwell.streams.log import Record
from keepwell.streams.worker.step import Step
from tests.episodes import Happening, booked, measured, on, opened, srs, story, weekly
from tests.strategies import moment
from training.dataset import Dataset, InMemory, build
from training.dataset.sources import gather
from training.evaluate.definitions import EARLY, JUDGEMENT, PLAN, EpisodeOutcome, outcomes, targets
from training.evaluate.replays import replayed
from training.evaluate.rules import MISSED_TWICE, SRS_FALL, SRS_LOW, SRS_LOWEST, SRS_OPENFIT, SRS_WARNING, verdicts
from training.fit.sample import sample_of

NOW = moment(400 * DAY)


def told(*happenings: Happening) -> tuple[Dataset, list[AnyEvent], dict[str, EpisodeOutcome]]:
    events = story(*happenings)
    found = outcomes(gather(InMemory(events), (), NOW, {}))
    return build(InMemory(events), as_of=NOW), events, found


def by_definition(*happenings: Happening) -> dict[str, set[float]]:
    """The targets that occur over the rows of an episode, by definition; without those that are NaN."""
    dataset, _, found = told(*happenings)
    columns = targets(sample_of(dataset), found, on(400))
    return {name: {value for value in column.tolist() if not np.isnan(value)} for name, column in columns.items()}


def test_a_clinicians_word_alone_decides_its_own_definition() -> None:
    assert by_definition((0, opened()), *weekly(2), (20, Ended(reason="client_stopped")))[JUDGEMENT.name] == {1.0}
    assert by_definition((0, opened()), *weekly(2), (20, Ended(reason="planned")))[JUDGEMENT.name] == {0.0}
    assert by_definition((0, opened()), *weekly(2))[JUDGEMENT.name] == set()
    ended = Ended(reason="client_stopped", mutual=True)
    assert by_definition((0, opened()), *weekly(2), (20, ended))[JUDGEMENT.name] == {0.0}


def test_fewer_sessions_than_four_is_a_dropout_whatever_the_reason() -> None:
    assert by_definition((0, opened()), *weekly(3), (30, Ended(reason="planned")))[EARLY.name] == {1.0}
    assert by_definition((0, opened()), *weekly(4))[EARLY.name] == {0.0}


def test_a_plan_counts_only_where_one_was_told() -> None:
    assert by_definition((0, opened(planned_sessions=6)), *weekly(5))[PLAN.name] == {1.0}
    assert by_definition((0, opened(planned_sessions=5)), *weekly(5))[PLAN.name] == {0.0}
    assert by_definition((0, opened()), *weekly(5))[PLAN.name] == set()


def test_every_definition_is_judged_at_the_same_moments() -> None:
    happenings = [(0, opened()), *weekly(2), (9, measured("ORS", 20)), (16, Ended(reason="client_stopped"))]
    dataset, _, found = told(*happenings)
    decisive = dataset.frame["moment"].notna().to_numpy()
    assert decisive.any() and not decisive.all()
    for column in targets(sample_of(dataset), found, on(400)).values():
        assert np.isnan(column[~decisive]).all()


def test_what_lies_too_near_the_end_of_the_data_does_not_count() -> None:
    told_late = by_definition(
        (320, opened(planned_sessions=2)), (330, Attended()), (340, Ended(reason="client_stopped"))
    )
    assert set(map(len, told_late.values())) == {0}


def test_rules_see_what_was_known_at_the_moment_and_nothing_later() -> None:
    dataset, events, _ = told(
        (0, opened()), (7, srs(9.5, 9.5, 9.5, 9.5)), (14, srs(9.5, 9.5, 8.5, 9.0)), (21, srs(8, 8, 8, 8)),
    )  # fmt: skip
    found = verdicts(dataset.frame, events)
    rows = dict(
        zip(((dataset.frame["as_of"].astype("int64") - on(0)) // DAY).tolist(), range(len(dataset.frame)), strict=True)
    )
    assert [found[SRS_LOW.name][rows[day]] for day in (0, 7, 14, 21)] == [0, 0, 0, 1]
    assert [found[SRS_WARNING.name][rows[day]] for day in (0, 7, 14, 21)] == [0, 0, 1, 1]
    assert [found[SRS_FALL.name][rows[day]] for day in (0, 7, 14, 21)] == [0, 0, 1, 1]
    assert [found[SRS_OPENFIT.name][rows[day]] for day in (0, 7, 14, 21)] == [0, 0, 1, 1]
    assert found[SRS_LOWEST.name][rows[0]] == -np.inf
    assert found[SRS_LOWEST.name][rows[21]] == -32


def test_a_fall_of_a_point_is_one_however_it_is_written() -> None:
    ratings = (32.3, 31.3, 30.4)  # as floats, the first less the second is not quite 1
    dataset, events, _ = told((0, opened()), *((7 * n, measured("SRS", one)) for n, one in enumerate(ratings, 1)))
    rated = (dataset.frame["kind"] == "measured").to_numpy()
    assert verdicts(dataset.frame, events)[SRS_FALL.name][rated].tolist() == [0, 1, 0]


def test_without_any_rating_no_rule_of_ratings_holds() -> None:
    dataset, events, _ = told((0, opened()), *weekly(3))
    found = verdicts(dataset.frame, events)
    assert not any(found[rule.name].any() for rule in (SRS_LOW, SRS_FALL, SRS_OPENFIT, SRS_WARNING))


class Listener:
    """A processor that only keeps what it was given."""

    def __init__(self) -> None:
        self.seen: list[Record] = []

    def restore(self, partition: int, key: bytes, payload: bytes | None) -> None:
        raise AssertionError("nothing is restored")

    def forget(self, partition: int) -> None:
        raise AssertionError("nothing is forgotten")

    def step(self, partition: int, records: Sequence[Record]) -> Step:
        self.seen.extend(records)
        return Step([], {}, len(records), len(records), 0)


def test_what_happens_at_midnight_is_replayed_before_the_tick_of_midnight() -> None:
    midnight = 1 - on(0) % DAY / DAY
    events = story((0, opened()), (midnight, Attended()), (midnight + 0.5, Attended()))
    listener = Listener()
    replayed(listener, gather(InMemory(events), (), None, {}), "alerts")
    kinds = [decode_accepted(record.value or b"").type.split(".")[1] for record in listener.seen]
    assert kinds == ["clock", "episode", "session", "clock", "session", "clock"]
    assert [record.offset for record in listener.seen] == list(range(6))


def test_two_missed_in_a_row_are_forgotten_when_one_is_attended() -> None:
    dataset, events, _ = told(
        (0, opened()), (1, booked("a", 7)), (7, Missed(appointment_id="a")), (8, booked("b", 14)),
        (14, Missed(appointment_id="b")), (15, booked("c", 21)), (21, Attended(appointment_id="c")),
        (22, booked("d", 28)), (28, Missed(appointment_id="d")),
    )  # fmt: skip
    flag = verdicts(dataset.frame, events)[MISSED_TWICE.name]
    day = ((dataset.frame["as_of"].astype("int64") - on(0)) // DAY).to_numpy()
    assert [flag[day == at].max() for at in (7, 8, 14, 15, 21, 28)] == [0, 0, 1, 1, 0, 0]


def test_an_outcome_holds_both_readings_of_an_ending() -> None:
    _, events, found = told((0, opened(planned_sessions=9)), *weekly(2), (100, Ended(reason="planned")))
    outcome = found[events[0].key]
    assert [spell.ending for spell in outcome.spells] == ["dropout"]
    assert outcome.judged == Spell(on(0), on(14), on(100), "other")
    assert (outcome.sessions, outcome.planned, outcome.over) == (2, 9, True)
