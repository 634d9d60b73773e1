"""`keepwell ingest`: the ingest service."""

from __future__ import annotations

from keepwell.cli._options import AcceptGap, Drain, Instance, IntakeHost, IntakePort, Keys, LogUrl, Prefix
from keepwell.cli._settings import read
from services.ingest.bootstrap import run
from services.ingest.settings import IngestSettings


def command(
    *,
    log: LogUrl = None,
    topic_prefix: Prefix = None,
    instance: Instance = None,
    host: IntakeHost = None,
    port: IntakePort = None,
    keys: Keys = None,
    accept_gap: AcceptGap = None,
    drain: Drain = False,
) -> None:
    """Take events in over HTTP, check and normalise everything that arrives, refuse what does not keep the contract."""
    settings = read(
        IngestSettings,
        log=log, topic_prefix=topic_prefix, instance=instance, ingest_host=host, ingest_port=port, keys=keys,
        accept_gap=accept_gap,
    )  # fmt: skip
    run(settings, drain=drain)
