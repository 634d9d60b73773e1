"""A log that is not there: commands that look for what is in one refuse, say what to name, and make no file."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from keepwell.cli.main import app
from models.release import default

SHIPPED = default().digest


@pytest.mark.parametrize(
    "words",
    [
        "train --out release",
        f"evaluate {SHIPPED} --out report",
        "monitor",
        "release list",
        f"release show {SHIPPED}",
        f"release promote {SHIPPED}",
        "release shadow --off",
        "release rollback",
        "replay --verify",
        "dead-letters list",
        "doctor",
    ],
)
def test_a_log_that_is_only_looked_into_is_not_made(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [*words.split(), "--log", "sqlite:///none.db"])
    assert done.exit_code == 1
    assert "none.db: there is no such log" in f"{done.output} {done.exception}"
    assert [path.name for path in tmp_path.iterdir() if path.suffix.startswith(".db")] == []
    assert not (tmp_path / "release").exists() and not (tmp_path / "report").exists()


def test_topics_begins_a_log(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    assert CliRunner().invoke(app, ["topics", "--log", url]).exit_code == 0
    assert (tmp_path / "new.db").exists()
