"""The topics of an installation: their names under its prefix, their keys and their clean-up, as CONTRACT section 2."""

from __future__ import annotations

from typing import Final

from keepwell.streams.log import Log, LogError, Topic

PARTITIONS: Final = 12
"""Default number of partitions, and so the most members a group can use (DESIGN section 6)."""


class Topics:
    """The topic and group names of one installation. A log that knows groups apart from topics prefixes them itself.

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
        self.shadow_scores = f"{prefix}shadow-scores"
        self.state = f"{prefix}episode-state"
        self.releases = f"{prefix}model-releases"
        self.ingest_group = "keepwell-ingest"
        self.predictor_group = "keepwell-predictor"
        self.notify_group = "keepwell-notify"

    def all(self, partitions: int = PARTITIONS) -> list[Topic]:
        """Every topic, to be created. `model-releases` holds a few records only and has one partition."""
        return [
            Topic(self.sessions, partitions),
            Topic(self.episodes, partitions),
            Topic(self.dead_letters, partitions),
            Topic(self.scores, partitions, "compact"),
            Topic(self.alerts, partitions, "compact"),
            Topic(self.shadow_scores, partitions, "compact"),
            Topic(self.state, partitions, "compact"),
            Topic(self.releases, 1, "compact"),
        ]

    def provide(self, log: Log) -> None:
        """Creates the topics that are missing. Those that exist stay as they are, however many partitions they have."""
        log.create_topics([topic for topic in self.all() if not _exists(log, topic.name)])


def _exists(log: Log, topic: str) -> bool:
    try:
        log.partitions(topic)
    except LogError:
        return False
    return True


def ensure_topics(log: Log, topics: Topics, partitions: int | None = None) -> list[str]:
    """Creates the topics that are missing, and returns their names.

    The number of partitions is that of the topics which are there already; `partitions` (default `PARTITIONS`) counts where
    none is. Raises `LogError` where those that are there differ among themselves, as their partitions could not be matched.
    """
    wanted = topics.all(partitions or PARTITIONS)
    found = {topic.name: count for topic in wanted if (count := partitions_of(log, topic.name)) is not None}
    shared = {name: count for name, count in found.items() if name != topics.releases}
    if len(set(shared.values())) > 1:
        told = ", ".join(f"{name} has {count}" for name, count in sorted(shared.items()))
        raise LogError(f"all topics must have the same number of partitions, but {told}: create them anew")
    if shared:
        wanted = topics.all(next(iter(shared.values())))
    missing = [topic for topic in wanted if topic.name not in found]
    if missing:
        log.create_topics(missing)
    return [topic.name for topic in missing]


def partitions_of(log: Log, name: str) -> int | None:
    """Number of partitions of a topic; None where there is no such topic."""
    try:
        return log.partitions(name)
    except LogError:
        return None
