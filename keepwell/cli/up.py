"""`keepwell up`: everything in one process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from keepwell.cli._together import Together
from keepwell.observe import setup_logging
from keepwell.streams.worker.process import stop_on_signals, tune_gc
from services.clock.settings import ClockSettings
from services.ingest.settings import IngestSettings
from services.predictor.bootstrap import PredictorSettings


def command(
    log: Annotated[str | None, typer.Option(help="Where the log is: sqlite:///FILE or kafka://HOST:PORT.")] = None,
    topic_prefix: Annotated[str | None, typer.Option(help="Prefix of all topics and groups.")] = None,
    instance: Annotated[
        str | None, typer.Option(help="Name of this process: unique, the same after a restart.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address that the HTTP intake listens on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the HTTP intake; 0: any free one.")] = None,
    keys: Annotated[Path | None, typer.Option(help="File of the API keys.")] = None,
    interval: Annotated[int | None, typer.Option(help="Seconds between ticks of the clock.")] = None,
) -> None:
    """Run HTTP intake, ingest, predictor and clock in one process, until Ctrl-C or SIGTERM."""
    shared: dict[str, Any] = {"log": log, "topic_prefix": topic_prefix, "instance": instance}
    ingest = IngestSettings(**shared, ingest_host=host, ingest_port=port, keys=keys)
    setup_logging("up", ingest.instance)
    stop = stop_on_signals()
    target = ingest.open_log()
    try:
        with Together(
            target, ingest, PredictorSettings(**shared), ClockSettings(**shared, tick_interval=interval)
        ) as all_:
            print(
                f"events: POST http://{ingest.ingest_host}:{ingest.ingest_port}/v1/events   log: {ingest.log}",
                file=sys.stderr,
            )
            tune_gc()
            while not (stop.is_set() or all_.stop.is_set()):
                stop.wait(0.2)
    finally:
        target.close()
