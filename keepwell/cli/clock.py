"""`keepwell clock`: the clock service."""

from __future__ import annotations

from typing import Annotated

import typer

from keepwell.observe import setup_logging
from keepwell.streams.topics import Topics, ensure_topics
from keepwell.streams.worker.process import stop_on_signals
from services.clock.clock import make_clock, run_clock
from services.clock.settings import ClockSettings


def command(
    log: Annotated[str | None, typer.Option(help="Where the log is, such as kafka://host:9092.")] = None,
    topic_prefix: Annotated[str | None, typer.Option(help="Prefix of all topics and groups.")] = None,
    instance: Annotated[str | None, typer.Option(help="Name of this clock in its log lines.")] = None,
    interval: Annotated[int | None, typer.Option(help="Seconds between ticks.")] = None,
    host: Annotated[str | None, typer.Option(help="Address of /livez, /readyz and /metrics.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of /livez, /readyz and /metrics; 0: any free one.")] = None,
    once: Annotated[bool, typer.Option(help="Write the newest tick, then end.")] = False,
) -> None:
    """Tell every partition the time, so that silence is noticed. Several may run: they say the same."""
    settings = ClockSettings(
        log=log,
        topic_prefix=topic_prefix,
        instance=instance,
        tick_interval=interval,
        clock_host=host,
        clock_port=port,
    )
    setup_logging("clock", settings.instance)
    stop = stop_on_signals()
    target = settings.open_log()
    try:
        ensure_topics(target, Topics(settings.topic_prefix))
        if once:
            make_clock(settings, target).turn()
        else:
            run_clock(settings, target, stop)
    finally:
        target.close()
