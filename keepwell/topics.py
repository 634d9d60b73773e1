"""The topics of an installation: their names under its prefix, their keys and their clean-up, as CONTRACT section 2."""

from __future__ import annotations

from typing import Final

from keepwell.streams.log import Topic

PARTITIONS: Final = 12
"""Default number of partitions, and so the most members a group can use (DESIGN section 6)."""


class Topics:
    """The topic and group names of one installation.

    >>> Topics("north.").scores
    'north.risk-scores'
    """

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.sessions = f"{prefix}session-events"
        self.episodes = f"{prefix}episode-events"
        self.dead_letters = f"{prefix}dead-letters"
        self.scores = f"{prefix}risk-scores"
        self.alerts = f"{prefix}risk-alerts"
        self.state = f"{prefix}episode-state"
        self.releases = f"{prefix}model-releases"
        self.ingest_group = f"{prefix}keepwell-ingest"
        self.predictor_group = f"{prefix}keepwell-predictor"

    def all(self, partitions: int = PARTITIONS) -> list[Topic]:
        """Every topic, to be created. `model-releases` holds a few records only and has one partition."""
        return [
            Topic(self.sessions, partitions),
            Topic(self.episodes, partitions),
            Topic(self.dead_letters, partitions),
            Topic(self.scores, partitions, "compact"),
            Topic(self.alerts, partitions, "compact,delete"),
            Topic(self.state, partitions, "compact"),
            Topic(self.releases, 1, "compact"),
        ]
