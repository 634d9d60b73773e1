"""The audit: one chain a clinic that tells of every tampering, and outlives that a client is erased."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import DatabaseError

from services.clinician.people import audit
from services.clinician.people.audit import AuditEntry, AuditRow, Head, append, export, forget, parsed, verify
from services.clinician.people.passwords import Passwords
from services.clinician.people.tables import audit as table
from services.clinician.people.who import OPERATOR, Actor
from services.clinician.schema import migrate
from tests.services.clinician.databases import every_database
from tests.services.clinician.people.made import START, add

ANNA = Actor("u-1", "clinician")


def looked(subject: str, clinic: str = "north") -> AuditEntry:
    return AuditEntry(clinic=clinic, by=ANNA, action="episode.seen", episode=f"{clinic}/{subject}")


def lived(engine: sa.Engine, *subjects: str) -> None:
    for number, subject in enumerate(subjects):
        with engine.begin() as connection:
            append(connection, START + number, looked(subject), looked(subject, "south"))


def chain(engine: sa.Engine, clinic: str = "north") -> list[AuditRow]:
    with engine.connect() as connection:
        return list(audit.rows(connection, clinic))


def test_each_clinic_has_a_chain_of_its_own_that_holds(engine: sa.Engine) -> None:
    lived(engine, "a", "b", "a")
    north, south = chain(engine), chain(engine, "south")
    assert [row.seq for row in north] == [row.seq for row in south] == [1, 2, 3]
    assert verify(north).holds and verify(south).holds and verify(north).entries == 3
    assert not {row.hash for row in north} & {row.hash for row in south}
    assert verify([]).holds


def test_an_entry_is_there_exactly_if_what_it_tells_of_is(engine: sa.Engine) -> None:
    lived(engine, "a")
    with pytest.raises(RuntimeError), engine.begin() as connection:
        append(connection, START, looked("b"))
        raise RuntimeError
    lived(engine, "c")
    assert [row.episode for row in chain(engine)] == ["north/a", "north/c"] and verify(chain(engine)).holds


ROWS: Sequence[AuditRow] = ()


@pytest.fixture(scope="module", autouse=True)
def a_chain() -> None:
    """Seven entries, one of them emptied, for the tests that tamper."""
    global ROWS  # noqa: PLW0603  # hypothesis takes no fixture of a test
    engine = sa.create_engine("sqlite://")
    table.metadata.create_all(engine, [table])
    with engine.begin() as connection:
        append(connection, START, looked("a"), looked("b"), looked("c"))
        append(connection, START, AuditEntry(clinic="north", by=OPERATOR, action="user.added", object="u-2"))
        forget(connection, START, "north", "north/b", OPERATOR)
        append(connection, START, AuditEntry(clinic="north", by=ANNA, action="signed.in"), looked("d"))
        ROWS = list(audit.rows(connection, "north"))
    engine.dispose()


def test_the_untouched_chain_holds() -> None:
    verdict = verify(ROWS)
    assert verdict.holds and (verdict.entries, verdict.emptied) == (7, 1)
    assert verify(ROWS, Head(verdict.seq, verdict.hash)).holds and verify(ROWS, Head(3, ROWS[2].hash)).holds


OTHER = st.sampled_from(["u-9", "north/z", "episode.seen", "south", "x", None])
TEXTS = [name for name in AuditRow.__struct_fields__ if name not in ("seq", "at_us", "erased")]


@given(place=st.integers(0, 6), field=st.sampled_from(TEXTS), value=OTHER)
def test_a_changed_entry_is_found(place: int, field: str, value: str | None) -> None:
    tampered = list(ROWS)
    tampered[place] = msgspec.structs.replace(ROWS[place], **{field: value})
    assert verify(tampered).holds == (tampered[place] == ROWS[place])


@given(place=st.integers(0, 5))
def test_a_changed_entry_whose_hash_was_computed_anew_breaks_the_next_one(place: int) -> None:
    row = msgspec.structs.replace(ROWS[place], user="u-9")
    parts = (row.clinic, row.seq, row.at_us, row.user, row.role, row.action, row.about, row.previous)
    forged = msgspec.structs.replace(row, hash=hashlib.sha256(msgspec.json.encode(parts)).hexdigest())
    verdict = verify([*ROWS[:place], forged, *ROWS[place + 1 :]])
    assert (verdict.broken_at, verdict.why) == (place + 2, "it does not follow the one before it")


@given(place=st.integers(0, 6), field=st.sampled_from(["seq", "at_us"]), by=st.integers(-3, 3))
def test_a_changed_number_or_moment_is_found(place: int, field: str, by: int) -> None:
    tampered = list(ROWS)
    tampered[place] = msgspec.structs.replace(ROWS[place], **{field: getattr(ROWS[place], field) + by})
    verdict = verify(tampered)
    assert verdict.holds == (by == 0) and (by == 0 or verdict.entries == place)


@given(order=st.permutations(range(7)), kept=st.integers(0, 7))
def test_an_entry_left_out_put_elsewhere_or_doubled_is_found(order: list[int], kept: int) -> None:
    in_order = order[:kept] == list(range(kept))
    head = Head(7, ROWS[-1].hash)
    assert verify([ROWS[place] for place in order[:kept]], head).holds == (in_order and kept == 7)
    assert not verify([*ROWS, ROWS[order[0]]]).holds


def test_a_chain_written_anew_is_found_by_the_head_that_was_noted(engine: sa.Engine) -> None:
    lived(engine, "a", "b", "c")
    anew = chain(engine)
    assert verify(anew).holds and verify(anew, Head(3, ROWS[2].hash)).broken_at == 3


def test_an_erased_client_is_in_no_entry_and_the_chain_holds(engine: sa.Engine) -> None:
    lived(engine, "a", "b", "a", "c")
    with engine.begin() as connection:
        append(
            connection,
            START,
            AuditEntry(clinic="north", by=ANNA, action="answer.given", episode="north/a", object="alert-of-a"),
        )
        assert forget(connection, START, "north", "north/a", OPERATOR) == 3
        assert forget(connection, START, "north", "north/a", OPERATOR) == 0
        text = repr(connection.execute(sa.select(table).where(table.c.clinic == "north")).all())
        lines = list(export(connection, "north"))
    assert "north/a'" not in text and "alert-of-a" not in text and "north/b" in text
    rows = chain(engine)
    assert [row.erased for row in rows] == [True, False, True, False, True, False]
    assert (rows[-1].action, rows[-1].object, rows[-1].episode) == ("client.erased", "3", None)
    assert verify(rows).holds and verify(rows).emptied == 3 and verify(parsed(lines)).holds
    assert verify(chain(engine, "south")).holds and verify(chain(engine, "south")).emptied == 0


def test_entries_that_no_erasure_tells_of_are_not_to_be_emptied(engine: sa.Engine) -> None:
    lived(engine, "a", "b")
    with engine.begin() as connection:
        connection.execute(sa.update(table).where(table.c.seq == 1).values(episode=None, object=None, salt=None))
    assert "erasures tell of 0" in str(verify(chain(engine)).why)


def test_an_erased_client_cannot_be_found_by_trying(engine: sa.Engine) -> None:
    lived(engine, "a", "a")
    with engine.begin() as connection:
        forget(connection, START, "north", "north/a", OPERATOR)
        found = connection.execute(sa.select(table.c.about, table.c.salt).where(table.c.clinic == "north")).all()
    first, second, _ = found
    assert first.salt is None and first.about != second.about, "the same client, and nobody sees it"


@every_database
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit",
        "UPDATE audit SET action = 'x'",
        "UPDATE audit SET episode = 'x'",
        "UPDATE audit SET hash = ''",
    ],
)
def test_the_database_lets_entries_only_be_added(opened: sa.Engine, statement: str) -> None:
    migrate(opened)
    lived(opened, "a")
    with pytest.raises(DatabaseError), opened.begin() as connection:
        connection.exec_driver_sql(statement)
    assert verify(chain(opened)).entries == 1


def test_two_threads_that_add_at_once_make_one_chain(engine: sa.Engine) -> None:
    begin, faults = threading.Barrier(2), []

    def write(name: str) -> None:
        try:
            begin.wait(10)
            for number in range(25):
                lived(engine, f"{name}{number}")
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faults == []
    for clinic in ("north", "south"):
        rows = chain(engine, clinic)
        assert verify(rows).holds and len({row.episode for row in rows}) == 50


def test_a_client_can_be_told_who_looked(engine: sa.Engine, passwords: Passwords) -> None:
    bo = add(engine, passwords, "bo")
    with engine.begin() as connection:
        append(connection, START, looked("a"), looked("b"))
        append(connection, START, AuditEntry(clinic="north", by=bo.actor, action="together.seen", episode="north/a"))
        found = audit.who_looked_at(connection, "north", "north/a")
        assert audit.who_looked_at(connection, "south", "north/a") == []
    assert [(look.user, look.name, look.action) for look in found] == [
        (bo.id, "bo", "together.seen"),
        ("u-1", None, "episode.seen"),
    ]
