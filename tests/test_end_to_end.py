"""The main job on real logs, its workers being processes that are killed, joined and stopped: invariants 1, 3 and 5."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random

import pytest

from keepwell.contract.events import ClientErased, Event
from keepwell.testing.made_up import made_up_clinic
from tests.feed import EVENTS, START
from tests.system import System, midnight, shuffled_feed, split

FEW = 2000
"""Events that give too few scores for any log to compact them."""


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
    assert_nothing_lost_nothing_twice(system, EVENTS, broken=11)


def test_invariants_1_3_5_workers_killed_at_any_moment_lose_nothing_and_do_nothing_twice(system: System) -> None:
    """Three kills of each worker while a feed runs with late, repeated and broken events and a tick a week."""
    kill_while_a_feed_runs(system, EVENTS, parts=14, every=3)


@pytest.mark.soak
def test_soak_a_hundred_kills_lose_nothing_and_do_nothing_twice(system: System) -> None:
    """The same with 200 parts and a kill after every second one; about a quarter of an hour."""
    events = [e for e in made_up_clinic(300, 6, START, 200) if not isinstance(e, ClientErased)]
    kill_while_a_feed_runs(system, events, parts=200, every=2)


def kill_while_a_feed_runs(system: System, events: list[Event], parts: int, every: int) -> None:
    """Feeds the events in parts; after every so many kills ingest or predictor in turn, once it has got on a little."""
    rng = Random(7)
    for service in ("ingest", "predictor"):
        system.start(service, "a")
    fed = list(split(events, parts))
    for number, part in enumerate(fed):
        system.send(shuffled_feed(part, rng))
        system.tick(midnight(part[-1].time))
        if number % every == 1:
            service = ("ingest", "predictor")[number // every % 2]
            before = progress(system, service)
            system.until(partial(moved, system, service, before), f"{service} makes progress")
            system.kill(service, "a")
            system.start(service, "a")
    system.settle()
    for service in ("ingest", "predictor"):
        system.stop(service, "a")
    assert_nothing_lost_nothing_twice(system, events, broken=10 * len(fed))


def test_invariants_1_3_5_a_second_instance_that_joins_and_leaves_changes_nothing(system: System) -> None:
    """A second predictor joins while the first works, takes partitions over, is killed; a third leaves in order."""
    parts = list(split(EVENTS, 14))
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
    assert_nothing_lost_nothing_twice(system, EVENTS, broken=10 * len(parts))


def assert_nothing_lost_nothing_twice(system: System, events: list[Event], broken: int) -> None:
    """Invariants 1, 3 and 5 of what stands in the log now."""
    identities = {(event.source, event.id) for event in events}
    assert set(system.accepted()) == identities
    assert sum(system.dead_letters().values()) == broken
    triggers = system.triggers()
    assert set(triggers.values()) == {1}
    # Compaction, which comes with size, may drop all but the newest score of an episode; that one the replay looks for.
    assert identities <= set(triggers) or len(events) > FEW
    verified = system.run("replay", "--verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def moved(system: System, service: str, before: int) -> bool:
    """Whether a service has committed more than before."""
    return progress(system, service) > before


def progress(system: System, service: str) -> int:
    """How far a service has committed, over all partitions."""
    topics = system.topics
    group, topic = {
        "ingest": (topics.ingest_group, topics.sessions),
        "predictor": (topics.predictor_group, topics.episodes),
    }[service]
    return sum(system.log.committed(group, topic).values())
