"""The main job on real logs, its workers being processes that are killed, joined and stopped: invariants 1, 3 and 5."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from keepwell.events import ClientErased, Event
from keepwell.made_up import made_up_clinic
from tests.system import System, midnight, shuffled_feed

START = datetime(2026, 1, 5, tzinfo=UTC)
EVENTS = [event for event in made_up_clinic(30, 5, START, 100) if not isinstance(event, ClientErased)]
"""Without erasures: what is sent again of an erased episode is new to whoever forgot it."""
IDENTITIES = {(event.source, event.id) for event in EVENTS}


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
def system(request: pytest.FixtureRequest, tmp_path: Path, prefix: str) -> Iterator[System]:
    """An installation on a real log."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'log.db'}"
    else:
        url = f"kafka://{request.getfixturevalue('kafka_bootstrap')}"
    with System(url, prefix, tmp_path) as started:
        yield started


def test_invariant_1_what_is_sent_is_accepted_or_dead_lettered_and_scored_once(system: System) -> None:
    """The quiet case through the commands of a deployment that works off and ends."""
    system.send([b"not json", *shuffled_feed(EVENTS, Random(1))])
    system.tick(START)
    assert system.run("ingest", "--drain", "--instance", "a").returncode == 0
    assert system.run("predictor", "--drain", "--instance", "a").returncode == 0
    assert_nothing_lost_nothing_twice(system, broken=11)


def test_invariants_1_3_5_workers_killed_at_any_moment_lose_nothing_and_do_nothing_twice(system: System) -> None:
    """Three kills of each worker while a feed runs with late, repeated and broken events and a tick a week."""
    rng = Random(7)
    for service in ("ingest", "predictor"):
        system.start(service, "a")
    for number, part in enumerate(weeks(EVENTS)):
        system.send(shuffled_feed(part, rng))
        system.tick(midnight(part[-1].time))
        if number % 3 == 1:
            service = ("ingest", "predictor")[number // 3 % 2]
            before = progress(system, service)
            system.until(lambda s=service, b=before: progress(system, s) > b, f"{service} makes progress")  # type: ignore[misc]  # mypy cannot infer defaults
            system.kill(service, "a")
            system.start(service, "a")
    system.settle()
    for service in ("ingest", "predictor"):
        system.stop(service, "a")
    assert_nothing_lost_nothing_twice(system, broken=10 * len(list(weeks(EVENTS))))


def test_invariants_1_3_5_a_second_instance_that_joins_and_leaves_changes_nothing(system: System) -> None:
    """A second predictor joins while the first works, takes partitions over, is killed; a third leaves in order."""
    parts = list(weeks(EVENTS))
    for service in ("ingest", "predictor"):
        system.start(service, "a")
    for number, part in enumerate(parts):
        system.send(shuffled_feed(part, Random(number)))
        system.tick(midnight(part[-1].time))
        if number == len(parts) // 4:
            system.start("predictor", "b")
        if number == len(parts) // 2:
            system.settle()
            system.kill("predictor", "b")
            system.start("predictor", "c")
        if number == 3 * len(parts) // 4:
            system.settle()
            system.stop("predictor", "c")
    system.settle()
    assert_nothing_lost_nothing_twice(system, broken=10 * len(parts))


def assert_nothing_lost_nothing_twice(system: System, broken: int) -> None:
    """Invariants 1, 3 and 5 of what stands in the log now."""
    accepted = system.accepted()
    assert set(accepted) == IDENTITIES
    assert sum(system.dead_letters().values()) == broken
    triggers = system.triggers()
    assert {trigger: triggers[trigger] for trigger in IDENTITIES} == dict.fromkeys(IDENTITIES, 1)
    assert set(triggers.values()) == {1}
    verified = system.run("replay", "--verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def weeks(events: list[Event]) -> Iterator[list[Event]]:
    """The events in parts of about a week each."""
    size = len(events) // 14
    for begin in range(0, len(events), size):
        yield events[begin : begin + size]


def progress(system: System, service: str) -> int:
    """How far a service has committed, over all partitions."""
    topics = system.topics
    group, topic = {
        "ingest": (topics.ingest_group, topics.sessions),
        "predictor": (topics.predictor_group, topics.episodes),
    }[service]
    return sum(system.log.committed(group, topic).values())
