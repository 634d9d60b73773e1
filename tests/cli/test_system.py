"""`demo` and `topics`: an installation from nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from keepwell.cli.main import app


def test_the_demo_shows_the_flow_and_ends() -> None:
    command = [sys.executable, "-m", "keepwell.cli.main", "demo", "--once"]
    elsewhere = os.environ | {"KEEPWELL_TOPIC_PREFIX": "north.", "KEEPWELL_LOG": "kafka://127.0.0.1:9"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=elsewhere)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "simulated" in done.stdout
    assert "invalid 1, not_json 1, unknown_type 1" in done.stdout
    compared = re.search(r"(\d+) scores and alerts compared, byte for byte; no difference", done.stdout)
    assert compared is not None
    assert int(compared[1]) > 1000
    assert "what a clinician gets: risk" in done.stdout


def test_topics_are_created_once_with_the_number_of_partitions_that_is_there(tmp_path: Path) -> None:
    where = ["--log", f"sqlite:///{tmp_path / 'k.db'}", "--json"]
    first = json.loads(CliRunner().invoke(app, ["topics", "--partitions", "3", *where]).stdout)
    again = json.loads(CliRunner().invoke(app, ["topics", *where]).stdout)
    assert len(first["created"]) == len(set(first["created"])) >= 7
    assert again["created"] == []
    assert again["session-events"].startswith("3 partitions")
