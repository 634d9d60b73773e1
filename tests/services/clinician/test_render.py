"""The clinician's pages: sound HTML under their policy whatever fills it, honest numbers, and hooks that scripts rely on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
import pytest

from keepwell.alerting.playbook import suggest
from keepwell.contract.outputs import Risk, Suggestion
from keepwell.contract.say import LANGUAGES, Language, render, said
from keepwell.contract.words import ALERT_KINDS
from services.clinician.render import (
    SIGNED_OUT,
    TOLD_OF_PROVIDER,
    Filters,
    ProviderDoor,
    alert,
    announced_of,
    client,
    login,
    message,
    model,
    not_found,
    quality,
    risks_of,
    row,
    supervision,
    today,
    together,
)
from services.clinician.sentences import WORDS
from services.clinician.telling import ANSWERS, DISMISSALS, likelihood
from services.clinician.templates import Heard, PageContext, anchor, environment_of
from services.clinician.views import (
    CalledWrong,
    CaseloadItem,
    Change,
    Ending,
    EpisodeView,
    ModelView,
    NextVisit,
    QualityView,
    Rupture,
    SystemGaps,
    TeamMember,
    TeamView,
    TimelineEntry,
    Viewer,
)
from tests.services.clinician import made
from tests.services.clinician.sound import Page, sound

EVIL: Final = "<script>alert('x')</script> & \"quoted\" <b style='x' onclick='y'>"
SUPERVISOR: Final = Viewer(user="u-sam", role="supervisor", clinic="north", clinician_id=None)


def evil_view() -> EpisodeView:
    """An episode whose every text is markup."""
    reason = msgspec.structs.replace(made.BOND, text=EVIL, pillar=EVIL, feature=EVIL)
    answered = made.alert(
        "risk", "al-<\"'>", reasons=(EVIL,), pillar=EVIL, answers=(made.answer(by=EVIL, action=EVIL, reason=EVIL),),
        suggestions=(Suggestion(id=EVIL, text=EVIL, why=EVIL),),
    )  # fmt: skip
    of = made.item(
        clinician_id=EVIL, reasons=(reason,), gaps=(EVIL,), new=(EVIL,), alerts=(answered,), model=EVIL,
        change=Change(since="2026-02-23T10:00:00Z", risk_30d=0.12, because=(reason,)), measure=made.measure(label=EVIL),
    )  # fmt: skip
    return made.view(
        of, timeline=(TimelineEntry(at="2026-03-02T10:00:00Z", kind=EVIL, text=EVIL, event=EVIL),
                      TimelineEntry(at="2026-03-02T10:00:00Z", kind="feedback.given", text=EVIL, event=EVIL)),
        helped=(TimelineEntry(at="2026-03-02T10:00:00Z", kind="feedback.given", text=EVIL, event=EVIL),),
        measures=(made.measure(label=EVIL),), answers=(made.answer(kind="repair", by=EVIL, action=EVIL, outcome=EVIL),),
        ruptures=(Rupture(opened_at="2026-03-02T10:00:00Z", pillar=EVIL, closed_at=None, repaired=False),),
    )  # fmt: skip


def team(name: str = "c-1") -> TeamView:
    return TeamView(
        since="2026-02-01T00:00:00Z", until="2026-03-01T00:00:00Z", raised=40, answered=35, unseen=None,
        hours_to_answer=5.5, repairs=10, repairs_better=None, burden=1.5, budget=3,
        endings=(Ending(how="planned", count=15), Ending(how="client_stopped", count=None)),
        members=(TeamMember(clinician_id=name, episodes=30, open=None, answered=10, unseen=None),),
    )  # fmt: skip


def wrong(text: str = "Bond rating fell") -> tuple[CalledWrong, ...]:
    return (CalledWrong(feature=text, text=text, shown=41, wrong=3),)


def data_gaps(text: str = "no outcome measure") -> QualityView:
    systems = (SystemGaps(system=text, last_event="2026-03-03T08:00:00Z", events=12_034, gaps=((text, 1), (text, 12))),
               SystemGaps(system="/north", last_event=None, events=0, gaps=()))  # fmt: skip
    return QualityView(systems=systems, wrong=wrong(text))


def release(text: str = "A scorecard.\n\nFitted to made-up clinics.") -> ModelView:
    return ModelView(
        release="sha256:" + "ab" * 32, role="champion", calibrated=False,
        sources=((text, text),), card=((text, text),), wrong=wrong(text),
    )  # fmt: skip


ALL_KINDS: Final = made.item("many", alerts=tuple(made.alert(kind, f"al-{kind}") for kind in ALERT_KINDS))
LISTS: Final = {
    "nobody": (),
    "usual": (made.item(), made.item("ep-2", why="quiet", alerts=()), made.bare()),
    "bare": (made.bare(why="session_today"),),
    "one rating": (made.item(measure=made.measure(values=(27,))), made.item("none", measure=made.measure(values=()))),
    "many ratings": (made.item(measure=made.measure(values=tuple(float(n % 40) for n in range(60)))),),
    "flat scale": (made.item(measure=made.measure(low=5, high=5, values=(5,), cutoff=None)),),
    "long": (made.bare("x" * 128, gaps=("a gap",) * 40),),
    "odd characters": (made.item("a.b_c~d-"), made.item("a.b_c~d_")),
    "every kind": (ALL_KINDS,),
    "closed": (made.bare("gone", state="ended", why="quiet"), made.item("left", state="stopped", risk=None, alerts=())),
}  # fmt: skip
VIEWS: Final = {
    "usual": made.view(),
    "empty": EpisodeView(
        item=made.bare(), timeline=(), helped=(), scores=(), ruptures=(), measures=(), alerts=(), answers=()
    ),
    "one score": made.view(made.item(measure=None), scores=made.view().scores[:1], measures=(made.measure(values=(27,)),)),
    "no risk ever": made.view(scores=tuple(msgspec.structs.replace(one, risk=None) for one in made.view().scores)),
    "every kind": made.view(ALL_KINDS),
    "closed": made.view(made.item(state="ended", risk=None, alerts=(), why="quiet"),
                        alerts=(made.alert(status="resolved", why="ended"), made.alert(name="al-2", status="resolved"))),
    "answered": made.view(made.item(alerts=(made.alert(answers=(
        made.answer(action="snoozed", until="2026-03-09T10:00:00Z", settled=True, at="2026-02-20T10:00:00Z"),
        made.answer(event_id="ans-2", action="dismissed", reason="data_wrong", at="2026-02-22T10:00:00Z", by="u-eve"),
        made.answer(event_id="ans-3", retracted=True),
    )),))),
    "markup": evil_view(),
}  # fmt: skip
OTHERS: Final[dict[str, Callable[[PageContext], str]]] = {
    "supervision": lambda context: supervision(context, team()),
    "no team": lambda context: supervision(context, None),
    "quality": lambda context: quality(context, data_gaps()),
    "no data": lambda context: quality(context, QualityView(systems=(), wrong=())),
    "model": lambda context: model(context, release()),
    "no model": lambda context: model(context, None),
    "not found": not_found,
    "message": lambda context: message(context, said("Sign in"), said("Sign out")),
}


def everything(context: PageContext) -> Iterator[tuple[str, str]]:
    """Every page with whatever may fill it."""
    for name, items in LISTS.items():
        yield f"today, {name}", today(context, items, clinicians=("c-4", "c-5"), more="/?cursor=abc")
    for name, view in VIEWS.items():
        yield f"client, {name}", client(context, view, (0.1, 0.31))
        yield f"together, {name}", together(context, view)
    for name, made_of in OTHERS.items():
        yield name, made_of(context)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_is_sound_in_every_language_and_tells_no_share(language: Language) -> None:
    for name, html in everything(made.context(language=language, simulated=True)):
        page = sound(html)
        assert page.all("html", lang=language)
        assert "%" not in page.text, name


def test_with_a_calibrated_release_risks_are_counted_of_ten_and_else_put_in_order() -> None:
    items = [
        made.item(f"ep-{n}", calibrated=True, risk=Risk(d14=0, d30=d30, d60=1))
        for n, d30 in enumerate((0.001, 0.31, 0.999))
    ]
    counted = sound(today(made.context(), items)).text
    assert "3 of 10 like this stop within 30 days; 7 stay" in counted
    assert "Fewer than 1 of 10" in counted and "More than 9 of 10" in counted and "your list" not in counted
    ordered = [msgspec.structs.replace(one, calibrated=False) for one in items]
    text = sound(today(made.context(), ordered, risks=(0.001, 0.1, 0.2, 0.31, 0.999))).text
    assert "of 10" not in text and "Higher than most of your list" in text
    assert "Among the highest of your list" in text and "Among the lowest of your list" in text
    assert "too few clients on your list to compare" in sound(today(made.context(), ordered)).text.lower()


@pytest.mark.parametrize(
    ("risk", "words"),
    [
        (0.1, "among the lowest of your list"),
        (0.2, "lower than most of your list"),
        (0.3, "about the middle of your list"),
        (0.4, "higher than most of your list"),
        (0.5, "among the highest of your list"),
    ],
)
def test_a_place_on_the_list_is_told_by_how_many_lie_below(risk: float, words: str) -> None:
    assert render(likelihood(risk, (0.1, 0.2, 0.3, 0.4, 0.5), False)) == words
    assert render(likelihood(risk, (risk,) * 9, False)) == "about the middle of your list", "all are alike"
    assert render(likelihood(risk, (0.1, 0.2, 0.3, 0.4), False)) == "too few clients on your list to compare"


def test_whatever_a_text_holds_is_text() -> None:
    context = made.context(viewer=msgspec.structs.replace(made.ANNA, user=EVIL), csrf=EVIL)
    view = evil_view()
    pages = [
        today(context, [view.item], filters=Filters(q=EVIL, clinician=EVIL), clinicians=(EVIL,), more=EVIL),
        client(context, view, ()), together(context, view), supervision(context, team(EVIL)),
        quality(context, data_gaps(EVIL)), model(context, release(EVIL)),
        login(context, username=EVIL, door=ProviderDoor(EVIL, EVIL, EVIL, EVIL), error=said("No {name}", name=EVIL)),
        login(context, door=ProviderDoor(EVIL, EVIL, EVIL, EVIL), told="claims"),
        message(context, said("{name}", name=EVIL), said("{name}", name=EVIL)),
    ]  # fmt: skip
    for html in pages:
        page = sound(html)
        assert page.all("script") == [
            {"src": "/static/htmx.js", "defer": ""},
            {"src": "/static/clinician.js", "defer": ""},
        ]
        assert not page.all("b", style="x")
        assert any(EVIL in each for each in (page.text, *page.having("value"), *page.having("href")))


def test_rows_and_alerts_carry_their_hooks_and_answers_of_the_contract() -> None:
    page = sound(today(made.context(), LISTS["every kind"]))
    assert page.having("data-episode") == ["north/many"]
    kinds = sorted(ALERT_KINDS, key=lambda kind: kind != "safety")
    assert page.having("data-alert") == [f"al-{kind}" for kind in kinds]
    assert page.all("a", href="/episodes/north/many")
    for kind in ALERT_KINDS:
        one = sound(row(made.context(), made.item(alerts=(made.alert(kind),)), ()), whole=False)
        buttons = [found["value"] for found in one.all("button", name="action")]
        assert buttons == list(ANSWERS[kind])
        assert one.all("input", name="reason", value="data_wrong"), "that it is wrong is a click of its own"
        put_off = [found["value"] for found in one.all("button", name="until")]
        assert (kind == "safety") == (put_off == [])
        assert all("2026-03-03T09:00:00Z" < until <= "2026-04-02T09:00:00Z" for until in put_off)
        assert [found["value"] for found in one.all("button", name="reason")] == list(
            DISMISSALS if kind != "safety" else ()
        )
        assert len(DISMISSALS) + 1 <= 7


@pytest.mark.parametrize("where", ["today", "client"])
def test_every_form_that_changes_something_works_without_script_and_is_sent_once(where: str) -> None:
    context, of = made.context(), made.item()
    page = sound(today(context, [of]) if where == "today" else client(context, made.view(of), ()))
    posted = page.all("form", method="post")
    answers = [form for form in posted if form["action"].startswith("/alerts/")]
    assert {form["action"] for form in answers} == {"/alerts/al-ep-17/answers"} and len(answers) == 4
    assert len(page.all("input", name="csrf", value="csrf-1")) == len(posted)
    assert len(page.all("input", name="from", value=where)) == len(posted) - 1, "all but signing out"
    assert {one["value"] for one in page.all("input", name="once")} >= {"al-ep-17.0"}
    for form in answers:
        assert form["data-hx-post"] == form["action"] and form["data-hx-disabled-elt"] == "closest fieldset"
        assert form["data-hx-target"] == f"closest [data-{'episode' if where == 'today' else 'alert'}]"


def test_the_address_of_an_answer_holds_whatever_an_alert_is_called() -> None:
    one = made.alert(name="a/b?c#d\"'%")
    page = sound(row(made.context(), made.item(alerts=(one,)), ()), whole=False)
    assert page.all("form", action="/alerts/a%2Fb%3Fc%23d%22%27%25/answers")
    assert page.having("data-alert") == [one.alert.alert_id]
    assert anchor(one.alert.alert_id) in page.having("id")


def test_an_answer_can_be_taken_back_for_seconds_on_the_list_and_for_a_day_on_the_clients_page_by_who_gave_it() -> None:
    def offered(by: str, at: str, retracted: bool = False) -> tuple[bool, bool]:
        given = made.answer(by=by, at=at, retracted=retracted)
        of = made.item(alerts=(made.alert(answers=(given,)),))
        pages = row(made.context(), of, ()), client(made.context(), made.view(of, answers=(given,)), ())
        on_list, on_page = ("/answers/ans-1/take-back" in html for html in pages)
        return on_list, on_page

    assert offered("u-anna", "2026-03-03T08:59:55Z") == (True, True)
    assert offered("u-anna", "2026-03-03T08:59:45Z") == (False, True)
    assert offered("u-anna", "2026-03-02T08:59:55Z") == (False, False)
    assert offered("u-eve", "2026-03-03T08:59:55Z") == (False, False)
    assert offered("u-anna", "2026-03-03T08:59:55Z", retracted=True) == (False, False)


def test_no_snooze_is_offered_that_the_longest_would_cut_short() -> None:
    """Ten past midnight, thirty days before a day that has 25 hours is over."""
    context = made.context(now=datetime(2026, 9, 25, 22, 10, tzinfo=UTC))
    of = made.item(next_visit=NextVisit(starts_at="2026-10-25T10:00:00Z", missed=None))
    page = sound(row(context, of, ()), whole=False)
    offered = [found["value"] for found in page.all("button", name="until")]
    assert offered and max(offered) <= f"{context.now + timedelta(days=30):%Y-%m-%dT%H:%M:%SZ}"


def test_what_is_swapped_in_is_the_row_or_the_alert_with_what_is_announced() -> None:
    one = made.alert(answers=(made.answer(),))
    of = made.item(alerts=(one,))
    for html, hook in (
        (row(made.context(), of, risks_of([of]), announced_of(of)), "data-episode"),
        (alert(made.context(), of, one, announced_of(of)), "data-alert"),
    ):
        page = sound(html, whole=False)
        assert hook in page.elements[0][1]
        assert page.all("div", id="said", data_hx_swap_oob="innerHTML")
        assert "Your answer for ep-17 is on its way." in page.text and "on its way" in page.text
        assert page.having("data-focus") == [""]


def test_what_asks_for_no_thought_lies_below_the_line() -> None:
    page = sound(today(made.context(), LISTS["usual"]))
    assert page.having("data-why") == ["rose", "quiet", "quiet"]
    text = page.text
    assert text.index("Worth a thought") < text.index("ep-17") < text.index("All quiet") < text.index("ep-2")
    assert "1 client is worth a thought" in text
    assert "Nothing asks for a thought now." in sound(today(made.context(), LISTS["usual"][1:])).text


def test_a_row_that_is_kept_is_the_one_that_would_be_drawn_anew() -> None:
    """Whatever one look differs in from another: who looks, when, from where, and any field of what is looked at."""
    answered, earlier = (
        made.item(alerts=(made.alert(answers=(made.answer(at=f"2026-03-03T08:{at}Z"),)),)) for at in ("59:55", "30:00")
    )
    contexts = [
        made.context(), made.context(csrf="csrf-2"), made.context(language="de"), made.context(zone=ZoneInfo("UTC")),
        made.context(now=made.NOW + timedelta(seconds=10)),
        made.context(now=made.NOW + timedelta(days=1)), made.context(now=made.NOW + timedelta(days=365)),
        made.context(viewer=Viewer(user="u-eve", role="clinician", clinic="north", clinician_id="c-1")),
        made.context(
            viewer=Viewer(user="u-anna", role="clinician", clinic="north", clinician_id="c-1", covers=frozenset({"c-4"}))
        ),
    ]  # fmt: skip
    nothing = made.bare("ep-17")
    items = [made.item(), answered] + [
        msgspec.structs.replace(answered, **{name: getattr(nothing, name)}) for name in nothing.__struct_fields__
    ]
    first, risks = contexts[0], (0.1, 0.2, 0.3, 0.31, 0.4, 0.5)
    looks: list[tuple[PageContext, CaseloadItem, tuple[float, ...]]] = [(context, earlier, ()) for context in contexts]
    looks += [(context, answered, ()) for context in contexts] + [(first, of, risks) for of in items]
    twice = [[row(*look) for look in looks] for _ in range(2)]
    anew = []
    for look in looks:
        environment_of.cache_clear()
        anew.append(row(*look))
    assert twice == [anew, anew]
    alike = len(contexts)
    assert len(set(anew[alike : 2 * alike])) == alike, "no two looks are alike"


def test_three_options_are_equal_and_others_are_one_with_its_source() -> None:
    ending = sound(row(made.context(), made.item(alerts=(made.alert("ending"),)), ()), whole=False)
    assert all(one.text in ending.text for one in suggest("ending", None, frozenset(), limit=3))
    assert "Three equal options" in ending.text and "One thing you might do" not in ending.text
    risk = sound(row(made.context(), made.item(), ()), whole=False)
    first, second, *_ = made.alert().alert.suggestions
    assert first.text in risk.text and first.why in risk.text and second.text not in risk.text
    assert "Sharf, Primavera & Diener 2010" in risk.text


def test_after_two_snoozes_the_card_says_something_else() -> None:
    def told(*given: str) -> bool:
        answers = tuple(made.answer(event_id=f"a-{n}", action=action) for n, action in enumerate(given))
        return "take it to supervision" in row(made.context(), made.item(alerts=(made.alert(answers=answers),)), ())

    assert [told("snoozed"), told("snoozed", "acknowledged"), told("snoozed", "snoozed")] == [False, False, True]


def test_a_rating_stands_in_its_own_scale_beside_what_is_usual_for_the_person() -> None:
    def told(**changes: Any) -> str:
        return sound(row(made.context(), made.item(measure=made.measure(**changes)), ()), whole=False).text

    assert "SRS 27 of 40, 9 points below what is usual for this person" in told()
    assert "SRS 36 of 40, as usual for this person" in told(values=(36, 36, 35, 36, 36))
    assert "SRS 37 of 40, 1 point above what is usual for this person" in told(values=(36, 36, 35, 36, 37))
    assert "SRS 27 of 40 " in told(values=(30, 27))
    assert "3 February 36" not in told() and "24 February 27" in told() and "10 February 35" in told()


def test_the_day_and_the_time_are_those_of_the_clinic() -> None:
    late = made.context(now=datetime(2026, 3, 3, 23, 30, tzinfo=UTC))
    page = sound(today(late, [made.item()]))
    assert "Wed 4 March." in page.text, "half past midnight in Berlin"
    assert "yesterday at 15:00" in page.text
    clocks_change = made.context(now=datetime(2026, 10, 24, 12, 0, tzinfo=UTC))
    visits = [("2026-10-24T22:30:00Z", "tomorrow at 00:30"), ("2026-10-25T01:30:00Z", "tomorrow at 02:30")]
    for starts_at, words in visits:
        of = made.item(next_visit=NextVisit(starts_at=starts_at, missed=None))
        html = row(clocks_change, of, ())
        assert words in html
        assert 'value="2026-10-25T23:00:00Z">After the next session' in html, (
            "midnight, an hour later than the day before"
        )


def test_the_together_view_holds_no_risk_and_no_alert() -> None:
    for name in VIEWS.keys() - {"markup"}:
        page = sound(together(made.context(), VIEWS[name]))
        assert page.having("data-alert") == page.having("data-episode") == [], name
        assert not re.search(r"likely|risk|stop|alert|points|pointed out", page.text, re.IGNORECASE), name
    usual = sound(together(made.context(), made.view())).text
    assert "the pace: is going well" in usual and "Better after talking about it: agreement on how to work" in usual
    many = made.view(measures=tuple(made.measure(f"M{n}") for n in range(9)), helped=made.view().helped * 9)
    page = sound(together(made.context(), many))
    assert len(page.all("svg")) == 4 and page.text.count("the pace: is going well") <= 6, "it fits on one page"


def test_every_page_says_how_fresh_it_is_and_whether_it_is_made_up() -> None:
    stale = Heard(at=datetime(2026, 3, 3, 7, 0, tzinfo=UTC), stale=True)
    for _, html in everything(made.context(heard=stale, simulated=True)):
        text = Page(html).text
        assert (
            render(WORDS["stale"]) in text and "Last event heard: today at 08:00." in text and "Europe/Berlin" in text
        )
        assert text.index(render(WORDS["made_up"])) < text.index("Last event heard")
    fresh = sound(today(made.context(heard=Heard(at=None)), ())).text
    assert "No event was heard yet." in fresh and "Made-up" not in fresh and "may be behind" not in fresh


def test_a_role_finds_its_own_pages_and_a_colleague_why_a_client_is_there() -> None:
    assert [link["href"] for link in sound(quality(made.context(viewer=SUPERVISOR), data_gaps())).all("a")][1:] == [
        "/", "/supervision", "/model", "/notices", "/password",
    ]  # fmt: skip
    covered = today(made.context(), [made.item(clinician_id="c-5")])
    assert "you cover for a colleague" in covered and "you cover" not in today(made.context(), [made.item()])


def test_supervision_shows_no_hidden_number_and_keeps_the_order_it_is_given() -> None:
    members = tuple(
        TeamMember(clinician_id=name, episodes=n, open=None, answered=5, unseen=5)
        for n, name in enumerate(("c-1", "c-2", "c-9"))
    )
    page = sound(supervision(made.context(viewer=SUPERVISOR), msgspec.structs.replace(team(), members=members)))
    assert page.text.count("not shown") >= 3 + 1
    assert page.text.index("c-1") < page.text.index("c-2") < page.text.index("c-9")


def test_the_log_in_has_the_fields_of_the_contract_and_says_what_is_wrong() -> None:
    context = made.context(viewer=None, csrf=None, heard=None)
    page = sound(login(context, error=said("No {name}", name="way")))
    assert page.all("form", method="post", action="/login")
    assert {field["name"] for field in page.all("input")} == {"username", "password"}
    assert page.all("p", role="alert") and "No way" in page.text


def test_the_log_in_with_the_clinics_account_is_one_button_above_the_form_and_says_how_it_ended() -> None:
    context = made.context(viewer=None, csrf=None, heard=None)
    door = ProviderDoor("https://keepwell.example/login/provider", "its_clinic", "its_role", "its_clinician")
    page = sound(login(context, door=door))
    assert [link["href"] for link in page.all("a") if "button" in link.get("class", "")] == [door.href]
    assert page.text.index("Sign in with your clinic's account") < page.text.index("Password")
    assert not page.all("p", role="alert") and not sound(login(context)).all("a", href=door.href)
    told = {word: sound(login(context, door=door, told=word)) for word in TOLD_OF_PROVIDER}
    assert all(one.all("p", role="alert") and one.all("form", action="/login") for one in told.values())
    assert len({one.text for one in told.values()}) == len(told)
    assert all(name in told["claims"].text for name in ("its_clinic", "its_role", "its_clinician"))
    assert sound(login(context, door=door, told="<b>")).text == page.text
    assert sound(login(context, door=door, told=SIGNED_OUT)).all("a", href=f"{door.href}/end")
    assert sound(login(context, told="claims")).text == sound(login(context)).text


def test_no_static_file_asks_another_host_or_runs_text() -> None:
    static = files("services.clinician.pages").joinpath("static")
    style, script = (static.joinpath(name).read_text(encoding="utf-8") for name in ("clinician.css", "clinician.js"))
    assert not re.search(r"https?:|url\(|@import", style) and not re.search(
        r"https?:|eval|innerHTML|new Function", script
    )
    assert "Zero-Clause BSD" in static.joinpath("htmx.LICENSE.txt").read_text(encoding="utf-8")


def test_a_risk_that_was_pointed_out_earlier_is_told_by_what_raises_it_now() -> None:
    early = made.alert("risk")
    now = row(
        made.context(), made.item(alerts=(early,), as_of="2026-03-03T08:00:00Z", reasons=(made.BOND, made.STEADY)), ()
    )
    assert made.BOND.text in now and made.STEADY.text not in now, "what lowers it is no ground of an alert"
    assert "What it was when this was pointed out" in now and early.alert.reasons[0] in now
    at_once = row(made.context(), made.item(alerts=(early,), as_of=early.alert.at), ())
    assert "What it was when this was pointed out" not in at_once and early.alert.reasons[0] in at_once
