"""The clinician's pages as HTML: from what is known (`services.clinician.views`) and who looks to a page or a row of it.

No database, no request: whoever answers a request gives what the user may see.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from keepwell.contract.say import Said, render
from keepwell.contract.words import State
from services.clinician import draw, telling
from services.clinician.sentences import meaning, words
from services.clinician.templates import PageContext, can_take_back, environment_of, subject
from services.clinician.views import (
    AnsweredAlert,
    CaseloadItem,
    EpisodeView,
    ModelView,
    QualityView,
    TeamView,
)

BULK_FROM: Final = 3
"""Clients worth a thought from which on the list offers to mark all as seen; ours."""
TOUR: Final = {"tour-1": "tour_strain", "tour-2": "tour_absence", "tour-3": "tour_ending"}
"""What each client of the demo is an example of (`keepwell.testing.tour`)."""
TOLD_OF_PROVIDER: Final = {
    "cancelled": "oidc_cancelled",
    "again": "oidc_again",
    "provider": "oidc_provider",
    "claims": "oidc_claims",
    "removed": "oidc_removed",
    "too_many": "too_many",
}
"""The sentence for each way in which a log-in with the clinic's account ends that lets nobody in."""
SIGNED_OUT: Final = "signed_out"
MOST_TOGETHER: Final = 4
"""Measures in the together view, and things said to help on it are half as many again: with them it prints on one page."""


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked of the list: a piece of the pseudonym, only open alerts, a state, a clinician ("": whoever)."""

    q: str = ""
    alerts: bool = False
    state: State = "open"
    clinician: str = ""

    @property
    def any(self) -> bool:
        """Whether the list is not the usual one."""
        return self != Filters()


def today(
    context: PageContext, items: Sequence[CaseloadItem], *, risks: Sequence[float] | None = None,
    filters: Filters | None = None, clinicians: Sequence[str] = (), more: str | None = None,
) -> str:  # fmt: skip
    """The caseload: one row a client in the order of `items`, the quiet ones below the line.

    `risks`: the 30-day risks of the whole caseload where `items` are only a part of it. `clinicians`: whose episodes a
    supervisor can ask for. `more`: the address of the next clients.
    """
    first = [item for item in items if item.why != "quiet"]
    rest = [item for item in items if item.why == "quiet"]
    return _page(
        "today.html", context, "today", here="/", first=first, rest=rest, waiting=len(first), more=more,
        risks=risks_of(items) if risks is None else risks, filters=filters or Filters(), clinicians=clinicians,
        tour=_tour(context, items), bulk=_can_mark_all(context, items),
    )  # fmt: skip


def row(context: PageContext, item: CaseloadItem, risks: Sequence[float], announced: Said | None = None) -> str:
    """The row of one client, as htmx swaps it in after an answer, and what is announced of it (`announced_of`)."""
    template = environment_of(context.language).get_template("row.html")
    return template.render(context=context, item=item, risks=risks, announced=announced)


def client(context: PageContext, view: EpisodeView, risks: Sequence[float]) -> str:
    """Everything of one episode. `risks`: the 30-day risks of the caseload on which it stands."""
    item = view.item
    of_alerts = {one.event_id for answered in view.alerts for one in answered.answers}
    shown = {holds.event_id for each in item.alerts if (holds := telling.holding(each)) is not None}
    mine = [one for one in view.answers if one.event_id not in shown and can_take_back(context, one, "client")]
    return _page(
        "client.html", context, None, title=subject(item.episode), here=None, view=view, risks=risks,
        numbers=item.calibrated,
        drawn=draw.steps(view.scores, context.now if item.state == "open" else None),
        steps=telling.condensed(view.scores), mine=mine, ideas=telling.ideas(item.alerts),
        others=[one for one in view.answers if one.event_id not in of_alerts],
    )  # fmt: skip


def alert(
    context: PageContext, item: CaseloadItem, answered: AnsweredAlert, announced: Said | None = None
) -> str:  # fmt: skip
    """An alert of the client's page, as htmx swaps it in after an answer that came from there (field `from`: `client`)."""
    template = environment_of(context.language).get_template("alert.html")
    return template.render(context=context, item=item, answered=answered, announced=announced)


def together(context: PageContext, view: EpisodeView) -> str:
    """The episode for clinician and client to look at: no risk, no alerts; on one page of A4."""
    rated = [measure for measure in view.measures if measure.points]
    began = min((entry.at for entry in view.timeline), default=None, key=telling.parsed)
    return _page(
        "together.html", context, "together", here=None, view=view, since=began,
        measures=rated[:MOST_TOGETHER], helped=_helped(view)[: MOST_TOGETHER * 3 // 2],
    )  # fmt: skip


def supervision(context: PageContext, team: TeamView | None) -> str:
    """A clinic's numbers, small ones hidden by whoever made the view. None: there is nothing yet."""
    return _page("supervision.html", context, "supervision", here="/supervision", team=team)


def quality(context: PageContext, found: QualityView) -> str:
    """What is missing by system, and what was called wrong by feature."""
    return _page("quality.html", context, "quality", here="/quality", found=found)


def model(context: PageContext, found: ModelView | None) -> str:
    """The release in use and its card. None: there is none."""
    return _page("model.html", context, "model", here="/model", found=found)


class ProviderDoor(NamedTuple):
    """The log-in with the clinic's account: where it begins, and the claims that the provider has to send."""

    href: str
    clinic: str
    role: str
    clinician: str


def login(
    context: PageContext, *, error: Said | None = None, username: str = "", door: ProviderDoor | None = None,
    told: str = "",
) -> str:  # fmt: skip
    """The log-in by name and password, and with the clinic's account where there is a `door` to it.

    `told` is a word for how a log-in with it ended, one of `TOLD_OF_PROVIDER` or `SIGNED_OUT`; others say nothing.
    """
    if door is not None and told in TOLD_OF_PROVIDER:
        named = {"clinic": door.clinic, "role": door.role, "clinician": door.clinician} if told == "claims" else {}
        error = words(TOLD_OF_PROVIDER[told], **named)
    out = door is not None and told == SIGNED_OUT
    return _page("login.html", context, "login", here=None, error=error, username=username, door=door, out=out)


def not_found(context: PageContext) -> str:
    """There is no such page, or the user may not see it: the same words."""
    return message(context, words("not_found"), words("not_found_text"))


def away(context: PageContext) -> str:
    """There is no page to be had for a moment: a calm word in its place."""
    return message(context, words("away"), words("away_text"))


def message(context: PageContext, title: Said, text: Said) -> str:
    """A page that says one thing."""
    language = context.language
    return _page("message.html", context, None, title=render(title, language), here=None, text=render(text, language))


def page(template: str, context: PageContext, name: str, /, **facts: object) -> str:
    """A page of another module: its template, the name of its title in `WORDS`, and what it tells."""
    whole = {"here": None, "title": render(words(name), context.language)} | facts
    return environment_of(context.language).get_template(template).render(context=context, **whole)


def announced_of(item: CaseloadItem, *, back: bool = False) -> Said:
    """What the live region says after an answer, or after one was taken back."""
    return words("announced_back" if back else "announced", subject=subject(item.episode))


def risks_of(items: Iterable[CaseloadItem]) -> tuple[float, ...]:
    """The 30-day risks of a caseload, among which one has its place; the least first."""
    return tuple(sorted(item.risk.d30 for item in items if item.risk is not None))


def _can_mark_all(context: PageContext, items: Sequence[CaseloadItem]) -> bool:
    """Whether so much waits for a clinician that it may be marked as seen at once."""
    waiting = sum(item.why not in ("quiet", "session_today", "safety") for item in items)
    return context.viewer is not None and context.viewer.role == "clinician" and waiting >= BULK_FROM


def _tour(context: PageContext, items: Sequence[CaseloadItem]) -> list[tuple[str, Said]]:
    """The clients that a visitor of the demo might begin with, and what each is an example of."""
    there = {subject(item.episode): item.episode for item in items} if context.simulated else {}
    return [(there[subject], words(name)) for subject, name in TOUR.items() if subject in there]


def _helped(view: EpisodeView) -> list[tuple[str, Said | str]]:
    """What was said, or was better after it was tried; the newest first."""
    found: list[tuple[str, Said | str]] = [(entry.at, entry.text) for entry in view.helped]
    for one in view.answers:
        if one.kind == "repair" and one.outcome == "better" and not one.retracted:
            tried = telling.OF_THE_PLAYBOOK.get(one.action)
            about = tried.pillars[0] if tried is not None and tried.pillars else None
            what = None if about is None else words("better_after", what=meaning("pillar", about))
            found.append((one.at, what or words("better_after_trying")))
    return sorted(found, key=lambda each: telling.parsed(each[0]), reverse=True)


def _page(template: str, context: PageContext, name: str | None, **facts: object) -> str:
    found = environment_of(context.language)
    if name is not None:
        facts["title"] = render(words(name), context.language)
    return found.get_template(template).render(context=context, **facts)
