"""Cover with an end, and links that open once."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from services.clinician.people import covers, links
from services.clinician.people.audit import rows
from services.clinician.people.links import FIRST_ADMINISTRATOR, LIVES_US
from services.clinician.people.passwords import Passwords
from services.clinician.people.who import OPERATOR
from tests.services.clinician.people.made import DAY, START, add


def test_a_cover_lets_see_until_it_ends(engine: sa.Engine, passwords: Passwords) -> None:
    anna, bo = add(engine, passwords), add(engine, passwords, "bo")
    with engine.begin() as connection:
        cover = covers.grant(connection, anna, "c-bo", until=START + DAY, by=bo.actor, now=START)
        assert covers.covered(connection, anna, START + DAY - 1) == {"c-bo"}
        assert covers.covered(connection, anna, START + DAY) == covers.covered(connection, bo, START) == frozenset()
        assert covers.of_clinic(connection, "north", START) == [cover]
        with pytest.raises(ValueError, match="no such cover"):
            covers.end(connection, "south", cover.id, bo.actor, START)
        covers.end(connection, "north", cover.id, bo.actor, START + 1)
        covers.end(connection, "north", cover.id, bo.actor, START + 2)
        assert covers.covered(connection, anna, START + 1) == frozenset()
        told = [(row.action, row.user) for row in rows(connection, "north", after=2)]
    assert told == [("cover.granted", bo.id), ("cover.ended", bo.id)]


@pytest.mark.parametrize(
    ("clinician", "until"), [("c-anna", START + DAY), ("c-bo", START), ("c-bo", START + 100 * DAY)]
)
def test_a_cover_is_for_somebody_else_and_ends_soon(
    engine: sa.Engine, passwords: Passwords, clinician: str, until: int
) -> None:
    anna = add(engine, passwords)
    with engine.begin() as connection, pytest.raises(ValueError, match="cover"):
        covers.grant(connection, anna, clinician, until=until, by=OPERATOR, now=START)


def test_a_link_opens_once_and_for_an_hour(engine: sa.Engine, passwords: Passwords) -> None:
    with engine.begin() as connection:
        assert links.nobody_yet(connection)
        former = links.make(connection, FIRST_ADMINISTRATOR, "north", START).get_secret_value()
        made = links.make(connection, FIRST_ADMINISTRATOR, "north", START)
        secret = made.get_secret_value()
        assert secret not in repr(made)
        for wrong in (former, "", secret + "x"):
            assert links.use(connection, FIRST_ADMINISTRATOR, wrong, START) is None
        assert links.use(connection, FIRST_ADMINISTRATOR, secret, START + LIVES_US) is None
        for _ in range(2):
            assert links.clinic_of(connection, FIRST_ADMINISTRATOR, secret, START) == "north"
        assert links.use(connection, FIRST_ADMINISTRATOR, secret, START) == "north"
        assert links.use(connection, FIRST_ADMINISTRATOR, secret, START) is None
    add(engine, passwords)
    with engine.begin() as connection:
        assert not links.nobody_yet(connection)
