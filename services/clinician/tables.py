"""The tables of the read model: what follows from the log, and how far it was followed.

Times are whole microseconds since 1970 UTC. `clinic` stands in every table that is read by tenant. Everything here can be
thrown away and is made again by following the log from its beginning (`services.clinician.projector.empty`), and by a replay
that fills the scores which the log has lost to compaction (`services.clinician.history`).
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from services.clinician.database import METADATA

positions: Final = sa.Table(
    "positions",
    METADATA,
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("next_offset", sa.BigInteger, nullable=False),
    sa.Column("heard_at", sa.BigInteger),
)
"""By partition of a topic the offset that is read next, and the time of the newest tick that was read."""

instruments: Final = sa.Table(
    "instruments",
    METADATA,
    sa.Column("clinic", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
)
"""The newest registration of each name, as its event stands in the log."""

events: Final = sa.Table(
    "events",
    METADATA,
    sa.Column("episode", sa.Text, primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("offset", sa.BigInteger, primary_key=True),
    sa.Column("clinic", sa.Text, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("value", sa.LargeBinary, nullable=False),
    sa.Index("ix_events_place", "partition", "offset"),
    sa.Index("ix_events_type", "clinic", "type", "at"),
    sa.Index("ix_events_source", "clinic", "source", "at"),
)
"""Accepted events of episodes as they stand in the log, in the order of the log, with what they are found by."""

clients: Final = sa.Table(
    "clients",
    METADATA,
    sa.Column("clinic", sa.Text, primary_key=True),
    sa.Column("client", sa.Text, primary_key=True),
    sa.Column("episode", sa.Text, primary_key=True),
)
"""Which episodes are a client's, as their openings said."""

episodes: Final = sa.Table(
    "episodes",
    METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("clinic", sa.Text, nullable=False),
    sa.Column("clinician", sa.Text),
    sa.Column("first_at", sa.BigInteger, nullable=False),
    sa.Column("next_visit", sa.BigInteger),
    sa.Column("last_session", sa.BigInteger),
    sa.Column("sessions", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("risk", sa.Float),
    sa.Column("scored_at", sa.BigInteger),
    sa.Column("gaps", sa.Text),
    sa.Column("model", sa.Text),
    sa.Column("ended_as", sa.Text),
    sa.Column("ended_at", sa.BigInteger),
    sa.Column("asks", sa.SmallInteger),
    sa.Index("ix_episodes_of", "clinic", "clinician", "state"),
    sa.Index("ix_episodes_scored", "clinic", "scored_at"),
    sa.Index("ix_episodes_ended", "clinic", "ended_at"),
    sa.Index("ix_episodes_state", "clinic", "state", "scored_at", "risk"),
    sa.Index("ix_episodes_asks", "clinic", "state", "asks"),
)
"""An episode as it stands: from its events, and what its newest score says: state, 30-day risk, the gaps as a JSON list,
and the release. `ended_as` is the reason of the ending that holds, `asks` whether the episode asks for a thought, null where
no alert is open (`services.clinician.counted`)."""

answers: Final = sa.Table(
    "answers",
    METADATA,
    sa.Column("episode", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("event", sa.Text, primary_key=True),
    sa.Column("clinic", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("alert", sa.Text),
    sa.Column("word", sa.Text),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Index("ix_answers_kind", "clinic", "kind", "alert", "at"),
)
"""Answers and repairs that nobody took back: `kind` is `answer` or `repair`, `word` the reason of an answer or the outcome
of a repair."""

scores: Final = sa.Table(
    "scores",
    METADATA,
    sa.Column("episode", sa.Text, primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("offset", sa.BigInteger, primary_key=True),
    sa.Column("as_of", sa.BigInteger, nullable=False),
    sa.Column("value", sa.LargeBinary, nullable=False),
    sa.Index("ix_scores_place", "partition", "offset"),
    sa.Index("ix_scores_as_of", "episode", "as_of"),
)
"""Every score that was read, as it stands in the log. One that was filled in stands at a free offset, in the order in which
the scores of its episode were written."""

alerts: Final = sa.Table(
    "alerts",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("episode", sa.Text, nullable=False, index=True),
    sa.Column("clinic", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("raised_at", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("offset", sa.BigInteger, nullable=False),
    sa.Column("value", sa.LargeBinary, nullable=False),
    sa.Index("ix_alerts_place", "partition", "offset"),
    sa.Index("ix_alerts_status", "clinic", "status", "episode", "kind"),
    sa.Index("ix_alerts_raised", "clinic", "raised_at", "status", "at", "episode", "id"),
)
"""An alert as it stands: its newest record with its place in the log, and when it was raised."""

summaries: Final = sa.Table(
    "summaries",
    METADATA,
    sa.Column("episode", sa.Text, sa.ForeignKey("episodes.key", ondelete="CASCADE"), primary_key=True),
    sa.Column("marks", sa.Text, nullable=False),
    sa.Column("value", sa.LargeBinary, nullable=False),
)
"""What a list tells of an episode, and under which marks that holds (`services.clinician.summaries`). It goes with its
episode, whoever deletes that."""

READ_MODEL: Final = (positions, instruments, events, clients, episodes, scores, alerts, answers)
"""The tables that follow from the log alone."""
