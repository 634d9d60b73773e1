"""The tables of prompts: what each user wishes, and every notice on its way with what became of it.

Every time is a whole number of microseconds since 1970 UTC. Nothing here says what a notice is about but the ids of an
episode and an alert, which no notice carries.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from services.clinician.database import METADATA

notice_wishes: Final = sa.Table(
    "notice_wishes",
    METADATA,
    sa.Column("user", sa.Text, sa.ForeignKey("users.id"), primary_key=True),
    sa.Column("mail", sa.Text),
    sa.Column("digest", sa.Boolean, nullable=False),
    sa.Column("pushes", sa.Text, nullable=False),
)
"""Who was never here has the defaults of `Wishes`. `mail` is null where none is to be sent; `pushes`: kinds of alerts, parted
by blanks."""

notices: Final = sa.Table(
    "notices",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("clinic", sa.Text, nullable=False),
    sa.Column("user", sa.Text, sa.ForeignKey("users.id"), nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("episode", sa.Text, index=True),
    sa.Column("alert", sa.Text),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("due", sa.BigInteger, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("ended", sa.BigInteger),
    sa.Index("ix_notices_due", "state", "due"),
    sa.Index("ix_notices_user", "user", "state"),
)
"""`id` follows from what is told to whom and how, so that nothing is told twice. `due`: when it is tried next. `ended`:
when it was sent, given up or found to be needless."""
