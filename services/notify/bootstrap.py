"""Wires the notifier to a log: receiver, outboxes and the loops that follow alerts and letters put back."""

from __future__ import annotations

import threading
from functools import partial

import structlog

from keepwell.sending.outcome import Send
from keepwell.sending.webhook import Webhook
from keepwell.streams.log import Log
from keepwell.streams.standing import stands
from keepwell.streams.topics import Topics
from keepwell.streams.worker.dead_letters import put_back
from keepwell.streams.worker.follow import Follower
from keepwell.streams.worker.loop import Stop
from keepwell.streams.worker.process import Check
from keepwell.web import service
from keepwell.web.health import HealthServer
from keepwell.web.service import Service, Until
from services.notify.outbox import Outbox, Receiver
from services.notify.settings import NotifySettings

_log = structlog.get_logger(__name__)


class Notifier:
    """Follows alerts, and beside them the letters that were put back, to one receiver, over a log whose topics exist."""

    def __init__(self, log: Log, topics: Topics, instance: str, send: Send) -> None:
        self._receiver = Receiver(send)
        self._alerts = Follower(
            log,
            Outbox(self._receiver, topics.dead_letters, stands=partial(stands, log)),
            group=topics.notify_group,
            topic=topics.alerts,
            instance=instance,
        )
        self._returned = Follower(
            log,
            Outbox(self._receiver, topics.dead_letters, partial(put_back, log), partial(stands, log)),
            group=topics.returned_group,
            topic=topics.dead_letters,
            instance=instance,
            accept_gap=True,  # what retention took of the dead letters cannot be posted, read or not
        )
        self._turning: tuple[Follower, ...] = (self._alerts, self._returned)

    def run(self, stop: Stop) -> None:
        """Sends until `stop` is set. Raises `LogError` as every loop does; then both have ended."""
        self._turning = (self._alerts, self._returned)
        ended = threading.Event()
        either = Until(stop, ended)
        errors: list[BaseException] = []

        def follow(loop: Follower) -> None:
            try:
                loop.run(either)
            except BaseException as error:
                errors.append(error)
            finally:
                ended.set()

        threads = [threading.Thread(target=follow, args=(loop,)) for loop in self._turning]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    def drain(self, stop: Stop) -> None:
        """Sends what the log holds now, until `stop` is set. Raises `LogError` where something of it is to be tried later."""
        for loop in (self._alerts, self._returned):
            self._turning = (loop,)
            loop.drain(stop)

    def silence(self) -> float:
        """Seconds since the last beat of the loop that is silent longest."""
        return max(loop.silence() for loop in self._turning)

    def live(self) -> Check:
        """Whether the loops turn. For any thread."""
        return _first_trouble(*(loop.live() for loop in self._turning))

    def ready(self) -> Check:
        """Whether the loops do their share, and alerts get through. For any thread."""
        return _first_trouble(*(loop.ready() for loop in self._turning), self._receiver.check())


def run(settings: NotifySettings, *, drain: bool = False, stop: Stop | None = None) -> None:
    """Runs the notifier as a process of its own, as `keepwell.web.service.run` does."""
    service.run("notify", settings, make, drain=drain, stop=stop)


def make(settings: NotifySettings, log: Log) -> Service:
    """The notifier to the webhook of the settings, with health pages as its face."""
    if not settings.secrets:
        _log.warning("webhook.unsigned", what="set KEEPWELL_WEBHOOK_SECRET, so that the receiver can tell who posts")
    notifier = Notifier(
        log, Topics(settings.topic_prefix), settings.instance, Webhook(settings.destination(settings.webhook))
    )
    return Service(notifier, partial(HealthServer, host=settings.notify_host, port=settings.notify_port))


def _first_trouble(*checks: Check) -> Check:
    """The first check that is not well, else the last."""
    return next((check for check in checks if not check.ok), checks[-1])
