"""The whole path in a browser: an event becomes a row, is answered from it, comes back settled, and is taken back."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from keepwell.contract.events import AlertActioned, EventRetracted
from tests.browser.clinic import HERS, WholeClinic
from tests.browser.conftest import Opening
from tests.postgres import Postgres, from_pypi

NUMBERS = itertools.count(1)
STRAIN = {"kind": "withdrawal", "pillar": "tasks"}
ON_ITS_WAY = "on its way"


@pytest.fixture(scope="module", params=["files", pytest.param("kafka-and-postgresql", marks=pytest.mark.kafka)])
def clinic(request: pytest.FixtureRequest) -> Iterator[WholeClinic]:
    """A clinic on what runs without anything else, and on what is used in production."""
    if request.param == "files":
        yield request.getfixturevalue("clinic_on_files")
        return
    log, prefix = f"kafka://{request.getfixturevalue('kafka_bootstrap')}", f"b{uuid.uuid4().hex[:10]}."
    with (
        Postgres(from_pypi()) as server,
        server.database() as database,
        WholeClinic(log=log, database=database, prefix=prefix) as lived,
    ):
        yield lived


@pytest.fixture
def subject(clinic: WholeClinic) -> str:
    """A client of the clinician, of whom nothing is known yet but one session."""
    name = f"path-{next(NUMBERS)}"
    clinic.tell(name, "episode.opened", client_id=f"p-{name}", clinician_id=HERS)
    clinic.tell(name, "session.attended")
    clinic.settle()
    return name


def row_of(page: Page, subject: str) -> Locator:
    return page.locator(f"[data-episode='north/{subject}']")


def test_an_event_comes_to_the_page_is_answered_settles_and_is_taken_back(
    clinic: WholeClinic, opening: Opening, subject: str
) -> None:
    page = opening("clinician")
    row = row_of(page, subject)
    expect(row).to_be_visible()
    expect(row.locator("[data-alert]")).to_have_count(0)
    loaded = page.evaluate("performance.timeOrigin")

    clinic.tell(subject, "rupture.noted", **STRAIN)
    matter = row.locator("[data-alert]")
    expect(matter).to_be_visible()

    alert_id = matter.get_attribute("data-alert")
    matter.locator(".quick button[value=repair_planned]").click()
    expect(matter.locator(".answered")).to_be_visible()
    expect(page.locator("#said")).to_contain_text(subject)
    expect(matter.locator(".answered")).to_be_focused()
    clinic.settle()
    expect(matter.locator(".answered .tag", has_text=ON_ITS_WAY)).to_have_count(0)
    given = [event for event in clinic.arrived(subject) if isinstance(event, AlertActioned)]
    assert [(event.data.alert_id, event.data.action, event.data.via) for event in given] == [
        (alert_id, "repair_planned", "page")
    ]
    assert given[0].source == "/north/keepwell"
    assert [event.id for event in clinic.accepted(subject) if isinstance(event, AlertActioned)] == [given[0].id]

    supervision = row_of(opening("supervisor"), subject)
    expect(supervision.locator("[data-alert] .answered")).to_be_visible()

    matter.locator("form.back button").click()
    expect(matter.locator(".quick")).to_be_visible()
    expect(page.locator("#said")).to_contain_text(subject)
    clinic.settle()
    back = [event for event in clinic.accepted(subject) if isinstance(event, EventRetracted)]
    assert [event.data.event_id for event in back] == [given[0].id]
    assert page.evaluate("performance.timeOrigin") == loaded, "nothing was loaded anew"
