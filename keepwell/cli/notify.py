"""`keepwell notify`: posts alerts to a clinic's webhook."""

from __future__ import annotations

import typer

from keepwell.cli._options import Drain, Host, Instance, LogUrl, Port, Prefix, Webhook
from keepwell.cli._settings import read
from services.notify.bootstrap import run
from services.notify.settings import NotifySettings


def command(
    *,
    webhook: Webhook = None,
    log: LogUrl = None,
    topic_prefix: Prefix = None,
    instance: Instance = None,
    host: Host = None,
    port: Port = None,
    drain: Drain = False,
) -> None:
    """Post every alert to a webhook, signed after Standard Webhooks: at least once, with an id that tells a repetition."""
    settings = read(
        NotifySettings,
        webhook=webhook,
        log=log,
        topic_prefix=topic_prefix,
        instance=instance,
        notify_host=host,
        notify_port=port,
    )
    if not settings.webhook:
        raise typer.BadParameter("name the address that alerts are posted to: --webhook https://…")
    run(settings, drain=drain)
