"""The templates of the pages, in a language, with all that they call: words, moments, drawings, and rows that are kept."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from threading import Lock
from typing import Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

import msgspec
from cachetools import TTLCache, cached
from jinja2 import Environment

from keepwell.contract.retold import retold
from keepwell.contract.say import Argument, Language, Said, number, render, said
from keepwell.web.figures import signed
from keepwell.web.pages import environment
from services.clinician import draw, sentences, telling
from services.clinician.sentences import KINDS, WHY, meaning, words
from services.clinician.views import Answer, CaseloadItem, Measure, Viewer

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
MOST_DRAWN: Final = 4_096
"""Rows of lists that are kept drawn, of 2 to 9 kB each; ours."""
DRAWN_SECONDS: Final = 600.0
"""How long they are, so that nothing of a client who was erased stays for long; ours."""
_ODD: Final = re.compile(r"[^A-Za-z0-9-]")


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
            "say": spoken, "capital": capital, "subject": subject, "piece": partial(quote, safe=""),
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
        can_take_back=can_take_back, in_order=draw.in_order, ratings=draw.ratings, places=_places,
        htmx_config=json.dumps(HTMX, separators=(",", ":")), short=_short,
    )  # fmt: skip
    made.finalize = lambda value: render(value, language) if isinstance(value, Said) else value

    @cached(TTLCache(MOST_DRAWN, DRAWN_SECONDS), lock=Lock())
    def kept(context: PageContext, item: CaseloadItem, place: Said | None) -> str:
        return drawn(context, item, place)

    def drawn(context: PageContext, item: CaseloadItem, place: Said | None) -> str:
        found: str = made.get_template("parts.html").module.row(context, item, place)  # type: ignore[attr-defined]  # a macro
        return found

    def row(context: PageContext, item: CaseloadItem, risks: Sequence[float]) -> str:
        place = None if item.risk is None else telling.likelihood(item.risk.d30, risks, item.calibrated)
        given = [one for answered in item.alerts for one in answered.answers]
        if any(can_take_back(context, one, "today") for one in given):  # the button is there for seconds
            return drawn(context, item, place)
        return kept(_all_day(context), item, place)

    made.globals["row"] = row
    return made


def _all_day(context: PageContext) -> PageContext:
    """What a page needs, as rows need it that stay the same all day: they are drawn as at the end of it."""
    tomorrow = telling.morning(context.now.astimezone(context.zone), 1)
    return msgspec.structs.replace(
        context, now=tomorrow - timedelta(microseconds=1), heard=None, simulated=False, undelivered=False
    )


def can_take_back(context: PageContext, answer: Answer, where: str) -> bool:
    """Whether the button is shown: for seconds in the list, for a day on the client's page."""
    if answer.retracted or context.viewer is None or answer.by != context.viewer.user:
        return False
    age = context.now - telling.parsed(answer.at)
    return age <= (telling.UNDO if where == "today" else telling.UNDO_LATER)


def anchor(alert_id: str) -> str:
    """The id of an alert's element on a page, to lead back to it after an answer without script."""
    return f"alert-{_named(alert_id)}"


def _places(viewer: Viewer) -> tuple[tuple[str, str], ...]:
    return PLACES[viewer.role]


def subject(episode: str) -> str:
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
