"""Writes the reference pages that come from code, so that they cannot say anything else: playbook, commands, topics.

`python docs/generate.py` writes them, `--check` only tells which are out of date and exits 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, get_args

from keepwell.events import Pillar
from keepwell.outputs import AlertKind
from keepwell.playbook import PLAYBOOK, suggest

REFERENCE: Final = Path(__file__).parent / "reference"

_NOTE: Final = "<!-- Written by docs/generate.py; change {origin} instead. -->\n\n"


def playbook() -> str:
    """Every entry with its finding and source, and which entries each kind and pillar reach."""
    lines = [
        _NOTE.format(origin="keepwell/playbook.toml") + "# Playbook",
        "",
        "What an alert can suggest. Each text is an offer to the clinician, who knows the person; each has a source.",
        "An alert carries at most three, the closest to its pillar first; an `ending` always carries its three equal",
        "options, and `safety` only points to the clinic's own protocol.",
        "",
        f"{len(PLAYBOOK)} entries.",
        "",
    ]
    for entry in PLAYBOOK:
        kinds = ", ".join(entry.kinds) + (f" (only {entry.rupture})" if entry.rupture else "")
        lines += [
            f"## `{entry.id}`",
            "",
            entry.text,
            "",
            f"*Why:* {entry.why}",
            "",
            f"*Source:* {entry.source}. *Alerts:* {kinds}. *Pillars:* {', '.join(entry.pillars) or 'any'}.",
            "",
        ]
    lines += [
        "## Which alert reaches which entry",
        "",
        "| kind | pillar | suggestions, in order |",
        "| --- | --- | --- |",
    ]
    for kind in get_args(AlertKind):
        pillars = get_args(Pillar) if kind not in ("ending", "safety") else ()
        for pillar in (*pillars, None):
            offers = ", ".join(f"`{offer.id}`" for offer in suggest(kind, pillar))
            lines.append(f"| {kind} | {pillar or ('none named' if pillars else 'any')} | {offers} |")
    return "\n".join(lines) + "\n"


PAGES: Final[Mapping[str, Callable[[], str]]] = {"playbook.md": playbook}


def stale() -> list[str]:
    """Names of the pages that differ from what the code says now."""
    return [name for name, page in PAGES.items() if not _holds(REFERENCE / name, page())]


def _holds(file: Path, text: str) -> bool:
    return file.exists() and file.read_text(encoding="utf-8") == text


def main() -> int:
    """Exit 0: pages written, or up to date; 1: `--check` found some that are not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if a page is out of date")
    names = stale()
    if parser.parse_args().check:
        for name in names:
            sys.stderr.write(f"docs/reference/{name} is out of date: run `make docs`\n")
        return 1 if names else 0
    for name in names:
        (REFERENCE / name).write_text(PAGES[name](), encoding="utf-8")
        sys.stdout.write(f"wrote docs/reference/{name}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
