"""The topics of an installation, one row each: name, key, clean-up and what it holds, as CONTRACT section 2 has them."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from keepwell.contract.events import Event, encode
from keepwell.contract.keys import record_key
from keepwell.streams import earlier
from keepwell.streams.log import Cleanup, Log, LogError, Message, Topic

PARTITIONS: Final = 12
"""Default number of partitions, and so the most members a group can use (DESIGN section 6)."""


class TopicRow(NamedTuple):
    """A topic as it stands in every installation. Who of Keepwell reads and writes it stands in `services/catalogue.py`.

    `key` and `holds` are words for the docs. `partitions` None: as many as the installation chose. `outside`: whether clinic
    platforms write it, or read it.
    """

    name: str
    key: str
    cleanup: Cleanup
    holds: str
    partitions: int | None = None
    outside: Literal["write", "read"] | None = None


_EPISODE: Final = "`<clinic>/<subject>`, the episode"

SESSIONS: Final = TopicRow(
    "session-events",
    "`<subject>`, or any key: the event says which episode it is",
    "delete",
    "Events as clinic platforms sent them: CloudEvents, structured or binary.",
    outside="write",
)
EPISODES: Final = TopicRow(
    "episode-events",
    "`<clinic>/<subject>#<partition>.<offset>` of where it came from in `session-events`, on the partition of the episode; "
    "an erasure `_erased#<partition>.<offset>` and a control event `<subject>#<id>`, both on every partition",
    "compact",
    "Accepted, normalised events, and control events on every partition.",
)
DEAD_LETTERS: Final = TopicRow(
    "dead-letters",
    "the key of the refused record, or none",
    "delete",
    "Refused records, untouched, with the reason in the headers.",
)
SCORES: Final = TopicRow(
    "risk-scores",
    _EPISODE,
    "compact",
    "One score for every accepted event or due timer of an episode.",
    outside="read",
)
ALERTS: Final = TopicRow(
    "risk-alerts",
    "`<clinic>/<subject>#<alert_id>.<status>`, one for each record; the partition is that of the episode",
    "compact",
    "Alerts raised, escalated and resolved: every one stays until it is erased.",
    outside="read",
)
SHADOW_SCORES: Final = TopicRow(
    "shadow-scores",
    _EPISODE,
    "compact",
    "Scores of a release on trial, beside those of the one in use.",
)
STATE: Final = TopicRow(
    "episode-state",
    _EPISODE,
    "compact",
    "The predictor's changelog. Private: its form may change with any version.",
)
RELEASES: Final = TopicRow(
    "model-releases",
    "digest of the release",
    "compact",
    "Manifests of model releases: a few records, so it has one partition.",
    partitions=1,
)

TABLE: Final = (SESSIONS, EPISODES, DEAD_LETTERS, SCORES, ALERTS, SHADOW_SCORES, STATE, RELEASES)
"""Every topic, in the order in which records flow."""


def group_of(service: str) -> str:
    """The consumer group of a service. A log that knows groups apart from topics puts the installation's prefix before it.

    >>> group_of("ingest")
    'keepwell-ingest'
    """
    return f"keepwell-{service}"


def into(group: str, database: str) -> str:
    """The group of those who follow into one database, by its id: those of another database are a group of their own.

    >>> into("keepwell-clinician", "5d0c")
    'keepwell-clinician-5d0c'
    """
    return f"{group}-{database}"


class Topics:
    """The full names of the topics of one installation, and of the groups that read them; those of the clinician's side go
    on with the id of a database (`into`).

    >>> Topics("north.").scores
    'north.risk-scores'
    """

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.sessions = self.full(SESSIONS)
        self.episodes = self.full(EPISODES)
        self.dead_letters = self.full(DEAD_LETTERS)
        self.scores = self.full(SCORES)
        self.alerts = self.full(ALERTS)
        self.shadow_scores = self.full(SHADOW_SCORES)
        self.state = self.full(STATE)
        self.releases = self.full(RELEASES)
        self.ingest_group = group_of("ingest")
        self.predictor_group = group_of("predictor")
        self.notify_group = group_of("notify")
        self.returned_group = group_of("notify-returned")
        self.erasure_group = group_of("erasure")
        self.clinician_group = group_of("clinician")
        self.clinician_scores_group = group_of("clinician-scores")
        self.clinician_alerts_group = group_of("clinician-alerts")

    def full(self, topic: TopicRow) -> str:
        """The name of a topic in this installation."""
        return self.prefix + topic.name

    def all(self, partitions: int = PARTITIONS) -> list[Topic]:
        """Every topic, to be created."""
        return [Topic(self.full(row), row.partitions or partitions, row.cleanup) for row in TABLE]


def ensure_topics(log: Log, topics: Topics, partitions: int | None = None) -> list[str]:
    """Creates the topics that are missing, and returns their names.

    The number of partitions is that of the topics which are there already; `partitions` (default `PARTITIONS`) counts where
    none is. Raises `LogError` where those that are there differ among themselves, as their partitions could not be matched,
    and where a version before made them.
    """
    wanted = topics.all(partitions or PARTITIONS)
    found = {topic.name: count for topic in wanted if (count := partitions_of(log, topic.name)) is not None}
    shared = {name: count for name, count in found.items() if name != topics.releases}
    if len(set(shared.values())) > 1:
        told = ", ".join(f"{name} has {count}" for name, count in sorted(shared.items()))
        raise LogError(f"all topics must have the same number of partitions, but {told}: create them anew")
    if shared:
        wanted = topics.all(next(iter(shared.values())))
    if topics.episodes in found:
        earlier.check(log, topics.episodes)
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


def to_every_partition(event: Event, topic: str, partitions: int) -> list[Message]:
    """A control event as a record for each partition of `episode-events`, to be appended whole or not at all."""
    key, value = record_key(event, 0, 0), encode(event)
    return [Message(topic, key, value, (), number) for number in range(partitions)]
