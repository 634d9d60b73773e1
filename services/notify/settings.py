"""Settings of the notifier: what the shared ones lack."""

from __future__ import annotations

from pydantic import Field, SecretStr, field_validator

from keepwell.settings import Settings

LOOPBACK = ("http://127.0.0.1", "http://localhost", "http://[::1]")


class NotifySettings(Settings):
    """Where alerts go, and how long to try. The retries are judgement: an outage of the receiver is to pass unnoticed."""

    webhook: str = Field("", description="Address that alerts are posted to; https, or http on this machine.")
    webhook_token: SecretStr | None = Field(None, description="Sent as bearer token; from the environment or a file.")
    webhook_timeout: float = Field(10.0, gt=0, description="Seconds that one post may take.")
    webhook_attempts: int = Field(8, ge=1, description="Posts of an alert before the notifier begins anew.")
    notify_host: str = Field("127.0.0.1", description="Address of /livez, /readyz and /metrics.")
    notify_port: int = Field(
        8084, ge=0, le=65_535, description="Port of /livez, /readyz and /metrics; 0: any free one."
    )

    @field_validator("webhook")
    @classmethod
    def _kept_from_eavesdroppers(cls, url: str) -> str:
        if not url or url.startswith(("https://", *LOOPBACK)):
            return url
        raise ValueError("alerts are clinical: use an https:// address, or http:// on this machine")
