"""Settings of the predictor: what the shared ones lack."""

from __future__ import annotations

from pydantic import Field

from keepwell.settings import WorkerSettings
from models.settings import ReleaseSettings


class PredictorSettings(ReleaseSettings, WorkerSettings):
    """Which release scores at first, and where its health pages are."""

    model: str | None = Field(
        None, description="Release to begin with: digest, unique prefix or path; default: the shipped one."
    )
    predictor_host: str = Field("127.0.0.1", description="Address of /livez, /readyz and /metrics.")
    predictor_port: int = Field(
        8082, ge=0, le=65535, description="Port of /livez, /readyz and /metrics; 0: any free one."
    )
