"""Writes the reference pages that come from code, so that they cannot say anything else.

`python docs/generate.py` writes them; `--check` only names those that are out of date, and then exits 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import typer
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from keepwell import metrics
from keepwell.alerting.conditions import SAYS
from keepwell.alerting.playbook import PLAYBOOK
from keepwell.cli.main import app
from keepwell.settings import Settings
from keepwell.streams.topics import PARTITIONS, TABLE
from services import reference
from services.catalogue import SERVICES, readers, writers

REFERENCE: Final = Path(__file__).parent / "reference"

SETTINGS: Final[Sequence[tuple[str, type[Settings]]]] = (
    ("Every service", Settings),
    *((row.name.capitalize(), row.settings()) for row in SERVICES),
)


def pages() -> dict[str, str]:
    """Every generated file of docs/reference, by its path there."""
    return reference.documents() | {
        "commands.md": commands(),
        "metrics.md": metrics.reference(),
        "playbook.md": playbook(),
        "settings.md": settings(),
        "topics.md": topics(),
    }


def stale() -> list[str]:
    """Names of the pages that differ from what the code says now."""
    return [name for name, text in pages().items() if not _holds(REFERENCE / name, text)]


def main() -> int:
    """Exit 0: pages written, or up to date; 1: `--check` found some that are not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if a page is out of date")
    check = parser.parse_args().check
    names = stale()
    for name in names:
        if check:
            sys.stderr.write(f"docs/reference/{name} is out of date: run `make docs`\n")
            continue
        (REFERENCE / name).parent.mkdir(parents=True, exist_ok=True)
        (REFERENCE / name).write_text(pages()[name], encoding="utf-8")
        sys.stdout.write(f"wrote docs/reference/{name}\n")
    return 1 if check and names else 0


# ── commands ────────────────────────────────────────────────────────────────────────────────────────────


def commands() -> str:
    """Every command with its arguments and options, as `--help` tells them."""
    lines = [
        "# Commands",
        "",
        _written("the commands in keepwell/cli"),
        "",
        "Settings may come from flags, from `KEEPWELL_…` in the environment, or from a TOML file, in this order; see",
        "[Settings](settings.md). Exit code 0: done, 1: the work found a problem, 2: wrong use.",
        "",
    ]
    for path, command in leaves(typer.main.get_group(app), ("keepwell",)):
        context = command.make_context(path[-1], [], resilient_parsing=True)
        usage = [piece for part in command.params for piece in part.get_usage_pieces(context)]
        lines += [f"## {' '.join(path)}", "", " ".join((command.help or "").split()), ""]
        lines += ["```text", " ".join([*path, "[OPTIONS]", *usage]), "```", ""]
        told = filter(None, (part.get_help_record(context) for part in command.params))
        rows = [f"| `{names}` | {_cell(text)} |" for names, text in told]
        if rows:
            lines += ["| | |", "| --- | --- |", *rows, ""]
    return "\n".join(lines)


def leaves(group: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The commands below a click group, each with its full name. Typer brings a click of its own, so no type names it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command


# ── settings ────────────────────────────────────────────────────────────────────────────────────────────


def settings() -> str:
    """Every setting with its environment variable, default and meaning."""
    lines = [
        "# Settings",
        "",
        _written("the settings classes"),
        "",
        "A flag wins over the environment, and that over the TOML file that `KEEPWELL_CONFIG` names (default",
        "`keepwell.toml` in the working directory; it may be missing). In the file the names are those of the environment",
        "without `KEEPWELL_`, in lower case. A name that no service knows, and a value that cannot be, is refused with its",
        "place; a `KEEPWELL_CONFIG` that names no file too.",
        "",
    ]
    for title, cls in SETTINGS:
        own = {name: field for name, field in cls.model_fields.items() if cls is Settings or _is_own(name)}
        lines += [f"## {title}", "", "| environment | default | meaning |", "| --- | --- | --- |"]
        lines += [
            f"| `KEEPWELL_{name.upper()}` | {_default(field)} | {_cell(field.description)} |"
            for name, field in own.items()
        ]
        lines.append("")
    return "\n".join(lines)


def _is_own(name: str) -> bool:
    return name not in Settings.model_fields


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "the host name"
    return "none" if field.default in (None, "", PydanticUndefined) else f"`{field.default}`"


# ── topics ──────────────────────────────────────────────────────────────────────────────────────────────


def topics() -> str:
    """The topics of an installation, and the services that write and read them."""
    lines = [
        "# Topics",
        "",
        _written("keepwell/streams/topics.py and services/catalogue.py"),
        "",
        f"`keepwell topics` creates them, with {PARTITIONS} partitions by default. An installation may put a prefix before",
        "all of these names (`KEEPWELL_TOPIC_PREFIX`). Read with `isolation.level=read_committed`. The AsyncAPI document",
        "[asyncapi.json](asyncapi.json) describes keys, headers and messages for tools.",
        "",
        "| topic | key | clean-up | partitions | written by | read by | holds |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for topic in TABLE:
        by = _by(writers(topic), topic.outside == "write"), _by(readers(topic), topic.outside == "read")
        cells = (f"`{topic.name}`", topic.key, topic.cleanup, str(topic.partitions or PARTITIONS), *by, topic.holds)
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "## Services", "", "| service | groups | writes | |", "| --- | --- | --- | --- |"]
    for row in SERVICES:
        names = {group.name + "-<database>" * group.of_database: group.topic.name for group in row.groups}
        groups = ", ".join(f"`{name}` reads `{topic}`" for name, topic in names.items())
        writes = ", ".join(f"`{topic.name}`" for topic in row.writes)
        lines.append(f"| [{row.name}](commands.md#keepwell-{row.name}) | {groups} | {writes} | {row.what} |")
    return "\n".join([*lines, ""])


def _by(services: Sequence[str], platforms: bool) -> str:
    return ", ".join([*(["clinic platforms"] if platforms else []), *services])


# ── playbook ────────────────────────────────────────────────────────────────────────────────────────────


def playbook() -> str:
    """Every entry with its finding, its source and what has to be true for it."""
    lines = [
        "# Playbook",
        "",
        _written("keepwell/alerting/playbook.toml"),
        "",
        "What an alert can suggest. Each text is an offer to the clinician, who knows the person; each has a source.",
        "An alert carries at most three of those whose conditions are true, the closest to its pillar first; of somebody",
        "absent a contact comes first. An `ending` always carries its three equal options, and `safety` only points to the",
        "clinic's own protocol.",
        "",
        f"{len(PLAYBOOK)} entries.",
        "",
    ]
    for entry in PLAYBOOK:
        kinds, fits = ", ".join(entry.kinds), [SAYS[name] for name in entry.when]
        fits += [f"not: {SAYS[name]}" for name in entry.unless]
        where = {"contact": "a call or a message today", "session": "the next session", "clinic": "at the clinic"}
        lines += [
            f"## `{entry.id}`",
            "",
            entry.text,
            "",
            f"*Why:* {entry.why}",
            "",
            f"*Source:* {entry.source}. *Alerts:* {kinds}. *Pillars:* {', '.join(entry.pillars) or 'any'}. "
            f"*Done in:* {where[entry.where]}." + (f" *Where:* {'; '.join(fits)}." if fits else ""),
            "",
        ]
    return "\n".join([*lines, ""])


# ── helpers ─────────────────────────────────────────────────────────────────────────────────────────────


def _written(origin: str) -> str:
    return f"<!-- Written by docs/generate.py; change {origin} instead. -->"


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _holds(file: Path, text: str) -> bool:
    return file.exists() and file.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    raise SystemExit(main())
