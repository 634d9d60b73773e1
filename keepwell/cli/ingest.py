"""`keepwell ingest`: the ingest service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keepwell.observe import setup_logging
from keepwell.streams.topics import Topics, ensure_topics
from keepwell.streams.worker.process import stop_on_signals, tune_gc
from services.ingest.bootstrap import drain_ingest, run_ingest
from services.ingest.settings import IngestSettings


def command(
    log: Annotated[str | None, typer.Option(help="Where the log is, such as kafka://host:9092.")] = None,
    topic_prefix: Annotated[str | None, typer.Option(help="Prefix of all topics and groups.")] = None,
    instance: Annotated[str | None, typer.Option(help="Name of this worker, unique among live ones.")] = None,
    host: Annotated[str | None, typer.Option(help="Address that the HTTP intake listens on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the HTTP intake; 0: any free one.")] = None,
    keys: Annotated[Path | None, typer.Option(help="File of the API keys.")] = None,
    accept_gap: Annotated[bool, typer.Option(help="Go on where records were deleted before they were read.")] = False,
    drain: Annotated[bool, typer.Option(help="Work off what the log holds now, without HTTP, then end.")] = False,
) -> None:
    """Take events in over HTTP, check and normalise everything that arrives, refuse what does not keep the contract."""
    settings = IngestSettings(
        log=log,
        topic_prefix=topic_prefix,
        instance=instance,
        ingest_host=host,
        ingest_port=port,
        keys=keys,
        accept_gap=accept_gap or None,
    )
    setup_logging("ingest", settings.instance)
    stop = stop_on_signals()
    source = settings.open_log()
    tune_gc()
    try:
        ensure_topics(source, Topics(settings.topic_prefix))
        (drain_ingest if drain else run_ingest)(settings, source, stop)
    finally:
        source.close()
