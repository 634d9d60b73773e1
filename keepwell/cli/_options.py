"""Options that several commands share, in the same words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keepwell.streams.open import WHERE

LogUrl = Annotated[str | None, typer.Option("--log", help=WHERE)]
Database = Annotated[
    str | None,
    typer.Option(
        "--database", help="Of the clinician's side: sqlite:///FILE, or postgresql+psycopg://USER:PASSWORD@HOST/NAME."
    ),
]
Prefix = Annotated[str | None, typer.Option("--topic-prefix", help="Prefix of all topics and groups.")]
Instance = Annotated[
    str | None,
    typer.Option("--instance", help="Name of this worker: unique among live ones, the same after a restart."),
]
Host = Annotated[str | None, typer.Option("--host", help="Address of /livez, /readyz and /metrics.")]
Port = Annotated[int | None, typer.Option("--port", help="Port of /livez, /readyz and /metrics; 0: any free one.")]
IntakeHost = Annotated[str | None, typer.Option("--host", help="Address that the HTTP intake listens on.")]
IntakePort = Annotated[int | None, typer.Option("--port", help="Port of the HTTP intake; 0: any free one.")]
Keys = Annotated[Path | None, typer.Option("--keys", help="File of the API keys.")]
Interval = Annotated[int | None, typer.Option("--interval", help="Seconds between ticks of the clock.")]
Webhook = Annotated[str | None, typer.Option("--webhook", help="Address that alerts are posted to.")]
AcceptGap = Annotated[
    bool | None,
    typer.Option("--accept-gap/--no-accept-gap", help="Go on where records were deleted before they were read."),
]
Drain = Annotated[bool, typer.Option("--drain", help="Work off what the log held at the start, then end; no address.")]
Model = Annotated[
    str | None,
    typer.Option("--model", help="Release to begin with: digest, unique prefix or path; default: the shipped one."),
]
ReleasesAt = Annotated[
    str | None, typer.Option("--releases", help="Folder of releases, or the URL of an object store (fsspec).")
]
ReleaseKeys = Annotated[
    Path | None,
    typer.Option("--release-keys", help="Public key, or folder of them, that releases must be signed with."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
