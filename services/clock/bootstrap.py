"""Wires the clock to a log."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from keepwell.streams.log import Log
from keepwell.streams.topics import Topics
from keepwell.streams.worker.loop import Stop
from keepwell.web import service
from keepwell.web.health import HealthServer
from keepwell.web.service import Service
from services.clock.clock import Clock
from services.clock.settings import ClockSettings


def run(settings: ClockSettings, *, drain: bool = False, stop: Stop | None = None) -> None:
    """Runs the clock as a process of its own, as `keepwell.web.service.run` does; `drain`: for one tick."""
    service.run("clock", settings, make, drain=drain, stop=stop)


def make(settings: ClockSettings, log: Log) -> Service:
    """The clock of an installation, with health pages as its face."""
    topic = Topics(settings.topic_prefix).episodes
    clock = Clock(log, topic, settings.tick_interval, lambda: datetime.now(UTC))
    face = partial(HealthServer, host=settings.clock_host, port=settings.clock_port)
    return Service(clock, face, named=False)
