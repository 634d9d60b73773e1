"""What supervision and data quality count, ready to be summed up: answers, endings, gaps, releases.

The log has only the newest score of an episode for ever, so scores are not followed again: what is new is taken from the rows
that are there.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_NEW = (("gaps", sa.Text), ("model", sa.Text), ("ended_as", sa.Text), ("ended_at", sa.BigInteger))
_INDEXES = (
    ("ix_episodes_scored", "episodes", ["clinic", "scored_at"]),
    ("ix_episodes_ended", "episodes", ["clinic", "ended_at"]),
    ("ix_episodes_state", "episodes", ["clinic", "state", "scored_at", "risk"]),
    ("ix_alerts_status", "alerts", ["clinic", "status", "episode", "kind"]),
    ("ix_alerts_raised", "alerts", ["clinic", "raised_at", "status", "at", "episode", "id"]),
    ("ix_scores_as_of", "scores", ["episode", "as_of"]),
)
_TYPES = tuple(
    f"keepwell.{name}.v1" for name in ("alert.actioned", "repair.attempted", "episode.ended", "event.retracted")
)
_AT_ONCE = 1_000


def upgrade() -> None:
    """Makes table, columns and indexes, and fills them."""
    op.create_table(
        "answers",
        sa.Column("episode", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("clinic", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("alert", sa.Text),
        sa.Column("word", sa.Text),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("episode", "source", "event", name="pk_answers"),
    )
    for name, kind in _NEW:
        op.add_column("episodes", sa.Column(name, kind))
    op.drop_index("ix_alerts_clinic", "alerts")
    op.create_index("ix_answers_kind", "answers", ["clinic", "kind", "alert", "at"])
    for index, table, columns in _INDEXES:
        op.create_index(index, table, columns)
    connection = op.get_bind()
    _fill_from_scores(connection)
    _fill_from_events(connection)


def downgrade() -> None:
    """Takes them away."""
    for index, table, _ in _INDEXES:
        op.drop_index(index, table)
    op.create_index("ix_alerts_clinic", "alerts", ["clinic"])
    for name, _ in _NEW:
        op.drop_column("episodes", name)
    op.drop_table("answers")


def _fill_from_scores(connection: sa.Connection) -> None:
    newest = sa.text(
        'SELECT s.episode, s.value FROM scores s JOIN (SELECT episode, max("offset") AS o FROM scores GROUP BY episode) n '
        'ON n.episode = s.episode AND n.o = s."offset"'
    )
    rows = [
        {
            "key": key,
            "gaps": json.dumps(told["gaps"], separators=(",", ":"), ensure_ascii=False),
            "model": told["model"],
        }
        for key, value in connection.execute(newest)
        for told in (json.loads(value),)
    ]
    _write(connection, "UPDATE episodes SET gaps = :gaps, model = :model WHERE key = :key", rows)


def _fill_from_events(connection: sa.Connection) -> None:
    asked = sa.text(
        'SELECT episode, clinic, at, value FROM events WHERE type IN :types ORDER BY episode, partition, "offset"'
    ).bindparams(sa.bindparam("types", _TYPES, expanding=True))
    told: dict[str, list[tuple[str, int, dict[str, Any]]]] = defaultdict(list)
    for key, clinic, at, value in connection.execute(asked):
        told[key].append((clinic, at, json.loads(value)))
    answers, ended = [], []
    for key, found in told.items():
        events = [event for _, _, event in found]
        retracted = {(one["source"], one["data"]["event_id"]) for one in events if one["type"] == _TYPES[3]}
        corrected = {(one["source"], one.get("corrects")) for one in events}
        last = None
        for clinic, at, event in found:
            name, data = (event["source"], event["id"]), event["data"]
            if name in retracted or event["type"] == _TYPES[3]:
                continue
            if event["type"] == _TYPES[2]:
                last = last if name in corrected else {"key": key, "how": data["reason"], "at": at}
                continue
            kind, word = ("answer", "reason") if event["type"] == _TYPES[0] else ("repair", "outcome")
            said = data.get(word, "unknown" if kind == "repair" else None)
            answers.append(
                {"episode": key, "source": name[0], "event": name[1], "clinic": clinic, "kind": kind,
                 "alert": data.get("alert_id"), "word": said, "at": at}
            )  # fmt: skip
        if last is not None:
            ended.append(last)
    _write(
        connection,
        "INSERT INTO answers (episode, source, event, clinic, kind, alert, word, at) "
        "VALUES (:episode, :source, :event, :clinic, :kind, :alert, :word, :at)",
        answers,
    )
    _write(connection, "UPDATE episodes SET ended_as = :how, ended_at = :at WHERE key = :key", ended)


def _write(connection: sa.Connection, statement: str, rows: list[dict[str, Any]]) -> None:
    for start in range(0, len(rows), _AT_ONCE):
        connection.execute(sa.text(statement), rows[start : start + _AT_ONCE])
