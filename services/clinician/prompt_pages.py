"""The page on which users say what they wish to be told of, and see what became of the last notices to them."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse

from keepwell.contract.events import rfc3339
from keepwell.contract.say import Said
from services.clinician import render
from services.clinician.people.access import Caller, caller
from services.clinician.prompts.addresses import is_address
from services.clinician.prompts.became import last_of
from services.clinician.prompts.raising import Channel, Kind
from services.clinician.prompts.wishes import PUSHED, Wishes, keep, wishes_of
from services.clinician.sentences import words
from services.clinician.web import Pages, form_of

KIND_WORDS: Final[dict[Kind, str]] = {
    "digest": "notice_digest", "push": "notice_push", "safety": "notice_safety",
}  # fmt: skip
"""The sentence that says what a notice was."""
CHANNEL_WORDS: Final[dict[Channel, str]] = {"mail": "by_mail", "webhook": "by_webhook"}
"""The sentence that says how it was sent."""
STATE_WORDS: Final = {"waiting": "notice_is_waiting", "sent": "notice_is_sent", "dead": "notice_is_dead"}
"""The sentence that says what became of it; those that were needless are not shown."""
Who = Annotated[Caller, Depends(caller)]


def add_prompt_pages(app: FastAPI, pages: Pages) -> None:
    """Adds the page. Its routes have rules in `services.clinician.people.access`."""
    found, views = APIRouter(include_in_schema=False), _Notices(pages)
    found.get("/notices")(views.show)
    found.post("/notices")(views.keep)
    app.include_router(found)


class _Notices:
    """One method a route."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def show(self, who: Who) -> Response:
        return self._page(who)

    async def keep(self, request: Request, who: Who) -> Response:
        form = await form_of(request)
        mail = form.get("mail", "").strip()
        wishes = Wishes(
            mail=mail or None, digest=form.get("digest") == "on",
            pushes=frozenset(kind for kind in PUSHED if form.get(f"push_{kind}") == "on"),
        )  # fmt: skip
        return await run_in_threadpool(self._keep, who, wishes)

    def _keep(self, who: Caller, wishes: Wishes) -> Response:
        if wishes.mail is not None and not is_address(wishes.mail):
            return self._page(who, wishes, words("mail_wrong"), 422)
        with self._pages.engine.begin() as connection:
            keep(connection, who.user.id, wishes)
        return RedirectResponse("/notices", 303)

    def _page(
        self, who: Caller, given: Wishes | None = None, error: Said | None = None, status: int = 200
    ) -> Response:  # fmt: skip
        with self._pages.engine.connect().execution_options(reads=True) as connection:
            context = self._pages.context(connection, who)
            wishes = given or wishes_of(connection, who.user.id)
            last = last_of(connection, who.user.id)
        text = render.page(
            "notices.html", context, "notices", wishes=wishes, error=error, last=last, pushed=PUSHED, kinds=KIND_WORDS,
            channels=CHANNEL_WORDS, states=STATE_WORDS, moment=rfc3339, facts=self._pages.facts_of(who.user.clinic),
        )  # fmt: skip
        return HTMLResponse(text, status)
