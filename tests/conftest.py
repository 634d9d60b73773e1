"""What tests of every part share: one real Kafka broker a session, and a name space a test."""

import uuid
from collections.abc import Iterator

import pytest

from tests.broker.broker import Broker


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """The address of the session's broker, started when the first test asks. A missing Java or Maven is a failure."""
    with Broker() as broker:
        yield broker.bootstrap


@pytest.fixture
def prefix() -> str:
    """A prefix for topics, groups and transactional ids that no other test uses."""
    return f"t{uuid.uuid4().hex[:10]}."
