"""Settings that every service shares: flags over `KEEPWELL_…` environment over a TOML file."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from keepwell.streams.log import Log
from keepwell.streams.open import open_log
from keepwell.streams.worker.guard import Limits


class Settings(BaseSettings):
    """What a service needs to find its log. A service adds its own fields in a class of its own.

    Flags are passed as keyword arguments (None: not given). The TOML file is named by `KEEPWELL_CONFIG`, default
    `keepwell.toml` in the working directory, and may be missing.
    """

    model_config = SettingsConfigDict(env_prefix="KEEPWELL_", extra="ignore", env_ignore_empty=True)

    log: str = Field("sqlite:///keepwell.db", description="Where the log is: sqlite:///FILE or kafka://HOST:PORT[,…].")
    topic_prefix: str = Field("", pattern=r"^[A-Za-z0-9._-]{0,100}$", description="Prefix of all topics and groups.")
    instance: str = Field(
        default_factory=socket.gethostname,
        min_length=1,
        description="Name of this worker: unique among live ones, the same after a restart.",
    )
    kafka_username: str | None = Field(None, description="With kafka://: log in by SASL over TLS under this name.")
    kafka_password: SecretStr | None = Field(
        None, description="The password; from the environment or a file, not a flag."
    )
    kafka_mechanism: str | None = Field(None, description="SASL mechanism, such as SCRAM-SHA-512.")
    kafka_cafile: Path | None = Field(None, description="Certificates (PEM) that the brokers' are checked with.")

    def __init__(self, **flags: Any) -> None:
        super().__init__(**{name: value for name, value in flags.items() if value is not None})

    def open_log(self, *, must_exist: bool = False) -> Log:
        """The log that the settings name. Raises `LogError` where it cannot be opened or, with `must_exist`, is a file that
        would first have to be made."""
        return open_log(self.log, topic_prefix=self.topic_prefix, security=self._security(), must_exist=must_exist)

    def _security(self) -> dict[str, str] | None:
        if self.kafka_username is None:
            return None
        told = {
            "username": self.kafka_username,
            "password": self.kafka_password.get_secret_value() if self.kafka_password else None,
            "mechanism": self.kafka_mechanism,
            "cafile": str(self.kafka_cafile) if self.kafka_cafile else None,
        }
        return {name: value for name, value in told.items() if value is not None}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = Path(os.environ.get("KEEPWELL_CONFIG", "keepwell.toml"))
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=file)


class WorkerSettings(Settings):
    """What the workers of ingest and predictor share besides."""

    accept_gap: bool = Field(False, description="Go on where records were deleted before they were read.")
    refusal_run: int = Field(
        5000, ge=1, description="Refusals in a row above which the worker stops: the feed is broken."
    )
    refusal_share: float = Field(0.9, gt=0, le=1, description="Share refused of the last 10000 above which it stops.")

    @property
    def limits(self) -> Limits:
        """The limits on refusals."""
        return Limits(self.refusal_run, self.refusal_share)
