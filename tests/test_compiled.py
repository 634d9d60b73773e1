"""The core is compiled as a whole or not at all; which of the two runs, both give the same (`tests/test_golden.py`)."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Final

import pytest

from keepwell import compiled

ROOT: Final = Path(__file__).parents[1]
CORE: Final[list[str]] = runpy.run_path(str(ROOT / "setup.py"))["core"]()
"""What is compiled where anything is."""


@pytest.mark.parametrize("path", CORE)
def test_no_part_is_compiled_without_the_others(path: str) -> None:
    file = import_module(path.removesuffix(".py").replace("/", ".")).__file__
    assert file is not None
    assert file.endswith(".py") != compiled.is_compiled()


def test_the_rooms_of_the_core_are_in_it() -> None:
    assert {path.split("/")[1] for path in CORE} == {"care", "scoring", "alerting", "contract"}
    assert "keepwell/scoring/scorer.py" in CORE and "keepwell/scoring/scorecard.py" not in CORE


def test_what_was_compiled_of_an_older_source_or_of_none_is_found(tmp_path: Path) -> None:
    room = tmp_path / "keepwell" / "care"
    room.mkdir(parents=True)
    names = ["gone__mypyc.so", "kept.py", "kept__mypyc.so", "old__mypyc.so", "old.py"]
    for age, name in enumerate(names):
        (room / name).touch()
        os.utime(room / name, (age, age))
    assert compiled.stale(tmp_path) == []  # installed whole, where times say nothing
    (tmp_path / "setup.py").touch()
    assert compiled.stale(tmp_path) == [room / "gone__mypyc.so", room / "old__mypyc.so"]


def test_it_is_said_which_of_the_two_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "is_compiled", lambda: True)
    assert compiled.told() == "compiled"
    monkeypatch.setattr(compiled, "is_compiled", lambda: False)
    assert compiled.told().startswith("runs as Python, with the same results")


def test_without_a_compiler_the_core_stays_python_and_the_build_says_so_and_nothing_is_kept_of_the_build_before(
    tmp_path: Path,
) -> None:
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "keepwell", tmp_path / "keepwell", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    before = tmp_path / "build" / "core" / ".mypy_cache" / "of-the-build-before"
    before.parent.mkdir(parents=True)
    before.touch()
    build = subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--inplace"],
        env=os.environ | {"CC": "false"}, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    assert "the core is not compiled and runs as Python" in build.stdout + build.stderr
    assert not list(tmp_path.glob("keepwell/**/*.so"))
    assert before.parent.is_dir() and not before.exists(), "mypyc fails on some of what it kept"
