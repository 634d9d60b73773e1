"""Notices by webhook, for a clinic's own messenger: who is to look, by the pseudonym of the account, and where."""

from __future__ import annotations

import msgspec

from keepwell.sending.outcome import Outcome
from keepwell.sending.settings import Destination
from keepwell.sending.webhook import Webhook
from services.clinician.prompts.outbox import Prompt


class Hook:
    """Posts prompts as `{"type": "prompt", "id", "kind", "clinic", "user", "link"}`, signed as alerts are."""

    def __init__(self, to: Destination, base: str) -> None:
        self._post = Webhook(to)
        self._link = base.rstrip("/") + "/"

    def __call__(self, prompt: Prompt) -> Outcome:
        """Posts once."""
        told = {
            "type": "prompt", "id": prompt.name, "kind": prompt.kind, "clinic": prompt.clinic, "user": prompt.user,
            "link": self._link,
        }  # fmt: skip
        return self._post(prompt.name, msgspec.json.encode(told).decode())
