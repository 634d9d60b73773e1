"""Settings of the erasure service: what the shared ones lack."""

from __future__ import annotations

from pydantic import Field

from keepwell.settings import Settings


class ErasureSettings(Settings):
    """Where its health pages are."""

    erasure_host: str = Field(
        "127.0.0.1", description="Address of /livez, /readyz and /metrics of the erasure service."
    )
    erasure_port: int = Field(
        8085, ge=0, le=65_535, description="Port of /livez, /readyz and /metrics; 0: any free one."
    )
