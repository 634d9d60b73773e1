"""Wires the erasure service to a log: one loop that follows accepted events."""

from __future__ import annotations

from keepwell.streams.log import Log
from keepwell.streams.topics import Topics
from keepwell.streams.worker.follow import Follower
from services.erasure.erasure import Eraser
from services.erasure.settings import ErasureSettings


def follower_of(settings: ErasureSettings, log: Log) -> Follower:
    """The loop that carries erasures out, over a log whose topics exist."""
    topics = Topics(settings.topic_prefix)
    return Follower(
        log,
        Eraser(log, topics),
        group=topics.erasure_group,
        topic=topics.episodes,
        instance=settings.instance,
    )
