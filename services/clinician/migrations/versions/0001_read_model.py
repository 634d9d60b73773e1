"""The read model: positions, instruments, events, clients, episodes, scores and alerts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=null)


def _at(name: str, *, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=null)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False)


def _bytes() -> sa.Column[bytes]:
    return sa.Column("value", sa.LargeBinary, nullable=False)


def _key(table: str, *names: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*names, name=f"pk_{table}")


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "positions", _text("topic"), _number("partition"), _at("next_offset"), _at("heard_at", null=True),
        _key("positions", "topic", "partition"),
    )  # fmt: skip
    op.create_table("instruments", _text("clinic"), _text("name"), _bytes(), _key("instruments", "clinic", "name"))
    op.create_table(
        "events", _text("episode"), _number("partition"), _at("offset"), _text("clinic"), _text("type"), _text("source"),
        _at("at"), _bytes(), _key("events", "episode", "partition", "offset"),
    )  # fmt: skip
    op.create_index("ix_events_type", "events", ["clinic", "type", "at"])
    op.create_index("ix_events_source", "events", ["clinic", "source", "at"])
    op.create_table(
        "clients", _text("clinic"), _text("client"), _text("episode"), _key("clients", "clinic", "client", "episode")
    )
    op.create_table(
        "episodes", _text("key"), _text("clinic"), _text("clinician", null=True), _at("first_at"),
        _at("next_visit", null=True), _at("last_session", null=True), _number("sessions"), _text("state"),
        sa.Column("risk", sa.Float), _at("scored_at", null=True), _key("episodes", "key"),
    )  # fmt: skip
    op.create_index("ix_episodes_of", "episodes", ["clinic", "clinician", "state"])
    op.create_table(
        "scores", _text("episode"), _number("partition"), _at("offset"), _at("as_of"), _bytes(),
        _key("scores", "episode", "partition", "offset"),
    )  # fmt: skip
    op.create_table(
        "alerts", _text("id"), _text("episode"), _text("clinic"), _text("kind"), _text("status"), _at("raised_at"),
        _at("at"), _bytes(), _key("alerts", "id"),
    )  # fmt: skip
    op.create_index("ix_alerts_episode", "alerts", ["episode"])
    op.create_index("ix_alerts_clinic", "alerts", ["clinic"])


def downgrade() -> None:
    """Drops them."""
    for table in ("alerts", "scores", "episodes", "clients", "events", "instruments", "positions"):
        op.drop_table(table)
