"""The page of messages: wishes kept as they are given, odd addresses refused beside the field, and what became."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from keepwell.contract.events import micros
from services.clinician.prompt_pages import CHANNEL_WORDS, KIND_WORDS, STATE_WORDS
from services.clinician.prompts.tables import notices
from services.clinician.prompts.wishes import PUSHED, Wishes, wishes_of
from services.clinician.sentences import WORDS
from tests.services.clinician.served import NOW, Browser, Place, placed
from tests.services.clinician.sound import sound


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with placed(tmp_path / "prompts.db") as found:
        yield found


def wishes(place: Place, who: Browser) -> Wishes:
    with place.engine.connect() as connection:
        return wishes_of(connection, who.user.id)


def noted(place: Place, who: Browser, state: str, **more: Any) -> None:
    row = {
        "id": f"n-{state}", "clinic": "north", "user": who.user.id, "channel": "mail", "kind": "safety", "at": micros(NOW),
        "due": micros(NOW), "tries": 1, "state": state, "ended": micros(NOW),
    }  # fmt: skip
    with place.engine.begin() as connection:
        connection.execute(sa.insert(notices), row | more)


def test_wishes_are_kept_as_they_are_given_and_shown_again(place: Place) -> None:
    anna = place.enter("anna", "clinician")
    page = sound(anna.asking.get("/notices").text)
    assert [one["id"] for one in page.all("input", type="checkbox") if "checked" in one] == [
        "digest", *(f"push_{kind}" for kind in PUSHED)
    ]  # fmt: skip
    answer = anna.post("/notices", mail=" anna@north.example ", push_rupture="on")
    assert (answer.status_code, answer.headers["location"]) == (303, "/notices")
    kept = Wishes(mail="anna@north.example", digest=False, pushes=frozenset(("rupture",)))
    assert wishes(place, anna) == kept
    page = sound(anna.asking.get("/notices").text)
    assert page.all("input", id="mail")[0]["value"] == "anna@north.example"
    assert [one["id"] for one in page.all("input", type="checkbox") if "checked" in one] == ["push_rupture"]
    anna.post("/notices", mail="")
    assert wishes(place, anna) == Wishes(mail=None, digest=False, pushes=frozenset())


@pytest.mark.parametrize(
    "mail",
    [
        "anna",
        "anna@",
        "@north.example",
        "a b@north.example",
        "anna@north.example\r\nBcc: x@y.example",
        "x" * 260 + "@y.z",
    ],
)
def test_what_is_no_address_is_refused_beside_its_field_and_nothing_is_changed(place: Place, mail: str) -> None:
    anna = place.enter("anna", "clinician")
    answer = anna.post("/notices", mail=mail)
    assert answer.status_code == 422 and sound(answer.text).all("input", id="mail", aria_invalid="true")
    assert wishes(place, anna) == Wishes()


def test_supervisors_say_where_safety_reaches_them_and_others_have_no_such_page(place: Place) -> None:
    chief = place.enter("chief", "supervisor")
    page = sound(chief.asking.get("/notices").text)
    assert not page.all("input", type="checkbox") and page.all("input", id="mail")
    for role in ("administrator", "data"):
        other = place.enter(role, role)
        assert other.asking.get("/notices").status_code == 404
        assert 'href="/notices"' not in other.asking.get("/model" if role == "data" else "/users").text


def test_a_message_that_was_given_up_is_told_to_whom_it_was_for_and_who_looks_after_accounts(place: Place) -> None:
    anna, bo, admin = place.enter("anna", "clinician"), place.enter("bo", "clinician"), place.enter("chief")
    noted(place, anna, "needless")
    assert "could not be delivered" not in anna.asking.get("/").text
    noted(place, anna, "dead")
    assert "could not be delivered" in anna.asking.get("/").text
    assert "could not be delivered" not in bo.asking.get("/").text
    assert "last seven days: anna." in admin.asking.get("/users").text
    page = sound(anna.asking.get("/notices").text)
    assert len(page.all("tbody")) == 1 and "Safety" in page.text


def test_every_word_of_a_notice_has_its_sentence() -> None:
    assert {*KIND_WORDS.values(), *CHANNEL_WORDS.values(), *STATE_WORDS.values()} <= set(WORDS)
