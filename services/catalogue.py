"""The services, one row each: what a service reads and writes, and what runs it. Everything that lists services asks here.

From it follow the AsyncAPI operations, the topics and settings pages, `keepwell doctor`, the threads of `keepwell up`, and
the checks of compose, Prometheus and its alert rules. A new service is a package `services/<name>` with a class
`<Name>Settings` in `settings.py`, `make` and `run` in `bootstrap.py`, a row here, and a command in
`keepwell/cli/<name>.py`; tests name what is still missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from keepwell.streams import topics
from keepwell.streams.topics import TopicRow, group_of

if TYPE_CHECKING:
    from keepwell.settings import Settings
    from keepwell.streams.log import Log
    from keepwell.web.service import Service


class Group(NamedTuple):
    """A consumer group, and the topic that it works off. `of_database`: each database has one, whose name goes on with the
    database's id."""

    name: str
    topic: TopicRow
    of_database: bool = False


class ServiceRow(NamedTuple):
    """A service. Its name is that of its package, its command and its host in compose; its address are the settings
    `<name>_host` and `<name>_port`.

    `groups` are those that its lag is told of; `writes` are all topics that it writes. `needs` names the setting without
    which `keepwell up` leaves it out. `serves`: what the paths that it serves to people begin with; None: health pages alone.
    Nothing of a service is imported before it is asked for.
    """

    name: str
    what: str
    groups: tuple[Group, ...]
    writes: tuple[TopicRow, ...]
    needs: str | None = None
    serves: str | None = None

    def settings(self) -> type[Settings]:
        """The class of its settings."""
        module = import_module(f"services.{self.name}.settings")
        return cast("type[Settings]", getattr(module, f"{self.name.capitalize()}Settings"))

    def configured(self, flags: Mapping[str, object]) -> Settings:
        """Its settings, with those of the flags that it knows. Raises `ValueError` where one is not taken."""
        kind = self.settings()
        return kind(**{name: value for name, value in flags.items() if name in kind.model_fields})

    def make(self) -> Callable[[Settings, Log], Service]:
        """What makes it over a log whose topics exist, from settings of its own class."""
        module = import_module(f"services.{self.name}.bootstrap")
        return cast("Callable[[Settings, Log], Service]", module.make)

    def groups_with(self, settings: Settings) -> tuple[Group, ...]:
        """Its groups, each with its whole name, from settings of its class. None of them where the database that names them
        is not there."""
        if not any(group.of_database for group in self.groups):
            return self.groups
        database = import_module(f"services.{self.name}.identity").looked_up(settings)
        if database is None:
            return ()
        return tuple(group._replace(name=topics.into(group.name, database)) for group in self.groups)

    def is_set(self, settings: Settings) -> bool:
        """Whether these settings of its class have what it needs."""
        return self.needs is None or bool(getattr(settings, self.needs))

    def address(self, settings: Settings) -> tuple[str, int]:
        """Host and port of its health pages, from settings of its class."""
        return getattr(settings, f"{self.name}_host"), getattr(settings, f"{self.name}_port")


SERVICES: Final = (
    ServiceRow(
        "ingest",
        "Takes events in over HTTP, checks and normalises what arrives, refuses what does not keep the contract.",
        groups=(Group(group_of("ingest"), topics.SESSIONS),),
        writes=(topics.SESSIONS, topics.EPISODES, topics.DEAD_LETTERS),
        serves="/v1/",
    ),
    ServiceRow(
        "predictor",
        "Folds accepted events into episodes; writes a score for each, and the alerts that the policy draws from them.",
        groups=(Group(group_of("predictor"), topics.EPISODES),),
        writes=(topics.SCORES, topics.ALERTS, topics.SHADOW_SCORES, topics.STATE, topics.DEAD_LETTERS),
    ),
    ServiceRow(
        "clock",
        "Tells every partition the time, so that silence is noticed.",
        groups=(),
        writes=(topics.EPISODES,),
    ),
    ServiceRow(
        "erasure",
        "Deletes what the log holds of an erased client, once the predictor has forgotten the client.",
        groups=(Group(group_of("erasure"), topics.EPISODES),),
        writes=(topics.EPISODES, topics.SCORES, topics.ALERTS, topics.SHADOW_SCORES, topics.STATE),
    ),
    ServiceRow(
        "notify",
        "Posts every alert to a webhook, and again those that were put back.",
        groups=(
            Group(group_of("notify"), topics.ALERTS),
            Group(group_of("notify-returned"), topics.DEAD_LETTERS),
        ),
        writes=(topics.DEAD_LETTERS,),
        needs="webhook",
    ),
    ServiceRow(
        "clinician",
        "Follows events, scores and alerts into a database, and serves what clinicians see and answer.",
        groups=(
            Group(group_of("clinician"), topics.EPISODES, of_database=True),
            Group(group_of("clinician-scores"), topics.SCORES, of_database=True),
            Group(group_of("clinician-alerts"), topics.ALERTS, of_database=True),
        ),
        writes=(topics.SESSIONS,),
        serves="/",
    ),
)
"""Every service, in the order in which an event passes them."""


def readers(topic: TopicRow) -> list[str]:
    """The services that read a topic.

    >>> readers(topics.EPISODES)
    ['predictor', 'erasure', 'clinician']
    """
    return [row.name for row in SERVICES if any(group.topic is topic for group in row.groups)]


def writers(topic: TopicRow) -> list[str]:
    """The services that write a topic.

    >>> writers(topics.EPISODES)
    ['ingest', 'clock', 'erasure']
    """
    return [row.name for row in SERVICES if topic in row.writes]
