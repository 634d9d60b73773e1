"""What three replays write, as digests: `python -m tests.golden` renews `golden.toml`, which `test_golden.py` compares.

A difference there means that scores or alerts changed by a byte. Where that is meant, renew the file, and list the difference
in CHANGELOG.md with its reason: clinics that replay an old log will see it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from typer.testing import CliRunner

from keepwell.cli.main import app

ROOT: Final = Path(__file__).parents[1]
FILE: Final = Path(__file__).with_name("golden.toml")
WEEK: Final = ROOT / "examples" / "quickstart" / "week.jsonl"
CTN: Final = ROOT / "examples" / "ctn0027"
DATA: Final = ROOT.parent / "shared" / "data" / "ctn0027"
"""The trial's tables, which are not part of this repository (examples/ctn0027/README.md says where they come from)."""
TABLES: Final = ("visit", "randomization", "treatment", "site_masked", "demographics")
needs_data = pytest.mark.skipif(
    not DATA.exists(), reason=f"the trial's tables, which are not part of this repository, are not in {DATA}"
)
WRITTEN: Final = ("scores.jsonl", "alerts.jsonl")

_HEAD: Final = f"""\
# sha256 of what `keepwell replay` writes. Written by `python -m tests.golden`; a difference is to be meant, and listed in
# CHANGELOG.md with its reason. The trial is digested only where its tables lie beside the checkout, in
# {DATA.relative_to(ROOT.parent)}; without them its digests stay as they were.
"""


def quickstart(folder: Path) -> Mapping[str, str]:
    """The clinic's week of examples/quickstart."""
    return _replayed(WEEK, folder, "--as-of", "2026-12-01T00:00:00Z")


def simulated(folder: Path) -> Mapping[str, str]:
    """A simulated clinic of 60 episodes."""
    drawn = ("--preset", "clinic", "--episodes", "60", "--seed", "5", "--rollouts", "0")
    _run("simulate", *drawn, "--out", str(folder))
    return _replayed(folder / "events.jsonl", folder)


def trial(folder: Path) -> Mapping[str, str]:
    """The trial CTN-0027, imported from its tables. Raises `AssertionError` where they are not in `DATA`."""
    events = folder / "events.jsonl"
    tables = [str(DATA / f"{table}.csv.gz") for table in TABLES]
    _run("import-csv", str(CTN / "mapping.toml"), *tables, "--out", str(events))
    return _replayed(events, folder)


REPLAYS: Final[Mapping[str, Callable[[Path], Mapping[str, str]]]] = {
    "quickstart": quickstart,
    "simulated": simulated,
    "trial": trial,
}


def kept() -> Mapping[str, Mapping[str, str]]:
    """The digests of `golden.toml`, by replay and by file."""
    return tomllib.loads(FILE.read_text("utf-8"))


def main() -> None:
    """Writes the digests of today; those of the trial stay where its tables are missing."""
    digests = dict(kept()) if FILE.exists() else {}
    for name, replay in REPLAYS.items():
        if name != "trial" or DATA.exists():
            with TemporaryDirectory() as folder:
                digests[name] = replay(Path(folder))
    tables = (f"\n[{name}]\n" + _lines(digests[name]) for name in REPLAYS if name in digests)
    FILE.write_text(_HEAD + "".join(tables), "utf-8")


def _lines(digests: Mapping[str, str]) -> str:
    return "".join(f'"{name}" = "{digest}"\n' for name, digest in digests.items())


def _replayed(events: Path, folder: Path, *options: str) -> Mapping[str, str]:
    out = folder / "out"
    _run("replay", str(events), *options, "--out", str(out))
    return {name: sha256((out / name).read_bytes()).hexdigest() for name in WRITTEN}


def _run(*command: str) -> None:
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output


if __name__ == "__main__":
    main()
