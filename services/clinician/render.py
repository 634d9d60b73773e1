"""The clinician's pages as HTML: from what is known (`services.clinician.views`) and who looks to a page or a row of it.

No database, no request: whoever answers a request gives what the user may see.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from typing import Final, NamedTuple
from urllib.parse import quote
from zoneinfo import ZoneInfo

import msgspec
from jinja2 import Environment
from markupsafe import Markup

from keepwell.contract.retold import retold
from keepwell.contract.say import Argument, Language, Said, number, render, said
from keepwell.contract.words import State
from keepwell.web.figures import signed
from keepwell.web.pages import environment
from services.clinician import draw, sentences, telling
from services.clinician.drawn import Drawn
from services.clinician.sentences import KINDS, WHY, meaning, words
from services.clinician.views import (
    Answer,
    AnsweredAlert,
    CaseloadItem,
    EpisodeView,
    Measure,
    ModelView,
    QualityView,
    TeamView,
    Viewer,
)

HTMX: Final = {
    "allowEval": False,
    "allowScriptTags": False,
    "includeIndicatorStyles": False,
    "historyEnabled": False,
    "historyCacheSize": 0,
    "selfRequestsOnly": True,
}
"""How htmx is set up: nothing that the policy of the pages forbids, and no copy of a page in the browser's storage."""
PLACES: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "clinician": (("/", "today"), ("/model", "model")),
    "supervisor": (("/", "today"), ("/supervision", "supervision"), ("/model", "model")),
    "administrator": (("/users", "users"), ("/quality", "quality"), ("/model", "model"), ("/audit", "audit")),
    "data": (("/quality", "quality"), ("/model", "model")),
}
"""What each role finds at the head of a page."""
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
_ODD: Final = re.compile(r"[^A-Za-z0-9-]")
MOST_TOGETHER: Final = 4
"""Measures in the together view, and things said to help on it are half as many again: with them it prints on one page."""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """When the last event was heard (None: never), and whether the read model is behind."""

    at: datetime | None
    stale: bool = False


class PageContext(msgspec.Struct, frozen=True, kw_only=True):
    """What every page needs beside its own facts.

    `viewer` and `csrf` are None before the log-in, `heard` where it says nothing. `now` is aware. `simulated`: the data are
    made up.
    `undelivered`: a message to the user was given up lately.
    """

    viewer: Viewer | None
    csrf: str | None
    zone: ZoneInfo
    now: datetime
    heard: Heard | None = None
    language: Language = "en"
    simulated: bool = False
    undelivered: bool = False


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
    mine = [one for one in view.answers if one.event_id not in shown and _can_take_back(context, one, "client")]
    return _page(
        "client.html", context, None, title=_subject(item.episode), here=None, view=view, risks=risks,
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
    return words("announced_back" if back else "announced", subject=_subject(item.episode))


def anchor(alert_id: str) -> str:
    """The id of an alert's element on a page, to lead back to it after an answer without script."""
    return f"alert-{_named(alert_id)}"


def risks_of(items: Iterable[CaseloadItem]) -> tuple[float, ...]:
    """The 30-day risks of a caseload, among which one has its place; the least first."""
    return tuple(sorted(item.risk.d30 for item in items if item.risk is not None))


def _can_mark_all(context: PageContext, items: Sequence[CaseloadItem]) -> bool:
    """Whether so much waits for a clinician that it may be marked as seen at once."""
    waiting = sum(item.why not in ("quiet", "session_today", "safety") for item in items)
    return context.viewer is not None and context.viewer.role == "clinician" and waiting >= BULK_FROM


def _tour(context: PageContext, items: Sequence[CaseloadItem]) -> list[tuple[str, Said]]:
    """The clients that a visitor of the demo might begin with, and what each is an example of."""
    there = {_subject(item.episode): item.episode for item in items} if context.simulated else {}
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


def _can_take_back(context: PageContext, answer: Answer, where: str) -> bool:
    """Whether the button is shown: for seconds in the list, for a day on the client's page."""
    if answer.retracted or context.viewer is None or answer.by != context.viewer.user:
        return False
    age = context.now - telling.parsed(answer.at)
    return age <= (telling.UNDO if where == "today" else telling.UNDO_LATER)


def _page(template: str, context: PageContext, name: str | None, **facts: object) -> str:
    found = environment_of(context.language)
    if name is not None:
        facts["title"] = render(words(name), context.language)
    return found.get_template(template).render(context=context, **facts)


@cache
def environment_of(language: Language) -> Environment:
    """The templates in a language, with all that they call, and the rows that were drawn of late."""

    def say(text: Said | None) -> str:
        return "" if text is None else render(text, language)

    bare = {name: render(text, language) for name, text in sentences.WORDS.items()}

    def t(name: str, **arguments: Argument) -> str:
        return render(words(name, **arguments), language) if arguments else bare[name]

    def n(name: str, count: int) -> str:
        return render(sentences.so_many(name, count), language)

    def told(text: str) -> str:
        """A sentence of the log or the playbook."""
        return retold(text, language)

    def spoken(text: Said | str) -> str:
        return retold(text, language) if isinstance(text, str) else render(text, language)

    def capital(text: Said | str) -> str:
        whole = spoken(text)
        return whole[:1].upper() + whole[1:]

    made = environment(
        "services.clinician",
        {
            "say": spoken, "capital": capital, "subject": _subject, "piece": partial(quote, safe=""),
            "named": _named, "anchor": anchor,
            "day": lambda moment, context: say(_day(moment, context)),
            "clock": lambda moment, context: say(_clock(moment, context)),
            "stamp": _stamp,
            "points": lambda points: signed(points, 1),
        },
        t=t, n=n, say=spoken, told=told, num=partial(number, language=language), words=words, meaning=meaning,
        day=_day, clock=_clock, date=_date, ago=_ago, WHY=WHY, KINDS=KINDS, PLAYBOOK=telling.OF_THE_PLAYBOOK,
        cards=telling.cards, ANSWERS=telling.ANSWERS, DISMISSALS=telling.DISMISSALS, LAST=telling.LAST,
        likelihood=telling.likelihood, frequency=telling.frequency, moved=telling.moved, weight=telling.weight,
        newest=_newest, given=telling.given, raising=telling.raising,
        holding=telling.holding, put_off_often=telling.put_off_often, snoozes=telling.snoozes,
        can_take_back=_can_take_back, in_order=draw.in_order, ratings=draw.ratings, places=_places,
        htmx_config=json.dumps(HTMX, separators=(",", ":")), short=_short,
    )  # fmt: skip
    made.finalize = lambda value: render(value, language) if isinstance(value, Said) else value
    rows, parts = Drawn[Markup](), cache(lambda: made.get_template("parts.html").module)

    def row(context: PageContext, item: CaseloadItem, risks: Sequence[float]) -> Markup:
        place = None if item.risk is None else telling.likelihood(item.risk.d30, risks, item.calibrated)

        def drawn() -> Markup:
            return parts().row(context, item, place)  # type: ignore[attr-defined, no-any-return]  # a macro

        follows_from = _row_follows_from(context, item, place)
        return drawn() if follows_from is None else rows.get(follows_from, drawn)

    made.globals["row"] = row
    return made


def _row_follows_from(context: PageContext, item: CaseloadItem, place: Said | None) -> Hashable:
    """All that the row of a client follows from, beside its language. None while it offers to take an answer back, which it
    does for seconds."""
    given = [one for answered in item.alerts for one in answered.answers]
    if any(_can_take_back(context, one, "today") for one in given):
        return None
    viewer = context.viewer
    user, covers = (None, False) if viewer is None else (viewer.user, item.clinician_id in viewer.covers)
    return item, place, context.csrf, user, covers, context.zone.key, context.now.astimezone(context.zone).date()


def _places(viewer: Viewer) -> tuple[tuple[str, str], ...]:
    return PLACES[viewer.role]


def _subject(episode: str) -> str:
    """The pseudonym of an episode, without its clinic."""
    return episode.partition("/")[2] or episode


def _named(name: str) -> str:
    """A pseudonym as a part of an id that HTML and SVG allow; other names are other parts.

    >>> _named("north/ep_17")
    'north_2f.ep_5f.17'
    """
    return _ODD.sub(lambda found: f"_{ord(found[0]):x}.", name)


def _newest(measure: Measure) -> Said:
    return telling.newest(measure) or said("no rating")


def _moment(moment: str | datetime) -> datetime:
    return telling.parsed(moment) if isinstance(moment, str) else moment


def _day(moment: str | datetime, context: PageContext) -> Said:
    return sentences.day(_moment(moment), context.now, context.zone)


def _clock(moment: str | datetime, context: PageContext) -> Said:
    return sentences.clock(_moment(moment), context.now, context.zone)


def _stamp(moment: str | datetime) -> str:
    """A moment as `time` has it: HTML allows three digits of a second, events have six.

    >>> _stamp("2026-03-02T10:00:00.123456Z")
    '2026-03-02T10:00:00Z'
    """
    return f"{_moment(moment).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _date(moment: str | datetime, context: PageContext) -> Said:
    there, here = _moment(moment).astimezone(context.zone), context.now.astimezone(context.zone)
    return sentences.date(there, context.zone, year=there.year != here.year)


def _short(moment: str | datetime, context: PageContext) -> Said:
    return sentences.day_of_month(_moment(moment), context.now, context.zone)


def _ago(moment: datetime, now: datetime, zone: ZoneInfo) -> Said:
    return sentences.ago(moment, now, zone)
