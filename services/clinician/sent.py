"""The table of what users send through the log: each answer is written here before it is handed to the log, and until it is
seen to come back."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from services.clinician.database import METADATA

sent: Final = sa.Table(
    "sent",
    METADATA,
    sa.Column("event_id", sa.Text, primary_key=True),
    sa.Column("clinic", sa.Text, nullable=False),
    sa.Column("episode", sa.Text, nullable=False, index=True),
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("idempotency", sa.Text),
    sa.Column("request", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("handed_at", sa.BigInteger),
    sa.Column("value", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("user", "idempotency", name="uq_sent_user"),
)
"""`idempotency`: the key by which a user sends a request again; `request`: a digest of what was asked by it. `value` is the
event. `handed_at`: when the log took it, null while it has not."""
