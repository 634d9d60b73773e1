"""`keepwell topics`: creates what is missing of an installation's topics, and shows them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from keepwell.cli._common import say
from keepwell.cli._settings import read
from keepwell.settings import Settings
from keepwell.streams.earlier import copy
from keepwell.streams.log import Partition
from keepwell.streams.topics import Topics, ensure_topics


def command(
    log: Annotated[str | None, typer.Option(help="Where the log is: sqlite:///FILE or kafka://HOST:PORT.")] = None,
    topic_prefix: Annotated[str | None, typer.Option(help="Prefix of all topics and groups.")] = None,
    partitions: Annotated[int | None, typer.Option(min=1, help="Partitions of new topics; default: 12.")] = None,
    copy_from: Annotated[
        str | None, typer.Option(help="Prefix of an installation of an earlier version, whose events to copy here.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Create the topics that are missing, and show how many records each one holds."""
    settings = read(Settings, log=log, topic_prefix=topic_prefix)
    target = settings.open_log()
    try:
        topics = Topics(settings.topic_prefix)
        found: dict[str, Any] = {}
        old = None if copy_from is None else Topics(copy_from)
        if old is not None:
            partitions = target.partitions(old.episodes)
        created = ensure_topics(target, topics, partitions)
        if old is not None:
            found["copied"] = copy(target, old.episodes, topics.episodes)
        for topic in topics.all():
            count = target.partitions(topic.name)
            bounds = [target.bounds(Partition(topic.name, number)) for number in range(count)]
            found[topic.name] = f"{count} partitions, {sum(end - begin for begin, end in bounds)} offsets held"
        say({"created": created} | found, as_json)
    finally:
        target.close()
