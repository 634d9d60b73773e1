"""The predictor in a worker under every fault we can think of: invariants 1 to 3 and 5 with the real step."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from keepwell.contract.control import tick
from keepwell.contract.events import ClientErased, Erased, Event, encode
from keepwell.contract.keys import record_key
from keepwell.streams.log import Message, partition_for
from keepwell.streams.topics import Topics
from keepwell.streams.worker.step import Processor
from services.predictor.bootstrap import processor
from services.predictor.step import PredictorProcessor
from tests.strategies import BASE, clinic_logs
from tests.streams.worker.machine import PARTITIONS, Kit, WorkerMachine

TOPICS = Topics()


def _predictor() -> Processor:
    return processor(TOPICS)


def _memory(of: Processor, partition: int) -> Mapping[bytes, bytes]:
    assert isinstance(of, PredictorProcessor)
    store = of.stores.get(partition)
    return {} if store is None else store.payloads()


def _ticks() -> st.SearchStrategy[Message]:
    return st.builds(
        lambda days, number: _accepted(tick(BASE + timedelta(days=days)), number),
        st.integers(0, 150),
        st.integers(0, PARTITIONS - 1),
    )


def _events() -> st.SearchStrategy[Message]:
    return clinic_logs().flatmap(st.sampled_from).map(_accepted)


def _erasures() -> st.SearchStrategy[Message]:
    return clinic_logs().flatmap(st.sampled_from).map(
        lambda event: _accepted(
            ClientErased(
                specversion="1.0", id=f"gone-{event.id}", source=event.source, subject=event.subject,
                time=event.time, data=Erased(client_id="p-1"),
            ),
            partition_for(event.key.encode(), PARTITIONS),
        )
    )  # fmt: skip


def _accepted(event: Event, number: int | None = None) -> Message:
    """As ingest writes it; the place it came from is drawn by the machine, which sends the same message again at times."""
    where = partition_for(event.key.encode(), PARTITIONS) if number is None else number
    return Message(TOPICS.episodes, record_key(event, 0, 0), encode(event), (), where)


def _broken() -> st.SearchStrategy[Message]:
    return st.binary(max_size=20).map(lambda value: Message(TOPICS.episodes, b"north/ep-1", value))


class PredictorMachine(WorkerMachine):
    kit = Kit(
        _predictor,
        _memory,
        st.one_of(_events(), _events(), _ticks(), _erasures(), _broken()),
        TOPICS.episodes,
        TOPICS.state,
        TOPICS.dead_letters,
        (TOPICS.scores, TOPICS.alerts),
    )


TestEveryFault = PredictorMachine.TestCase
TestEveryFault.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
