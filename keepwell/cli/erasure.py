"""`keepwell erasure`: the service that carries erasures out."""

from __future__ import annotations

from keepwell.cli._options import Drain, Host, Instance, LogUrl, Port, Prefix
from keepwell.cli._settings import read
from services.erasure.bootstrap import run
from services.erasure.settings import ErasureSettings


def command(
    *,
    log: LogUrl = None,
    topic_prefix: Prefix = None,
    instance: Instance = None,
    host: Host = None,
    port: Port = None,
    drain: Drain = False,
) -> None:
    """Carry erasures out: delete what the log holds of a client, once the predictor has forgotten the client."""
    settings = read(
        ErasureSettings,
        log=log,
        topic_prefix=topic_prefix,
        instance=instance,
        erasure_host=host,
        erasure_port=port,
    )
    run(settings, drain=drain)
