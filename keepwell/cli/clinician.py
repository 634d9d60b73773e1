"""`keepwell clinician`: follows the log into the read model and serves clinicians."""

from __future__ import annotations

from typing import Annotated

import typer

from keepwell.cli._options import Database, Drain, Host, Instance, LogUrl, Port, Prefix
from keepwell.cli._settings import read
from services.clinician.bootstrap import run
from services.clinician.settings import ClinicianSettings


def command(
    *,
    log: LogUrl = None,
    database: Database = None,
    topic_prefix: Prefix = None,
    instance: Instance = None,
    host: Host = None,
    port: Port = None,
    rebuild: Annotated[
        bool,
        typer.Option(
            "--rebuild", help="Throw away what the database holds of the log, and follow it from its beginning."
        ),
    ] = False,
    drain: Drain = False,
) -> None:
    """Follow scores, alerts and events into a database, and serve what clinicians see and answer."""
    settings = read(
        ClinicianSettings, log=log, database=database, topic_prefix=topic_prefix, instance=instance,
        clinician_host=host, clinician_port=port,
    )  # fmt: skip
    run(settings, rebuild=rebuild, drain=drain)
