"""`keepwell replay --jobs`: the same bytes from any number of processes, and nothing left of those that fail."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner, Result

from keepwell.cli._processes import Processes, in_processes
from keepwell.cli.main import app, way_to
from keepwell.cli.replay import replay_files
from keepwell.contract.control import promotion
from keepwell.contract.events import ClientErased, EpisodeOpened, Erased, Event, encode
from keepwell.streams.sqlite.log import SqliteLog
from keepwell.streams.topics import Topics, to_every_partition
from keepwell.testing.made_up import made_up_clinic, to_jsonl
from models.registry import Releases
from models.release import InvalidRelease, folder_name
from services.predictor.bootstrap import processor, worker_of
from services.predictor.settings import PredictorSettings
from tests.models.releases import released
from tests.services.erasure.clinic import EVENTS, START, Clinic, erasure

INSTRUMENTS: Final = """
[north.MOOD-5]
lowest = 0
highest = 40
higher_is_better = true
cutoff = 13
reliable_change = 4
"""
PATIENCE: Final = 60.0
"""Seconds until a test gives up what it waits for."""


def replay(*arguments: str | Path | int) -> Result:
    """Runs the command in this process."""
    return CliRunner().invoke(app, ["replay", *map(str, arguments)])


def written(folder: Path) -> dict[str, bytes]:
    """All files of a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def renamed(event: Event) -> bytes:
    """An event; what measures by the ORS does so under the name of the clinic's own instrument."""
    return encode(event).replace(b'"ORS"', b'"MOOD-5"')


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Events with lines that are refused, and an erasure in the middle, of a client who comes back."""
    events = list(made_up_clinic(20, 3, START, 90))
    opened = next(event for event in events if isinstance(event, EpisodeOpened))
    erased = ClientErased(
        specversion="1.0", id="erase", source=opened.source, subject="anything", time=START + timedelta(days=30),
        data=Erased(client_id=opened.data.client_id),
    )  # fmt: skip
    path = tmp_path_factory.mktemp("events") / "events.jsonl"
    lines = [*map(renamed, events), encode(erased), b"{broken", b"\xff\xfe"]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def test_a_file_gives_the_same_bytes_from_any_number_of_processes(file: Path, tmp_path: Path) -> None:
    instruments = tmp_path / "instruments.toml"
    instruments.write_text(INSTRUMENTS, "utf-8")
    found, told = [], []
    for jobs in (1, 2, 3):
        out = tmp_path / f"out{jobs}"
        result = replay(file, "--instruments", instruments, "--out", out, "--jobs", jobs, "--json")
        assert result.exit_code == 0, result.output
        found.append(written(out))
        told.append(result.stdout)
    assert found[0] == found[1] == found[2]
    assert told[0] == told[1] == told[2]
    assert set(found[0]) == {"scores.jsonl", "alerts.jsonl", "dead-letters.jsonl", "summary.json"}
    assert found[0]["scores.jsonl"].count(b'"timer:') > 20
    assert len(found[0]["dead-letters.jsonl"].splitlines()) == 2
    assert json.loads(found[0]["summary.json"])["episodes"]


def test_files_of_which_nothing_is_accepted_say_so_from_any_number_of_processes(tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(b"{broken\n")
    one, two = (replay(bad, "--as-of", "2026-03-01", "--out", tmp_path / f"o{n}", "--jobs", n) for n in (1, 2))
    assert one.exit_code == two.exit_code == 1
    assert "nothing was accepted" in str(one.exception)
    assert str(one.exception) == str(two.exception)
    assert written(tmp_path / "o1") == written(tmp_path / "o2")


# ── logs ────────────────────────────────────────────────────────────────────────────────────────────────


class LivedLog:
    """A log with late events, a shadow, a promotion and an erasure, and the registry that it needs."""

    def __init__(self, folder: Path) -> None:
        self.file, self.registry = folder / "keepwell.db", folder / "registry"
        self.url = f"sqlite:///{self.file}"
        self.champion, shadow = (self._published(base) for base in (-1.0, -2.0))
        halves = [[e for n, e in enumerate(EVENTS) if (n % 5 == 0) == late] for late in (False, True)]
        with closing(SqliteLog(self.file)) as log:
            clinic = Clinic(log)
            acts: list[Sequence[Event]] = [
                [promotion(shadow, "shadow", START)],
                [promotion(self.champion, "champion", START + timedelta(days=1))],
            ]
            for events, act in zip(halves, acts, strict=True):
                clinic.send(events)
                clinic.ingest()
                for event in act:
                    topic = clinic.topics.episodes
                    log.append(to_every_partition(event, topic, log.partitions(topic)))
                clinic.tick(40 if events is halves[0] else 90)
            clinic.send([erasure(), *(event for event in EVENTS if event.subject == "ep-3")])
            clinic.ingest()
            clinic.tick(100)
            worker_of(PredictorSettings(instance="a", releases=str(self.registry)), log).drain()

    def _published(self, base: float) -> str:
        work = self.registry / f"work{base}"
        released(work, base)
        return Releases(self.registry).publish(str(work)).digest


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> LivedLog:
    return LivedLog(tmp_path_factory.mktemp("log"))


def test_a_log_gives_the_same_bytes_from_any_number_of_processes(lived: LivedLog, tmp_path: Path) -> None:
    found, told = [], []
    for jobs in (1, 2, 3):
        out = tmp_path / f"out{jobs}"
        result = replay(
            "--log", lived.url, "--releases", lived.registry, "--verify", "--out", out, "--jobs", jobs, "--json"
        )
        assert result.exit_code == 0, result.output
        found.append(written(out))
        told.append(result.stdout)
    assert found[0] == found[1] == found[2]
    assert told[0] == told[1] == told[2]
    assert json.loads(told[0])["verified"]["compared"] > 50
    assert set(found[0]) == {
        "scores.jsonl",
        "alerts.jsonl",
        "dead-letters.jsonl",
        "summary.json",
        "shadow-scores.jsonl",
    }
    assert lived.champion.encode() in found[0]["scores.jsonl"]


def test_a_log_is_verified_without_a_folder_and_a_difference_is_found(lived: LivedLog) -> None:
    same = replay("--log", lived.url, "--releases", lived.registry, "--verify", "--jobs", 2)
    assert same.exit_code == 0, same.output
    other: list[str | Path] = ["--log", lived.url, "--releases", lived.registry, "--verify", "--model", lived.champion]
    one, two = (replay(*other, "--jobs", jobs) for jobs in (1, 2))
    assert one.exit_code == two.exit_code == 1
    assert "the replay has no such record" in one.stderr or "differs from the replay" in one.stderr
    assert one.output == two.output


# ── what fails ──────────────────────────────────────────────────────────────────────────────────────────


def test_where_a_process_fails_the_error_is_that_of_one_and_results_are_left_as_they_were(
    lived: LivedLog, tmp_path: Path
) -> None:
    registry = tmp_path / "registry"
    shutil.copytree(lived.registry, registry)
    arguments: list[str | Path] = ["--log", lived.url, "--releases", registry, "--out", tmp_path / "out"]
    assert replay(*arguments, "--jobs", 2).exit_code == 0
    before = written(tmp_path / "out")
    shutil.rmtree(registry / folder_name(lived.champion))
    several = replay(*arguments, "--jobs", 2)
    assert written(tmp_path / "out") == before
    assert replay(*arguments[:-1], tmp_path / "new", "--jobs", 2).exit_code == 1
    assert list((tmp_path / "new").iterdir()) == []
    alone = replay(*arguments)
    assert several.exit_code == alone.exit_code == 1
    assert isinstance(several.exception, InvalidRelease) and isinstance(alone.exception, InvalidRelease)
    assert (str(several.exception), several.exception.code) == (str(alone.exception), alone.exception.code)
    assert "summary.json" not in written(
        tmp_path / "out"
    )  # what was begun alone is there, and says that it is not whole


def test_where_a_release_cannot_be_used_in_the_processes_a_file_leaves_nothing(file: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    released(model)
    settings = PredictorSettings(model=str(model))
    worker = processor(Topics(), str(model))
    shutil.rmtree(model)
    with pytest.raises(InvalidRelease):
        replay_files([str(file)], None, worker, Topics(), [], out=tmp_path / "out", processes=Processes(2, settings))
    assert list((tmp_path / "out").iterdir()) == []


def killed(task: int) -> int:
    """Is ended by the system where the task is 1."""
    if task == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def broken(_: int) -> int:
    """Has a fault, and quotes what nobody may see."""
    raise KeyError("a pseudonym")


def test_a_process_that_was_ended_from_outside_is_told_with_what_may_help() -> None:
    with pytest.raises(ChildProcessError, match="fewer --jobs"):
        list(in_processes(2, killed, range(4)))


def test_a_fault_in_a_process_is_told_with_the_way_to_it_there() -> None:
    with pytest.raises(KeyError) as fault:
        list(in_processes(2, broken, range(4)))
    way = way_to(fault.value)
    assert any(line.startswith("tests/cli/test_processes.py:") and line.endswith(" broken") for line in way)
    assert "pseudonym" not in "".join(way)


class TwoWords(ValueError):
    """An error that does not come out of another process."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


def stuck(_: int) -> int:
    """Fails with what cannot be told."""
    raise TwoWords("a", "b")


def test_an_error_that_does_not_come_through_is_not_taken_for_a_lack_of_memory() -> None:
    with pytest.raises(BrokenProcessPool):
        list(in_processes(2, stuck, range(4)))


@pytest.mark.parametrize("ended", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_all_processes_and_leaves_no_result(ended: signal.Signals, tmp_path: Path) -> None:
    file, out = tmp_path / "events.jsonl", tmp_path / "out"
    with file.open("wb") as events:
        to_jsonl(made_up_clinic(300, 3, START, 180), events)
    command = [sys.executable, "-m", "keepwell.cli.main", "replay", str(file), "--out", str(out), "--jobs", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as replaying:
        patience = time.monotonic() + PATIENCE
        while not list(out.glob(".replay-*/*.out")):
            assert replaying.poll() is None and time.monotonic() < patience
            time.sleep(0.02)
        replaying.send_signal(ended)
        _, said = replaying.communicate(timeout=PATIENCE)  # which all of them have open until they end
    assert b"Traceback" not in said
    if ended == signal.SIGKILL:  # after which nobody can tidy up
        assert replaying.returncode == -ended
        assert [path.name[:8] for path in out.iterdir()] == [".replay-"]
    else:
        assert replaying.returncode == 128 + ended
        assert list(out.iterdir()) == []
