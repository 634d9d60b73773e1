"""Wires the notifier to a log."""

from __future__ import annotations

from functools import partial

from keepwell.streams.log import Log
from keepwell.streams.topics import Topics
from keepwell.streams.worker.loop import Stop
from keepwell.web import service
from keepwell.web.health import HealthServer
from keepwell.web.service import Service
from services.notify.outbox import Outbox
from services.notify.settings import NotifySettings
from services.notify.webhook import Webhook


def run(settings: NotifySettings, *, drain: bool = False, stop: Stop | None = None) -> None:
    """Runs the notifier as a process of its own, as `keepwell.web.service.run` does."""
    service.run("notify", settings, make, drain=drain, stop=stop)


def make(settings: NotifySettings, log: Log) -> Service:
    """The outbox to the webhook of the settings, with health pages as its face."""
    outbox = Outbox(log, Topics(settings.topic_prefix), settings.instance, Webhook(settings))
    return Service(outbox, partial(HealthServer, host=settings.notify_host, port=settings.notify_port))
