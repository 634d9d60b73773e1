"""The command `monitor`: files and a log, which release it takes, what it writes, and that it changes nothing."""

from __future__ import annotations

import json
import os
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from keepwell.cli.main import app
from keepwell.contract.control import tick
from keepwell.contract.events import Actioned, AlertActioned, Event
from keepwell.contract.outputs import Alert
from keepwell.settings import Settings
from keepwell.streams.log import Log, Partition
from keepwell.streams.topics import Topics, ensure_topics
from keepwell.testing.accepted import accepted
from keepwell.testing.made_up import made_up_clinic
from models.release import default
from services.predictor.bootstrap import worker_of
from services.predictor.settings import PredictorSettings
from tests.models.releases import released
from training.simulate import simulate

START = datetime(2026, 1, 5, tzinfo=UTC)
TOPICS = Topics("north.")
LOG = ("--log", "sqlite:///log.db", "--topic-prefix", "north.")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("KEEPWELL_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Events of a simulated clinic, and a release recalibrated to those of another."""
    folder = tmp_path_factory.mktemp("world")
    simulate("clinic", 200, 31, folder / "then", rollouts=0)
    simulate("community", 200, 32, folder / "now", rollouts=0)
    told = run(
        "train", folder / "then" / "events.jsonl", "--recalibrate", default().digest, "--out", folder / "release"
    )
    assert told[0] == 0, told
    return folder


def run(*arguments: str | Path) -> tuple[int, str]:
    """Exit code and output of a command."""
    done = CliRunner().invoke(app, [str(word) for word in arguments])
    return done.exit_code, done.output + (str(done.exception) if done.exception else "")


def seen(*arguments: str | Path) -> Any:
    code, output = run("monitor", *arguments, "--json")
    assert code == 0, output
    return json.loads(output)


def opened() -> closing[Log]:
    return closing(Settings(log="sqlite:///log.db").open_log())


def records(topic: str) -> list[bytes]:
    with opened() as log:
        numbers = range(log.partitions(topic))
        return [record.value or b"" for number in numbers for record in log.read(Partition(topic, number))]


def test_files_give_a_report_a_page_and_figures(world: Path, place: Path) -> None:
    told = seen(
        world / "now" / "events.jsonl", "--model", world / "release", "--out", "out", "--metrics", "keepwell.prom"
    )  # fmt: skip
    assert told == json.loads((place / "out" / "monitor.json").read_text())
    assert told["chosen"] == "named" and told["seen"]["simulated"] == told["seen"]["episodes"] > 150
    assert told["drift"]["gap"] is None and len(told["drift"]["features"]) > 20
    assert "recalibrate" in {one["do"] for one in told["suggestions"]}
    assert (place / "out" / "monitor.html").read_text().startswith("<!doctype html>")
    assert 'keepwell_monitor_suggests{kind="recalibrate"' in (place / "keepwell.prom").read_text()
    assert {path.name for path in place.iterdir()} == {"out", "keepwell.prom"}


def test_a_terminal_gets_words_with_the_suggestion_last(world: Path) -> None:
    code, output = run("monitor", world / "now" / "events.jsonl", "--since", "2024-06-01", "--model", world / "release")
    assert code == 0 and "SUGGESTION (a person decides" in output.splitlines()[-3] + output.splitlines()[-2]
    assert "All of it is simulated" in output


def test_as_of_hides_what_came_later(world: Path) -> None:
    told = seen(world / "now" / "events.jsonl", "--model", world / "release", "--as-of", "2023-09-01")
    assert told["seen"]["as_of"] == "2023-09-01T00:00:00Z" and told["seen"]["until"] <= "2023-09-01T00:00:00Z"


def test_a_log_is_seen_through_its_champion_with_its_alerts_and_nothing_is_written(place: Path) -> None:
    with opened() as log:
        ensure_topics(log, TOPICS, 2)
    digest = released(place / "mine", base=-2.0)
    fill()
    work()
    assert seen(*LOG)["release"]["digest"] == default().digest
    assert run("release", "promote", "mine", *LOG)[0] == 0
    answer()
    work()
    before = {topic.name: records(topic.name) for topic in TOPICS.all()}
    told = seen(*LOG)
    assert (told["release"]["digest"], told["chosen"]) == (digest, "in use in the log")
    assert "no reference.json" in told["drift"]["gap"] and told["drift"]["features"] == []
    every = told["acceptance"]["kinds"][0]
    assert every["by_answer"] == {"acknowledged": every["answered"]} and 0.3 < every["answered"] < 0.7
    assert every["hours"][1] == pytest.approx(6)
    assert seen(*LOG, "--model", default().digest)["chosen"] == "named"
    assert {topic.name: records(topic.name) for topic in TOPICS.all()} == before


def test_without_a_predictor_a_log_is_seen_through_the_shipped_release(place: Path) -> None:
    with opened() as log:
        ensure_topics(log, TOPICS, 2)
    fill(20)
    told = seen(*LOG)
    assert (told["release"]["digest"], told["chosen"]) == (default().digest, "shipped")
    assert told["suggestions"][0]["do"] == "wait" and "no alert was shown" in told["acceptance"]["gap"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "name either FILES or --log"),
        (("events.jsonl", "--log", "sqlite:///log.db"), "name either FILES or --log"),
        (("events.jsonl",), "no such file"),
        (("events.jsonl", "--since", "yesterday"), "is not a moment"),
        (("events.jsonl", "--since", "2026-02-01", "--until", "2026-01-01"), "lies after"),
        (("events.jsonl", "--alerts", "none.jsonl"), "no such file"),
    ],
)
def test_wrong_use(arguments: tuple[str, ...], why: str) -> None:
    code, output = run("monitor", *arguments)
    assert code == 2 and why in output


def test_a_window_without_moments_is_a_failure(world: Path) -> None:
    code, output = run("monitor", world / "now" / "events.jsonl", "--since", "2050-01-01")
    assert code == 1 and "no moment of an episode lies in the window" in output


def fill(episodes: int = 160) -> None:
    """Appends a made-up clinic, with a tick a day, as ingest and the clock would."""
    events = list(made_up_clinic(episodes, 7, START, 200))
    with opened() as log:
        day = START
        told: list[Event] = []
        for event in events:
            while day < event.time:
                told.append(tick(day))
                day += timedelta(days=1)
            told.append(event)
        log.append(accepted(told, TOPICS.episodes, log.partitions(TOPICS.episodes)))


def work() -> None:
    """A predictor works off what the log holds."""
    with opened() as log:
        settings = PredictorSettings(log="sqlite:///log.db", topic_prefix="north.", instance="a")
        worker_of(settings, log).drain()


def answer() -> None:
    """Appends an answer, six hours later, to every other alert."""
    alerts = [msgspec.json.decode(value, type=Alert) for value in records(TOPICS.alerts) if value]
    raised = sorted({alert.alert_id: alert for alert in alerts if alert.status == "raised"}.items())
    with opened() as log:
        answers = [answered(alert) for _, alert in raised[::2]]
        log.append(accepted(answers, TOPICS.episodes, log.partitions(TOPICS.episodes), first=1_000_000))


def answered(alert: Alert) -> AlertActioned:
    clinic, _, subject = alert.episode.partition("/")
    return AlertActioned(
        specversion="1.0", id=f"answer-{alert.alert_id}", source=f"/{clinic}/page", subject=subject,
        time=datetime.fromisoformat(alert.at) + timedelta(hours=6),
        data=Actioned(alert_id=alert.alert_id, action="acknowledged", by="c-1"),
    )  # fmt: skip
