"""What is written down of a look is of clients who are still there."""

from __future__ import annotations

import sqlalchemy as sa

from services.clinician.looks import looked
from services.clinician.people.audit import rows
from services.clinician.people.who import User
from services.clinician.projector import EventsProjection
from services.clinician.schema import migrate
from services.clinician.tables import episodes
from tests.services.clinician.lived import follow, lived


def test_a_look_at_a_client_who_was_erased_meanwhile_leaves_no_trace(opened: sa.Engine) -> None:
    migrate(opened)
    follow(EventsProjection(opened), lived(3).events, 500)
    user = User(
        id="u-1", name="anna", clinic="north", role="clinician", clinician_id="c-1", must_change=False, created_at=1,
        removed_at=None,
    )  # fmt: skip
    with opened.begin() as connection:
        keys = list(connection.execute(sa.select(episodes.c.key).order_by(episodes.c.key)).scalars())
        connection.execute(sa.delete(episodes).where(episodes.c.key == keys[0]))
        assert looked(connection, 5, user, "caseload.seen", keys) == keys[1:]
        assert [entry.episode for entry in rows(connection, "north")] == keys[1:]
