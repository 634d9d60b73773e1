"""Supervision hides what is small, and its numbers, the gaps and the model are those of the log."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any, get_args

import msgspec
import pytest
import sqlalchemy as sa

from keepwell.contract.events import (
    Actioned,
    AlertActioned,
    ClockTicked,
    Ended,
    EpisodeEnded,
    EventRetracted,
    RepairAttempt,
    RepairAttempted,
    Retracted,
    decode_accepted,
)
from keepwell.contract.outputs import Alert, Score
from keepwell.contract.words import VOCABULARIES, EndReason
from models.registry import Releases
from models.release import default
from services.clinician import overview
from services.clinician.clinics import ClinicFacts
from services.clinician.overview_pages import add_overview
from services.clinician.people.access import without_rule
from services.clinician.people.tables import audit
from services.clinician.releases import KnownReleases
from services.clinician.schema import migrate
from services.clinician.small import of_parts, shown, total
from services.clinician.tables import episodes
from services.clinician.views import Viewer
from services.clinician.web import Pages
from tests.services.clinician.lived import DAYS, START, Lived, lived, project
from tests.services.clinician.living import Whole, head, start, voiced
from tests.strategies import BASE

NOW = START + timedelta(days=DAYS + 3)
UNTIL = START + timedelta(days=DAYS + 1)
"""The Monday before."""


def viewer(role: str = "supervisor", clinic: str = "north") -> Viewer:
    return Viewer(user="u-1", role=role, clinic=clinic, clinician_id=None)  # type: ignore[arg-type]  # a role


@pytest.fixture(scope="module")
def told() -> Lived:
    return lived(40)


def test_the_numbers_of_a_team_are_those_of_the_log(opened: sa.Engine, told: Lived) -> None:
    migrate(opened)
    project(opened, told, 1_000)
    since = UNTIL - timedelta(weeks=overview.WEEKS)
    raised: dict[str, Alert] = {}
    resolved = set()
    for records in told.alerts.values():
        for record in records:
            alert = msgspec.json.decode(record.value or b"", type=Alert)
            raised.setdefault(alert.alert_id, alert)
            if alert.status == "resolved":
                resolved.add(alert.alert_id)
    late = {name for name, alert in raised.items() if alert.at >= since.isoformat().replace("+00:00", "Z")}
    answered, repairs, better, ends = set(), 0, 0, dict[str, str]()
    for records in told.events.values():
        for record in records:
            event = decode_accepted(record.value or b"")
            if isinstance(event, AlertActioned):
                answered.add(event.data.alert_id)
            if isinstance(event, RepairAttempted) and event.time >= since:
                repairs, better = repairs + 1, better + (event.data.outcome == "better")
            if isinstance(event, EpisodeEnded) and event.time >= since:
                ends[event.key] = event.data.reason
    for records in told.scores.values():
        newest = [msgspec.json.decode(record.value or b"", type=Score) for record in records]
        states = {score.episode: score.state for score in newest}
        for key in (key for key, state in states.items() if state == "stopped"):
            ends.setdefault(key, "client_stopped")
    with opened.connect() as connection:
        team = overview.team(connection, viewer(), NOW)
    with opened.connect() as connection:
        whose = dict(connection.execute(sa.select(episodes.c.key, episodes.c.clinician)).all())
    courses = Counter(whose[key] for key, state in _states(told, UNTIL).items() if state == "open" and whose[key])
    of = {
        name: Counter(whose[raised[one].episode] for one in group)
        for name, group in (
            ("answered", late & answered),
            ("unseen", late & resolved - answered),
            ("open", late - resolved),
            ("rest", late - resolved - answered),
        )
    }
    every = sorted(courses.keys() | {whose[raised[one].episode] for one in late})
    sums = {name: total([of[name][one] for one in every]) for name in ("answered", "unseen")}
    assert len(late) >= 10
    assert (team.answered, team.unseen) == (sums["answered"], sums["unseen"])
    assert team.raised == sum(one or 0 for one in (*sums.values(), shown(of["rest"].total())))
    assert [(one.clinician_id, one.episodes, one.open, one.answered, one.unseen) for one in team.members] == [
        (one, *(shown(counts[one]) for counts in (courses, of["open"], of["answered"], of["unseen"]))) for one in every
    ]
    assert (team.repairs, team.repairs_better) == (shown(repairs), of_parts(better, repairs - better))
    counted = Counter(ends.values())
    assert [(one.how, one.count) for one in team.endings] == [
        (how, shown(counted[how])) for how in sorted(get_args(EndReason))
    ]
    names = [one.clinician_id for one in team.members]
    assert names == sorted(names) and len(names) > 3
    with opened.connect() as connection:
        assert overview.team(connection, viewer(clinic="south"), NOW).members == ()
        assert overview.team(connection, viewer("clinician"), NOW).raised is None


def _states(told: Lived, until: datetime) -> dict[str, str]:
    """Episodes that had begun by then, with the state that they had."""
    begun = {
        event.key
        for records in told.events.values()
        for event in (decode_accepted(record.value or b"") for record in records)
        if event.time < until and not isinstance(event, ClockTicked)
    }
    found = dict.fromkeys(begun, "open")
    for records in told.scores.values():
        for score in (msgspec.json.decode(record.value or b"", type=Score) for record in records):
            if score.episode in begun and datetime.fromisoformat(score.as_of) < until:
                found[score.episode] = score.state
    return found


def test_figures_stand_still_until_a_week_is_over(whole: Whole) -> None:
    whole.live(*(event for n in range(6) for event in (start(f"ep-{n}"), voiced(f"f-{n}", 1, "trust", f"ep-{n}"))))
    monday = BASE.replace(hour=0) + timedelta(days=7)
    with whole.engine.connect() as connection:
        early = overview.team(connection, viewer(), monday - timedelta(microseconds=1))
        late = overview.team(connection, viewer(), monday)
    assert (early.raised, early.until, early.members) == (None, "2026-01-05T00:00:00Z", ()), (
        "a difference of two looks tells of no one event"
    )
    assert (late.raised, late.until) == (5, "2026-01-12T00:00:00Z")
    assert [one.episodes for one in late.members] == [5]
    whole.live(*(EpisodeEnded(**head(f"e-{n}", 8 * 24, f"ep-{n}"), data=Ended(reason="improved")) for n in range(6)))
    with whole.engine.connect() as connection:
        assert overview.team(connection, viewer(), monday) == late, "nor do courses that end after it"
        assert overview.team(connection, viewer(), monday + timedelta(days=7)).members[0].episodes is None


def test_answers_endings_and_retractions_count_once(whole: Whole) -> None:
    subjects = [f"ep-{n}" for n in range(12)]
    whole.live(*(event for n, one in enumerate(subjects) for event in (start(one), voiced(f"f-{n}", 1, "trust", one))))
    with whole.engine.connect() as connection:
        names = connection.execute(sa.text("SELECT id, episode FROM alerts ORDER BY episode")).all()
    for number, (name, episode) in enumerate(names):
        subject = episode.partition("/")[2]
        data = Actioned(alert_id=name, action="acknowledged", by="u-1")
        whole.live(AlertActioned(**head(f"a-{number}", 3, subject), data=data))
        whole.live(
            RepairAttempted(**head(f"r-{number}", 5, subject), data=RepairAttempt(alert_id=name, outcome="better"))
        )
    now = BASE + timedelta(days=7)
    with whole.engine.connect() as connection:
        team = overview.team(connection, viewer(), now)
    assert (team.raised, team.answered, team.unseen) == (10, 10, None), "12 of 12, rounded"
    assert (team.hours_to_answer, team.repairs, team.repairs_better) == (2.0, 10, None)
    for number in range(6):
        back = EventRetracted(**head(f"b-{number}", 6, subjects[0]), data=Retracted(event_id=f"r-{number}"))
        subject = next(e for n, (_, e) in enumerate(names) if n == number).partition("/")[2]
        whole.live(msgspec.structs.replace(back, subject=subject))
    for number in range(7):
        ended = EpisodeEnded(**head(f"e-{number}", 7, subjects[number]), data=Ended(reason="improved"))
        whole.live(ended)
    with whole.engine.connect() as connection:
        team = overview.team(connection, viewer(), now)
    assert team.repairs == 5
    assert {one.how: one.count for one in team.endings if one.count} == {"improved": 5}
    for number in range(3):
        back = EventRetracted(**head(f"g-{number}", 8, subjects[number]), data=Retracted(event_id=f"e-{number}"))
        whole.live(back)
    with whole.engine.connect() as connection:
        assert {one.count for one in overview.team(connection, viewer(), now).endings} == {None}, "4 are left"


def test_quality_names_systems_gaps_and_what_was_called_wrong_and_no_client(whole: Whole) -> None:
    whole.live(start(), voiced("f-1", 1), start("ep-2"))
    with whole.engine.connect() as connection:
        name = connection.execute(sa.text("SELECT id FROM alerts")).scalar()
        assert overview.quality(connection, viewer("data")).wrong == ()
    data = Actioned(alert_id=str(name), action="dismissed", by="u-1", reason="data_wrong")
    whole.live(AlertActioned(**head("a-1", 3), data=data))
    with whole.engine.connect() as connection:
        found = overview.quality(connection, viewer("data"))
        elsewhere = overview.quality(connection, viewer("data", "south"))
    assert [(one.system, one.events) for one in found.systems] == [("/north", 4), ("/north/booking", 4)]
    assert dict(found.systems[0].gaps)["no alliance rating yet"] == 2
    assert found.wrong and all(one.wrong == 1 <= one.shown for one in found.wrong)
    assert {one.text for one in found.wrong} <= set(VOCABULARIES["theme"].says.values()), "no client's own numbers"
    assert b"ep-" not in msgspec.json.encode(found)
    assert (elsewhere.systems, elsewhere.wrong) == ((), ())


def test_pages_and_api_are_of_their_roles_and_the_look_at_a_team_is_recorded(whole: Whole) -> None:
    pages: Any = Pages(whole.engine, None, None, lambda: whole.clock[-1], lambda _: ClinicFacts())  # type: ignore[arg-type]
    add_overview(whole.app, pages, KnownReleases(Releases()))
    assert without_rule(whole.app) == []
    boss, data, anna = whole.user("supervisor", None), whole.user("data", None), whole.user()
    assert "There is nothing to show yet" in boss.get("/supervision").text, "where nothing happened"
    assert data.get("/api/v1/model").json() is None
    whole.live(start(), voiced("f-1", 1))
    assert boss.get("/supervision").status_code == boss.get("/model").status_code == 200
    model = anna.get("/api/v1/model").json()
    assert model["release"] == default().digest and model["wrong"] == [] and model["calibrated"] is False
    headings = [heading for heading, _ in model["card"]]
    assert "What it is for" in headings and not any("|" in text for _, text in model["card"])
    assert data.get("/quality").status_code == data.get("/model").status_code == 200
    assert boss.get("/api/v1/team").json()["budget"] is None, "it may be a minute old"
    whole.clock.append(whole.clock[-1] + timedelta(minutes=1))
    team = boss.get("/api/v1/team").json()
    assert team["budget"] > 0 and team["raised"] is None
    for asked in ("/supervision", "/api/v1/team"):
        assert anna.get(asked).status_code == data.get(asked).status_code == 404
    for asked in ("/quality", "/api/v1/quality"):
        assert anna.get(asked).status_code == boss.get(asked).status_code == 404
    with whole.engine.connect() as connection:
        looks = connection.execute(sa.select(sa.func.count()).where(audit.c.action == "team.seen")).scalar()
    assert looks == 4


def test_a_release_that_cannot_be_read_here_is_told_by_its_digest_alone() -> None:
    assert KnownReleases(Releases()).find("sha256:" + "0" * 64) is None
    known = KnownReleases(Releases()).find(default().digest)
    assert known is not None and known.budget is not None and 0 < known.budget < 10
