"""ETags of answers to programs (RFC 9110, 8.8.3): who asks again for what has not changed gets 304 and no body."""

from __future__ import annotations

import hashlib
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST: Final = 8 * 1024 * 1024
"""Bytes of an answer up to which it has a tag; ours."""


class ETags:
    """Adds a strong tag to every whole JSON answer of 200 to a GET below `prefix`, and answers 304 to `If-None-Match`.

    The tag is of the bytes, so it changes exactly when they do, whoever asks. An answer in several pieces is let through.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(self._prefix):
            await self._app(scope, receive, send)
            return
        wanted = Headers(scope=scope).get("if-none-match", "")
        begun: Message | None = None

        async def tagged(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start" and _is_fit(message):
                begun = message
                return
            if begun is not None:
                start, begun = begun, None
                body = message.get("body", b"")
                if not message.get("more_body") and len(body) <= LARGEST:
                    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
                    headers = MutableHeaders(scope=start)
                    headers["ETag"] = tag
                    if is_among(tag, wanted):
                        start["status"] = 304
                        for name in ("content-length", "content-type"):
                            del headers[name]
                        message = {**message, "body": b""}
                await send(start)
            await send(message)

        await self._app(scope, receive, tagged)


def is_among(tag: str, wanted: str) -> bool:
    """Whether `If-None-Match` names a tag: weakly compared, `*` is any.

    >>> is_among('"a"', 'W/"a", "b"'), is_among('"a"', '"b"'), is_among('"a"', "*"), is_among('"a"', "")
    (True, False, True, False)
    """
    named = [one.strip().removeprefix("W/") for one in wanted.split(",")]
    return tag in named or named == ["*"]


def _is_fit(message: Message) -> bool:
    return message["status"] == 200 and Headers(raw=message["headers"]).get("content-type") == "application/json"
