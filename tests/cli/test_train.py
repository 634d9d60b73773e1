"""The command `train`: a release that loads, recalibration, refusals, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import joblib
import msgspec
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from keepwell.care.instruments import Instruments
from keepwell.cli.train import command
from keepwell.contract.events import micros, rfc3339
from keepwell.files.events import read_lines, records, take_in, with_ticks
from keepwell.streams.log import Message, Partition
from keepwell.streams.open import open_log
from keepwell.streams.topics import Topics
from keepwell.testing.made_up import made_up_clinic, to_jsonl
from models.registry import Releases
from models.release import default, load
from tests.models.releases import released
from training.dataset import FEATURE_COLUMNS, FromLog, archive, build

START = datetime(2023, 1, 2, tzinfo=UTC)
TOPICS = Topics("north.")
APP = typer.Typer()
APP.command()(command)


def run(*words: str | Path) -> tuple[int, str]:
    """Exit code and output of the command."""
    done = CliRunner().invoke(APP, [str(word) for word in words])
    return done.exit_code, done.output + (str(done.exception) if done.exception else "")


def written(path: Path, episodes: int, seed: int) -> Path:
    with path.open("wb") as file:
        to_jsonl(made_up_clinic(episodes, seed, START, 500), file)
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with events, a release trained on them, and a registry that holds it."""
    folder = tmp_path_factory.mktemp("train")
    written(folder / "events.jsonl", 320, 3)
    written(folder / "few.jsonl", 60, 4)
    code, told = run(
        folder / "events.jsonl", "--out", folder / "release", "--registry", folder / "registry", "--budget", "30", "--json"
    )  # fmt: skip
    assert code == 0, told
    (folder / "told.json").write_text(told)
    return folder


def test_the_release_loads_and_says_what_it_rests_on(place: Path) -> None:
    told = json.loads((place / "told.json").read_text())
    release = Releases(place / "registry").open(told["release"])
    assert release.digest == told["release"] == Releases().open(str(place / "release")).digest
    manifest = release.manifest
    assert manifest.data is not None and manifest.data.episodes == told["clients"] > 300
    begun = f"Begun at {Releases().default().digest}."
    assert manifest.origin == f"{begun} Fitted to {manifest.data.episodes} episodes of 1 clinic."
    assert 0.5 < (manifest.metrics["auroc_30d"] or 0) < 0.9
    assert (release.policy.line, release.policy.absent) == (told["line"], told["absent"])
    assert 0 < told["alerts_per_100_sessions"] <= 30
    assert release.scorer.offsets is None
    card = (place / "release" / "card.md").read_text()
    assert manifest.origin in card and "of how good anybody is" in card.replace("\n", " ")


def test_another_process_with_other_hashes_and_jobs_makes_the_same_release(place: Path, tmp_path: Path) -> None:
    told = json.loads((place / "told.json").read_text())
    done = subprocess.run(
        [
            Path(sys.executable).with_name("keepwell"), "train", place / "events.jsonl", "--out", tmp_path / "release",
            "--budget", "30", "--jobs", "2", "--json",
        ],
        env=os.environ | {"PYTHONHASHSEED": "1"}, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["release"] == told["release"]


def test_the_estimator_reads_with_joblib_and_gives_the_same_risks(place: Path) -> None:
    dataset = build([place / "events.jsonl"])
    estimator = joblib.load(BytesIO((place / "release" / "estimator.joblib").read_bytes()))
    scorer = Releases().open(str(place / "release")).scorer
    table = dataset.matrix([term.feature for term in scorer.card.terms])
    assert np.abs(scorer.risks(table) - estimator.risks(dataset.matrix(), FEATURE_COLUMNS)).max() <= 1e-9


def test_offsets_are_used_where_they_are_asked_for(place: Path) -> None:
    code, told = run(
        place / "events.jsonl", "--out", place / "with", "--use-offsets", "--origin", "A made-up clinic.", "--json"
    )
    assert code == 0, told
    release = Releases().open(str(place / "with"))
    assert release.scorer.offsets is not None and release.manifest.origin == "A made-up clinic."


def test_a_release_is_recalibrated(place: Path) -> None:
    code, told = run(place / "few.jsonl", "--recalibrate", place / "release", "--out", place / "again", "--json")
    assert code == 0, told
    found = json.loads(told)
    base, again = (Releases().open(str(place / name)) for name in ("release", "again"))
    assert found["recalibrated"] == base.digest and found["shrunk"]
    assert again.scorer.card.terms == base.scorer.card.terms
    assert again.scorer.card.pairs != base.scorer.card.pairs
    assert again.policy == base.policy
    assert again.manifest.origin.startswith(base.digest)
    reference = json.loads(Releases().file(str(place / "again"), "reference.json") or b"{}")
    assert set(reference["features"]) == {term.feature for term in again.scorer.card.terms}
    assert again.manifest.data is not None
    counted = (*reference["features"].values(), *reference["risks"].values())
    (moments,) = {sum(one["rows"]) + one["missing"] for one in counted}
    assert 0 < moments < again.manifest.data.rows


def test_a_hold_out_is_told_of_and_goes_on_only_where_it_is_asked_for(place: Path, tmp_path: Path) -> None:
    before = released(tmp_path / "before", withhold=0.2, refractory_days=33)
    code, told = run(
        place / "events.jsonl", "--base", tmp_path / "before", "--withhold", "0.1", "--out", tmp_path / "next", "--json"
    )
    assert code == 0, told
    policy = Releases().open(str(tmp_path / "next")).policy
    assert (policy.withhold, policy.refractory_days, policy.line) == (0.1, 33, json.loads(told)["line"])
    found = json.loads((tmp_path / "next" / "report.json").read_text())["held_out"]
    assert (found["release"], found["share"], found["least_clients"]) == (before, 0.2, 50)
    card = (tmp_path / "next" / "card.md").read_text()
    assert "no risk alert of 10% of the episodes" in card and "What the hold-out shows" in card
    code, told = run(place / "few.jsonl", "--recalibrate", tmp_path / "next", "--out", tmp_path / "again", "--json")
    assert code == 0, told
    assert Releases().open(str(tmp_path / "again")).policy == msgspec.structs.replace(policy, withhold=None)


def test_a_recalibrated_release_withholds_where_it_is_asked_for_and_tells_of_the_hold_out_before(
    place: Path, tmp_path: Path
) -> None:
    words = (place / "few.jsonl", "--recalibrate", place / "release", "--withhold", "0.1", "--json")
    code, told = run(*words, "--out", tmp_path / "one")
    assert code == 0, told
    one, base = (Releases().open(str(folder)) for folder in (tmp_path / "one", place / "release"))
    assert one.policy == msgspec.structs.replace(base.policy, withhold=0.1)
    card = (tmp_path / "one" / "card.md").read_text()
    assert "no risk alert of 10% of the episodes" in card and "What the hold-out shows" not in card
    # That a release is recalibrated does not say that it was in use: --base does.
    before = released(tmp_path / "before", withhold=0.2, refractory_days=33)
    code, told = run(*words, "--base", tmp_path / "before", "--out", tmp_path / "two")
    assert code == 0, told
    two = Releases().open(str(tmp_path / "two"))
    assert two.scorer.card == one.scorer.card
    assert two.policy == msgspec.structs.replace(Releases().open(str(tmp_path / "before")).policy, withhold=0.1)
    found = json.loads((tmp_path / "two" / "report.json").read_text())["held_out"]
    assert (found["release"], found["share"], found["least_clients"]) == (before, 0.2, 50)
    assert "What the hold-out shows" in (tmp_path / "two" / "card.md").read_text()


def test_a_recalibrated_release_uses_offsets_where_they_are_asked_for(place: Path, tmp_path: Path) -> None:
    words = (place / "events.jsonl", "--recalibrate", place / "release", "--budget", "30", "--json")
    code, told = run(*words, "--use-offsets", "--out", tmp_path / "with")
    assert code == 0, told
    release, found = Releases().open(str(tmp_path / "with")), json.loads(told)
    assert release.scorer.offsets is not None
    assert found["offsets"] == {"clinics": 0, "clinicians": len(release.scorer.offsets.clinicians)}
    card = (tmp_path / "with" / "card.md").read_text()
    assert "They are used." in card and "says nothing of how good" in card.replace("\n", " ")
    assert {"with_offsets", "spread"} < set(json.loads((tmp_path / "with" / "report.json").read_text()))
    code, told = run(place / "few.jsonl", "--recalibrate", tmp_path / "with", "--out", tmp_path / "again")
    assert code == 0 and "offsets: none" in told
    assert "They are left out here." in (tmp_path / "again" / "card.md").read_text()
    assert Releases().open(str(tmp_path / "again")).scorer.offsets is None


def test_without_a_hold_out_nothing_is_said_of_one(place: Path) -> None:
    assert "held_out" not in json.loads((place / "release" / "report.json").read_text())
    assert "hold-out" not in (place / "release" / "card.md").read_text()


def logged(events: Path, url: str, alerts: Path | None = None) -> None:
    """A log that heard of the events in the order of their time, with a tick every midnight, and showed the alerts."""
    told = take_in(read_lines([str(events)]), Instruments(), datetime.now(UTC)).events
    with closing(open_log(url)) as log:
        log.create_topics(TOPICS.all(1))
        rows = records(with_ticks(told, told[-1].time), Partition(TOPICS.episodes, 0))
        log.append([Message(TOPICS.episodes, row.key, row.value, partition=0) for row in rows])
        shown = alerts.read_bytes().splitlines() if alerts is not None else []
        log.append([Message(TOPICS.alerts, b"any", value, partition=0) for value in shown])


def shown(events: Path, out: Path) -> Path:
    """Alerts as if some had been shown: at the opening of every third episode."""
    told = take_in(read_lines([str(events)]), Instruments(), datetime.now(UTC)).events
    openings = [event for event in told if event.type == "keepwell.episode.opened.v1"][::3]
    lines = [json.dumps({"episode": e.key, "status": "raised", "at": rfc3339(micros(e.time))}) for e in openings]
    out.write_text("\n".join(lines))
    return out


def test_a_log_with_a_tick_every_midnight_is_recalibrated_to_as_its_file(place: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'keepwell.db'}"
    logged(place / "few.jsonl", url)
    words = ("--recalibrate", place / "release", "--json", "--out")
    _, of_file = run(place / "few.jsonl", *words, tmp_path / "of-file")
    code, of_log = run("--log", url, "--topic-prefix", "north.", *words, tmp_path / "of-log")
    assert code == 0, of_log
    assert json.loads(of_log)["release"] == json.loads(of_file)["release"]


def test_a_log_trains_as_its_archive_does_with_the_alerts_that_the_log_showed(place: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'keepwell.db'}"
    alerts = shown(place / "events.jsonl", tmp_path / "alerts.jsonl")
    logged(place / "events.jsonl", url, alerts)
    with closing(open_log(url)) as log:
        archive(FromLog(log, TOPICS), tmp_path / "log.parquet")
    words = ("--topic-prefix", "north.", "--budget", "30", "--json")
    code, of_log = run("--log", url, *words, "--out", tmp_path / "of-log")
    assert code == 0, of_log
    code, of_archive = run(tmp_path / "log.parquet", "--alerts", alerts, *words, "--out", tmp_path / "of-archive")
    assert code == 0, of_archive
    first, without = json.loads(of_log)["release"], json.loads((place / "told.json").read_text())["release"]
    assert json.loads(of_archive)["release"] == first != without


def test_too_few_stops_are_refused_and_nothing_is_written(place: Path) -> None:
    code, told = run(place / "few.jsonl", "--from", "none", "--out", place / "none")
    assert code == 1 and "at least 100 are needed" in told
    assert not (place / "none").exists()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("missing.jsonl",), "no such file"),
        ((), "name either FILES or --log"),
        (("events.jsonl", "--log", "sqlite:///log.db"), "name either FILES or --log"),
        (("events.jsonl", "--budget", "1", "--cost-ratio", "4"), "not both"),
        (("events.jsonl", "--as-of", "yesterday"), "is not a moment"),
        (("events.jsonl", "--treated", "2"), "less than or equal to 1"),
        (("events.jsonl", "--withhold", "0.3"), "less than or equal to 0.2"),
        (("few.jsonl", "--recalibrate", "release", "--treated", "0"), "says how a model is fitted"),
        (("few.jsonl", "--recalibrate", "release", "--learner", "logistic"), "says how a model is fitted"),
    ],
)
def test_wrong_use(place: Path, words: tuple[str, ...], why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    code, told = run(*words, "--out", "out")
    assert code == 2 and why in told


def test_the_shipped_release_loads_beside(place: Path) -> None:
    assert load(next(folder for folder in (place / "registry").iterdir())).digest != default().digest


def test_a_fit_that_begins_at_a_release_takes_fewer_stops_and_says_where_it_began(place: Path, tmp_path: Path) -> None:
    code, told = run(
        place / "few.jsonl", "--from", place / "release", "--no-offsets", "--out", tmp_path / "on", "--json"
    )
    assert code == 0, told
    base, found = (Releases().open(str(folder)) for folder in (place / "release", tmp_path / "on"))
    assert base.digest in found.manifest.origin and found.scorer.offsets is None
    assert json.loads((tmp_path / "on" / "report.json").read_text())["begun"] == base.digest
    assert {term.feature for term in base.scorer.card.terms} <= {term.feature for term in found.scorer.card.terms}


def test_a_release_that_is_recalibrated_begins_nowhere_else(place: Path, tmp_path: Path) -> None:
    code, told = run(place / "few.jsonl", "--recalibrate", "shipped", "--from", "none", "--out", tmp_path / "no")
    assert (
        code == 2
        and "--recalibrate fits none" in " ".join(told.replace("│", " ").split())
        and not (tmp_path / "no").exists()
    )
