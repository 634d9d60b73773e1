"""What compaction dropped of a score history is filled from the log, to the byte; never what was erased, or is another's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy import event

from keepwell.cli.replay import replay_log
from keepwell.contract.events import ClientErased, decode_accepted
from keepwell.streams.log import Log, Partition, Record, partition_for
from keepwell.streams.sqlite.log import SqliteLog
from keepwell.streams.standing import standing
from services.clinician import history
from services.clinician.history import HeldScore, HistoryDiffers, ScoreHistory, missing_scores
from services.clinician.places import place_now, read_on
from services.clinician.projector import EventsProjection, empty
from services.clinician.schema import migrate
from services.clinician.tables import episodes, scores
from services.clinician.views import Viewer
from services.predictor.bootstrap import processor
from tests.services.clinician.databases import every_database, just_before
from tests.services.clinician.lived import TOPICS, Lived, follow, project
from tests.services.erasure.clinic import GONE, OF_GONE, SUBJECTS, Clinic, erasure

ERASED: Final = [f"north/{subject}" for subject in SUBJECTS]
Row = tuple[str, int, bytes]


class Crash(BaseException):
    """The process died."""


def held(log: Log) -> Lived:
    """What a log holds of each topic."""

    def of(topic: str) -> dict[Partition, list[Record]]:
        places = [Partition(topic, number) for number in range(log.partitions(topic))]
        return {place: list(standing(log, place)) for place in places}

    return Lived(of(TOPICS.episodes), of(TOPICS.scores), of(TOPICS.alerts))


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Clinic, Lived]]:
    """A clinic whose scores were compacted, and all that its log ever held."""
    with closing(SqliteLog(tmp_path_factory.mktemp("log") / "keepwell.db")) as log:
        found = Clinic(log)
        found.live()
        whole = held(log)
        compact(found)
        yield found, whole


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Clinic]:
    """A clinic of the test's own."""
    with closing(SqliteLog(tmp_path / "keepwell.db")) as log:
        found = Clinic(log)
        found.live()
        yield found


@pytest.fixture
def engine(opened: sa.Engine) -> sa.Engine:
    migrate(opened)
    return opened


def compact(clinic: Clinic) -> None:
    assert isinstance(clinic.log, SqliteLog)
    clinic.log.compact(TOPICS.scores)


def rows(engine: sa.Engine) -> list[Row]:
    """Every score by episode, in the order in which pages tell it, without its offset."""
    asked = sa.select(scores.c.episode, scores.c.as_of, scores.c.value)
    with engine.connect() as connection:
        found = connection.execute(asked.order_by(scores.c.episode, scores.c.partition, scores.c.offset))
        return [tuple(row) for row in found]


def thrown_away(engine: sa.Engine, whole: Lived) -> list[Row]:
    """Follows all that a log ever held, throws the read model away, and gives the scores that it had."""
    project(engine, whole)
    before = rows(engine)
    empty(engine)
    return before


def fill(engine: sa.Engine, clinic: Clinic, kind: type[ScoreHistory] = ScoreHistory) -> ScoreHistory:
    filling = kind(engine, TOPICS.scores)
    replay_log(clinic.log, processor(TOPICS), TOPICS, None, verify=False, history=filling)
    return filling


@every_database
def test_a_read_model_that_was_thrown_away_has_the_score_history_that_it_had(
    engine: sa.Engine, clinic: tuple[Clinic, Lived]
) -> None:
    lived, whole = clinic
    before = thrown_away(engine, whole)
    project(engine, held(lived.log))
    gaps = rows(engine)
    assert len(gaps) == len({key for key, _, _ in gaps}) < len(before) / 4
    filled = fill(engine, lived)
    assert rows(engine) == before
    assert (filled.filled, filled.skipped) == (len(before) - len(gaps), 0)
    again = fill(engine, lived)
    assert rows(engine) == before
    assert (again.filled, again.skipped) == (0, 0)


def test_a_read_model_that_was_behind_has_its_gap_filled_and_what_is_still_to_come_is_left_to_the_log(
    engine: sa.Engine, clinic: tuple[Clinic, Lived]
) -> None:
    lived, whole = clinic
    before = thrown_away(engine, whole)
    first = {place: records[: len(records) // 2] for place, records in whole.scores.items()}
    project(engine, whole._replace(scores=first))
    early = rows(engine)
    assert fill(engine, lived).filled == 0
    assert rows(engine) == early
    project(engine, held(lived.log))
    assert len(early) < len(rows(engine)) < len(before)
    fill(engine, lived)
    assert rows(engine) == before


def test_the_filled_lie_in_the_partition_and_before_the_place_that_was_followed(
    engine: sa.Engine, clinic: tuple[Clinic, Lived]
) -> None:
    lived, _ = clinic
    project(engine, held(lived.log))
    fill(engine, lived)
    with engine.connect() as connection:
        ends = place_now(connection, TOPICS)
        for row in connection.execute(sa.select(scores)):
            assert row.partition == partition_for(row.episode.encode(), lived.log.partitions(TOPICS.scores))
            assert row.offset < ends["score", row.partition]


def test_a_stream_that_is_resumed_after_the_filling_tells_nothing_twice(
    engine: sa.Engine, clinic: tuple[Clinic, Lived]
) -> None:
    lived, whole = clinic
    viewer = Viewer(user="u-1", role="supervisor", clinic="north", clinician_id=None)

    def told(begin: Any) -> tuple[list[tuple[str, str]], list[Any]]:
        with engine.connect() as connection:
            read = read_on(connection, viewer, begin, place_now(connection, TOPICS), 10_000)
        assert not read.more
        news = [one for one in read.news if one.kind == "score"]
        return [(one.episode, one.name) for one in news], [one.reached for one in news]

    project(engine, whole)
    live, places = told({})
    empty(engine)
    project(engine, held(lived.log))
    fill(engine, lived)
    assert sorted(told({})[0]) == sorted(live)
    for number in range(0, len(live), 7):
        rest = live[number + 1 :]
        resumed, _ = told(places[number])
        assert all(resumed.count(one) <= rest.count(one) for one in resumed)


def test_a_filling_that_dies_anywhere_is_taken_up_again(
    engine: sa.Engine, clinic: tuple[Clinic, Lived], monkeypatch: pytest.MonkeyPatch
) -> None:
    lived, whole = clinic
    project(engine, whole)
    before = rows(engine)
    monkeypatch.setattr(history, "EPISODES_AT_ONCE", 2)
    deaths = 0
    empty(engine)
    project(engine, held(lived.log))
    sizes = [len(rows(engine))]
    left = 0

    def dies(_: object, __: object, text: str, *___: object) -> None:
        nonlocal left
        if text.startswith("INSERT INTO scores"):
            left -= 1
            if left < 0:
                raise Crash

    event.listen(engine, "before_cursor_execute", dies)
    while True:
        left = 1
        try:
            fill(engine, lived)
            break
        except Crash:
            deaths += 1
            sizes.append(len(rows(engine)))
    event.remove(engine, "before_cursor_execute", dies)
    assert deaths > 2 and sizes == sorted(set(sizes)), "each got on, by a transaction"
    assert rows(engine) == before


def erase(engine: sa.Engine, clinic: Clinic) -> None:
    """The projector reaches the erasure in the log."""
    follow(EventsProjection(engine), held(clinic.log).events, 100)


@every_database
@pytest.mark.parametrize("again", [False, True], ids=["for-good", "begun-anew"])
def test_an_erased_client_stays_gone_and_a_course_begun_anew_has_its_own_scores_alone(
    engine: sa.Engine, own: Clinic, again: bool
) -> None:
    project(engine, held(own.log))
    assert {key for key, _, _ in rows(engine)} > set(ERASED)
    own.send([erasure()])
    own.ingest()
    if again:
        own.send(OF_GONE)
        own.ingest()
    own.predict()
    before = [row for row in rows(engine) if row[0] not in ERASED]
    project(engine, held(own.log))
    anew = [row for row in rows(engine) if row[0] in ERASED]
    assert bool(anew) == again
    compact(own)
    empty(engine)
    project(engine, held(own.log))
    told = [decode_accepted(record.value) for record in own.raw(TOPICS.episodes) if record.value is not None]
    assert any(isinstance(one, ClientErased) for one in told), "the log has not forgotten the client yet"
    fill(engine, own)
    assert sorted(rows(engine)) == sorted(before + anew)
    own.erase()
    fill(engine, own)
    assert sorted(rows(engine)) == sorted(before + anew)


@every_database
@pytest.mark.parametrize("again", [False, True], ids=["for-good", "begun-anew"])
def test_a_client_who_is_erased_between_the_replay_and_the_filling_stays_gone(
    engine: sa.Engine, own: Clinic, again: bool
) -> None:
    compact(own)
    project(engine, held(own.log))
    others = sorted({key for key, _, _ in rows(engine)} - set(ERASED))
    anew: list[Row] = []

    class ErasedLate(ScoreHistory):
        def fill(self, number: int, end: int) -> None:
            if number == 0:
                own.send([erasure()])
                own.ingest()
                if again:
                    own.send(OF_GONE)
                    own.ingest()
                own.predict()
                project(engine, held(own.log))
                anew.extend(row for row in rows(engine) if row[0] in ERASED)
            super().fill(number, end)

    fill(engine, own, ErasedLate)
    found = rows(engine)
    assert [row for row in found if row[0] in ERASED] == anew
    assert bool(anew) == again
    assert {key for key, _, _ in found if key not in ERASED} == set(others)
    assert len(found) > 4 * len(others)


@every_database
def test_a_client_who_is_erased_while_the_rows_are_written_is_gone_with_them(engine: sa.Engine, own: Clinic) -> None:
    compact(own)
    project(engine, held(own.log))
    own.send([erasure(GONE)])
    own.ingest()
    place = partition_for(ERASED[0].encode(), own.log.partitions(TOPICS.scores))

    class OfOne(ScoreHistory):
        def fill(self, number: int, end: int) -> None:
            if number == place:
                with just_before(engine, "INSERT INTO scores", lambda: erase(engine, own)):
                    super().fill(number, end)

    assert fill(engine, own, OfOne).filled > 0
    left = {key for key, _, _ in rows(engine)}
    assert left and left.isdisjoint(ERASED)


def test_a_score_that_the_replay_gives_otherwise_stops_it_and_nothing_of_its_episode_is_written(
    engine: sa.Engine, clinic: tuple[Clinic, Lived]
) -> None:
    lived, _ = clinic
    project(engine, held(lived.log))
    with engine.begin() as connection:
        row = connection.execute(sa.select(scores).order_by(scores.c.episode).limit(1)).one()
        told = msgspec.json.decode(row.value)
        other = msgspec.json.encode(told | {"model": "sha256:other"})
        connection.execute(sa.update(scores).filter_by(episode=row.episode).values(value=other))
    with pytest.raises(HistoryDiffers) as refused:
        fill(engine, lived)
    place = f"risk-scores[{row.partition}]@{row.offset}"
    assert str(refused.value).startswith(
        f"{place}: differs from the replay: {told['trigger_source']} {told['trigger']}. "
    )
    assert "--releases" in str(refused.value)
    assert told["episode"] not in str(refused.value) and 'other"' not in str(refused.value)
    assert [one for one in rows(engine) if one[0] == row.episode] == [(row.episode, row.as_of, other)]


def test_an_episode_that_the_read_model_does_not_know_is_skipped_and_counted(
    engine: sa.Engine, clinic: tuple[Clinic, Lived]
) -> None:
    lived, _ = clinic
    project(engine, held(lived.log))
    with engine.begin() as connection:
        first, second, *_ = connection.execute(sa.select(episodes.c.key).order_by(episodes.c.key)).scalars()
        connection.execute(sa.delete(episodes).filter_by(key=first))
        connection.execute(sa.delete(scores).filter_by(episode=second))
    assert fill(engine, lived).skipped == 2
    found = [key for key, _, _ in rows(engine)]
    assert found.count(first) == 1 and second not in found


def score(number: int, text: str = "") -> bytes:
    return b'{"trigger":"e-%d","trigger_source":"/north/x","text":"%s"}' % (number, text.encode())


def among(produced: Sequence[int], found: Sequence[tuple[int, int]]) -> Callable[[], list[int]]:
    given = [HeldScore(offset, score(number)) for offset, number in found]
    return lambda: [one.offset for one in missing_scores([score(number) for number in produced], given)[0]]


def test_the_missing_lie_between_those_that_are_held_and_none_after_the_last() -> None:
    assert among([1, 2, 3, 4, 5, 6], [(9, 3), (20, 5)])() == [0, 1, 10]
    assert among([1, 2], [])() == []
    assert among([1, 2], [(5, 2), (9, 7)])() == [0], "the newest is newer than the replay"


@pytest.mark.parametrize(
    ("produced", "found"),
    [([1, 2, 3], [(1, 3)]), ([1, 2], [(4, 2), (5, 1)]), ([1, 2], [(3, 7), (4, 2)])],
    ids=["no-room", "another-order", "one-that-the-replay-has-not"],
)
def test_what_cannot_be_the_same_log_is_refused(produced: list[int], found: list[tuple[int, int]]) -> None:
    with pytest.raises(HistoryDiffers):
        among(produced, found)()
