"""Wires the erasure service to a log: one loop that follows accepted events."""

from __future__ import annotations

from functools import partial

from keepwell.streams.log import Log
from keepwell.streams.topics import Topics
from keepwell.streams.worker.follow import Follower
from keepwell.streams.worker.loop import Stop
from keepwell.web import service
from keepwell.web.health import HealthServer
from keepwell.web.service import Service
from services.erasure.erasure import Eraser
from services.erasure.settings import ErasureSettings


def run(settings: ErasureSettings, *, drain: bool = False, stop: Stop | None = None) -> None:
    """Runs the erasure service as a process of its own, as `keepwell.web.service.run` does."""
    service.run("erasure", settings, make, drain=drain, stop=stop)


def make(settings: ErasureSettings, log: Log) -> Service:
    """The loop that carries erasures out, with health pages as its face."""
    face = partial(HealthServer, host=settings.erasure_host, port=settings.erasure_port)
    return Service(follower_of(settings, log), face)


def follower_of(settings: ErasureSettings, log: Log) -> Follower:
    """The loop alone, over a log whose topics exist."""
    topics = Topics(settings.topic_prefix)
    return Follower(
        log, Eraser(log, topics), group=topics.erasure_group, topic=topics.episodes, instance=settings.instance
    )
