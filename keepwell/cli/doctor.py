"""`keepwell doctor`: looks at an installation and says what is wrong with it, and what would mend it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from http.client import HTTPConnection, HTTPException
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec
import typer

from keepwell import compiled
from keepwell.cli._common import failed
from keepwell.cli._options import LogUrl
from keepwell.cli._settings import known, read, read_all
from keepwell.contract.events import ClockTicked, decode_accepted
from keepwell.settings import Settings, WrongSettings
from keepwell.streams import earlier
from keepwell.streams.log import Log, LogError, Partition, Record
from keepwell.streams.topics import TABLE, Topics, partitions_of
from keepwell.streams.worker.dead_letters import letters
from models.registry import Releases
from models.release import InvalidRelease, default
from services.catalogue import ServiceRow
from services.predictor.settings import PredictorSettings
from services.predictor.turns import recorded, roles_of, waiting

OLD_TICK: Final = 600.0
"""Seconds; a tick this old means that no clock runs, so that silence is not noticed. The default interval is 60 s."""
LONG_LAG: Final = 10_000
"""Records; more than this waiting is more than a burst."""
ANSWER_SECONDS: Final = 2.0
"""What a health page has to answer: it only looks."""
LOOK_BACK: Final = 2_000
"""Offsets at the end of a partition in which the newest tick is looked for."""


class Finding(NamedTuple):
    """One thing looked at. `mend` says what to do where it is not well."""

    what: str
    ok: bool
    found: str
    mend: str = ""


def command(
    log: LogUrl = None,
    topic_prefix: Annotated[str | None, typer.Option(help="Prefix of all topics and groups.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check release, settings, services, log, topics, lag, clock and dead letters; exit 1 where something needs mending."""
    flags = {"log": log, "topic_prefix": topic_prefix}
    findings = list(look(flags))
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


def look(flags: Mapping[str, object]) -> Iterator[Finding]:
    """Everything that can be looked at, in the order in which it would have to be mended: settings first, as all else rests
    on them."""
    try:
        services, settings = read_all(flags), read(Settings, **flags)
    except WrongSettings as error:
        for problem in error.problems:
            yield Finding("settings", False, problem, "mend it there; every service refuses to start with it")
        return
    yield Finding("settings", True, f"{len(known())} known, none wrong")
    yield from examine(settings, services)


def examine(settings: Settings, services: Mapping[ServiceRow, Settings]) -> Iterator[Finding]:
    """The installation that these settings are of. `services` has each one's own."""
    yield Finding("client", True, f"kafka-python {version('kafka-python')}, msgspec {version('msgspec')}")
    yield _core(Path(__file__).parents[2])
    yield _tried("release", _release, "install Keepwell anew: the shipped release is damaged")
    try:
        opened = settings.open_log(must_exist=True)
    except LogError as error:
        yield Finding(
            "log", False, str(error), "check the address, and that the log runs; for a new one run keepwell topics"
        )
        return
    with closing(opened) as log:
        try:
            yield from _of_log(log, Topics(settings.topic_prefix), services)
        except LogError as error:
            yield Finding(
                "log", False, str(error), "mend this, then ask again: what comes after could not be looked at"
            )
    for row, own in services.items():
        yield _health(row.name, *row.address(own))


def _core(checkout: Path) -> Finding:
    stale = compiled.stale(checkout)
    found = (
        f"{compiled.told()}, {len(stale)} parts of it not from the source that is here" if stale else compiled.told()
    )
    return Finding("core", not stale, found, "make install, or make plain")


def _release() -> str:
    release = default()
    return f"{release.manifest.title}, {release.digest[:19]}…"


def _tried(what: str, look: Callable[[], str], mend: str) -> Finding:
    try:
        return Finding(what, True, look())
    except (InvalidRelease, OSError, ValueError) as error:
        return Finding(what, False, str(error), mend)


def _of_log(log: Log, topics: Topics, services: Mapping[ServiceRow, Settings]) -> Iterator[Finding]:
    counts = {topic.name: partitions_of(log, topic.name) for topic in topics.all()}
    missing = [name for name, count in counts.items() if count is None]
    told = f"{len(counts) - len(missing)} found, missing: {', '.join(missing) or 'none'}"
    yield Finding("topics", not missing, told, "run keepwell topics")
    if missing:
        return
    shared = {topics.full(row): counts[topics.full(row)] for row in TABLE if row.partitions is None}
    same = len(set(shared.values())) == 1
    yield Finding("partitions", same, str(shared), "create the topics anew with the same number of partitions")
    yield _cleanup(log, topics)
    for row, own in services.items():
        named = row.groups_with(own)
        for group in named:
            committed = log.committed(group.name, topics.full(group.topic))
            if committed or row.is_set(own):
                lag = _lag(log, topics.full(group.topic), committed)
                mend = f"check that keepwell {row.name} runs; start another"
                yield Finding(f"lag of {group.name}", lag < LONG_LAG, f"{lag} records", mend)
        if not named and row.groups:
            yield Finding(f"lag of {row.name}", True, "its database is not here, by which its groups are named")
        if isinstance(own, PredictorSettings):
            yield _tried("releases", partial(_in_use, log, topics, own), _UNPUBLISHED)
    yield _newest_tick(log, topics)
    left = Counter(letter.reason for letter in letters(log, topics.dead_letters))
    told = ", ".join(f"{reason} {count}" for reason, count in sorted(left.items()))
    mend = "look at keepwell dead-letters list, then replay or drop"
    yield Finding("dead letters", not left, f"waiting: {told or 'none'}", mend)


_UNPUBLISHED: Final = "publish it to KEEPWELL_RELEASES, signed where KEEPWELL_RELEASE_KEYS is set, or promote another"


def _in_use(log: Log, topics: Topics, settings: PredictorSettings) -> str:
    """The releases in use, each on how many partitions. Raises `InvalidRelease` where one cannot be loaded here."""
    found: Counter[str] = Counter()
    for number in range(log.partitions(topics.episodes)):
        champion, shadow, _ = roles_of((*recorded(log, topics, number), *waiting(log, topics, number)))
        found.update(digest for digest in (champion, shadow) if digest is not None)
    releases = Releases.of(settings)
    for digest in found:
        releases.load(digest)
    return ", ".join(f"{digest[:19]}… on {count} partitions" for digest, count in found.items()) or "none in use yet"


def _cleanup(log: Log, topics: Topics) -> Finding:
    """Whether every topic is cleaned up as the table says; a log tells it only where it is asked to create what exists."""
    wrong = []
    for topic in topics.all():
        try:
            present = topic._replace(partitions=log.partitions(topic.name))
            if topic.name == topics.episodes:
                earlier.check(log, topics.episodes)
            log.create_topics([present])
        except LogError as error:
            wrong.append(str(error))
    mend = "set cleanup.policy of these topics as docs/reference/topics.md has it, but never that of episode-events"
    return Finding("clean-up", not wrong, "; ".join(wrong) or "as it should be", mend)


def _health(name: str, host: str, port: int) -> Finding:
    """What a service says of itself. One that does not answer here may run elsewhere, or in `keepwell up`: lag tells."""
    host = "127.0.0.1" if host in ("", "0.0.0.0", "::") else host
    with closing(HTTPConnection(host, port, timeout=ANSWER_SECONDS)) as connection:
        try:
            connection.request("GET", "/readyz")
            said = msgspec.json.decode(connection.getresponse().read(), type=_Said)
        except (OSError, HTTPException, msgspec.MsgspecError):
            return Finding(f"health of {name}", True, f"no answer at {host}:{port}")
    return Finding(f"health of {name}", said.ok, said.why, f"look at the log lines of keepwell {name}")


class _Said(msgspec.Struct):
    ok: bool
    why: str


def _lag(log: Log, topic: str, committed: Mapping[Partition, int]) -> int:
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
