"""The worker under every fault we can think of, with a small processor: invariants 1 to 3 of DESIGN section 3."""

from hypothesis import HealthCheck, settings

from keepwell.streams.worker.step import Processor
from tests.streams.worker.machine import Kit, WorkerMachine
from tests.streams.worker.toy import CHANGELOG, LETTERS, SCORES, SOURCE, Toy, events


def _memory(processor: Processor, partition: int) -> dict[bytes, bytes]:
    assert isinstance(processor, Toy)
    return dict(processor.payloads(partition))


class ToyMachine(WorkerMachine):
    kit = Kit(Toy, _memory, events(), SOURCE, CHANGELOG, LETTERS, (SCORES,))


TestEveryFault = ToyMachine.TestCase
TestEveryFault.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
