"""Several applications at one address: the longest beginning of a path decides whose it is."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send


class Shared:
    """Applications by the beginning of their paths. What none has goes to the one of `/`, or without it to the first."""

    def __init__(self, apps: Mapping[str, ASGIApp]) -> None:
        self._apps = sorted(apps.items(), key=lambda one: -len(one[0]))
        self._rest = apps.get("/", next(iter(apps.values())))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        app = next((app for beginning, app in self._apps if path.startswith(beginning)), self._rest)
        await app(scope, receive, send)
