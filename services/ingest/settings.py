"""Settings of the ingest service: what the shared ones lack."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from keepwell.settings import WorkerSettings


class IngestSettings(WorkerSettings):
    """Where the HTTP intake listens, which keys it knows, and its limits.

    The limits are judgement: a city's clinics make a few events a second, so they only meet a sender that went wrong, or
    one that catches up on years and may wait.
    """

    ingest_host: str = Field("127.0.0.1", description="Address that the HTTP intake listens on.")
    ingest_port: int = Field(8080, ge=0, le=65_535, description="Port of the HTTP intake; 0: any free one.")
    keys: Path = Field(Path("keepwell-keys.json"), description="File of the API keys, made by `keepwell keys issue`.")
    max_body_bytes: int = Field(4 * 1024 * 1024, ge=1024, description="Largest request body, in bytes.")
    max_batch: int = Field(1000, ge=1, description="Most events in one request.")
    rate: float = Field(500, gt=0, description="Events a second that one key may send in the long run.")
    burst: int = Field(5000, ge=1, description="Events that one key may send at once after a pause.")

    @model_validator(mode="after")
    def _a_whole_batch_can_pass(self) -> IngestSettings:
        if self.burst < self.max_batch:
            raise ValueError(
                f"burst ({self.burst}) must be at least max_batch ({self.max_batch}), or no full batch passes"
            )
        return self
