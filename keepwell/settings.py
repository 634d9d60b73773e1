"""Settings that every service shares: flags over `KEEPWELL_…` environment over a TOML file, and what is wrong with them."""

from __future__ import annotations

import json
import os
import re
import socket
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, Final, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from keepwell.streams.log import Log
from keepwell.streams.open import WHERE, open_log
from keepwell.streams.worker.guard import Limits

PREFIX: Final = "KEEPWELL_"
"""Of every setting's environment variable."""

NOT_SETTINGS: Final = frozenset(("KEEPWELL_CONFIG", "KEEPWELL_API_KEY"))
"""Variables with our prefix that are no settings: the first names the TOML file, the second is for who sends events."""

FORMER: Final[Mapping[str, str]] = {
    "instruments": "instruments are registered in the log now: keepwell instruments register FILE, once for each file",
}
"""What to do instead of settings that former versions had."""


class WrongSettings(ValueError):
    """Settings that nobody can start with. `problems` are sentences that name the place, and what may stand there."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Settings(BaseSettings):
    """What a service needs to find its log. A service adds its own fields in a class of its own.

    Flags are passed as keyword arguments (None: not given). The TOML file is named by `KEEPWELL_CONFIG`, which must then be
    there; by default it is `keepwell.toml` in the working directory, which may be missing. The file is shared: names that a
    class does not know are for others to read, and `unknown` finds those that nobody knows. Raises `WrongSettings`.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", env_ignore_empty=True)

    log: str = Field("sqlite:///keepwell.db", description=WHERE)
    topic_prefix: str = Field("", description="Prefix of all topics and groups.")
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
        given = {name: value for name, value in flags.items() if value is not None}
        try:
            super().__init__(**given)
        except ValidationError as error:
            fields, file = type(self).model_fields, _File.read()
            found = [_wrong(each, fields, given, file) for each in error.errors(include_url=False)]
            raise WrongSettings(*found) from None  # pydantic's own words may quote a password

    @field_validator("topic_prefix")
    @classmethod
    def _a_topic_may_begin_so(cls, prefix: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9._-]{0,100}", prefix):
            raise ValueError("must be at most 100 letters (A to Z), digits, dots, hyphens and underscores")
        return prefix

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
        known = {name: value for name, value in _File.read().values.items() if name in settings_cls.model_fields}
        return init_settings, env_settings, InitSettingsSource(settings_cls, known)


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


def unknown(known: Collection[str]) -> Iterator[str]:
    """A sentence for each name in the environment and in the TOML file that is none of the `known` settings.

    Raises `WrongSettings` where the file cannot be read.
    """
    variables = {PREFIX + name.upper() for name in known} | NOT_SETTINGS
    for variable in sorted(os.environ):
        if variable.upper().startswith(PREFIX) and variable.upper() not in variables:
            yield f"{variable} in the environment is not a setting{_instead(variable.upper(), variables)}"
    file = _File.read()
    for name in file.values:
        if name not in known:
            yield f"{name} in {file.place(name)} is not a setting{_instead(name.lower(), known)}"


def _instead(name: str, known: Collection[str]) -> str:
    """What to write for an unknown name, in words; with our prefix, or in capitals, a name in the file is still that name."""
    plain = name.removeprefix(PREFIX).removeprefix(PREFIX.lower()).lower()
    if plain in FORMER:
        return f" any more: {FORMER[plain]}"
    if plain in known:
        return f": in a file it is written {plain}"
    near = get_close_matches(name, sorted(known), 1)
    return f": did you mean {near[0]}?" if near else ": docs/reference/settings.md lists those that there are"


class _File(NamedTuple):
    """The TOML file; empty where there is none."""

    path: Path
    text: str
    values: Mapping[str, Any]

    @classmethod
    def read(cls) -> _File:
        """The file that the environment names. Raises `WrongSettings` where it is not there, or is not TOML."""
        named = os.environ.get("KEEPWELL_CONFIG")
        path = Path(named or "keepwell.toml")
        try:
            text = path.read_bytes().decode("utf-8-sig")
            return cls(path, text, tomllib.loads(text))
        except FileNotFoundError:
            if named:
                raise WrongSettings(
                    f"KEEPWELL_CONFIG in the environment names {path}, and there is no such file"
                ) from None
            return cls(path, "", {})
        except OSError as error:
            raise WrongSettings(f"{path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise WrongSettings(f"{path} is not UTF-8, as TOML has to be: save it anew in this encoding") from None
        except tomllib.TOMLDecodeError as error:
            raise WrongSettings(f"{path} is not TOML: {error}") from None

    def place(self, name: str) -> str:
        """Where a name of the top level stands, in words."""
        key = rf"""["']?{re.escape(name)}["']?"""
        begins = re.compile(rf"\s*(?:{key}\s*[.=]|\[+\s*{key}\s*[.\]])")
        lines = enumerate(self.text.splitlines(), start=1)
        number = next((number for number, line in lines if begins.match(line)), None)
        return f"{self.path} line {number}" if number is not None else str(self.path)


def _wrong(error: Mapping[str, Any], fields: Mapping[str, FieldInfo], flags: Mapping[str, Any], file: _File) -> str:
    """The sentence for one error of pydantic."""
    own = str(error["ctx"]["error"]) if error["type"] == "value_error" else None
    if not error["loc"]:  # of several settings together: the words name them
        return own or str(error["msg"])
    name = str(error["loc"][0])
    field = fields[name]
    quoted = "" if own or SecretStr in get_args(field.annotation) else f" = {_quoted(error['input'])}"
    if name in flags:
        told = f"{name}{quoted} on the command line"
    elif any(variable.upper() == PREFIX + name.upper() and value for variable, value in os.environ.items()):
        told = f"{PREFIX}{name.upper()}{quoted} in the environment"
    else:
        told = f"{name}{quoted} in {file.place(name)}"
    return f"{told}: {own or f'must be {allowed(field)}'}"


def _quoted(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"


def allowed(field: FieldInfo) -> str:
    """The values that a setting may have, in words.

    >>> allowed(WorkerSettings.model_fields["refusal_share"])
    'a number above 0 and at most 1'
    >>> allowed(WorkerSettings.model_fields["refusal_run"])
    'a whole number of at least 1'
    """
    kinds = [part for part in (*get_args(field.annotation), field.annotation) if part is not type(None)]
    kind = kinds[0] if get_origin(field.annotation) in (Union, UnionType) else field.annotation
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    if kind is bool:
        return "true or false"
    if kind in (int, float):
        return ("a whole number" if kind is int else "a number") + _range(field.metadata)
    if get_origin(kind) is dict:
        return "a table"
    return "a path" if kind is Path else "text, and not empty"


def _range(metadata: Sequence[object]) -> str:
    found = {bound: getattr(each, bound) for each in metadata for bound in ("ge", "gt", "le") if hasattr(each, bound)}
    match found:
        case {"ge": low, "le": high}:
            return f" from {low} to {high}"
        case {"gt": low, "le": high}:
            return f" above {low} and at most {high}"
        case {"ge": low}:
            return f" of at least {low}"
        case {"gt": low}:
            return f" above {low}"
    return ""
