"""Settings that every service shares: flags over `KEEPWELL_…` environment over a TOML file."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)


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
    instruments: Path | None = Field(None, description="TOML file with the clinics' own instruments.")

    def __init__(self, **flags: Any) -> None:
        super().__init__(**{name: value for name, value in flags.items() if value is not None})

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
