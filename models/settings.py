"""Settings of the registry, apart from it: who only asks which settings there are need not load what reads releases."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from keepwell.settings import Settings


class ReleaseSettings(Settings):
    """Where releases are looked for, and whose count."""

    releases: str = Field(
        "keepwell-releases", description="Folder of releases, or the URL of an object store (fsspec)."
    )
    release_keys: Path | None = Field(
        None, description="Public key (or folder of them) that releases must be signed with; default: not checked."
    )
