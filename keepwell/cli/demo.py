"""`keepwell demo`: a made-up clinic flows through the whole system in one process, on the embedded log."""

from __future__ import annotations

import json
import secrets
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from heapq import merge
from itertools import groupby, islice
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from keepwell.cli._common import failed, progress
from keepwell.cli._settings import read
from keepwell.cli._together import Together, settings_of
from keepwell.cli.replay import replay_log
from keepwell.contract.control import tick
from keepwell.contract.events import Event, encode, micros
from keepwell.contract.outputs import Alert, Score
from keepwell.observe import setup_logging
from keepwell.streams.log import Log, Message, Partition
from keepwell.streams.topics import Topics, to_every_partition
from keepwell.streams.worker.process import stop_on_signals
from keepwell.testing.made_up import CLINIC, made_up_clinic
from keepwell.testing.tour import CLINICIAN, tour
from keepwell.web.keys import KeyFile
from models.release import default
from services.clinician.database import open_engine
from services.clinician.people import accounts, links
from services.clinician.people.accounts import Account
from services.clinician.people.passwords import Passwords
from services.clinician.people.who import OPERATOR
from services.clock.bootstrap import make as make_clock
from services.clock.settings import ClockSettings
from services.predictor.bootstrap import processor

EPISODES: Final = 40
DAYS: Final = 120
SEED: Final = 17
POST: Final = 500
"""Events a request."""
PATIENCE: Final = 60.0
"""Seconds that the demo waits for a day's events to come out at the other end before it gives up."""

VISITORS: Final = (
    Account("visitor-clinician", CLINIC, "clinician", CLINICIAN),
    Account("visitor-supervisor", CLINIC, "supervisor", None),
)
"""As whom visitors look at the demo's page."""
VISIT_US: Final = 12 * 3_600_000_000
"""How long the links of visitors open the demo's page."""

BROKEN: Final = (
    b'{"specversion":"1.0","id":"x-1","source":"/north/booking","type":"keepwell.session.attended.v1"',
    b'{"specversion":"1.0","id":"x-2","source":"/north/booking","type":"keepwell.session.attended.v1",'
    b'"subject":"ep-1","time":"2026-03-02T10:00:00","data":{}}',
    b'{"specversion":"1.0","id":"x-3","source":"/north/booking","type":"keepwell.client.hugged.v1",'
    b'"subject":"ep-1","time":"2026-03-02T10:00:00Z","data":{}}',
)
"""What a broken feed might send past the HTTP intake: truncated, without offset, of a type nobody knows."""


def command(
    once: Annotated[bool, typer.Option("--once", help="Print what happened, then end.")] = False,
) -> None:
    """Send a made-up clinic through intake, ingest and predictor, show what came out, and stay up for a look."""
    setup_logging("demo", "demo", level="ERROR")
    with tempfile.TemporaryDirectory(prefix="keepwell-demo-") as folder:
        _run(Path(folder), once)


def _run(folder: Path, once: bool) -> None:
    shared: dict[str, Any] = {"log": f"sqlite:///{folder / 'demo.db'}", "instance": "demo", "topic_prefix": ""}
    token = KeyFile(folder / "keys.json").issue(CLINIC, datetime.now(UTC)).token
    flags = shared | {
        "keys": folder / "keys.json", "ingest_port": 0, "rate": 1e6, "burst": 1_000_000,
        "database": f"sqlite:///{folder / 'clinician.db'}", "clinics": {CLINIC: {"made_up": True}},
    }  # fmt: skip
    clock = read(ClockSettings, **shared)
    stop = stop_on_signals() if not once else threading.Event()
    log = clock.open_log()
    try:
        with Together(log, settings_of(flags, without=("clock", "notify"))) as services:
            url = f"http://{services.address}/v1/events"
            clinic = _Clinic(log, url, token, services)
            began = time.monotonic()
            sent = clinic.live_through(datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0))
            print(f"\nA made-up clinic (simulated): {EPISODES} episodes over {DAYS} days, {sent} events over HTTP,")
            print(
                f"{len(BROKEN)} broken records past it; all through ingest and predictor in {time.monotonic() - began:.0f} s."
            )
            subject = _tell(log)
            _check(log)
            if once:
                return
            _invite(f"http://{services.address}", str(flags["database"]), token, subject)
            ticking = threading.Thread(target=make_clock(clock, log).work.run, args=(stop,), name="clock")
            ticking.start()
            _follow(log, stop, services)
            stop.set()
            ticking.join()
    finally:
        log.close()


class _Clinic:
    """The made-up clinic, seen from its platform: it posts a day's events, and the next day comes when they are through."""

    def __init__(self, log: Log, url: str, token: str, services: Together) -> None:
        self._log = log
        self._url = url
        self._token = token
        self._services = services
        self._topics = Topics()

    def live_through(self, until: datetime) -> int:
        """Lives `DAYS` days up to `until`; returns how many events were sent."""
        sent = 0
        clinic = made_up_clinic(EPISODES, SEED, until - timedelta(days=DAYS), DAYS)
        events = merge(clinic, tour(until), key=lambda event: event.time)
        with progress() as bar:
            for day, of_day in groupby(events, key=lambda event: event.time.date()):
                today = list(of_day)
                midnight = datetime.combine(day, datetime.min.time(), UTC)
                self._tick(midnight)
                for part in _parts(today):
                    self._post(part)
                sent += len(today)
                self._settle()
                bar.update(bar.task_ids[0] if bar.tasks else bar.add_task("living", total=DAYS), advance=1)
        self._log.append([Message(self._topics.sessions, b"ep-1", value) for value in BROKEN])
        self._settle()
        self._tick(until)
        self._settle()
        return sent

    def _post(self, events: Sequence[Event]) -> None:
        body = b"[" + b",".join(encode(event) for event in events) + b"]"
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/cloudevents-batch+json"}
        request = urllib.request.Request(self._url, body, headers)
        for attempt in range(100):
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    if answer.status != 202:
                        failed(f"the intake answered {answer.status}: {answer.read()[:300]!r}")
                return
            except urllib.error.HTTPError as error:
                failed(f"the intake answered {error.code}: {error.read()[:300]!r}")
            except urllib.error.URLError:
                if attempt == 99 or self._services.stop.is_set():
                    raise
                time.sleep(0.05)

    def _tick(self, moment: datetime) -> None:
        topic = self._topics.episodes
        self._log.append(to_every_partition(tick(moment), topic, self._log.partitions(topic)))

    def _settle(self) -> None:
        """Waits until ingest and predictor have worked off what there is."""
        topics = self._topics
        deadline = time.monotonic() + PATIENCE
        for group, topic in ((topics.ingest_group, topics.sessions), (topics.predictor_group, topics.episodes)):
            ends = {
                partition: self._log.bounds(partition)[1]
                for partition in (Partition(topic, n) for n in range(self._log.partitions(topic)))
            }
            while True:
                committed = self._log.committed(group, topic)
                if all(committed.get(partition, 0) >= end for partition, end in ends.items()):
                    break
                if self._services.stop.is_set() or time.monotonic() > deadline:
                    failed(f"{group} did not work off {topic}")
                time.sleep(0.01)


def _tell(log: Log) -> str:
    """Prints what came out; returns the subject of an episode that is still open."""
    topics = Topics()
    scores = [msgspec.json.decode(value, type=Score) for value in _values(log, topics.scores)]
    alerts = [msgspec.json.decode(value, type=Alert) for value in _values(log, topics.alerts)]
    letters = Counter(
        dict(record.headers)["keepwell-reason"].decode()
        for partition in _partitions(log, topics.dead_letters)
        for record in log.read(partition)
    )
    last = {score.episode: score for score in sorted(scores, key=lambda score: score.as_of)}
    told = Counter(f"{alert.kind} {alert.status}" for alert in alerts)
    states = Counter(score.state for score in last.values())
    print(
        f"\nScores in the log  {len(scores)}; episodes now: " + ", ".join(f"{n} {s}" for s, n in sorted(states.items()))
    )
    print("Alerts             " + ", ".join(f"{kind} {count}" for kind, count in sorted(told.items())))
    print("Dead letters       " + ", ".join(f"{reason} {count}" for reason, count in sorted(letters.items())))
    model = alerts[0].model if alerts else ""
    print(f"Model              {model[:19]}… {default().manifest.origin}")
    raised = [alert for alert in alerts if alert.status == "raised" and alert.kind in ("risk", "rupture")]
    for kind in ("rupture", "risk"):
        found = [alert for alert in raised if alert.kind == kind]
        if found:
            _show(
                max(found, key=lambda alert: (len(alert.reasons), len(alert.evidence), alert.at, alert.alert_id)), last
            )
    return next(score.episode.partition("/")[2] for score in last.values() if score.state == "open")


def _show(alert: Alert, last: dict[str, Score]) -> None:
    print(f"\n── what a clinician gets: {alert.kind} · {alert.episode} · {alert.at[:10]} " + "─" * 30)
    if alert.risk is not None:
        print(f"  chance of stopping within 30 days: {alert.risk:.0%}   pillar: {alert.pillar or 'none stands out'}")
    for reason in alert.reasons:
        print(f"  · {reason}")
    print("  some things to consider:")
    for suggestion in alert.suggestions:
        print(f"    – {suggestion.text}")
        print(f"      ({suggestion.why})")
    print(f"  rests on: {', '.join(alert.evidence)}")
    gaps = last[alert.episode].gaps if alert.episode in last else ()
    print(f"  not known: {'; '.join(gaps) or 'nothing of note'}")


def _check(log: Log) -> None:
    _, verdict = replay_log(log, processor(Topics()), Topics(), None, verify=True)
    if verdict is None or verdict.difference is not None:
        failed(f"the replay differs from what was live: {verdict.difference if verdict else 'nothing compared'}")
    print(f"\nReplayed from the log: {verdict.compared} scores and alerts compared, byte for byte; no difference.")


def _invite(address: str, database: str, token: str, subject: str) -> None:
    now = datetime.now(UTC)
    key = _visitors(database, micros(now))
    page = f"{address}/visit/clinician?key={key}"
    print("\nThe page that clinicians see, with three made-up clients to begin with:\n")
    print(f"  as a clinician:  {page}")
    print(f"  as a supervisor: {address}/visit/supervisor?key={key}")
    event = {
        "specversion": "1.0", "id": "hello-1", "source": "/north/feedback", "type": "keepwell.feedback.given.v1",
        "subject": subject, "time": now.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "data": {"pillar": "trust", "sentiment": "negative"},
    }  # fmt: skip
    print(
        "\nStill up; Ctrl-C ends it. Scores and alerts appear below as they come. Send an event from another terminal:\n"
    )
    print(f"curl -sS {address}/v1/events \\\n  -H 'Authorization: Bearer {token}' \\")
    print(f"  -H 'Content-Type: application/cloudevents+json' \\\n  -d '{json.dumps(event)}'\n", flush=True)
    if sys.stdout.isatty():
        typer.launch(page)


def _visitors(database: str, now: int) -> str:
    """Makes the users that visitors of the demo look as; returns the key of their links."""
    engine = open_engine(database)
    try:
        with engine.begin() as connection:
            for account in VISITORS:
                password = secrets.token_urlsafe(24)
                accounts.add(connection, account, OPERATOR, now, passwords=Passwords(), password=password)
            made = links.make(connection, links.VISIT, CLINIC, now, VISIT_US)
    finally:
        engine.dispose()
    return made.get_secret_value()


def _follow(log: Log, stop: threading.Event, services: Together) -> None:
    topics = Topics()
    places = {p: log.bounds(p)[1] for topic in (topics.scores, topics.alerts) for p in _partitions(log, topic)}
    while not (stop.is_set() or services.stop.is_set()):
        for partition, place in places.items():
            for record in log.read(partition, place):
                places[partition] = record.offset + 1
                if record.value is None:
                    continue
                if partition.topic == topics.alerts:
                    alert = msgspec.json.decode(record.value, type=Alert)
                    print(f"ALERT {alert.kind} {alert.status} {alert.episode}: {'; '.join(alert.reasons)}", flush=True)
                else:
                    score = msgspec.json.decode(record.value, type=Score)
                    risk = f"{score.risk.d30:.0%} within 30 days" if score.risk else score.state
                    print(f"score {score.episode} ({score.trigger}): {risk}", flush=True)
        stop.wait(0.25)


def _values(log: Log, topic: str) -> Iterator[bytes]:
    for partition in _partitions(log, topic):
        for record in log.read(partition):
            if record.value is not None:
                yield record.value


def _partitions(log: Log, topic: str) -> list[Partition]:
    return [Partition(topic, number) for number in range(log.partitions(topic))]


def _parts(events: Sequence[Event]) -> Iterator[list[Event]]:
    stream = iter(events)
    while part := list(islice(stream, POST)):
        yield part
