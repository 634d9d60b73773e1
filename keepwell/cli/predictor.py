"""`keepwell predictor`: scores and alerts, from the accepted events of a log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keepwell.cli._options import Model, ReleaseKeys, ReleasesAt
from services.predictor.bootstrap import PredictorSettings, run


def command(
    log: Annotated[str | None, typer.Option(help="Where the log is: sqlite:///FILE or kafka://HOST:PORT.")] = None,
    topic_prefix: Annotated[str | None, typer.Option(help="Prefix of all topics and groups.")] = None,
    instance: Annotated[str | None, typer.Option(help="Name of this worker: unique, the same after a restart.")] = None,
    model: Model = None,
    releases: ReleasesAt = None,
    release_keys: ReleaseKeys = None,
    instruments: Annotated[Path | None, typer.Option(help="TOML file with the clinics' own instruments.")] = None,
    host: Annotated[str | None, typer.Option(help="Address of /livez, /readyz and /metrics.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of /livez, /readyz and /metrics.")] = None,
    accept_gap: Annotated[bool | None, typer.Option(help="Go on although records were deleted unread.")] = None,
    drain: Annotated[bool, typer.Option(help="Work off what the log held at the start, then end.")] = False,
) -> None:
    """Fold accepted events into episodes; publish a score for each, and the alerts that the policy draws from them."""
    run(
        PredictorSettings(
            log=log, topic_prefix=topic_prefix, instance=instance, model=model, releases=releases,
            release_keys=release_keys, instruments=instruments, predictor_host=host, predictor_port=port,
            accept_gap=accept_gap,
        ),
        drain=drain,
    )  # fmt: skip
