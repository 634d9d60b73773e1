"""Posting an alert to a clinic's webhook."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from typing import Final

import stamina

from services.notify.outbox import Rejected, Unreachable
from services.notify.settings import NotifySettings

LATER: Final = frozenset((408, 425, 429))
"""Answers below 500 that ask to be asked again (RFC 9110, RFC 6585, RFC 8470)."""


class Webhook:
    """Posts an alert as JSON, with an `Idempotency-Key` that is the same whenever the same notice is sent again.

    A receiver that cannot be reached, or answers 5xx, is asked again with growing pauses, then `Unreachable`; any other
    refusal is `Rejected`. Neither names the address or anything of the alert.
    """

    def __init__(self, settings: NotifySettings) -> None:
        self._url = settings.webhook
        self._token = settings.webhook_token
        self._timeout = settings.webhook_timeout
        self._attempts = settings.webhook_attempts

    def __call__(self, key: str, body: bytes) -> None:
        for attempt in stamina.retry_context(on=Unreachable, attempts=self._attempts, timeout=None, wait_max=5.0):
            with attempt:
                self._post(key, body)

    def _post(self, key: str, body: bytes) -> None:
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        request = urllib.request.Request(self._url, body, headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=self._timeout):
                return
        except urllib.error.HTTPError as error:
            error.close()
            if error.code >= 500 or error.code in LATER:
                raise Unreachable(f"the receiver answered {error.code}") from None
            raise Rejected(error.code) from None
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"the receiver cannot be reached: {type(error).__name__}") from None
