"""The pages over a lived clinic: what is new, what waits for an answer, and what is answered at once."""

from __future__ import annotations

import re
from datetime import timedelta

import msgspec
import pytest

from keepwell.contract.events import (
    Actioned,
    AlertActioned,
    InstrumentRegistered,
    MeasureCompleted,
    Measured,
    Registered,
)
from services.clinician import web
from services.clinician.people.access import without_rule
from tests.services.clinician.living import Whole, head, start, voiced
from tests.services.clinician.sound import sound
from tests.strategies import BASE


def why(page: str) -> dict[str, str]:
    """Why each client stands on the page of today."""
    return dict(re.findall(r'data-episode="([^"]+)" data-why="([^"]+)"', page))


def alerts_on(page: str) -> list[str]:
    return re.findall(r'data-alert="([^"]+)"', page)


def test_every_route_of_the_pages_has_a_rule(whole: Whole) -> None:
    assert without_rule(whole.app) == []


def test_what_is_new_is_told_since_the_user_looked_and_of_each_user_apart(whole: Whole) -> None:
    whole.live(start(), voiced("f-1", 1))
    anna, bo = whole.user(), whole.user("supervisor", None)
    assert 'class="new"' not in anna.get("/").text, "to who never looked everything is new, so nothing is said to be"
    assert anna.get("/episodes/north/ep-1").status_code == 200
    assert 'class="new"' not in anna.get("/").text
    whole.live(voiced("f-2", 60, "goals"))
    whole.clock.append(BASE + timedelta(hours=61))
    told = anna.get("/").text
    assert 'class="new"' in told and "More urgent than before: a strain between the two" in told
    assert ": is not going well" in told
    assert 'class="new"' not in bo.get("/").text
    anna.get("/episodes/north/ep-1")
    assert 'class="new"' not in anna.get("/").text


def test_an_answered_matter_waits_for_news_and_a_put_off_one_comes_back(whole: Whole) -> None:
    whole.live(start(), voiced("f-1", 1))
    anna = whole.user()
    [name] = alerts_on(anna.get("/").text)
    assert why(anna.get("/").text) == {"north/ep-1": "voiced"}
    assert anna.post(f"/alerts/{name}/answers", data={"action": "repair_planned"}).status_code == 303
    assert why(anna.get("/").text) == {"north/ep-1": "quiet"}, "at once, before the log brings it back"
    whole.come_back()
    assert why(anna.get("/").text) == {"north/ep-1": "quiet"}
    whole.live(voiced("f-2", 60, "goals"))
    whole.clock.append(BASE + timedelta(hours=61))
    assert why(anna.get("/").text) == {"north/ep-1": "voiced"}, "something new was said"
    until = (BASE + timedelta(days=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    anna.post(f"/alerts/{name}/answers", data={"action": "snoozed", "until": until})
    assert why(anna.get("/").text) == {"north/ep-1": "quiet"}
    whole.clock.append(BASE + timedelta(days=5, minutes=1))
    assert why(anna.get("/").text) == {"north/ep-1": "back_from_snooze"}


def test_after_a_leave_all_is_marked_as_seen_but_safety(whole: Whole) -> None:
    whole.live(*(event for n in range(4) for event in (start(f"ep-{n}"), voiced(f"f-{n}", 1, "trust", f"ep-{n}"))))
    safety = Measured(instrument="PHQ-9", scores={"total": 20.0}, safety_item=2.0)
    whole.live(MeasureCompleted(**head("m-1", 2, "ep-0"), data=safety))
    anna, boss = whole.user(), whole.user("supervisor", None)
    page = anna.get("/").text
    assert 'action="/alerts/seen"' in page and 'action="/alerts/seen"' not in boss.get("/").text
    assert boss.post("/alerts/seen").status_code == 404
    assert anna.post("/alerts/seen").status_code == 303
    given = [msgspec.json.decode(one.value or b"", type=AlertActioned) for one in whole.log.taken]
    assert [one.data.action for one in given] == ["acknowledged"] * 4
    assert len({one.data.alert_id for one in given}) == 4
    assert why(anna.get("/").text) == {"north/ep-0": "safety"} | {f"north/ep-{n}": "quiet" for n in (1, 2, 3)}
    anna.post("/alerts/seen")
    assert len(whole.log.taken) == 4, "a second time there is nothing left"


def test_endorsements_of_safety_stand_in_one_card_and_are_answered_together(whole: Whole) -> None:
    item = Measured(instrument="PHQ-9", scores={"total": 20.0}, safety_item=2.0)
    whole.live(start(), *(MeasureCompleted(**head(f"m-{n}", n + 1), data=item) for n in range(3)))
    anna = whole.user()
    page = anna.get("/").text
    [name] = alerts_on(page)
    assert page.count("Also endorsed") == 2
    anna.post(f"/alerts/{name}/answers", data={"action": "acknowledged"})
    given = [msgspec.json.decode(one.value or b"", type=AlertActioned).data for one in whole.log.taken]
    assert len({one.alert_id for one in given}) == 3 and {one.action for one in given} == {"acknowledged"}
    assert isinstance(given[0], Actioned)
    assert why(anna.get("/").text) == {"north/ep-1": "quiet"}


def test_an_instrument_that_is_registered_amid_events_stops_nothing(whole: Whole) -> None:
    mood = Registered(
        name="MOOD", kind="outcome", lowest=0, highest=10, higher_is_better=True, cutoff=5, reliable_change=2
    )
    registered = InstrumentRegistered(**head("i-1", 1, "MOOD"), data=mood)
    told = Measured(instrument="MOOD", scores={"total": 4.0})
    whole.live(start(), voiced("f-1", 1), registered, MeasureCompleted(**head("m-1", 2), data=told), start("ep-2"))
    assert set(why(whole.user().get("/").text)) == {"north/ep-1", "north/ep-2"}
    assert "MOOD 4 of 10" in whole.user().get("/episodes/north/ep-1").text


def test_further_clients_are_those_that_were_asked_for(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "MOST_ROWS", 1)
    whole.live(*[start(f"ep-{n}") for n in range(1, 5)], start("other-1"), start("other-2"))
    anna = whole.user()
    found, path = [], "/?q=ep-&state=open"
    while path:
        page = sound(anna.get(path).text)
        found += page.having("data-episode")
        path = next((link["href"] for link in page.all("a") if "cursor=" in link["href"]), "")
    assert sorted(found) == [f"north/ep-{n}" for n in range(1, 5)]
