"""Looking at a made-up clinic without an account: a link of the demo signs a visitor in as one of its users."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from keepwell.contract.events import micros
from services.clinician.people import accounts, browser, limits, links
from services.clinician.people.access import HOME
from services.clinician.people.audit import AuditEntry, append
from services.clinician.people.headers import client_host, set_cookie
from services.clinician.web import Pages


def add_visits(app: FastAPI, pages: Pages) -> None:
    """Adds `/visit/<role>`, which opens with the key of a link only, and only where the clinic is made up."""
    found = APIRouter(include_in_schema=False)

    def visit(request: Request, role: str, key: str = "") -> Response:
        now = micros(pages.now())
        with pages.engine.begin() as connection:
            clinic = links.clinic_of(connection, links.VISIT, key, now)
            if clinic is None or not pages.facts_of(clinic).made_up:
                raise HTTPException(404)
            user = next((one for one in accounts.everyone(connection, clinic) if one.role == role), None)
            if user is None:
                raise HTTPException(404)
            opened = browser.open_session(connection, user, limits.address_key(client_host(request.scope)), now)
            append(connection, now, AuditEntry(clinic=clinic, by=user.actor, action="signed.in"))
        answer = RedirectResponse(HOME[user.role], 303)
        set_cookie(request.scope, answer, opened.cookie)
        return answer

    found.get("/visit/{role}")(visit)
    app.include_router(found)
