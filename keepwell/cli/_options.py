"""Options that several commands share, in the same words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

LogUrl = Annotated[str | None, typer.Option("--log", help="Where the log is: sqlite:///FILE or kafka://HOST:PORT.")]
Prefix = Annotated[str | None, typer.Option("--topic-prefix", help="Prefix of all topics and groups.")]
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
