"""`keepwell topics`: creates what is missing of an installation's topics, and shows them."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import Annotated, Any

import typer

from keepwell.cli._common import say
from keepwell.cli._options import LogUrl
from keepwell.cli._settings import read
from keepwell.settings import Settings
from keepwell.streams.earlier import copy
from keepwell.streams.log import Log, LogError, Partition
from keepwell.streams.topics import Topics, ensure_topics


def command(
    *,
    log: LogUrl = None,
    topic_prefix: Annotated[str | None, typer.Option(help="Prefix of all topics and groups.")] = None,
    partitions: Annotated[int | None, typer.Option(min=1, help="Partitions of new topics; default: 12.")] = None,
    copy_from: Annotated[
        str | None, typer.Option(help="Prefix of an installation of an earlier version, whose events to copy here.")
    ] = None,
    copy_log: Annotated[
        str | None, typer.Option(help="Log of that installation; default: this one. Then the prefix may stay the same.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Create the topics that are missing, and show how many records each one holds."""
    settings = read(Settings, log=log, topic_prefix=topic_prefix)
    before = _before(settings, copy_from, copy_log)
    with ExitStack() as stack:
        old = stack.enter_context(closing(before.open_log(must_exist=True))) if before is not None else None
        target = stack.enter_context(closing(settings.open_log()))
        topics = Topics(settings.topic_prefix)
        found: dict[str, Any] = {}
        if old is None or before is None:
            created = ensure_topics(target, topics, partitions)
        else:
            source = Topics(before.topic_prefix)
            _check_worked_off(old, source)
            created = ensure_topics(target, topics, old.partitions(source.episodes))
            found["copied"] = copy(old, source.episodes, target, topics.episodes)
        for topic in topics.all():
            count = target.partitions(topic.name)
            bounds = [target.bounds(Partition(topic.name, number)) for number in range(count)]
            found[topic.name] = f"{count} partitions, {sum(end - begin for begin, end in bounds)} offsets held"
        say({"created": created} | found, as_json)


def _before(settings: Settings, prefix: str | None, log: str | None) -> Settings | None:
    """The settings of the installation to copy from; None where none is named."""
    if prefix is None and log is None:
        return None
    told = settings.topic_prefix if prefix is None else prefix
    return read(Settings, log=settings.log if log is None else log, topic_prefix=told)


def _check_worked_off(old: Log, topics: Topics) -> None:
    """Raises `LogError` where ingest of an installation has not taken all that was sent: the copy would leave it behind."""
    taken = old.committed(topics.ingest_group, topics.sessions)
    for number in range(old.partitions(topics.sessions)):
        partition = Partition(topics.sessions, number)
        if next(iter(old.read(partition, taken.get(partition, 0))), None) is not None:
            raise LogError(
                f"{partition.topic}[{number}] holds records that ingest has not taken: stop what sends, and let "
                "keepwell ingest --drain of the earlier version work them off first"
            )
