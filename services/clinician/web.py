"""The pages: log-in, the caseload, a client, the together view, and the forms of answers. Answers; decides nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, get_args
from urllib.parse import parse_qsl, urlencode

import msgspec
import sqlalchemy as sa
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.staticfiles import StaticFiles

from keepwell.contract.events import Actioned, RepairAttempt, micros
from keepwell.contract.words import Action, RepairOutcome, State
from keepwell.web.app import body_of
from keepwell.web.problems import problem_of
from services.clinician import queries, render
from services.clinician.answers import Answers, Asking, Conflict, NotFit, NotThere
from services.clinician.clinics import ClinicFacts
from services.clinician.database import snapshot
from services.clinician.items import Fits, fits_nobody
from services.clinician.kept import Kept
from services.clinician.looks import looked
from services.clinician.people.access import HOME, LOGIN, Caller, caller, rules_at
from services.clinician.people.audit import Action as Audited
from services.clinician.people.headers import client_host, cookie_of, drop_cookie, set_cookie
from services.clinician.people.limits import TooMany
from services.clinician.people.passwords import Passwords
from services.clinician.people.sign_in import SignedIn, sign_in, sign_out
from services.clinician.prompts.became import is_undelivered
from services.clinician.render import SIGNED_OUT, Filters, ProviderDoor
from services.clinician.seen import saw
from services.clinician.sentences import words
from services.clinician.tables import positions
from services.clinician.templates import Heard, PageContext, anchor

STATIC: Final = Path(__file__).with_name("pages") / "static"
STALE: Final = timedelta(minutes=5)
"""After so long without a tick pages say that they may be behind; ticks come every minute. Ours."""
MOST_ROWS: Final = 200
ROWS_OF_A_CLINIC: Final = 25
"""Clients on one page of whoever sees those of all clinicians; ours, as what needs a thought stands first."""
PLACES_LIFE: Final = timedelta(seconds=30)
"""How old the risks of a whole clinic may be among which a client is told to have a place; ours."""
LARGEST_FORM: Final = 16_384
ACTIONS: Final[frozenset[str]] = frozenset(get_args(Action))
Who = Annotated[Caller, Depends(caller)]


class Pages(NamedTuple):
    """What the pages need from outside. `facts_of` tells the facts of a clinic, `fits` whether a release is fitted to one."""

    engine: sa.Engine
    answers: Answers
    passwords: Passwords
    now: Callable[[], datetime]
    facts_of: Callable[[str], ClinicFacts]
    fits: Fits = fits_nobody
    door: ProviderDoor | None = None
    """The log-in with the clinic's account, where there is one."""

    def context(self, connection: sa.Connection, who: Caller) -> PageContext:
        """What every page needs beside its own facts, for whoever asks."""
        heard, now = connection.execute(sa.select(sa.func.min(positions.c.heard_at))).scalar(), self.now()
        last = None
        if heard is not None:
            at = datetime.fromtimestamp(heard / 1e6, now.tzinfo)
            last = Heard(at=at, stale=now - at > STALE)
        facts = self.facts_of(who.user.clinic)
        return PageContext(
            viewer=who.viewer, csrf="" if who.csrf is None else who.csrf.get_secret_value(), zone=facts.zone, now=now,
            heard=last, language=facts.language, simulated=facts.made_up,
            undelivered=is_undelivered(connection, who.user.id, micros(now)),
        )  # fmt: skip

    def bare(self, clinic: str = "") -> PageContext:
        """The same before a log-in; `clinic` is that of a link, if there is one."""
        facts = self.facts_of(clinic)
        return PageContext(
            viewer=None, csrf=None, zone=facts.zone, now=self.now(), language=facts.language, simulated=facts.made_up
        )


def add_pages(app: FastAPI, pages: Pages) -> None:
    """Adds the routes of the pages. Every one has a rule in `services.clinician.people.access`."""
    found, views = APIRouter(include_in_schema=False), _Views(pages)
    found.get("/")(views.today)
    found.get("/episodes/{clinic}/{subject}")(views.client)
    found.get("/episodes/{clinic}/{subject}/together")(views.together)
    found.post("/episodes/{clinic}/{subject}/repairs")(views.repair)
    found.post("/alerts/{alert_id}/answers")(views.answer)
    found.post("/alerts/seen")(views.all_seen)
    found.post("/answers/{event_id}/take-back")(views.take_back)
    found.get("/login")(views.login)
    found.post("/login")(views.sign_in)
    found.post("/logout")(views.sign_out)
    app.include_router(found)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_exception_handler(503, views.away)


class _Views:
    """One method a route."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._risks = Kept[tuple[float, ...]](PLACES_LIFE, pages.now)

    def today(
        self, who: Who, *, q: str = "", alerts: str = "", state: State = "open", clinician: str = "",
        cursor: str | None = None,
    ) -> Response:  # fmt: skip
        asked = queries.Asked(clinician or None, q or None, bool(alerts), state)
        most = ROWS_OF_A_CLINIC if who.user.role == "supervisor" else MOST_ROWS
        with self._reading() as connection:
            try:
                items, after = queries.caseload(
                    connection, who.viewer, self._pages.now(), asked, limit=most, cursor=cursor, fits=self._pages.fits
                )
            except queries.WrongCursor:
                raise HTTPException(404) from None
            context, risks = self._pages.context(connection, who), self._risks_of(connection, who)
        with self._pages.engine.begin() as connection:
            looked(connection, micros(self._pages.now()), who.user, "caseload.seen", [item.episode for item in items])
        filters = Filters(q=q, alerts=bool(alerts), state=state, clinician=clinician)
        asked_for = {"q": q, "alerts": alerts, "state": state, "clinician": clinician, "cursor": after or ""}
        more = None if after is None else "/?" + urlencode({name: one for name, one in asked_for.items() if one})
        return HTMLResponse(render.today(context, items, risks=risks, filters=filters, more=more))

    def client(self, who: Who, clinic: str, subject: str) -> Response:
        return self._of_episode(who, f"{clinic}/{subject}", "episode.seen")

    def together(self, who: Who, clinic: str, subject: str) -> Response:
        return self._of_episode(who, f"{clinic}/{subject}", "together.seen")

    async def answer(self, request: Request, who: Who, alert_id: str) -> Response:
        form = await form_of(request)
        action = form.get("action", "")
        if action not in ACTIONS:
            raise HTTPException(422, "An answer needs an action.")
        try:
            data = msgspec.convert(
                {
                    "alert_id": alert_id, "action": action, "by": who.user.id, "via": "page",
                    "until": form.get("until") or None,
                    "reason": (form.get("reason") or None) if action == "dismissed" else None,
                },
                Actioned,
            )  # fmt: skip
        except msgspec.ValidationError as error:
            raise HTTPException(422, str(error)) from error
        asking = _asking(who, form)
        await self._give(lambda: self._pages.answers.answer(asking, alert_id, data))
        for other in await run_in_threadpool(self._same, who, alert_id):
            await self._answer_too(asking, other, data)
        return await run_in_threadpool(self._after, request, who, form, alert_id)

    async def _answer_too(self, asking: Asking, alert_id: str, data: Actioned) -> None:
        again = (
            asking if asking.idempotency is None else asking._replace(idempotency=f"{asking.idempotency} {alert_id}")
        )
        told = msgspec.structs.replace(data, alert_id=alert_id)
        await self._give(lambda: self._pages.answers.answer(again, alert_id, told))

    def _same(self, who: Caller, alert_id: str) -> list[str]:
        """The other alerts that stand in one card with this one: a client's open safety alerts."""
        with self._pages.engine.connect().execution_options(reads=True) as connection:
            found = queries.alert(connection, who.viewer, alert_id)
            if found is None or found.alert.kind != "safety":
                return []
            view = queries.episode(connection, who.viewer, found.alert.episode, self._pages.now())
        open_ones = () if view is None else view.item.alerts
        return [
            one.alert.alert_id for one in open_ones if one.alert.kind == "safety" and one.alert.alert_id != alert_id
        ]

    async def all_seen(self, who: Who) -> Response:
        """After a leave: every matter of a clinician that nobody answered is marked as seen; safety never is."""

        def give() -> None:
            with self._pages.engine.connect().execution_options(reads=True) as connection:
                waiting = queries.unanswered(connection, who.viewer, self._pages.now())
            for each in waiting:
                data = Actioned(alert_id=each.alert.alert_id, action="acknowledged", by=who.user.id, via="page")
                asking = Asking(who.user, who.viewer, f"seen {each.alert.alert_id} {each.alert.at}")
                self._pages.answers.answer(asking, each.alert.alert_id, data)

        await self._give(give)
        return RedirectResponse("/", 303)

    async def repair(self, request: Request, who: Who, clinic: str, subject: str) -> Response:
        form, key = await form_of(request), f"{clinic}/{subject}"
        outcome = form.get("outcome") or "unknown"
        if outcome not in get_args(RepairOutcome):
            raise HTTPException(422, "There is no such outcome.")
        data = RepairAttempt(
            strategy=form.get("strategy") or None, alert_id=form.get("alert_id") or None,
            outcome=outcome,  # type: ignore[arg-type]  # one of them
        )  # fmt: skip
        await self._give(lambda: self._pages.answers.repair(_asking(who, form), key, data))
        return RedirectResponse(f"/episodes/{key}", 303)

    async def take_back(self, request: Request, who: Who, event_id: str) -> Response:
        form = await form_of(request)
        await self._give(lambda: self._pages.answers.take_back(Asking(who.user, who.viewer), event_id))
        return await run_in_threadpool(self._after, request, who, form, form.get("alert_id", ""))

    def login(self, told: str = "") -> Response:
        return HTMLResponse(render.login(self._pages.bare(), door=self._pages.door, told=told))

    async def sign_in(self, request: Request) -> Response:
        form = await form_of(request)
        name, password = form.get("username", ""), form.get("password", "")

        def enter() -> Any:
            return sign_in(
                self._pages.engine, name, password, micros(self._pages.now()), passwords=self._pages.passwords,
                address=client_host(request.scope), former=cookie_of(request.scope),
            )  # fmt: skip

        found = await run_in_threadpool(enter)
        if isinstance(found, SignedIn):
            answer = RedirectResponse(HOME[found.user.role], 303)
            set_cookie(request.scope, answer, found.opened.cookie)
            return answer
        if isinstance(found, TooMany):
            wait = {"Retry-After": str(int(found.seconds) + 1)}
            return HTMLResponse(self._refused("too_many", name), 429, wait)
        return HTMLResponse(self._refused("wrong_login", name), 403)

    def _refused(self, why: str, name: str) -> str:
        return render.login(self._pages.bare(), error=words(why), username=name, door=self._pages.door)

    def sign_out(self, request: Request, who: Who) -> Response:
        sign_out(self._pages.engine, who.user, who.session, micros(self._pages.now()))
        more = f"?told={SIGNED_OUT}" if who.user.by_provider else ""
        answer = RedirectResponse(LOGIN + more, 303)
        drop_cookie(request.scope, answer)
        return answer

    def away(self, request: Request, error: Exception) -> Response:
        """In place of a page while there is none; a program gets the problem."""
        assert isinstance(error, HTTPException)
        rules, places = rules_at(request.url.path)
        if not any(rule.is_page for rule in rules.values()) or "authorization" in request.headers:
            return problem_of(error)
        text = render.away(self._pages.bare(places.get("clinic", "")))
        return HTMLResponse(text, error.status_code, error.headers)

    def _of_episode(self, who: Caller, key: str, action: Audited) -> Response:
        with self._reading() as connection:
            view = queries.episode(connection, who.viewer, key, self._pages.now(), self._pages.fits)
            context = self._pages.context(connection, who)
            risks = self._risks_of(connection, who)
        if view is None:
            return HTMLResponse(render.not_found(context), 404)
        with self._pages.engine.begin() as connection:
            for there in looked(connection, micros(self._pages.now()), who.user, action, [key]):
                saw(connection, who.user.id, there, micros(self._pages.now()))
        if action == "together.seen":
            return HTMLResponse(render.together(context, view))
        return HTMLResponse(render.client(context, view, risks))

    def _risks_of(self, connection: sa.Connection, who: Caller) -> tuple[float, ...]:
        """The risks among which the clients of a user's list have their place: those of a whole clinic are kept."""
        if who.viewer.role != "supervisor":
            return queries.risks(connection, who.viewer)
        return self._risks.get(who.user.clinic, lambda: queries.risks(connection, who.viewer))

    def _reading(self) -> sa.Connection:
        """For what is looked up. What it was is written down afterwards, before it is shown, so that nobody who looks keeps
        others from writing."""
        return snapshot(self._pages.engine)

    def _after(self, request: Request, who: Caller, form: Mapping[str, str], alert_id: str) -> Response:
        """What the browser gets after an answer: the row or the alert for htmx, else the page that it came from."""
        with self._pages.engine.begin() as connection:
            found = queries.alert(connection, who.viewer, alert_id)
            if found is None:
                return RedirectResponse("/", 303)
            key = found.alert.episode
            saw(connection, who.user.id, key, micros(self._pages.now()))
            if "hx-request" not in request.headers:
                place = f"/episodes/{key}#{anchor(alert_id)}" if form.get("from") == "client" else "/"
                return RedirectResponse(place, 303)
            view = queries.episode(connection, who.viewer, key, self._pages.now(), self._pages.fits)
            context = self._pages.context(connection, who)
            risks = self._risks_of(connection, who)
        if view is None:
            raise HTTPException(404)
        told = render.announced_of(view.item)
        if form.get("from") == "client":
            return HTMLResponse(render.alert(context, view.item, found, told))
        return HTMLResponse(render.row(context, view.item, risks, told))

    async def _give(self, give: Callable[[], Any]) -> Any:
        try:
            return await run_in_threadpool(give)
        except NotThere:
            raise HTTPException(404) from None
        except (Conflict, NotFit) as error:
            raise HTTPException(422, str(error)) from error


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form. Raises `HTTPException` 413 for one that is too large."""
    body = await body_of(request, LARGEST_FORM)
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def _asking(who: Caller, form: Mapping[str, str]) -> Asking:
    """A repeated click on one button of one look at the page is the same request."""
    once = form.get("once")
    if not once:
        return Asking(who.user, who.viewer)
    told = urlencode(sorted((name, value) for name, value in form.items() if name != "csrf"))
    return Asking(who.user, who.viewer, "page " + hashlib.sha256(told.encode()).hexdigest())
