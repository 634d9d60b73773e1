"""`keepwell notify`: posts alerts to a clinic's webhook."""

from __future__ import annotations

from typing import Annotated

import typer

from keepwell.observe import setup_logging
from keepwell.streams.topics import Topics, ensure_topics
from keepwell.streams.worker.process import Check, stop_on_signals
from keepwell.web.health import HealthServer
from services.notify.outbox import Outbox
from services.notify.settings import NotifySettings
from services.notify.webhook import Webhook


def command(
    webhook: Annotated[str | None, typer.Option(help="Address that alerts are posted to.")] = None,
    log: Annotated[str | None, typer.Option(help="Where the log is: sqlite:///FILE or kafka://HOST:PORT.")] = None,
    topic_prefix: Annotated[str | None, typer.Option(help="Prefix of all topics and groups.")] = None,
    instance: Annotated[str | None, typer.Option(help="Name of this worker: unique, the same after a restart.")] = None,
    host: Annotated[str | None, typer.Option(help="Address of /livez, /readyz and /metrics.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of /livez, /readyz and /metrics; 0: any free one.")] = None,
    drain: Annotated[bool, typer.Option(help="Send what the log holds now, then end.")] = False,
) -> None:
    """Post every alert to a webhook: at least once, with an Idempotency-Key that tells a repetition."""
    settings = NotifySettings(
        webhook=webhook, log=log, topic_prefix=topic_prefix, instance=instance, notify_host=host, notify_port=port
    )
    if not settings.webhook:
        raise typer.BadParameter("name the address that alerts are posted to: --webhook https://…")
    setup_logging("notify", settings.instance)
    stop = stop_on_signals()
    source = settings.open_log()
    try:
        topics = Topics(settings.topic_prefix)
        ensure_topics(source, topics)
        outbox = Outbox(source, topics, settings.instance, Webhook(settings))
        with HealthServer(
            lambda: Check(True, "the process runs"), outbox.ready, settings.notify_host, settings.notify_port
        ):
            outbox.drain() if drain else outbox.run(stop)
    finally:
        source.close()
