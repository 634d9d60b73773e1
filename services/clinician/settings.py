"""Settings of the clinician's side: what the shared ones lack."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from models.settings import ReleaseSettings
from services.clinician.clinics import ClinicFacts, read_clinics


class ClinicianSettings(ReleaseSettings):
    """Where the read model and the accounts are, and where the page is served. A refused address of a database is not
    repeated, as a password may stand in it."""

    model_config = SettingsConfigDict(hide_input_in_errors=True)

    database: str = Field(
        "sqlite:///keepwell-clinician.db",
        description="Database of the clinician's side: sqlite:///FILE, or postgresql+psycopg://USER:PASSWORD@HOST/NAME.",
        repr=False,
    )
    clinician_host: str = Field("127.0.0.1", description="Address of the page, the API and the health pages.")
    clinician_port: int = Field(
        8086, ge=0, le=65_535, description="Port of the page, the API and the health pages; 0: any free one."
    )

    clinics: dict[str, ClinicFacts] = Field(
        default_factory=dict,
        description="A table for each clinic: zone, language, digest_at, quiet_hours, pushes_a_week, made_up.",
    )

    @field_validator("clinics", mode="plain")
    @classmethod
    def _facts(cls, given: object) -> dict[str, ClinicFacts]:
        return read_clinics(given)

    @field_validator("database")
    @classmethod
    def _one_that_we_know(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            kind = parts.scheme if parts.port != 0 else ""  # reading the port raises where it is none
        except ValueError:
            kind = ""
        if kind not in ("sqlite", "postgresql+psycopg"):
            raise ValueError("must be sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME")
        return url
