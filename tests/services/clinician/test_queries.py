"""A list is what the clients on it are by themselves, in the order of what needs a thought, however it is cut into pages."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from keepwell.contract.events import micros
from services.clinician import queries
from services.clinician.queries import Asked
from services.clinician.schema import migrate
from services.clinician.tables import episodes
from services.clinician.views import CaseloadItem, Viewer
from tests.services.clinician.lived import DAYS, START, Lived, lived, project

NOW = START + timedelta(days=DAYS)
BOSS = Viewer(user="u-1", role="supervisor", clinic="north", clinician_id=None)


@pytest.fixture(scope="module")
def log() -> Lived:
    return lived(40)


def _rank(item: CaseloadItem, next_visit: int | None) -> tuple[bool, bool, float, float, str]:
    kinds = {each.alert.kind for each in item.alerts}
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


def test_of_a_clinician_it_holds_their_own_alone(opened: sa.Engine, log: Lived) -> None:
    migrate(opened)
    project(opened, log, 1_000)
    with opened.connect() as connection:
        whole, _ = queries.caseload(connection, BOSS, NOW, limit=200)
        mine = next(item.clinician_id for item in whole if item.alerts)
        own = Viewer(user="u-2", role="clinician", clinic="north", clinician_id=mine)
        found, _ = queries.caseload(connection, own, NOW, limit=200)
    assert found == [item for item in whole if item.clinician_id == mine]
