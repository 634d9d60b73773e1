"""Settings of the notifier: what the shared ones lack."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from keepwell.sending.settings import WebhookSettings, fit_for_posts, not_inside_by_mistake


class NotifySettings(WebhookSettings):
    """Where alerts go, and how they are signed."""

    webhook: str = Field("", description="Address that alerts are posted to; https, or http on this machine.")
    notify_host: str = Field("127.0.0.1", description="Address of /livez, /readyz and /metrics.")
    notify_port: int = Field(
        8084, ge=0, le=65_535, description="Port of /livez, /readyz and /metrics; 0: any free one."
    )

    @field_validator("webhook")
    @classmethod
    def _fit_for_alerts(cls, url: str) -> str:
        return fit_for_posts(url)

    @model_validator(mode="after")
    def _meant(self) -> NotifySettings:
        not_inside_by_mistake(self.webhook, self.webhook_allow_private)
        return self
