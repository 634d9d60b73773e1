"""Training on what clinics have: without bookings, ratings or visits; what is left out is said wherever it counts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from keepwell.alerting.assess import Assessor, Trigger
from keepwell.cli.main import app
from keepwell.contract.events import Event, encode
from keepwell.contract.words import HORIZONS
from keepwell.scoring.scorecard import NEXT
from keepwell.testing.made_up import made_up_clinic
from models.registry import Releases
from models.release import Release, default
from tests.episodes import booked, lived, on, opened, story, weekly
from training.dataset import FEATURE_COLUMNS, build
from training.fit.fit import Beginning, Options, fit

START = datetime(2023, 1, 2, tzinfo=UTC)
MADE = list(made_up_clinic(320, 3, START, 600))


def kind(event: Event) -> str:
    return event.type.removeprefix("keepwell.").removesuffix(".v1")


def written(path: Path, keep: Callable[[str], bool], **changed: str) -> Path:
    """A file of the made-up clinic's events of some kinds, with members of their data changed where they have them."""
    with path.open("wb") as file:
        for event in MADE:
            if keep(kind(event)):
                told = json.loads(encode(event))
                told["data"] |= {name: value for name, value in changed.items() if name in told["data"]}
                file.write(msgspec.json.encode(told) + b"\n")
    return path


def run(*words: str | Path) -> tuple[int, str]:
    """Exit code and output. What the command does not tell in a sentence is raised here."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(done.exception, ValueError):  # told in a sentence by `keepwell.cli.main.run`
        return 1, str(done.exception)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def no_booking(name: str) -> bool:
    return not name.startswith("appointment.")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the events of a clinic that tells of no bookings, and what was trained on them."""
    folder = tmp_path_factory.mktemp("without-bookings")
    events = written(folder / "events.jsonl", no_booking)
    code, told = run("train", events, "--out", folder / "release", "--json")
    assert code == 0, told
    (folder / "told.json").write_text(told)
    return folder


@pytest.fixture(scope="module")
def release(place: Path) -> Release:
    return Releases().open(str(place / "release"))


# ── without bookings ────────────────────────────────────────────────────────────────────────────────────


def test_without_bookings_the_horizons_are_trained_and_what_is_left_out_is_said(place: Path, release: Release) -> None:
    told = json.loads((place / "told.json").read_text())
    why = "of no visit is it known that it was booked, and whether it was kept"
    report = json.loads((place / "release" / "report.json").read_text())
    assert told["left_out"] == report["left_out"] == release.manifest.left_out == {"next": why}
    assert list(told["auroc"]) == list(report["measures"]) == list(release.scorer.card.outputs) == list(HORIZONS)
    assert {name.partition("_")[2] for name in release.manifest.metrics} == set(HORIZONS)
    assert f"*next visit missed*, as {why}" in (place / "release" / "card.md").read_text()


def test_no_score_of_such_a_release_tells_of_the_next_visit_even_where_one_is_booked(release: Release) -> None:
    live = lived(story((0, opened()), *weekly(2), (15, booked("next", 21))))
    score, scored = Assessor(release.digest, release.scorer, release.policy).score(live, on(16), Trigger("ev-1"))
    assert score.risk is not None and score.next_visit_missed is None
    assert b'"next_visit_missed":null' in msgspec.json.encode(score)
    assert scored is not None and np.isnan(scored.risks[NEXT])


def test_a_table_gets_the_same_risks_as_the_estimator_gives_and_none_of_the_next_visit(place: Path) -> None:
    dataset = build([place / "events.jsonl"])
    begun = Beginning(default().digest, default().scorer.card)  # as the command does, where nothing else is asked for
    fitted = fit(dataset, Releases().open(str(place / "release")).policy, Options(budget=20, start=begun))
    table = dataset.matrix([term.feature for term in fitted.card.terms])
    found = Releases().open(str(place / "release")).scorer.risks(table)
    assert np.isnan(found[:, NEXT]).all() and not np.isnan(found[:, :NEXT]).any()
    np.testing.assert_allclose(found, fitted.estimator.risks(dataset.matrix(), FEATURE_COLUMNS), atol=1e-9)


def test_such_a_release_is_evaluated_monitored_and_recalibrated_where_bookings_are_told(
    place: Path, release: Release, tmp_path: Path
) -> None:
    everything = written(tmp_path / "events.jsonl", lambda name: True)
    code, told = run("evaluate", place / "release", everything, "--compare", place / "events.jsonl", "--no-challengers",
                     "--out", tmp_path / "report")  # fmt: skip
    assert code == 0, told
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert [found["output"] for found in report["performance"]] == list(HORIZONS)
    assert "the release does not tell it" in (tmp_path / "report" / "report.html").read_text()
    code, told = run("monitor", everything, "--model", place / "release", "--out", tmp_path / "monitor")
    assert code == 0 and "next visit missed: not judged: the release does not tell it" in told
    code, told = run(
        "train", everything, "--recalibrate", place / "release", "--use-offsets", "--out", tmp_path / "again"
    )
    assert code == 0, told
    again = Releases().open(str(tmp_path / "again"))
    assert again.scorer.card.outputs == release.scorer.card.outputs
    assert again.manifest.left_out == {"next": f"{release.digest} does not have it"}


def test_a_release_that_knows_the_next_visit_keeps_it_when_it_is_recalibrated_without_bookings(
    place: Path, tmp_path: Path
) -> None:
    code, told = run("train", place / "events.jsonl", "--recalibrate", default().digest, "--out", tmp_path / "again")
    assert code == 0, told
    again = Releases().open(str(tmp_path / "again"))
    assert "next" in again.scorer.card.outputs and again.manifest.left_out is msgspec.UNSET


# ── other clinics ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=["one clinician", "no measures", "visits and endings alone"])
def enough(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Events of a clinic that tells of little, but of enough."""
    path = tmp_path / "events.jsonl"
    match request.param:
        case "one clinician":
            yield written(path, lambda name: name != "clinician.changed", clinician_id="c-1")
        case "no measures":
            yield written(path, lambda name: not name.startswith("measure."))
        case _:
            yield written(path, lambda name: name in ("episode.opened", "session.attended", "episode.ended"))


def test_little_but_enough_is_trained_evaluated_monitored_and_recalibrated(enough: Path, tmp_path: Path) -> None:
    mine = tmp_path / "release"
    for words in (
        ("train", enough, "--out", mine),
        ("train", enough, "--recalibrate", mine, "--use-offsets", "--out", tmp_path / "again"),
        ("evaluate", mine, enough, "--no-challengers", "--learning-curve", "--out", tmp_path / "report"),
        ("monitor", enough, "--model", mine, "--out", tmp_path / "monitor"),
    ):
        code, told = run(*words)
        assert code == 0, told


# ── data of another shape: made-up people who answer or log in, and never book ─────────────────────────────


class Person(NamedTuple):
    """Somebody who is there on some days, in the order of time; `stays` to the end of the sixteen weeks."""

    name: str
    days: list[float]
    stays: bool


def people(count: int, seed: int, a_week: float, *, on_the_hour: bool = False) -> list[Person]:
    """People who are there `a_week` times a week, the keener the longer; a third or so of them to the end. `on_the_hour`:
    everyone on the same weekday at the same hour, so that many moments tie."""
    rng = Random(seed)
    found = []
    for number in range(count):
        keen, begins = rng.random(), 7.0 * rng.randrange(30)
        weeks = next((week for week in range(1, 16) if rng.random() < 0.14 - 0.12 * keen), 16)
        days, day = [], begins
        while day < begins + 7 * weeks:
            days.append(day)
            day += 7.0 * rng.choice((1, 1, 1, 2)) if on_the_hour else rng.expovariate(a_week * (0.6 + keen) / 7) + 0.01
        found.append(Person(f"p{number}", days, weeks == 16))
    return found


def told_of(path: Path, group: list[Person], clinics: int = 1, *, openings: bool = True) -> Path:
    """A file of what these people send: each day that they are there a session by text, no booking, no clinician unless an
    opening names one."""
    lines = []
    for number, person in enumerate(group):

        def tell(kind: str, day: float, *, number: int = number, person: Person = person, **data: object) -> None:
            lines.append({
                "specversion": "1.0", "id": f"{person.name}-{kind}-{day}", "source": f"/app-{number % clinics}/log",
                "subject": person.name, "type": f"keepwell.{kind}.v1", "data": data,
                "time": (START + timedelta(days=day)).isoformat(),
            })  # fmt: skip

        if openings:
            tell("episode.opened", person.days[0], client_id=person.name, clinician_id="nobody")
        for day in person.days:
            tell("session.attended", day, modality="text")
        if person.stays:
            tell("episode.ended", person.days[-1] + 1, reason="planned")
    path.write_bytes(
        b"".join(msgspec.json.encode(line) + b"\n" for line in sorted(lines, key=lambda line: str(line["time"])))
    )
    return path


def rated(path: Path, group: list[Person]) -> Path:
    """The events that the page's mapping makes of a table of these people's ratings."""
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "train.md").read_text("utf-8")
    block = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    assert block is not None
    mapping, table = path.with_name("mapping.toml"), path.with_name("ratings.csv")
    mapping.write_text(block[1], "utf-8")
    rng = Random(7)
    rows = [
        f"{person.name},{START + timedelta(days=day):%Y-%m-%d},{rng.randrange(4, 20)}"
        for person in group
        for day in person.days
    ]
    table.write_text("\n".join(["person,day,phq9", *rows]), "utf-8")
    code, told = run("import-csv", mapping, table, "--out", path, "--strict")
    assert code == 0, told
    return path


@pytest.mark.parametrize("shape", ["logins", "ratings", "ties in six clinics, without openings"])
def test_who_answers_or_logs_in_without_visits_is_trained_on_and_judged(shape: str, tmp_path: Path) -> None:
    def some(name: str, count: int, seed: int) -> Path:
        if shape == "ratings":
            return rated(tmp_path / name, people(count, seed, 1.0, on_the_hour=True))
        if shape == "logins":
            return told_of(tmp_path / name, people(count, seed, 2.0))
        return told_of(tmp_path / name, people(count, seed, 1.0, on_the_hour=True), clinics=6, openings=False)

    code, told = run("train", some("then.jsonl", 140, 1), "--out", tmp_path / "release", "--json")
    assert code == 0, told
    summary = json.loads(told)
    assert list(summary["left_out"]) == ["next"] and list(summary["auroc"]) == list(HORIZONS)
    later = some("later.jsonl", 80, 2)
    code, told = run(
        "evaluate", tmp_path / "release", later, "--no-challengers", "--out", tmp_path / "report", "--json"
    )
    assert code == 0, told
    assert json.loads(told)["auroc_30d"] > 0.5
    code, told = run("monitor", later, "--model", tmp_path / "release")
    assert code == 0, told


@pytest.mark.parametrize("count", [1, 12])
def test_a_handful_of_people_is_judged_without_figures_that_they_cannot_carry(
    count: int, release: Release, place: Path, tmp_path: Path
) -> None:
    few = told_of(tmp_path / "few.jsonl", people(count, 5, 1.0))
    code, told = run(
        "evaluate",
        place / "release",
        few,
        "--no-challengers",
        "--learning-curve",
        "--out",
        tmp_path / "report",
        "--json",
    )
    assert code == 0, told
    assert (json.loads(told)["auroc_30d"] is None) == (count == 1)
    code, told = run("train", few, "--out", tmp_path / "release")
    assert code == 1 and re.search(r"episodes stopped|one class only", told), told


@pytest.fixture(params=["ratings alone", "contacts alone", "bookings alone", "openings alone"])
def too_little(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Events of a clinic that tells of no visit at all."""
    kept = {
        "ratings alone": ("episode.opened", "measure.completed", "measure.skipped"),
        "contacts alone": ("contact.made",),
        "bookings alone": ("appointment.booked",),
        "openings alone": ("episode.opened",),
    }[request.param]
    return written(tmp_path / "events.jsonl", lambda name: name in kept)


def test_without_any_visit_the_command_says_that_visits_are_missing(
    too_little: Path, release: Release, place: Path, tmp_path: Path
) -> None:
    for words in (
        ("train", too_little, "--out", tmp_path / "release"),
        ("train", too_little, "--recalibrate", place / "release", "--out", tmp_path / "again"),
        ("evaluate", place / "release", too_little, "--out", tmp_path / "report"),
    ):
        code, told = run(*words)
        assert code == 1 and "no attended session is told of (session.attended)" in told, told
        assert "make each rating or login a session.attended of modality text" in told
    code, told = run("monitor", too_little, "--model", place / "release")
    if build([too_little]).frame["moment"].notna().any():
        assert code == 0 and "within 30 days: not judged" in told, told
    else:
        assert code == 1 and "no moment of an episode lies in the window" in told, told
