"""`keepwell instruments`: a clinic's own instruments, registered in the log, where every score can find them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from keepwell.care.instruments import KNOWN
from keepwell.cli._common import say
from keepwell.cli._options import AsJson, LogUrl, Prefix
from keepwell.cli._settings import read
from keepwell.contract.events import InstrumentRegistered
from keepwell.files.instruments import read_registrations
from keepwell.settings import Settings
from keepwell.streams.log import Log
from keepwell.streams.registered import read_registered
from keepwell.streams.topics import Topics, ensure_topics, to_every_partition

app = typer.Typer(
    help="Register clinics' own instruments in the log, and list them.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def register(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="TOML: a table [CLINIC.NAME] for each.")],
    log: LogUrl = None,
    topic_prefix: Prefix = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Register the instruments of FILE: from here on the clinic's measures of that name are read by these facts."""
    wanted = read_registrations(file, datetime.now(UTC))
    settings = read(Settings, log=log, topic_prefix=topic_prefix)
    with closing(settings.open_log(must_exist=dry_run)) as opened:
        topics = Topics(settings.topic_prefix)
        if not dry_run:
            ensure_topics(opened, topics)
        known = {(event.clinic, event.data.name): event.data for event in read_registered(opened, topics)}
        new = [event for event in wanted if known.get((event.clinic, event.data.name)) != event.data]
        if new and not dry_run:
            _write(opened, topics, new)
    say(
        {
            "would_register" if dry_run else "registered": [_name(event) for event in new],
            "unchanged": [_name(event) for event in wanted if event not in new],
        },
        as_json,
    )


@app.command("list")
def show(log: LogUrl = None, topic_prefix: Prefix = None, as_json: AsJson = False) -> None:
    """List the instruments known by name, and those that clinics registered."""
    settings = read(Settings, log=log, topic_prefix=topic_prefix)
    with closing(settings.open_log(must_exist=True)) as opened:
        own = read_registered(opened, Topics(settings.topic_prefix))
    rows = [_row(None, name, known.low, known.high) for name, known in KNOWN.items()]
    rows += [_row(event.clinic, event.data.name, event.data.lowest, event.data.highest) for event in own]
    if as_json:
        say({"instruments": rows}, True)
        return
    for row in rows:
        print(f"{row['clinic'] or 'every clinic':<24} {row['name']:<16} {row['lowest']:g} to {row['highest']:g}")


def _write(log: Log, topics: Topics, events: Sequence[InstrumentRegistered]) -> None:
    count = log.partitions(topics.episodes)
    log.append([message for event in events for message in to_every_partition(event, topics.episodes, count)])


def _name(event: InstrumentRegistered) -> str:
    return f"{event.clinic}.{event.data.name}"


def _row(clinic: str | None, name: str, lowest: float, highest: float) -> dict[str, Any]:
    return {"clinic": clinic, "name": name, "lowest": lowest, "highest": highest}
