"""The docs say what is true: commands exist, events are accepted, links lead somewhere, no figure lacks its source."""

import json
import os
import re
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from keepwell.care.instruments import Instruments
from keepwell.contract.decode import decode
from keepwell.contract.refusal import Refusal
from keepwell.files.instruments import read_registrations
from tests.command_lines import FENCE, Line, complaint, in_markdown
from tests.waiting import until

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
DESIGN = DOCS / "design"
"""For those who build Keepwell: they show the grammar of commands, and figures of machines, as the specification has them."""
WRITTEN = [page for page in DOCS.rglob("*.md") if DESIGN not in page.parents]
ROOM = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES = sorted([*ROOM, *WRITTEN, *(ROOT / "examples").rglob("*.md")])
LINES = [line for page in PAGES for line in in_markdown(page) if page.name != "commands.md"]
NOW = datetime(2026, 11, 22, tzinfo=UTC)

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def test_there_are_command_lines_to_check() -> None:
    assert len(LINES) > 20


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line.where}: {' '.join(line.words)}")
def test_every_command_line_is_one_that_keepwell_knows(line: Line, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert complaint(line, tmp_path) is None


@pytest.mark.parametrize(
    "words", [("nope",), ("schema", "--nope"), ("schema", "--out"), ("schema", "extra"), ("dead-letters",)]
)
def test_a_command_line_that_keepwell_does_not_know_is_found(words: tuple[str, ...], tmp_path: Path) -> None:
    assert complaint(Line("here", words), tmp_path) is not None


def events_of(page: Path) -> list[Any]:
    """The events that a page sends with curl, sent now."""
    found: list[Any] = []
    for body in re.findall(r"<<EOF\n(.*?)\nEOF$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        content = json.loads(
            re.sub(r"\$\(ago ([\d.]+)\)", lambda days: (NOW - timedelta(float(days[1]))).isoformat(), body)
        )
        found += content if isinstance(content, list) else [content]
    return found


def test_the_tutorial_sends_events_that_are_accepted_and_one_that_is_refused() -> None:
    events = events_of(DOCS / "tutorial" / "first-score.md")
    decoded = [decode(json.dumps(each).encode(), (), now=NOW, instruments=Instruments({})) for each in events]
    assert [isinstance(each, Refusal) for each in decoded] == [False, False, False, True]


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial/first-score.md"])
def test_the_page_leads_from_an_event_to_its_score(page: str, tmp_path: Path) -> None:
    """Its own commands, in a fresh folder; only the port is another."""
    shell = [block for kind, block in FENCE.findall((ROOT / page).read_text(encoding="utf-8")) if kind == "sh"]
    send = next(block for block in shell if "curl" in block)
    look = next(block for block in shell if "keepwell replay" in block).splitlines()[0]
    port = free_port()
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def run(script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False
        )

    env["KEEPWELL_API_KEY"] = run("keepwell keys issue north").stdout.strip()
    up = subprocess.Popen(
        [Path(sys.executable).with_name("keepwell"), "up", "--port", str(port)],
        cwd=tmp_path,
        env=env,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: run(f"curl -sSf http://127.0.0.1:{port}/readyz").returncode == 0)
        sent = json.loads(run(send.replace("8080", str(port))).stdout)["results"]
        assert {each["status"] for each in sent} == {"accepted"}

        def last_is_scored() -> bool:
            return run(look).returncode == 0 and f'"trigger":"{sent[-1]["id"]}"' in (
                tmp_path / "out" / "scores.jsonl"
            ).read_text("utf-8")

        until(last_is_scored)
    finally:
        up.terminate()
        up.wait(30)
    assert '"kind":"risk","status":"raised"' in (tmp_path / "out" / "alerts.jsonl").read_text("utf-8")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_example_of_an_instrument_can_be_loaded(tmp_path: Path) -> None:
    text = (DOCS / "how-to" / "register-an-instrument.md").read_text(encoding="utf-8")
    (block,) = [block for kind, block in FENCE.findall(text) if kind == "toml"]
    (tmp_path / "instruments.toml").write_text(block, encoding="utf-8")
    read_registrations(tmp_path / "instruments.toml")


@every_page
def test_every_link_leads_to_a_file(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:|#", target):
            assert (page.parent / target.partition("#")[0]).exists(), target


@every_page
def test_no_page_names_a_registry_or_a_machine(page: Path) -> None:
    assert not re.search(r"/work/|/root/|pypi\.org|files\.pythonhosted|repo\.maven", page.read_text(encoding="utf-8"))


@every_page
def test_no_page_has_a_measured_rate_without_its_command(page: Path) -> None:
    if page.parent.name != "reference":
        assert not re.search(r"\d[\d ,.]*k? (events|episodes|records|scores)(/s| a second)", page.read_text("utf-8"))


def test_the_readme_says_what_it_is_not() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for words in ("learnt from simulated clinics", "Not a medical device", "made up by a program"):
        assert words in text


def test_the_site_builds_without_a_warning_and_fetches_nothing_from_elsewhere(tmp_path: Path) -> None:
    site = tmp_path / "site"
    built = subprocess.run(
        [Path(sys.executable).with_name("mkdocs"), "build", "--strict", "--site-dir", site],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    for page in site.rglob("*.html"):
        fetched = re.findall(
            r"""<(?:script|link|img|iframe)[^>]*(?:src|href)=["']?(https?:)?//([^"'/\s>]+)""", page.read_text("utf-8")
        )
        assert fetched == [], page
