"""`keepwell doctor`: looks at an installation and says what is wrong with it, and what would mend it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec
import typer

from keepwell.cli._common import failed
from keepwell.contract.events import ClockTicked, decode_accepted
from keepwell.settings import Settings
from keepwell.streams.log import Log, LogError, Partition, Record
from keepwell.streams.topics import Topics
from keepwell.streams.worker.dead_letters import letters
from models.release import InvalidRelease, default

OLD_TICK: Final = 600.0
"""Seconds; a tick this old means that no clock runs, so that silence is not noticed. The default interval is 60 s."""
LONG_LAG: Final = 10_000
"""Records; more than this waiting is more than a burst."""
LOOK_BACK: Final = 2_000
"""Offsets at the end of a partition in which the newest tick is looked for."""


class Finding(NamedTuple):
    """One thing looked at. `mend` says what to do where it is not well."""

    what: str
    ok: bool
    found: str
    mend: str = ""


def command(
    log: Annotated[str | None, typer.Option(help="Where the log is: sqlite:///FILE or kafka://HOST:PORT.")] = None,
    topic_prefix: Annotated[str | None, typer.Option(help="Prefix of all topics and groups.")] = None,
    instruments: Annotated[Path | None, typer.Option(help="TOML file with the clinics' own instruments.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check release, settings, log, topics, lag, clock and dead letters; exit 1 where something needs mending."""
    settings = Settings(log=log, topic_prefix=topic_prefix, instruments=instruments)
    findings = list(examine(settings))
    if as_json:
        print(msgspec.json.encode([finding._asdict() for finding in findings]).decode())
    else:
        for finding in findings:
            print(f"{'ok     ' if finding.ok else 'PROBLEM'}  {finding.what}: {finding.found}")
            if not finding.ok:
                print(f"         → {finding.mend}")
    problems = sum(not finding.ok for finding in findings)
    if problems:
        failed(f"{problems} of {len(findings)} checks found a problem")


def examine(settings: Settings) -> Iterator[Finding]:
    """Everything that can be looked at, in the order in which it would have to be mended."""
    yield Finding("client", True, f"kafka-python {version('kafka-python')}, msgspec {version('msgspec')}")
    yield _tried("release", _release, "install Keepwell anew: the shipped release is damaged")
    try:
        opened = settings.open_log(must_exist=True)
    except LogError as error:
        yield Finding(
            "log", False, str(error), "check the address, and that the log runs; for a new one run keepwell topics"
        )
        return
    with closing(opened) as log:
        yield from _of_log(log, Topics(settings.topic_prefix))


def _release() -> str:
    release = default()
    return f"{release.manifest.title}, {release.digest[:19]}…"


def _tried(what: str, look: Callable[[], str], mend: str) -> Finding:
    try:
        return Finding(what, True, look())
    except (InvalidRelease, OSError, ValueError) as error:
        return Finding(what, False, str(error), mend)


def _of_log(log: Log, topics: Topics) -> Iterator[Finding]:
    counts: dict[str, int] = {}
    missing = []
    for topic in topics.all():
        try:
            counts[topic.name] = log.partitions(topic.name)
        except LogError:
            missing.append(topic.name)
    yield Finding(
        "topics", not missing, f"{len(counts)} found, missing: {', '.join(missing) or 'none'}", "run keepwell topics"
    )
    if missing:
        return
    counts.pop(topics.releases)
    same = len(set(counts.values())) == 1
    yield Finding("partitions", same, str(counts), "create the topics anew with the same number of partitions")
    for group, source in ((topics.ingest_group, topics.sessions), (topics.predictor_group, topics.episodes)):
        lag = _lag(log, group, source)
        yield Finding(f"lag of {group}", lag < LONG_LAG, f"{lag} records", "check that the worker runs; start another")
    yield _newest_tick(log, topics)
    waiting = len(letters(log, topics.dead_letters))
    yield Finding(
        "dead letters", waiting == 0, f"{waiting} waiting", "look at keepwell dead-letters list, then replay or drop"
    )


def _lag(log: Log, group: str, topic: str) -> int:
    committed = log.committed(group, topic)
    total = 0
    for partition in _partitions(log, topic):
        begin, end = log.bounds(partition)
        total += max(0, end - max(committed.get(partition, begin), begin))
    return total


def _newest_tick(log: Log, topics: Topics) -> Finding:
    newest: datetime | None = None
    partition = Partition(topics.episodes, 0)
    _, end = log.bounds(partition)
    for record in log.read(partition, max(0, end - LOOK_BACK), end):
        moment = _tick_of(record)
        if moment is not None:
            newest = max(newest or moment, moment)
    mend = "run keepwell clock: without ticks nobody notices silence"
    if newest is None:
        return Finding("clock", False, f"no tick among the last {LOOK_BACK} records of partition 0", mend)
    age = (datetime.now(UTC) - newest).total_seconds()
    return Finding("clock", age < OLD_TICK, f"newest tick {age:.0f} s old", mend)


def _tick_of(record: Record) -> datetime | None:
    try:
        event = decode_accepted(record.value or b"")
    except msgspec.MsgspecError:
        return None
    return event.time if isinstance(event, ClockTicked) else None


def _partitions(log: Log, topic: str) -> list[Partition]:
    return [Partition(topic, number) for number in range(log.partitions(topic))]
