"""Posting to a clinic's webhook, after Standard Webhooks (standardwebhooks.com, version 1.0.0)."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import standardwebhooks

from keepwell.sending.address import target_of
from keepwell.sending.outcome import Delivered, Gone, Later, Outcome, Rejected
from keepwell.sending.post import NoAnswer, Poster
from keepwell.sending.settings import Destination

LATER: Final = frozenset((408, 425, 429))
"""Answers of the 4xx that ask to be asked again (RFC 9110, RFC 6585, RFC 8470)."""


class Webhook:
    """Posts JSON, signed with every secret of the destination.

    `webhook-id` is the notice's name, the same whenever it is sent again; `webhook-timestamp` and signature are of the try.
    An answer of 2xx is the only one that counts as taken. A redirect is an error like 5xx: it is not followed, so nothing is
    posted elsewhere. `clock` tells seconds since 1970.
    """

    def __init__(
        self, to: Destination, tls: ssl.SSLContext | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._poster = Poster(target_of(to.url), to.timeout, to.allow_private, tls or ssl.create_default_context())
        self._signers = [standardwebhooks.Webhook(secret) for secret in to.secrets]
        self._token = to.token
        self._clock = clock

    def __call__(self, notice: str, body: str) -> Outcome:
        """Posts once, and says what became of it."""
        now = self._clock()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "keepwell",
            "Idempotency-Key": notice,
            "webhook-id": notice,
            "webhook-timestamp": str(int(now)),
        }
        if self._signers:
            headers["webhook-signature"] = signatures(self._signers, notice, now, body)
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        try:
            status, retry_after = self._poster.post(headers, body.encode())
        except NoAnswer as error:
            return Later(str(error), answered=False)
        if 200 <= status < 300:
            return Delivered()
        if status == 410:
            return Gone()
        if 400 <= status < 500 and status not in LATER:
            return Rejected(status)
        return Later(f"the receiver answered {status}", seconds_of(retry_after, self._clock()))


def signatures(signers: Sequence[standardwebhooks.Webhook], notice: str, now: float, body: str) -> str:
    """The signature under each secret, in their order, as `v1,… v1,…`: a receiver needs to know one of them."""
    moment = datetime.fromtimestamp(int(now), UTC)
    return " ".join(signer.sign(notice, moment, body) for signer in signers)


def seconds_of(retry_after: str | None, now: float) -> float | None:
    """What `Retry-After` says, in seconds from `now`; None where it says nothing that can be read (RFC 9110, 10.2.3).

    >>> seconds_of("120", 0), seconds_of("Thu, 01 Jan 1970 00:02:00 GMT", 0), seconds_of("soon", 0)
    (120.0, 120.0, None)
    """
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after.strip()[:12])
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - now)
