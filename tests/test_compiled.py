"""The core is compiled as a whole or not at all; which of the two runs, both give the same (`tests/test_golden.py`)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Final

import pytest

from keepwell import compiled

ROOT: Final = Path(__file__).parents[1]
HOT: Final = ("care.course", "care.visits", "scoring.scorer", "scoring.reasons", "alerting.decide", "contract.say")
"""Some of what is compiled where anything is."""


@pytest.mark.parametrize("name", HOT)
def test_no_part_is_compiled_without_the_others(name: str) -> None:
    file = import_module(f"keepwell.{name}").__file__
    assert file is not None
    assert file.endswith(".py") != compiled.is_compiled()


def test_it_is_said_which_of_the_two_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "is_compiled", lambda: True)
    assert compiled.told() == "compiled"
    monkeypatch.setattr(compiled, "is_compiled", lambda: False)
    assert compiled.told().startswith("runs as Python, with the same results")


def test_without_a_compiler_the_core_stays_python_and_the_build_says_so(tmp_path: Path) -> None:
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "keepwell", tmp_path / "keepwell", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    build = subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--inplace"],
        env=os.environ | {"CC": "false"}, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    assert "the core is not compiled and runs as Python" in build.stdout + build.stderr
    assert not list(tmp_path.glob("keepwell/**/*.so"))
