"""A list is what the clients on it are by themselves, in the order of what needs a thought, however it is cut into pages."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from keepwell.contract.events import (
    Actioned,
    AlertActioned,
    EventRetracted,
    MeasureCompleted,
    Measured,
    Retracted,
    micros,
)
from services.clinician import queries
from services.clinician.queries import Asked
from services.clinician.schema import migrate
from services.clinician.tables import alerts, episodes
from services.clinician.telling import ABOUT_THE_SAME
from services.clinician.views import CaseloadItem, Viewer
from tests.services.clinician.lived import DAYS, START, Lived, lived, project
from tests.services.clinician.living import Whole, head, start, voiced
from tests.strategies import BASE

NOW = START + timedelta(days=DAYS)
BOSS = Viewer(user="u-1", role="supervisor", clinic="north", clinician_id=None)


@pytest.fixture(scope="module")
def log() -> Lived:
    return lived(40)


def _rank(item: CaseloadItem, next_visit: int | None) -> tuple[bool, bool, float, float, str]:
    kinds = {each.alert.kind for each in item.alerts if all(one.at < each.alert.at for one in each.answers)}
    ahead = next_visit if kinds and next_visit is not None and next_visit >= micros(NOW) else float("inf")
    return "safety" not in kinds, not kinds, ahead, -(item.risk.d30 if item.risk else 0.0), item.episode


def test_a_list_is_in_order_is_the_same_page_by_page_and_tells_of_each_what_its_own_page_tells(
    opened: sa.Engine, log: Lived
) -> None:
    migrate(opened)
    project(opened, log, 1_000)
    with opened.connect() as connection:
        whole, after = queries.caseload(connection, BOSS, NOW, limit=200)
        assert after is None and len(whole) > 10
        visits = dict(connection.execute(sa.select(episodes.c.key, episodes.c.next_visit)).all())
        ranks = [_rank(item, visits[item.episode]) for item in whole]
        assert ranks == sorted(ranks)
        for item in whole:
            view = queries.episode(connection, BOSS, item.episode, NOW)
            assert view is not None and view.item == item
        assert any(item.change for item in whole)
        for size in (1, 7):
            found, cursor = queries.caseload(connection, BOSS, NOW, limit=size)
            while cursor is not None:
                more, cursor = queries.caseload(connection, BOSS, NOW, limit=size, cursor=cursor)
                found += more
            assert found == whole
        with_alerts, _ = queries.caseload(connection, BOSS, NOW, Asked(alerts_open=True), limit=200)
        assert with_alerts == [item for item in whole if item.alerts] != []


def test_that_a_stop_became_more_likely_is_said_where_it_did_alone(opened: sa.Engine) -> None:
    migrate(opened)
    project(opened, lived(100), 1_000)
    with opened.connect() as connection:
        whole, _ = queries.caseload(connection, BOSS, NOW, limit=200)
    told = [item for item in whole if item.why in ("rose", "likely")]
    assert {item.why for item in told} == {"rose", "likely"}
    for item in told:
        rose = item.change is not None and item.change.risk_30d >= ABOUT_THE_SAME
        assert (item.why == "rose") == rose


def test_of_a_clinician_it_holds_their_own_alone(opened: sa.Engine, log: Lived) -> None:
    migrate(opened)
    project(opened, log, 1_000)
    with opened.connect() as connection:
        whole, _ = queries.caseload(connection, BOSS, NOW, limit=200)
        mine = next(item.clinician_id for item in whole if item.alerts)
        own = Viewer(user="u-2", role="clinician", clinic="north", clinician_id=mine)
        found, _ = queries.caseload(connection, own, NOW, limit=200)
    assert found == [item for item in whole if item.clinician_id == mine]


@pytest.mark.parametrize("role", ["supervisor", "clinician"])
def test_whoever_was_answered_stands_behind_those_who_wait_until_something_new_is_told(whole: Whole, role: str) -> None:
    viewer = Viewer(user="u-1", role=role, clinic="north", clinician_id="c-1")  # type: ignore[arg-type]  # a role
    endorsed = Measured(instrument="PHQ-9", scores={"total": 18}, safety_item=2)
    whole.live(*(start(f"ep-{n}") for n in range(1, 4)), voiced("f-2", 2, subject="ep-2"))
    whole.live(MeasureCompleted(**head("m-1", 2), data=endorsed), voiced("f-1", 2))

    def order() -> list[str]:
        with whole.engine.connect() as connection:
            found, after = queries.caseload(connection, viewer, BASE + timedelta(days=2), limit=1)
            while after is not None:
                more, after = queries.caseload(connection, viewer, BASE + timedelta(days=2), limit=1, cursor=after)
                found += more
        return [item.episode.partition("/")[2] for item in found]

    assert order()[:2] == ["ep-1", "ep-2"], "safety first"
    with whole.engine.connect() as connection:
        names = list(connection.execute(sa.select(alerts.c.id).where(alerts.c.episode == "north/ep-1")).scalars())
    assert len(names) == 2
    for name in names:
        given = Actioned(alert_id=name, action="acknowledged", by="u-1")
        whole.live(AlertActioned(**head(f"a-{name}", 3), data=given))
    assert order()[0] == "ep-2", "the only one that waits"
    whole.live(EventRetracted(**head("back", 4), data=Retracted(event_id=f"a-{names[0]}")))
    assert order()[0] == "ep-1", "its answer was taken back"
    whole.live(AlertActioned(**head("again", 5), data=Actioned(alert_id=names[0], action="acknowledged", by="u-1")))
    assert order()[0] == "ep-2"
    whole.live(voiced("f-3", 6, "empathy"))
    with whole.engine.connect() as connection:
        other = connection.execute(sa.select(alerts.c.id).where(alerts.c.episode == "north/ep-2")).scalar_one()
    whole.live(AlertActioned(**head("b-1", 7, "ep-2"), data=Actioned(alert_id=other, action="acknowledged", by="u-1")))
    assert order()[0] == "ep-1", "it was told again since"
