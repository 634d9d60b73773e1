"""The command `erase`: it waits for every part, proves what is gone, and says where the bytes as sent still stand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from keepwell.cli.erase import erase as command_erase
from keepwell.contract.events import EpisodeOpened, encode
from keepwell.streams.log import Message, Partition
from keepwell.streams.sqlite.log import SqliteLog
from keepwell.streams.topics import Topics
from services.erasure.client import Client
from tests.services.erasure.clinic import GONE, OF_GONE, SUBJECTS, Clinic
from tests.waiting import at_work

Result = subprocess.CompletedProcess[str]
NAMES = [GONE.encode(), *(subject.encode() for subject in SUBJECTS)]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("KEEPWELL_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    log = SqliteLog(tmp_path / "log.db")
    clinic = Clinic(log)
    clinic.live()
    subject = f'"subject":"{SUBJECTS[0]}"'.encode()
    broken = b'{"specversion":"1.0","id":"x","source":"/north/booking","type":"keepwell.no.v1",' + subject + b"}"
    other = broken.replace(b"/north", b"/south")
    log.append([Message(clinic.topics.sessions, b"k", value) for value in (broken, other)])
    clinic.ingest()
    log.close()
    return tmp_path / "log.db"


@contextmanager
def services(file: Path, *names: str) -> Iterator[None]:
    """The services of these names at work, one after the other, again and again."""
    log = SqliteLog(file)
    clinic = Clinic(log)
    acts = {"ingest": clinic.ingest, "predictor": clinic.predict, "erasure": clinic.erase}

    def work(stop: threading.Event) -> None:
        while not stop.is_set():
            for name in names:
                acts[name]()
            stop.wait(0.05)

    with closing(log), at_work(work):
        yield


def erase(*arguments: str, client: str = GONE, told: str | None = None) -> Result:
    """What the command says in a process of its own."""
    command = ["erase", client, "--clinic", "north", "--log", "sqlite:///log.db", "--json", *arguments]
    return subprocess.run(
        [sys.executable, "-m", "keepwell.cli.main", *command], input=told, capture_output=True, text=True, check=False,
        timeout=150,
    )  # fmt: skip


def proof(result: Result) -> dict[str, Any]:
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_it_proves_what_is_gone_and_says_where_sent_bytes_still_stand(file: Path) -> None:
    log = SqliteLog(file)
    clinic = Clinic(log)
    held = [record.key or b"" for record in clinic.raw(clinic.topics.alerts) if record.value]
    alerts = [key for key in held if key.partition(b"#")[0] == f"north/{SUBJECTS[0]}".encode()]
    log.close()
    with services(file, "ingest", "predictor", "erasure"):
        told = proof(erase())
    assert told["episodes"] == 1
    assert told["deleted"]["episode-events"] == len(OF_GONE)
    assert told["deleted"]["risk-scores"] > 0
    assert told["deleted"]["risk-alerts"] == len(alerts) > 0
    assert set(told["left"].values()) == {0}
    assert len(told["as_sent"]["session-events"]) == len(OF_GONE) + 2, "those accepted, the broken one, and the erasure"
    assert len(told["as_sent"]["dead-letters"]) == 1, "not that of another clinic"
    assert not any(name in json.dumps(told).encode() for name in NAMES)


def test_with_drop_no_byte_of_the_client_is_left_in_the_file(file: Path) -> None:
    held = file.read_bytes()
    assert all(name in held for name in NAMES)
    with services(file, "ingest", "predictor", "erasure"):
        told = proof(erase("--drop", client="-", told=f"{GONE}\n"))
    assert told["as_sent"] == {"session-events": [], "dead-letters": []}
    log = SqliteLog(file)
    clinic = Clinic(log)
    assert clinic.verify() is None
    own = [record for record in clinic.raw(clinic.topics.sessions) if b'"/south' in (record.value or b"")]
    assert len(own) == 1, "another clinic's record of an episode of the same name stays"
    places = [(record.partition.number, record.offset) for record in own]
    for topic in (clinic.topics.sessions, clinic.topics.dead_letters):
        for each in clinic.partitions(topic):
            log.drop(each, [r.offset for r in log.read(each) if b'"/south' in (r.value or b"")])
    log.close()
    assert places
    left = {each.name: [name for name in NAMES if name in each.read_bytes()] for each in file.parent.iterdir()}
    assert not any(left.values()), left


@pytest.mark.parametrize(
    ("running", "late"), [((), "ingest"), (("ingest",), "predictor"), (("ingest", "predictor"), "erasure")]
)
def test_it_says_which_service_has_not_obeyed(file: Path, running: tuple[str, ...], late: str) -> None:
    with services(file, *running):
        result = erase("--timeout", "2")
    assert result.returncode == 1
    assert f"keepwell {late} has not obeyed on partitions" in result.stderr


def test_a_client_that_no_event_could_name_is_refused_before_anything_is_written(file: Path) -> None:
    before = file.read_bytes()
    result = erase(client="Jane Doe")
    assert result.returncode == 1
    assert "cannot be erased" in result.stderr
    assert "Jane" not in result.stderr + result.stdout
    assert file.read_bytes() == before


def test_a_client_whom_the_log_does_not_know_is_erased_all_the_same(file: Path) -> None:
    with services(file, "ingest", "predictor", "erasure"):
        done = erase(client="p-nobody")
    told = proof(done)
    assert (told["episodes"], sum(told["deleted"].values())) == (0, 0)
    assert "no episode of such a client was found" in done.stderr
    assert "p-nobody" not in done.stderr


def test_a_second_erasure_still_finds_what_was_sent_and_drops_the_openings_last(
    file: Path,
) -> None:
    with services(file, "ingest", "predictor", "erasure"):
        first = proof(erase())
        again = proof(erase())
        assert (again["episodes"], sum(again["deleted"].values())) == (1, 0)
        assert len(again["as_sent"]["session-events"]) == len(first["as_sent"]["session-events"]) + 1, "its own event"
        assert again["as_sent"]["dead-letters"] == first["as_sent"]["dead-letters"]
        proof(erase("--drop"))
    assert f'"{GONE}"'.encode() not in file.read_bytes()
    assert file.read_bytes().count(b"ep-2") == 2, "of another clinic's episode of the same name"


def test_an_opening_is_dropped_after_all_that_only_it_can_tell_from_others(file: Path) -> None:
    log = SqliteLog(file)
    clinic = Clinic(log)
    dropped: list[bytes] = []

    class Dying(SqliteLog):
        def drop(self, partition: Partition, offsets: Collection[int], *, with_earlier: bool = False) -> None:
            held = {record.offset: record.value or b"" for record in self.read(partition)}
            dropped.extend(held[offset] for offset in offsets)

    with services(file, "ingest", "predictor", "erasure"):
        dying = Dying(file)
        command_erase(dying, clinic.topics, Client("north", GONE), True, 60)
        dying.close()
    log.close()
    opening = [b"episode.opened" in value for value in dropped]
    assert opening == sorted(opening)
    assert sum(opening) == 1


def test_what_was_sent_before_an_erasure_is_erased_with_it_wherever_it_waits(file: Path) -> None:
    late = [event for event in OF_GONE if not isinstance(event, EpisodeOpened)][:3]
    log = SqliteLog(file)
    topic = Clinic(log).topics.sessions
    for number, event in enumerate(late):
        value = encode(event).replace(event.id.encode(), b"late-" + event.id.encode())
        log.append([Message(topic, b"k", value, (), number)])
    log.close()
    asks = threading.Event()
    waiting: list[Partition] = []

    class Asking(SqliteLog):
        def committed(self, group: str, topic: str) -> dict[Partition, int]:
            asks.set()
            return super().committed(group, topic)

        def append(self, messages: Sequence[Message]) -> list[tuple[Partition, int]]:
            taken = super().committed(Topics().ingest_group, topic)
            waiting.extend(
                each for each in map(partial(Partition, topic), range(3)) if taken[each] < self.bounds(each)[1]
            )
            return super().append(messages)

    asking = Asking(file)
    found: list[dict[str, Any]] = []
    client = Client("north", GONE)
    thread = threading.Thread(target=lambda: found.append(command_erase(asking, Topics(), client, False, 60)))
    thread.start()
    assert asks.wait(60)
    with services(file, "ingest", "predictor", "erasure"):
        thread.join()
    asking.close()
    assert waiting == [], "ingest had taken everything before it was told of the erasure"
    assert set(found[0]["left"].values()) == {0}
    assert found[0]["deleted"]["episode-events"] == len(OF_GONE)


def test_what_came_after_an_erasure_is_told_and_goes_once_its_opening_is_sent_again(file: Path) -> None:
    opening = next(event for event in OF_GONE if isinstance(event, EpisodeOpened))
    late = next(event for event in OF_GONE if not isinstance(event, EpisodeOpened))
    log = SqliteLog(file)
    clinic = Clinic(log)
    with services(file, "ingest", "predictor", "erasure"):
        proof(erase())
        clinic.send([late])
        for _ in "12":
            result = erase()
            assert result.returncode == 1
            assert "send the opening" in result.stderr
        clinic.send([opening])
        proof(erase("--drop"))
    log.close()
    assert file.read_bytes().count(b"ep-2") == 2, "of another clinic's episode of the same name"
