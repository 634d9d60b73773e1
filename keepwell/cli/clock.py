"""`keepwell clock`: the clock service."""

from __future__ import annotations

from typing import Annotated

import typer

from keepwell.cli._options import Host, Instance, Interval, LogUrl, Port, Prefix
from keepwell.cli._settings import read
from services.clock.bootstrap import run
from services.clock.settings import ClockSettings


def command(
    *,
    log: LogUrl = None,
    topic_prefix: Prefix = None,
    instance: Instance = None,
    interval: Interval = None,
    host: Host = None,
    port: Port = None,
    once: Annotated[bool, typer.Option("--once", "--drain", help="Write the newest tick, then end.")] = False,
) -> None:
    """Tell every partition the time, so that silence is noticed. Several may run: they say the same."""
    settings = read(
        ClockSettings,
        log=log,
        topic_prefix=topic_prefix,
        instance=instance,
        tick_interval=interval,
        clock_host=host,
        clock_port=port,
    )
    run(settings, drain=once)
