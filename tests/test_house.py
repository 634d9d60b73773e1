"""The house in order: imports go one way, generated pages are up to date, pinned versions name no host."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_imports_go_in_one_direction() -> None:
    checked = run(str(Path(sys.executable).with_name("lint-imports")), "--no-cache")
    assert checked.returncode == 0, checked.stdout


def test_no_test_module_imports_another() -> None:
    """What they share stands in modules beside them, so that each can be read, run and deleted by itself."""
    imports = re.compile(r"^\s*(?:from|import) tests\.(?:\w+\.)*test_\w+", re.MULTILINE)
    tests = (ROOT / "tests").rglob("*.py")
    assert [path.name for path in tests if imports.search(path.read_text("utf-8"))] == []


def test_generated_pages_are_up_to_date() -> None:
    checked = run(sys.executable, "docs/generate.py", "--check")
    assert checked.returncode == 0, checked.stderr


def test_every_dependency_is_pinned_to_one_version_and_no_host() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + [each for extra in project["optional-dependencies"].values() for each in extra]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [line for line in pins if not re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.!+-]+", line)] == []
    pinned = {normal(pin.split("==")[0]) for pin in pins}
    assert {normal(re.split(r"[<>=!~\[ ;]", each)[0]) for each in wanted} - pinned == set()


@pytest.mark.parametrize("target", ["demo", "test", "soak", "lint", "docs", "bench", "broker", "clean"])
def test_make_knows_each_task(target: str) -> None:
    assert run("make", "--dry-run", target).returncode == 0


def test_ci_is_one_executable_script_that_stops_at_the_first_error() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert "set -euo pipefail" in script.read_text(encoding="utf-8")
    assert run("bash", "-n", ".ci/run").returncode == 0


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
