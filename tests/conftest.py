"""What tests of every part share: one real Kafka broker a session, and a name space a test."""

import logging
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from keepwell import compiled
from tests.broker.broker import Broker

# A busy machine draws slowly: neither that nor a slow example is a fault of the code.
settings.register_profile("keepwell", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("keepwell")


def pytest_sessionstart() -> None:
    """What is compiled goes before its source: tests of what is no longer there would say nothing."""
    if found := compiled.stale(Path(__file__).parents[1]):
        raise pytest.UsageError(f"not compiled from the source that is here: {found[0]}: make install, or make plain")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """What a test sets up of logging, as a command does that runs in this process, ends with the test."""
    before = {one: (one.handlers[:], one.level, one.propagate) for one in loggers()}
    yield
    structlog.reset_defaults()
    for one in loggers():
        one.handlers[:], level, one.propagate = before.get(one, ([], logging.NOTSET, True))
        one.setLevel(level)


def loggers() -> list[logging.Logger]:
    """The root and every named one there is."""
    named = logging.root.manager.loggerDict.values()
    return [logging.root, *(one for one in named if isinstance(one, logging.Logger))]


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """The address of the session's broker, started when the first test asks. A missing Java or Maven is a failure."""
    with Broker() as broker:
        yield broker.bootstrap


@pytest.fixture
def prefix() -> str:
    """A prefix for topics, groups and transactional ids that no other test uses."""
    return f"t{uuid.uuid4().hex[:10]}."


@pytest.fixture(scope="session")
def secure_broker() -> Iterator[Broker]:
    """A broker with SASL_SSL, SCRAM users and ACLs, for the session."""
    with Broker(secure=True) as broker:
        yield broker


@pytest.fixture(scope="session")
def fragile_broker() -> Iterator[Broker]:
    """A broker for tests that pause or kill it, and bring it back."""
    with Broker() as broker:
        yield broker


@pytest.fixture
def unused_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
