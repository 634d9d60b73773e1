"""Settings of the clock: what the shared ones lack."""

from __future__ import annotations

from pydantic import Field

from keepwell.settings import Settings


class ClockSettings(Settings):
    """How often the clock ticks, and where its health pages are."""

    tick_interval: int = Field(60, ge=1, le=86_400, description="Seconds between ticks.")
    clock_host: str = Field("127.0.0.1", description="Address of /livez, /readyz and /metrics of the clock.")
    clock_port: int = Field(8083, ge=0, le=65_535, description="Port of /livez, /readyz and /metrics; 0: any free one.")
