"""The command `evaluate`: files, archives and logs alike, what is asked for and what is left out, wrong use."""

from __future__ import annotations

import json
import re
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from keepwell.care.instruments import Instruments
from keepwell.cli.main import app
from keepwell.files.events import read_lines, records, take_in, with_ticks
from keepwell.streams.log import Message, Partition
from keepwell.streams.open import open_log
from keepwell.streams.topics import Topics
from keepwell.testing.made_up import made_up_clinic, to_jsonl
from models.release import default
from tests.models.releases import released
from training.dataset import archive
from training.simulate import simulate

TOPICS = Topics()


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clinic")
    simulate("community", 60, 3, folder, rollouts=0)
    return folder / "events.jsonl"


def run(*words: str | Path, release: str = default().digest) -> Result:
    return CliRunner().invoke(app, ["evaluate", release, *map(str, words), "--no-challengers"])


def judged(out: Path, *words: str | Path, release: str = default().digest) -> Any:
    done = run(*words, "--out", out, release=release)
    assert done.exit_code == 0, done.output
    return json.loads((out / "report.json").read_text())


@pytest.fixture(scope="module")
def of_file(events: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return judged(tmp_path_factory.mktemp("of-file"), events)


def test_an_archive_gives_the_report_of_its_file(events: Path, of_file: Any, tmp_path: Path) -> None:
    archive([events], tmp_path / "events.parquet")
    assert judged(tmp_path, tmp_path / "events.parquet") == of_file


def test_a_log_with_a_tick_every_midnight_gives_the_report_of_its_file(
    events: Path, of_file: Any, tmp_path: Path
) -> None:
    told = take_in(read_lines([str(events)]), Instruments(), datetime.now(UTC)).events
    url = f"sqlite:///{tmp_path / 'keepwell.db'}"
    with closing(open_log(url)) as log:
        log.create_topics(TOPICS.all(1))
        rows = records(with_ticks(told, told[-1].time), Partition(TOPICS.episodes, 0))
        log.append([Message(TOPICS.episodes, row.key, row.value, partition=0) for row in rows])
    assert judged(tmp_path, "--log", url) == of_file


def test_what_was_not_asked_for_is_a_gap(of_file: Any, events: Path, tmp_path: Path) -> None:
    assert [of_file[part] for part in ("learning_curve", "elsewhere", "oracle", "challengers")] == [
        None,
        None,
        None,
        [],
    ]
    judged(tmp_path, events)
    html = (tmp_path / "report.html").read_text()
    for option in ("--learning-curve", "--compare", "--truth", "--no-challengers"):
        assert option in html


def test_another_log_is_told_beside_this_one(events: Path, of_file: Any, tmp_path: Path) -> None:
    found = judged(tmp_path, events, "--compare", events)
    assert found["elsewhere"]["pooled"]["30d"] == of_file["performance"][1]["pooled"]
    assert found["elsewhere"]["simulated"] == 60
    assert "60 of them simulated" in (tmp_path / "report.html").read_text()


def test_raised_is_set_against_withheld_where_the_release_withholds(tmp_path: Path) -> None:
    """Every moment is above the line, so the arms are whoever was drawn, and alerts were shown to the others alone."""
    policy = {"withhold": 0.2}
    released(tmp_path / "mine", base=2.0, **policy)
    events, release = tmp_path / "events.jsonl", str(tmp_path / "mine")
    with events.open("wb") as file:
        to_jsonl(made_up_clinic(320, 3, datetime(2023, 1, 2, tzinfo=UTC), 500), file)
    shown = tmp_path / "shown"
    assert CliRunner().invoke(app, ["replay", str(events), "--model", release, "--out", str(shown)]).exit_code == 0
    risks = [line for line in (shown / "alerts.jsonl").read_text().splitlines() if json.loads(line)["kind"] == "risk"]
    (tmp_path / "risks.jsonl").write_text("\n".join(risks))
    found = judged(tmp_path / "one", events, "--alerts", tmp_path / "risks.jsonl", release=release)["held_out"]
    assert (found["raised"]["alerted"], found["withheld"]["alerted"], found["share"]) == (1, 0, 0.2)
    assert found["withheld"]["clients"] >= found["least_clients"] == 50
    assert found["difference"]["low"] < found["difference"]["value"] < found["difference"]["high"]
    html = (tmp_path / "one" / "report.html").read_text()
    assert "What do alerts do?" in html and "for 100% and 0% of them" in html
    assert "The effect of alerts on outcomes" not in html
    judged(tmp_path / "two", events, release=release)
    html = (tmp_path / "two" / "report.html").read_text()
    assert "nothing says that the release was in use" in html and "percentage points" not in html


def test_a_hold_out_of_few_is_a_gap_and_none_is_no_section(events: Path, of_file: Any, tmp_path: Path) -> None:
    released(tmp_path / "mine", base=2.0, withhold=0.1)
    found = judged(tmp_path / "few", events, release=str(tmp_path / "mine"))["held_out"]
    assert 0 < found["withheld"]["clients"] < 50 and found["difference"] is found["withheld"]["stopped"] is None
    html = (tmp_path / "few" / "report.html").read_text()
    assert re.search(r'class="gap">gap: [^<]* simulated clients\), [^<]* from 50 clients in each on<', html)
    assert of_file["held_out"] is None
    judged(tmp_path / "none", events)
    html = (tmp_path / "none" / "report.html").read_text()
    assert "What do alerts do?" not in html and "that takes a trial" in html


@pytest.mark.parametrize("words", [[], ["--log", "sqlite:///a.db", "b.jsonl"], ["nowhere.jsonl"]])
def test_wrong_use_exits_2(words: list[str], tmp_path: Path) -> None:
    assert run(*words, "--out", tmp_path / "out").exit_code == 2


def test_a_truth_that_is_none_exits_2(events: Path, tmp_path: Path) -> None:
    (tmp_path / "truth.jsonl").write_text("{}\n")
    done = run(events, "--truth", tmp_path / "truth.jsonl", "--out", tmp_path / "out")
    assert done.exit_code == 2 and not (tmp_path / "out").exists()


def test_files_without_an_event_of_an_episode_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("not an event\n")
    assert run(tmp_path / "empty.jsonl", "--out", tmp_path / "out").exit_code == 1
