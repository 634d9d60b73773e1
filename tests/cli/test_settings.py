"""Every command that reads settings refuses those that nobody knows or that cannot be, and says where they stand."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from keepwell.cli.main import COMMANDS, app
from keepwell.settings import WrongSettings

WITHOUT = {"demo", "schema", "simulate", "import-csv"}
"""Commands that read no settings, or none that would matter: those of the demo are its own."""

LINES = [
    "up", "ingest --drain", "predictor --drain", "clock --once", "notify --drain", "erasure --drain", "clinician --drain",
    "users list",
    "replay events.jsonl --out out",
    "score events.jsonl --at pairs.csv --out scores.csv", "train events.jsonl --out out",
    "evaluate some events.jsonl --out out", "monitor events.jsonl", "topics", "doctor", "release list",
    "instruments list", "keys list", "dead-letters list", "erase c-1 --clinic north",
]  # fmt: skip
"""A line of every other command that would be right if the settings were."""


@pytest.fixture(autouse=True)
def a_folder_with_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("KEEPWELL_")]:
        monkeypatch.delenv(name)
    Path("events.jsonl").touch()
    Path("pairs.csv").write_text("episode,as_of\n", "utf-8")


def test_a_command_without_settings_is_named_as_one() -> None:
    assert {line.split()[0] for line in LINES} == COMMANDS.keys() - WITHOUT


@pytest.mark.parametrize("line", LINES)
def test_every_command_names_the_line_and_the_nearest_setting(line: str, tmp_path: Path) -> None:
    Path("keepwell.toml").write_text('ingest_prot = 1\ningest_port = "abc"\n', "utf-8")
    done = CliRunner().invoke(app, shlex.split(line))
    told = done.output + str(done.exception)
    assert "ingest_prot in keepwell.toml line 1 is not a setting: did you mean ingest_port?" in told
    assert 'ingest_port = "abc" in keepwell.toml line 2: must be a whole number from 0 to 65535' in told
    assert isinstance(done.exception, WrongSettings) or line == "doctor"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events.jsonl", "keepwell.toml", "pairs.csv"]


def keepwell(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "keepwell.cli.main", *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=os.environ | environment
    )


def test_wrong_settings_are_wrong_use_and_told_line_by_line() -> None:
    done = keepwell("topics", KEEPWELL_INGEST_PROT="1", KEEPWELL_RATE="0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "keepwell: KEEPWELL_INGEST_PROT in the environment is not a setting: did you mean KEEPWELL_INGEST_PORT?",
        'keepwell: KEEPWELL_RATE = "0" in the environment: must be a number above 0',
    ]


def test_the_doctor_finds_wrong_settings_of_any_service_and_ends_with_1() -> None:
    done = keepwell("doctor", KEEPWELL_REFUSAL_RUN="none")
    assert done.returncode == 1
    assert 'KEEPWELL_REFUSAL_RUN = "none" in the environment: must be a whole number of at least 1' in done.stdout


def test_a_flag_out_of_range_is_told_by_the_name_of_its_setting() -> None:
    done = keepwell("clock", "--once", "--port", "70000")
    assert done.returncode == 2
    assert "clock_port = 70000 on the command line: must be a whole number from 0 to 65535" in done.stderr
