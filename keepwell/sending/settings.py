"""Settings of whatever posts to a webhook: how posts are signed, how long they may take, which machines they may reach."""

from __future__ import annotations

import base64
import binascii
from typing import Final, NamedTuple

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from keepwell.sending.address import is_private_literal, target_of
from keepwell.settings import Settings

SECRET_BYTES: Final = range(24, 65)
"""Lengths of a secret that Standard Webhooks allows."""


class Destination(NamedTuple):
    """Where posts go, and how. `secrets` all sign; `token` is sent besides; `timeout` in seconds."""

    url: str
    secrets: tuple[str, ...]
    token: SecretStr | None
    timeout: float
    allow_private: bool


class WebhookSettings(Settings):
    """How webhooks are posted. What is refused is not repeated: addresses and secrets stay out of logs."""

    model_config = SettingsConfigDict(hide_input_in_errors=True)

    webhook_secret: SecretStr | None = Field(
        None,
        description="Secret that posts are signed with, `whsec_…`; several, parted by blanks, all sign: for a rotation. From "
        "the environment or a file.",
    )
    webhook_token: SecretStr | None = Field(
        None, description="Sent as bearer token besides; from the environment or a file."
    )
    webhook_timeout: float = Field(
        8.0, gt=0, le=30, description="Seconds that one post may take in all, from resolving the name to the answer."
    )
    webhook_allow_private: bool = Field(
        False, description="Let a webhook be a machine inside: a private, loopback or link-local address."
    )

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets that sign, in the order given."""
        return () if self.webhook_secret is None else tuple(self.webhook_secret.get_secret_value().split())

    def destination(self, url: str) -> Destination:
        """Posts to this address."""
        return Destination(url, self.secrets, self.webhook_token, self.webhook_timeout, self.webhook_allow_private)

    @field_validator("webhook_secret")
    @classmethod
    def _of_the_standard(cls, secret: SecretStr | None) -> SecretStr | None:
        for one in [] if secret is None else secret.get_secret_value().split():
            if _length(one) not in SECRET_BYTES:
                raise ValueError(
                    "each secret is whsec_ followed by the base64 of 24 to 64 random bytes: make one with "
                    "`echo whsec_$(openssl rand -base64 32)`"
                )
        return secret

    @field_validator("webhook_token")
    @classmethod
    def _fit_for_a_header(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and not all("!" <= character <= "~" for character in token.get_secret_value()):
            raise ValueError("the token has blanks or characters beyond ASCII: give the bare token")
        return token


def fit_for_posts(url: str) -> str:
    """An address that posts may go to, or none (""). Raises `ValueError`, in a sentence without the address."""
    if url:
        target_of(url)
    return url


def not_inside_by_mistake(url: str, allow_private: bool) -> None:
    """Raises `ValueError` where an address is that of a machine inside and nobody said that this is meant."""
    if url and not allow_private and is_private_literal(target_of(url)):
        raise ValueError(
            "the webhook is a private or link-local address: set KEEPWELL_WEBHOOK_ALLOW_PRIVATE=true where that is meant"
        )


def _length(secret: str) -> int:
    """The number of bytes of a secret; 0 where it has not the form."""
    if not secret.startswith("whsec_"):
        return 0
    try:
        return len(base64.b64decode(secret.removeprefix("whsec_"), validate=True))
    except (binascii.Error, ValueError):
        return 0
