"""How a service runs: its address first, then its work; an address that ends ends it; a drain has none."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

import pytest

from keepwell.settings import Settings
from keepwell.streams.log import Log
from keepwell.streams.topics import Topics
from keepwell.web.health import HealthServer
from keepwell.web.service import Checked, Service, Until, run, serve
from tests.web.worked import Worked


def served(work: Worked) -> Service:
    """A service at any free port, which the work is told."""

    def face(live: Checked, ready: Checked) -> HealthServer:
        server = HealthServer(live, ready)
        work.port = server.port
        return server

    return Service(work, face)


def stopped() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


def test_the_address_is_served_before_the_work_begins_and_while_it_goes_on() -> None:
    work = Worked()
    serve(served(work), stopped())
    assert work.done == ["run beside 200"]


def test_an_address_that_cannot_be_had_is_told_before_any_work() -> None:
    work = Worked()
    with HealthServer(work.live, work.ready) as taken:
        service = Service(work, partial(HealthServer, port=taken.port))
        with pytest.raises(OSError, match="Address already in use"):
            serve(service, threading.Event())
    assert work.done == []


def test_work_that_ends_without_being_told_to_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="ended by itself"):
        serve(served(Worked()), threading.Event())


def test_a_stop_is_also_set_once_the_address_is_served_no_more() -> None:
    stop, ended = threading.Event(), threading.Event()
    until = Until(stop, ended)
    assert not until.is_set()
    ended.set()
    assert until.is_set()
    assert not stop.is_set()


def test_a_process_makes_its_topics_and_a_drain_takes_no_address(tmp_path: Path) -> None:
    work = Worked()
    settings = Settings(log=f"sqlite:///{tmp_path / 'log.db'}", topic_prefix="t.")
    found: list[int] = []

    def make(_: Settings, log: Log) -> Service:
        found.append(log.partitions(Topics("t.").episodes))
        return Service(work, lambda *_: pytest.fail("a drain opened an address"))

    run("worked", settings, make, drain=True, stop=threading.Event())
    assert (found, work.done) == ([12], ["drained"])
