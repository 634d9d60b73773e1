"""The browser and the checkers that tests of pages share: Debian's Chromium, axe-core, and the HTML checker of the WHATWG."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, sync_playwright

STORE: Final = Path(__file__).parents[2] / ".node" / "browser"
"""A folder of its own: npm takes out of a folder what it was not asked for."""
PACKAGES: Final = ("axe-core@4.14.1", "vnu-jar@26.9.27")
NAMES: Final = ("chromium", "chromium-browser")
ARGUMENTS: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-lcd-text",
)  # fmt: skip
"""It runs as root, asks nobody outside, and draws letters in greys, so that pictures are small."""


def chromium_path() -> str:
    """Where Chromium is. Raises `RuntimeError` that says what to do."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise RuntimeError("Chromium is not installed; `make tools` installs it, or `apt-get install chromium`")
    return found


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=[*ARGUMENTS])
        try:
            yield browser
        finally:
            browser.close()


def axe_source() -> str:
    """The script of axe-core."""
    return (_modules() / "axe-core" / "axe.min.js").read_text("utf-8")


def wrong_html(pages: Mapping[str, str], folder: Path) -> dict[str, list[str]]:
    """What the HTML checker finds in pages, by name; `folder` is for them meanwhile. Needs Java."""
    files = {f"{number}.html": name for number, name in enumerate(pages)}
    for file, name in files.items():
        (folder / file).write_text(pages[name], "utf-8")
    jar = _modules() / "vnu-jar" / "build" / "dist" / "vnu.jar"
    done = subprocess.run(
        ["java", "-Xss4m", "-XX:TieredStopAtLevel=1", "-jar", str(jar), "--exit-zero-always", "--format", "json", *files],
        capture_output=True, text=True, check=True, timeout=120, cwd=folder,
    )  # fmt: skip
    found: dict[str, list[str]] = {}
    messages: list[dict[str, Any]] = json.loads(done.stderr)["messages"]
    for one in messages:
        name = files[Path(one["url"]).name]
        found.setdefault(name, []).append(f"{one['message']} {one.get('extract', '')}")
    return found


def _modules() -> Path:
    """The folder of the packages, installed when first asked for; several test runs may ask at once."""
    STORE.mkdir(parents=True, exist_ok=True)
    with (STORE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = STORE / "installed"
        if not stamp.exists() or stamp.read_text("utf-8") != " ".join(PACKAGES):
            quiet = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts"]
            subprocess.run(
                ["npm", "install", *quiet, "--prefix", str(STORE), *PACKAGES],
                check=True, capture_output=True, timeout=300, cwd=STORE,
            )  # fmt: skip
            stamp.write_text(" ".join(PACKAGES), "utf-8")
    return STORE / "node_modules"
