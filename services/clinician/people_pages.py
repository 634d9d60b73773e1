"""The pages and routes around people: passwords, the first administrator, accounts, cover and the audit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from functools import partial
from typing import Annotated, Any, Final, NamedTuple

import sqlalchemy as sa
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from pydantic import SecretStr
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, StreamingResponse

from keepwell.contract.events import micros, rfc3339
from keepwell.contract.say import Said
from services.clinician import render
from services.clinician.people import accounts, audit, browser, covers, limits, links
from services.clinician.people.access import HOME, LOGIN, Caller, caller
from services.clinician.people.accounts import Account
from services.clinician.people.alone import alone
from services.clinician.people.audit import AuditEntry, append
from services.clinician.people.headers import client_host, drop_cookie, set_cookie
from services.clinician.people.limits import TooMany
from services.clinician.people.passwords import objection
from services.clinician.people.sign_in import SignedIn, choose_password, sign_out
from services.clinician.people.who import OPERATOR, ROLES, Role, User
from services.clinician.people_api import AuditSeen, Before, looks, newest
from services.clinician.prompts.became import undelivered_in
from services.clinician.sentences import words
from services.clinician.templates import PageContext
from services.clinician.web import Pages, form_of

ROLE_WORDS: Final[dict[str, str]] = {
    "clinician": "role_clinician",
    "supervisor": "role_supervisor",
    "administrator": "role_administrator",
    "data": "role_data",
}
"""The sentence that says a role."""
DID: Final[dict[str, str]] = {
    "caseload.seen": "did_caseload_seen",
    "episode.seen": "did_episode_seen",
    "together.seen": "did_together_seen",
    "alert.seen": "did_alert_seen",
    "answer.given": "did_answer_given",
    "answer.retracted": "did_answer_retracted",
    "repair.recorded": "did_repair_recorded",
    "team.seen": "did_team_seen",
    "audit.seen": "did_audit_seen",
    "audit.exported": "did_audit_exported",
    "looks.asked": "did_looks_asked",
    "signed.in": "did_signed_in",
    "signed.out": "did_signed_out",
    "sessions.ended": "did_sessions_ended",
    "user.added": "did_user_added",
    "user.changed": "did_user_changed",
    "user.removed": "did_user_removed",
    "password.set": "did_password_set",
    "token.made": "did_token_made",
    "token.revoked": "did_token_revoked",
    "cover.granted": "did_cover_granted",
    "cover.ended": "did_cover_ended",
    "link.made": "did_link_made",
    "link.used": "did_link_used",
    "client.erased": "did_client_erased",
}
"""The sentence that says what was done."""
NO_STORE: Final = {"Cache-Control": "no-store"}
AUDIT_ROWS: Final = 100
"""Entries on a page of the audit. Ours."""
_PSEUDONYM: Final = re.compile(r"[!-?A-~]{1,128}")
Who = Annotated[Caller, Depends(caller)]


class _Refused(NamedTuple):
    field: str
    why: Said


def add_people_pages(app: FastAPI, pages: Pages) -> None:
    """Adds the routes around people. Every one has a rule in `services.clinician.people.access`."""
    own, chief = APIRouter(include_in_schema=False), APIRouter(include_in_schema=False)
    mine, theirs = _Own(pages), _Administration(pages)
    own.get("/password")(mine.password)
    own.post("/password")(mine.choose)
    own.post("/sessions/end")(mine.end_sessions)
    own.get("/welcome")(mine.welcome)
    own.post("/welcome")(mine.first)
    chief.get("/users")(theirs.users)
    chief.post("/users")(theirs.add)
    chief.post("/users/{user_id}/remove")(theirs.remove)
    chief.post("/users/{user_id}/password")(theirs.new_password)
    chief.post("/tokens/{token_id}/revoke")(theirs.revoke)
    chief.post("/covers")(theirs.cover)
    chief.post("/covers/{cover_id}/end")(theirs.end_cover)
    chief.get("/audit")(theirs.audit)
    chief.post("/audit")(theirs.looks)
    chief.get("/audit/export")(theirs.export)
    for router in (own, chief):
        app.include_router(router)


class _Own:
    """What everybody does for themselves, and the first administrator."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def password(self, who: Who) -> Response:
        return self._form_of_password(who, {})

    async def choose(self, request: Request, who: Who) -> Response:
        return await run_in_threadpool(self._choose, request, who, await form_of(request))

    def end_sessions(self, request: Request, who: Who) -> Response:
        sign_out(self._pages.engine, who.user, None, micros(self._pages.now()))
        answer = RedirectResponse(LOGIN, 303)
        drop_cookie(request.scope, answer)
        return answer

    def welcome(self, request: Request) -> Response:
        key = request.query_params.get("key", "")
        with self._pages.engine.connect().execution_options(reads=True) as connection:
            clinic = links.clinic_of(connection, links.FIRST_ADMINISTRATOR, key, micros(self._pages.now()))
        return self._void() if clinic is None else self._form_of_welcome(clinic, key)

    async def first(self, request: Request) -> Response:
        return await run_in_threadpool(self._first, request, await form_of(request))

    def _choose(self, request: Request, who: Caller, form: Mapping[str, str]) -> Response:
        password = form.get("new", "")
        refused = _against(password, form.get("again", ""), who.user.name)
        if refused is not None:
            return self._form_of_password(who, {refused.field: refused.why}, 422)
        try:
            found = choose_password(
                self._pages.engine, who.user, form.get("old", ""), password, micros(self._pages.now()),
                passwords=self._pages.passwords, address=client_host(request.scope),
            )  # fmt: skip
        except ValueError:
            return self._form_of_password(who, {"new": words("password_same")}, 422)
        if isinstance(found, SignedIn):
            answer = RedirectResponse(HOME[found.user.role], 303)
            set_cookie(request.scope, answer, found.opened.cookie)
            return answer
        if isinstance(found, TooMany):
            refusal = self._form_of_password(who, {"old": words("too_many")}, 429)
            refusal.headers["Retry-After"] = str(int(found.seconds) + 1)
            return refusal
        return self._form_of_password(who, {"old": words("password_wrong")}, 422)

    def _first(self, request: Request, form: Mapping[str, str]) -> Response:
        now, key, name = micros(self._pages.now()), form.get("key", ""), form.get("name", "")
        password = form.get("new", "")
        refused = _against(password, form.get("again", ""), accounts.normal_name(name))
        try:
            with self._pages.engine.begin() as connection:
                clinic = links.clinic_of(connection, links.FIRST_ADMINISTRATOR, key, now)
                if clinic is None:
                    return self._void()
                if refused is not None:
                    return self._form_of_welcome(clinic, key, name, refused)
                if links.use(connection, links.FIRST_ADMINISTRATOR, key, now) is None:
                    return self._void()
                user = accounts.add(
                    connection, Account(name, clinic, "administrator"), OPERATOR, now,
                    passwords=self._pages.passwords, password=password,
                ).user  # fmt: skip
                opened = browser.open_session(connection, user, limits.address_key(client_host(request.scope)), now)
                append(connection, now, AuditEntry(clinic=clinic, by=user.actor, action="signed.in"))
        except ValueError:
            return self._form_of_welcome(str(clinic), key, name, _Refused("name", _name_refused(self._pages, name)))
        answer = RedirectResponse(HOME["administrator"], 303)
        set_cookie(request.scope, answer, opened.cookie)
        return answer

    def _form_of_password(self, who: Caller, errors: Mapping[str, Said], status: int = 200) -> Response:
        with self._pages.engine.connect().execution_options(reads=True) as connection:
            context = self._pages.context(connection, who)
        found = render.page(
            "password.html", context, "password", errors=errors, must=who.user.must_change,
            elsewhere=who.user.by_provider,
        )  # fmt: skip
        return HTMLResponse(found, status)

    def _form_of_welcome(self, clinic: str, key: str, name: str = "", refused: _Refused | None = None) -> Response:
        errors = {} if refused is None else {refused.field: refused.why}
        text = render.page(
            "welcome.html", self._pages.bare(clinic), "welcome", clinic=clinic, key=key, name=name, errors=errors
        )
        return HTMLResponse(text, 200 if refused is None else 422, NO_STORE)

    def _void(self) -> Response:
        text = render.message(self._pages.bare(""), words("link_void"), words("link_void_text"))
        return HTMLResponse(text, 404, NO_STORE)


class _Administration:
    """What administrators do, in their own clinic."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def users(self, who: Who) -> Response:
        return self._page(who)

    async def add(self, request: Request, who: Who) -> Response:
        return await run_in_threadpool(self._add, who, await form_of(request))

    def remove(self, who: Who, user_id: str) -> Response:
        with self._pages.engine.begin() as connection:
            alone(connection, "users")
            user = self._user(connection, who, user_id)
            chiefs = [one.id for one in accounts.everyone(connection, who.user.clinic) if one.role == "administrator"]
            last = chiefs == [user.id]
            if not last:
                accounts.remove(connection, user, who.user.actor, self._now())
        return self._page(who, error=words("account_last"), status=409) if last else _back()

    def new_password(self, who: Who, user_id: str) -> Response:
        with self._pages.engine.begin() as connection:
            user = self._user(connection, who, user_id)
            if user.by_provider:
                raise HTTPException(404)
            given = accounts.set_password(
                connection, user, who.user.actor, self._now(), passwords=self._pages.passwords
            )
        return self._page(who, given=(user.name, given))

    def revoke(self, who: Who, token_id: str) -> Response:
        with self._pages.engine.begin() as connection:
            _there(partial(accounts.revoke, connection, token_id, who.user.actor, self._now(), clinic=who.user.clinic))
        return _back()

    async def cover(self, request: Request, who: Who) -> Response:
        return await run_in_threadpool(self._cover, who, await form_of(request))

    def end_cover(self, who: Who, cover_id: str) -> Response:
        with self._pages.engine.begin() as connection:
            _there(partial(covers.end, connection, who.user.clinic, cover_id, who.user.actor, self._now()))
        return _back()

    def audit(self, who: Who, cursor: Before = None, check: str = "") -> Response:
        clinic, engine = who.user.clinic, self._pages.engine
        verdict = None
        if check:  # a long look, which keeps nobody from writing
            with engine.connect().execution_options(reads=True) as connection:
                verdict = audit.verify(audit.rows(connection, clinic))
        with engine.begin() as connection:
            seen, after = newest(connection, clinic, cursor, AUDIT_ROWS)
            context = self._pages.context(connection, who)
            _note(connection, who, self._now(), "audit.seen")
        return _audit(context, seen, after=after, verdict=verdict)

    async def looks(self, request: Request, who: Who) -> Response:
        """Who looked at a client; asked by a form, as its pseudonym belongs in no address."""
        return await run_in_threadpool(self._looks, who, (await form_of(request)).get("client", "").strip())

    def _looks(self, who: Caller, client: str) -> Response:
        if not client:
            return RedirectResponse("/audit", 303)
        with self._pages.engine.begin() as connection:
            seen = looks(connection, who.user.clinic, f"{who.user.clinic}/{client}")
            context = self._pages.context(connection, who)
            _note(connection, who, self._now(), "looks.asked", client)
        return _audit(context, seen, client=client)

    def export(self, who: Who) -> Response:
        with self._pages.engine.begin() as connection:
            _note(connection, who, self._now(), "audit.exported")

        def lines() -> Iterator[bytes]:
            with self._pages.engine.connect().execution_options(reads=True) as connection:
                yield from audit.export(connection, who.user.clinic)

        named = {"Content-Disposition": 'attachment; filename="audit.jsonl"', **NO_STORE}
        return StreamingResponse(lines(), media_type="application/jsonl", headers=named)

    def _add(self, who: Caller, form: Mapping[str, str]) -> Response:
        name, role, clinician = form.get("name", ""), form.get("role", ""), form.get("clinician_id", "").strip()
        if role not in ROLES:
            raise HTTPException(422, "There is no such role.")
        if (role == "clinician") != bool(clinician) or (clinician and not _PSEUDONYM.fullmatch(clinician)):
            return self._page(who, error=words("account_clinician"), status=422)
        chosen: Role = role
        try:
            with self._pages.engine.begin() as connection:
                account = Account(name, who.user.clinic, chosen, clinician or None)
                made = accounts.add(connection, account, who.user.actor, self._now(), passwords=self._pages.passwords)
        except ValueError:
            return self._page(who, error=_name_refused(self._pages, name), status=422)
        return self._page(who, given=(made.user.name, made.password))

    def _cover(self, who: Caller, form: Mapping[str, str]) -> Response:
        clinician = form.get("clinician_id", "").strip()
        with self._pages.engine.begin() as connection:
            user = self._user(connection, who, form.get("user", ""))
            try:
                if not _PSEUDONYM.fullmatch(clinician):
                    raise ValueError(clinician)
                day = date.fromisoformat(form.get("until", "")) + timedelta(days=1)
                until = micros(datetime.combine(day, time_of_day(), self._pages.facts_of(who.user.clinic).zone))
                covers.grant(connection, user, clinician, until=until, by=who.user.actor, now=self._now())
            except (ValueError, OverflowError):
                wrong = True
            else:
                wrong = False
        return self._page(who, error=words("cover_wrong"), status=422) if wrong else _back()

    def _user(self, connection: sa.Connection, who: Caller, user_id: str) -> User:
        """Somebody of the own clinic. Raises `HTTPException` 404 for anybody else."""
        user = accounts.find_user(connection, user_id)
        if user is None or user.clinic != who.user.clinic:
            raise HTTPException(404)
        return user

    def _page(
        self, who: Caller, *, error: Said | None = None, given: tuple[str, SecretStr | None] | None = None,
        status: int = 200,
    ) -> Response:  # fmt: skip
        clinic = who.user.clinic
        with self._pages.engine.connect().execution_options(reads=True) as connection:
            everyone = accounts.everyone(connection, clinic)
            found = render.page(
                "users.html", self._pages.context(connection, who), "users", here="/users", users=everyone,
                names={one.id: one.name for one in everyone}, tokens=accounts.all_tokens(connection, clinic),
                covers=covers.of_clinic(connection, clinic, self._now()), roles=ROLE_WORDS, moment=rfc3339, error=error,
                undelivered=undelivered_in(connection, clinic, self._now()),
                given=given and (given[0], given[1].get_secret_value() if given[1] else ""),
            )  # fmt: skip
        return HTMLResponse(found, status, NO_STORE)

    def _now(self) -> int:
        return micros(self._pages.now())


def _audit(
    context: PageContext, seen: Sequence[AuditSeen], *, client: str = "", after: str | None = None,
    verdict: audit.Verdict | None = None,
) -> Response:  # fmt: skip
    text = render.page(
        "audit.html", context, "audit", here="/audit", entries=seen, next=after, client=client, verdict=verdict,
        roles=ROLE_WORDS, did=DID,
    )  # fmt: skip
    return HTMLResponse(text)


def _against(password: str, again: str, name: str) -> _Refused | None:
    why = objection(password, name)
    if why is not None:
        return _Refused("new", why)
    return None if password == again else _Refused("again", words("password_differs"))


def _name_refused(pages: Pages, name: str) -> Said:
    """Why no account can have a name."""
    with pages.engine.connect().execution_options(reads=True) as connection:
        taken = any(one.name == accounts.normal_name(name) for one in accounts.everyone(connection))
    return words("account_taken" if taken else "account_name")


def _there(change: partial[Any]) -> None:
    """Raises `HTTPException` 404 where what is to be changed is not there."""
    try:
        change()
    except ValueError:
        raise HTTPException(404) from None


def _back() -> Response:
    return RedirectResponse("/users", 303)


def _note(connection: sa.Connection, who: Caller, now: int, action: audit.Action, client: str = "") -> None:
    about = f"{who.user.clinic}/{client}" if client else None
    append(connection, now, AuditEntry(clinic=who.user.clinic, by=who.user.actor, action=action, episode=about))
