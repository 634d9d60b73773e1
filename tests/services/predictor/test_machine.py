"""The predictor in a worker under every fault we can think of: invariants 1 to 3 and 5 with the real step."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from keepwell.contract.control import CLOCK_KEY, tick
from keepwell.contract.events import ClientErased, Erased, encode
from keepwell.streams.log import Message
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
    shelf = of.shelves.get(partition)
    return {} if shelf is None else shelf.payloads()


def _ticks() -> st.SearchStrategy[Message]:
    return st.builds(
        lambda days, number: Message(TOPICS.episodes, CLOCK_KEY, encode(tick(BASE + timedelta(days=days))), (), number),
        st.integers(0, 150),
        st.integers(0, PARTITIONS - 1),
    )


def _events() -> st.SearchStrategy[Message]:
    return (
        clinic_logs()
        .flatmap(st.sampled_from)
        .map(lambda event: Message(TOPICS.episodes, event.key.encode(), encode(event)))
    )


def _erasures() -> st.SearchStrategy[Message]:
    return clinic_logs().flatmap(st.sampled_from).map(
        lambda event: Message(
            TOPICS.episodes,
            event.key.encode(),
            encode(
                ClientErased(
                    specversion="1.0", id=f"gone-{event.id}", source=event.source, subject=event.subject,
                    time=event.time, data=Erased(client_id="p-1"),
                )
            ),
        )
    )  # fmt: skip


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
