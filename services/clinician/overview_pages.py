"""Supervision, data quality and the model in use: their pages, and their routes of the API."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, FastAPI, Response
from starlette.responses import HTMLResponse

from keepwell.contract.events import micros
from services.clinician import overview, render
from services.clinician.kept import Kept
from services.clinician.people.access import API, Caller, caller
from services.clinician.people.audit import AuditEntry, append
from services.clinician.releases import KnownRelease, KnownReleases
from services.clinician.templates import PageContext
from services.clinician.views import ModelView, QualityView, TeamView
from services.clinician.web import Pages

LIFE: Final = timedelta(minutes=1)
"""How old the figures of a clinic may be: they are of whole weeks, so only what came late moves them. Ours."""
Who = Annotated[Caller, Depends(caller)]


def add_overview(app: FastAPI, pages: Pages, releases: KnownReleases) -> None:
    """Adds the routes. Every one has a rule in `services.clinician.people.access`."""
    views = _Overview(pages, releases)
    found, api = APIRouter(include_in_schema=False), APIRouter(prefix=API)
    found.get("/supervision")(views.supervision)
    found.get("/quality")(views.quality)
    found.get("/model")(views.model)
    api.get("/team")(views.team_as_json)
    api.get("/quality")(views.quality_as_json)
    api.get("/model")(views.model_as_json)
    app.include_router(found)
    app.include_router(api)


class _Overview:
    """One method a route; each blocks, so each runs in a thread."""

    def __init__(self, pages: Pages, releases: KnownReleases) -> None:
        self._pages = pages
        self._releases = releases
        self._teams = Kept[TeamView](LIFE, pages.now)

    def supervision(self, who: Who) -> Response:
        return HTMLResponse(render.supervision(self._context(who), self._team(who)))

    def quality(self, who: Who) -> Response:
        return HTMLResponse(render.quality(self._context(who), self._quality(who)))

    def model(self, who: Who) -> Response:
        return HTMLResponse(render.model(self._context(who), self._model(who)))

    def team_as_json(self, who: Who) -> Response:
        return _json(self._team(who))

    def quality_as_json(self, who: Who) -> Response:
        return _json(self._quality(who))

    def model_as_json(self, who: Who) -> Response:
        return _json(self._model(who))

    def _team(self, who: Caller) -> TeamView:
        def counted() -> TeamView:
            with self._pages.engine.connect().execution_options(reads=True) as connection:
                known = self._in_use(overview.digest_in_use(connection, who.viewer))
                budget = None if known is None else known.budget
                return overview.team(connection, who.viewer, self._pages.now(), budget)

        found = self._teams.get((who.user.clinic, who.user.role), counted)
        entry = AuditEntry(clinic=who.user.clinic, by=who.user.actor, action="team.seen")
        with self._pages.engine.begin() as connection:
            append(connection, micros(self._pages.now()), entry)
        return found

    def _quality(self, who: Caller) -> QualityView:
        with self._pages.engine.connect().execution_options(reads=True) as connection:
            return overview.quality(connection, who.viewer)

    def _model(self, who: Caller) -> ModelView | None:
        with self._pages.engine.connect().execution_options(reads=True) as connection:
            digest = overview.digest_in_use(connection, who.viewer)
            if digest is None:
                return None
            return overview.model(
                connection, who.viewer, digest, self._in_use(digest), self._releases.fits(digest, who.user.clinic)
            )

    def _in_use(self, digest: str | None) -> KnownRelease | None:
        return None if digest is None else self._releases.find(digest)

    def _context(self, who: Caller) -> PageContext:
        with self._pages.engine.connect().execution_options(reads=True) as connection:
            return self._pages.context(connection, who)


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
