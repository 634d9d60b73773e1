"""The read model is a function of the log: however it was batched, broken off, repeated or thrown away; erased is erased."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
import sqlalchemy as sa

from keepwell.care.instruments import Instruments
from keepwell.contract.events import ClientErased, Erased, decode_accepted, encode
from keepwell.contract.keys import episode_of
from keepwell.streams.log import Doubt, Partition, Record
from services.clinician import projector
from services.clinician.projector import (
    AlertsProjection,
    EventsProjection,
    OfEpisodes,
    ScoresProjection,
    empty,
    folded,
)
from services.clinician.schema import downgrade, migrate
from services.clinician.tables import alerts, clients, episodes, events, positions, scores
from tests.services.clinician.databases import every_database, just_before
from tests.services.clinician.lived import DAYS, START, TOPICS, Lived, content, follow, lived, project


@pytest.fixture(scope="module")
def log() -> Lived:
    return lived()


@pytest.fixture
def engine(opened: sa.Engine) -> sa.Engine:
    migrate(opened)
    return opened


@every_database
def test_every_event_score_and_alert_stands_there_and_an_episode_as_its_course_says(
    engine: sa.Engine, log: Lived
) -> None:
    project(engine, log)
    told = [decode_accepted(one.value) for records in log.events.values() for one in records if one.value is not None]
    of_episodes = [event for event in told if event.subject.startswith("ep-")]
    found = content(engine)
    assert len(found["events"]) == len(of_episodes) > 100
    assert len(found["scores"]) == sum(map(len, log.scores.values()))
    raised = {one[0] for one in found["alerts"]}
    assert len(raised) == len(found["alerts"]) > 0
    with engine.connect() as connection:
        for row in connection.execute(sa.select(episodes)):
            course = folded(connection, row.key, Instruments()).course
            assert (row.sessions, row.last_session, row.clinician) == (
                course.sessions, course.last_session, course.clinician,
            )  # fmt: skip
            newest = connection.execute(
                sa.select(scores.c.as_of).filter_by(episode=row.key).order_by(scores.c.offset.desc()).limit(1)
            ).scalar()
            assert row.scored_at == newest


@every_database
def test_it_is_the_same_however_the_log_was_batched_and_when_it_is_thrown_away_and_followed_again(
    engine: sa.Engine, log: Lived
) -> None:
    project(engine, log, 1_000)
    whole = content(engine)
    for size in (7, 333):
        empty(engine)
        assert not any(content(engine).values())
        project(engine, log, size)
        assert content(engine) == whole


def test_a_read_model_from_before_the_counts_is_brought_to_what_it_would_be(engine: sa.Engine, log: Lived) -> None:
    project(engine, log)
    whole = content(engine)
    assert whole["answers"] and any(row[-1] is not None for row in whole["episodes"])
    downgrade(engine, "0007")
    migrate(engine)
    assert content(engine) == whole


@every_database
def test_what_another_projector_took_already_is_doubted_and_changes_nothing(engine: sa.Engine, log: Lived) -> None:
    project(engine, log)
    whole = content(engine)
    partition, records = next(iter(log.events.items()))
    with pytest.raises(Doubt):
        EventsProjection(engine).handle(partition, records[:10])
    assert content(engine) == whole


@every_database
def test_a_projector_that_is_at_work_while_all_is_thrown_away_begins_anew_and_leaves_no_gap(
    engine: sa.Engine, log: Lived
) -> None:
    project(engine, log)
    whole = content(engine)
    place, records = next(iter(log.scores.items()))
    empty(engine)
    follow(EventsProjection(engine), log.events, 100)
    at_work = ScoresProjection(engine, lambda _: True)
    assert at_work.position(place) == 0
    assert at_work.handle(place, records[:5]).done == 5
    with just_before(engine, "INSERT INTO scores", lambda: empty(engine)):
        assert at_work.handle(place, records[5:10]).done == 5
    assert not any(content(engine).values()), "what was written meanwhile is gone too"
    with pytest.raises(Doubt):
        at_work.handle(place, records[10:])
    assert at_work.position(place) == 0
    follow(EventsProjection(engine), log.events, 100)
    follow(at_work, log.scores, 100)
    follow(AlertsProjection(engine, lambda _: True), log.alerts, 100)
    assert content(engine) == whole


def test_scores_and_alerts_wait_until_the_events_of_their_episode_are_there(engine: sa.Engine, log: Lived) -> None:
    partition, records = next(iter(log.scores.items()))
    waiting = ScoresProjection(engine, lambda _: True)
    assert waiting.handle(partition, records[:5]).done == 0
    follow(EventsProjection(engine), log.events, 100)
    assert waiting.handle(partition, records[:5]).done == 5


def test_a_database_that_is_gone_is_waited_for(log: Lived, tmp_path_factory: pytest.TempPathFactory) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path_factory.mktemp('gone') / 'none' / 'nothing.db'}")
    partition, records = next(iter(log.events.items()))
    handled = EventsProjection(engine).handle(partition, records)
    assert handled.done == 0 and handled.again > 0


def _erasure(client: str) -> ClientErased:
    return ClientErased(
        specversion="1.0", id="er-1", source="/north/keepwell", subject="_erased", time=START + timedelta(days=DAYS),
        data=Erased(client_id=client),
    )  # fmt: skip


@every_database
def test_an_erased_client_leaves_nothing_and_what_comes_late_is_not_written(engine: sa.Engine, log: Lived) -> None:
    project(engine, log)
    with engine.connect() as connection:
        client, key = connection.execute(sa.select(clients.c.client, clients.c.episode)).first() or ("", "")
    late = lived(more=[_erasure(client)])
    empty(engine)
    follow(EventsProjection(engine), late.events, 100)
    gone: list[Record] = []

    def stands(record: Record) -> bool:
        gone.append(record)
        return False

    follow(ScoresProjection(engine, stands), log.scores, 100)
    follow(AlertsProjection(engine, stands), log.alerts, 100)
    assert gone, "the records of the erased were asked for"
    with engine.connect() as connection:
        for table, column in ((events, "episode"), (scores, "episode"), (alerts, "episode"), (clients, "client")):
            wanted: Sequence[str] = (key, client)
            held = connection.execute(sa.select(sa.func.count()).where(table.c[column].in_(wanted))).scalar()
            assert held == 0, table.name
        assert connection.execute(sa.select(episodes).filter_by(key=key)).first() is None
        assert connection.execute(sa.select(sa.func.count()).select_from(episodes)).scalar() == 11
        assert connection.execute(sa.select(sa.func.count()).select_from(positions)).scalar() == 6


def test_a_client_who_began_anew_in_one_partition_is_kept_though_another_meets_the_erasure_later(
    engine: sa.Engine, log: Lived
) -> None:
    project(engine, log)
    with engine.connect() as connection:
        client, key, place = connection.execute(
            sa.select(clients.c.client, clients.c.episode, events.c.partition)
            .join(events, events.c.episode == clients.c.episode)
            .limit(1)
        ).one()
    late = lived(more=[_erasure(client)])
    source = Partition(TOPICS.episodes, place)
    opening = next(
        one for one in log.events[source] if one.key == key.encode() and b"episode.opened" in (one.value or b"")
    )
    late.events[source].append(opening._replace(offset=len(late.events[source])))
    for order in (late.events, dict(reversed(late.events.items()))):
        empty(engine)
        follow(EventsProjection(engine), order, 100)
        with engine.connect() as connection:
            found = connection.execute(sa.select(events.c.offset).filter_by(episode=key)).scalars().all()
        assert found == [len(late.events[source]) - 1]


@every_database
@pytest.mark.parametrize(("of", "table"), [(ScoresProjection, scores), (AlertsProjection, alerts)])
def test_what_is_written_while_its_client_is_erased_goes_with_the_rest(
    engine: sa.Engine, of: type[OfEpisodes], table: sa.Table
) -> None:
    log = lived(24)  # enough that alerts of several clients stand in one partition
    follow(EventsProjection(engine), log.events, 100)
    outputs = log.scores if of is ScoresProjection else log.alerts
    place, records = max(outputs.items(), key=lambda one: len({episode_of(record.key or b"") for record in one[1]}))
    key = episode_of(records[0].key or b"").decode()
    with engine.connect() as connection:
        client = connection.execute(sa.select(clients.c.client).filter_by(episode=key)).scalar_one()
    source = Partition(TOPICS.episodes, place.number)
    erasure = Record(source, len(log.events[source]), b"_erased#0.0", encode(_erasure(client)))
    with just_before(engine, f"INSERT INTO {table.name}", lambda: EventsProjection(engine).handle(source, [erasure])):
        assert of(engine, lambda _: True).handle(place, records).done == len(records)
    with engine.connect() as connection:
        assert connection.execute(sa.select(episodes).filter_by(key=key)).first() is None
        assert connection.execute(sa.select(table).filter_by(episode=key)).first() is None
        assert connection.execute(sa.select(table)).first() is not None


def test_a_live_that_was_let_go_of_is_folded_again(
    engine: sa.Engine, log: Lived, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(engine, log)
    whole = content(engine)
    empty(engine)
    monkeypatch.setattr(projector, "KEPT_LIVE", 1)
    project(engine, log, 20)
    assert content(engine) == whole
