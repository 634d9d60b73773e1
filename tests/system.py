"""The whole system as processes: started, killed, joined and drained through the commands a clinic would type."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random

import msgspec

from keepwell.contract.control import tick
from keepwell.contract.events import Event, encode
from keepwell.streams.log import Log, Message, Partition
from keepwell.streams.open import open_log
from keepwell.streams.topics import Topics, ensure_topics, to_every_partition
from keepwell.streams.worker.dead_letters import letters
from services.catalogue import SERVICES

DEADLINE = 120.0
"""Seconds that a test waits for the system to get somewhere before it fails."""


class System:
    """An installation on a log: its topics, and the worker processes that a test starts. A context manager."""

    def __init__(self, url: str, prefix: str, folder: Path, partitions: int = 4) -> None:
        self.url = url
        self.prefix = prefix
        self.folder = folder
        self.topics = Topics(prefix)
        self.log: Log = open_log(url, topic_prefix=prefix)
        ensure_topics(self.log, self.topics, partitions)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._began: dict[str, int] = {}

    def __enter__(self) -> System:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()
        self.log.close()

    def start(self, service: str, instance: str, *more: str) -> None:
        """Starts `ingest`, `predictor` or `clinician` under an instance name, with further arguments."""
        arguments = [service, *self._where(), "--instance", instance, "--port", "0", *more]
        if service == "ingest":
            arguments += ["--keys", str(self.folder / "keys.json")]
        self._began[f"{service}-{instance}"] = len(self._log_of(f"{service}-{instance}"))
        with (self.folder / f"{service}-{instance}.log").open("ab") as out:
            self._running[f"{service}-{instance}"] = subprocess.Popen(
                [sys.executable, "-m", "keepwell.cli.main", *arguments], stdout=out, stderr=out, env=os.environ
            )

    def ended(self, service: str, instance: str) -> bool:
        """Whether a worker ended by itself."""
        return self._running[f"{service}-{instance}"].poll() is not None

    def kill(self, service: str, instance: str) -> None:
        """Kills a worker with SIGKILL, wherever it is."""
        process = self._running.pop(f"{service}-{instance}")
        process.kill()
        process.wait()

    def stop(self, service: str, instance: str) -> None:
        """Ends a worker with SIGTERM; it must finish its batch and exit 0."""
        name = f"{service}-{instance}"
        self.until(lambda: b"worker.joined" in self._log_of(name)[self._began[name] :], f"{name} joins its group")
        process = self._running.pop(name)
        process.terminate()
        assert process.wait(DEADLINE) == 0, f"exit code {process.returncode}\n{self.told(name)}"

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end, on this installation's log."""
        command = [sys.executable, "-m", "keepwell.cli.main", *arguments, *self._where()]
        return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)

    def send(self, values: Sequence[bytes], key: bytes = b"platform") -> None:
        """Writes to session-events as a clinic platform would."""
        self.log.append([Message(self.topics.sessions, key, value) for value in values])

    def tick(self, moment: datetime) -> None:
        """Writes a tick to every partition, under a key of its own as the clock does: the same moment may come again."""
        topic = self.topics.episodes
        event = tick(moment, secrets.token_hex(4))
        self.log.append(to_every_partition(event, topic, self.log.partitions(topic)))

    def settle(self) -> None:
        """Waits until ingest and predictor have worked off everything."""
        for group, topic in (
            (self.topics.ingest_group, self.topics.sessions),
            (self.topics.predictor_group, self.topics.episodes),
        ):
            self.until(partial(self._worked_off, group, topic), f"{group} works off {topic}")

    def lag(self, group: str, topic: str) -> int:
        """Records of a topic that a group has not worked off; markers of transactions do not count."""
        committed = self.log.committed(group, topic)
        return sum(
            1 for partition in self.partitions(topic) for _ in self.log.read(partition, committed.get(partition, 0))
        )

    def _worked_off(self, group: str, topic: str) -> bool:
        return self.lag(group, topic) == 0

    def until(self, met: Callable[[], bool], what: str) -> None:
        """Waits for a condition; fails with the workers' last words where it is not met in time."""
        deadline = time.monotonic() + DEADLINE
        while not met():
            assert time.monotonic() < deadline, f"not in time: {what}\n{self.told()}"
            for name, process in self._running.items():
                assert process.poll() is None, f"{name} ended with {process.returncode}\n{self.told(name)}"
            time.sleep(0.05)

    def told(self, name: str = "") -> str:
        """The last lines that the workers logged."""
        files = sorted(self.folder.glob(f"{name or '*'}.log"))
        return "\n".join(f"── {file.name}\n{file.read_text()[-2000:]}" for file in files)

    def values(self, topic: str) -> list[bytes]:
        """The values that a topic holds, partition by partition."""
        return [
            record.value
            for partition in self.partitions(topic)
            for record in self.log.read(partition)
            if record.value is not None
        ]

    def partitions(self, topic: str) -> list[Partition]:
        """The partitions of a topic."""
        return [Partition(topic, number) for number in range(self.log.partitions(topic))]

    def accepted(self) -> Counter[tuple[str, str]]:
        """How often each event stands in episode-events, control events apart."""
        found: Counter[tuple[str, str]] = Counter()
        for value in self.values(self.topics.episodes):
            event = msgspec.json.decode(value)
            if event["subject"] not in ("_clock", "_model"):
                found[event["source"], event["id"]] += 1
        return found

    def triggers(self) -> Counter[tuple[str | None, str]]:
        """How often each event or timer gave a score."""
        scores = [msgspec.json.decode(value) for value in self.values(self.topics.scores)]
        return Counter((score["trigger_source"] or score["episode"], score["trigger"]) for score in scores)

    def dead_letters(self) -> Counter[str]:
        """How many dead letters wait, by reason."""
        return Counter(letter.reason for letter in letters(self.log, self.topics.dead_letters))

    def _log_of(self, name: str) -> bytes:
        file = self.folder / f"{name}.log"
        return file.read_bytes() if file.exists() else b""

    def _where(self) -> list[str]:
        return ["--log", self.url, *(["--topic-prefix", self.prefix] if self.prefix else [])]


def shuffled_feed(events: Sequence[Event], rng: Random) -> list[bytes]:
    """What a careless platform sends: some events late, some twice, some broken."""
    values = [encode(event) for event in events]
    for _ in range(len(values) // 20):
        values.insert(rng.randrange(len(values)), rng.choice(values))
    for _ in range(len(values) // 20):
        late = values.pop(rng.randrange(len(values)))
        values.insert(min(len(values), rng.randrange(len(values)) + 50), late)
    for number in range(10):
        values.insert(rng.randrange(len(values)), b'{"broken": %d' % number)
    return values


def midnight(moment: datetime) -> datetime:
    """The midnight UTC before a moment."""
    return datetime.combine(moment.astimezone(UTC).date(), datetime.min.time(), UTC)


def split(events: list[Event], parts: int) -> Iterator[list[Event]]:
    """The events in about so many parts."""
    size = max(1, len(events) // parts)
    for begin in range(0, len(events), size):
        yield events[begin : begin + size]


def followed_into(database: str, topics: Topics) -> list[tuple[str, str]]:
    """The groups that follow into a clinician's database, by its address, each with its topic."""
    row = next(row for row in SERVICES if row.name == "clinician")
    groups = row.groups_with(row.configured({"database": database}))
    return [(group.name, topics.full(group.topic)) for group in groups]
