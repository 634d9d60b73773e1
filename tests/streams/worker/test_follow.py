"""The loop of effects elsewhere (invariant 10): nothing lost wherever it dies, repeats the same, on every log."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import structlog.testing

from keepwell import metrics
from keepwell.streams.log import Doubt, Log, LogError, Message, OffsetGone, Partition, Record, Topic
from keepwell.streams.memory import MemoryLog
from keepwell.streams.open import open_log
from keepwell.streams.worker.assignment import Pace
from keepwell.streams.worker.follow import PATIENCE, Follower, Handled, NotYet
from keepwell.streams.worker.loop import MAX_REBUILDS, STALLED_SECONDS

GROUP, OUT, LETTERS = "group", "out", "letters"
PACE = Pace(poll=0.0, records=4, look=0.0, quiet=0.0, stuck=60.0)


@pytest.fixture(autouse=True)
def entries() -> Iterator[Sequence[Any]]:
    with structlog.testing.capture_logs() as captured:
        yield captured


class Effects:
    """A handler that notes each effect, two records at a time at most; `hurt` is called between any two of its steps."""

    def __init__(self, hurt: Callable[[str], None] = lambda _: None) -> None:
        self.seen: list[bytes] = []
        self._hurt = hurt

    def position(self, partition: Partition) -> int | None:
        return None

    def handle(self, partition: Partition, records: Sequence[Record]) -> Handled:
        letters = []
        for record in records[:2]:
            self._hurt("effect.before")
            assert record.value is not None
            self.seen.append(record.value)
            self._hurt("effect.after")
            if record.value.endswith(b"bad"):
                letters.append(Message(LETTERS, record.key, record.value))
        return Handled(min(2, len(records)), letters)

    def forget(self, partition: Partition) -> None:
        """Holds nothing."""


class ReadModel(Effects):
    """A handler whose position is committed with what it wrote, as in one transaction of a database."""

    def __init__(self, hurt: Callable[[str], None] = lambda _: None) -> None:
        super().__init__(hurt)
        self.table: dict[Partition, tuple[int, list[bytes]]] = {}

    def position(self, partition: Partition) -> int | None:
        return self.table[partition][0] if partition in self.table else 0

    def handle(self, partition: Partition, records: Sequence[Record]) -> Handled:
        self._hurt("transaction.before")
        _, rows = self.table.get(partition, (0, []))
        taken = [record.value for record in records[:2] if record.value is not None]
        self.table[partition] = (records[:2][-1].offset + 1, [*rows, *taken])
        self._hurt("transaction.after")
        return Handled(len(records[:2]))


class Clock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Crash(Exception):
    """The process died: nothing is closed, nobody is told."""


class Hurt:
    """Raises at the n-th step of a run, whatever it is, and counts the steps."""

    def __init__(self, at: int, error: type[Exception]) -> None:
        self.steps = 0
        self._at = at
        self._error = error

    def __call__(self, _: str) -> None:
        self.steps += 1
        if self.steps == self._at:
            raise self._error(f"step {self._at}")


def make_log(partitions: int = 1) -> MemoryLog:
    log = MemoryLog()
    prepare(log, partitions)
    return log


def prepare(log: Log, partitions: int) -> None:
    log.create_topics([Topic(OUT, partitions, "compact"), Topic(LETTERS, partitions)])


def write(log: Log, *values: str | None, number: int = 0) -> None:
    """Records of one partition, each under a key of its own; None is a tombstone."""
    first = log.bounds(Partition(OUT, number))[1]
    keys = (f"{number}-{offset}".encode() for offset in count(first))
    log.append(
        [
            Message(OUT, key, None if value is None else value.encode(), partition=number)
            for key, value in zip(keys, values, strict=False)
        ]
    )


def follower(log: Log, handler: Any, **options: Any) -> Follower:
    return Follower(log, handler, **({"group": GROUP, "topic": OUT, "instance": "w0", "pace": PACE} | options))


def turns(one: Follower, number: int = 12) -> None:
    for _ in range(number):
        one.turn(0.0)


def committed(log: Log, number: int = 0) -> int | None:
    return log.committed(GROUP, OUT).get(Partition(OUT, number))


def letters(log: Log) -> list[bytes | None]:
    return [record.value for n in range(log.partitions(LETTERS)) for record in log.read(Partition(LETTERS, n))]


def once(values: Sequence[bytes]) -> list[bytes]:
    """Each value where it stood first."""
    return list(dict.fromkeys(values))


WRITTEN = ["a", None, "b bad", "c", None, "d", "e bad", "f", None]
EXPECTED = [value.encode() for value in WRITTEN if value is not None]


def lives(log: MemoryLog, handler: Effects, hurt: Hurt) -> None:
    """A process that a supervisor starts again after each death, which closes nothing."""
    for _ in range(MAX_REBUILDS):
        one = follower(log, handler)
        try:
            for _ in range(40):
                log.faults = hurt
                one.turn(0.0)
                log.faults = None
                if committed(log) == len(WRITTEN):
                    return
        except Crash:
            log.faults = None
    raise AssertionError("did not get through")


def steps_of_a_run(make: Callable[[Hurt], Effects]) -> int:
    hurt = Hurt(0, Crash)
    log = make_log()
    write(log, *WRITTEN)
    lives(log, make(hurt), hurt)
    return hurt.steps


@pytest.mark.parametrize("error", [Crash, Doubt])
def test_invariant_10_wherever_it_dies_no_record_is_lost_and_a_repeat_is_the_same_record(
    error: type[Exception],
) -> None:
    steps = steps_of_a_run(Effects)
    assert steps > 40, "the run has seams to die at"
    for at in range(1, steps + 1):
        hurt = Hurt(at, error)
        log, handler = make_log(), Effects(hurt)
        write(log, *WRITTEN)
        lives(log, handler, hurt)
        assert once(handler.seen) == EXPECTED, f"step {at}: each at least once, first in order"
        assert len(handler.seen) <= len(EXPECTED) + 2, f"step {at}: no more than a batch comes again"
        assert letters(log) == [b"b bad", b"e bad"], f"step {at}: what is written with the position is written once"
        assert committed(log) == len(WRITTEN)


@pytest.mark.parametrize("error", [Crash, Doubt])
def test_a_position_in_the_handlers_own_transaction_makes_each_effect_happen_once(error: type[Exception]) -> None:
    for at in range(1, steps_of_a_run(ReadModel) + 1):
        hurt = Hurt(at, error)
        log, handler = make_log(), ReadModel(hurt)
        write(log, *WRITTEN)
        lives(log, handler, hurt)
        assert handler.table[Partition(OUT, 0)][1] == EXPECTED, f"step {at}"


def test_the_handlers_position_outweighs_the_groups() -> None:
    log, handler = make_log(), ReadModel()
    write(log, "a", "b", "c")
    follower(log, ReadModel()).drain()
    assert committed(log) == 3
    handler.table[Partition(OUT, 0)] = (1, [b"a"])
    follower(log, handler).drain()
    assert handler.table[Partition(OUT, 0)] == (3, [b"a", b"b", b"c"])


def test_the_groups_offset_catches_up_with_the_handlers_though_nothing_new_comes() -> None:
    log, handler = make_log(), ReadModel()
    write(log, "a", "b")
    handler.table[Partition(OUT, 0)] = (2, [b"a", b"b"])
    turns(follower(log, handler))
    assert committed(log) == 2


def test_what_the_group_committed_is_not_worked_off_where_the_handler_has_not_got_it() -> None:
    log, handler = make_log(), ReadModel()
    write(log, "a", "b")
    former, polls = follower(log, Effects()), count(1)
    turns(former)
    assert committed(log) == 2

    def hurt(step: str) -> None:
        if step == "poll.before" and next(polls) == 5:
            log.faults = None
            former.close()

    log.faults = hurt
    follower(log, handler, instance="w1").drain()
    assert handler.table[Partition(OUT, 0)] == (2, [b"a", b"b"])


def test_a_position_that_cannot_be_told_yet_is_asked_for_again_and_nothing_is_handed_over_before() -> None:
    class Away(ReadModel):
        asked = 0

        def position(self, partition: Partition) -> int | None:
            self.asked += 1
            if away:
                raise NotYet(60.0)
            return super().position(partition)

    away, log, handler, clock = [True], make_log(2), Away(), Clock()
    for number in range(2):
        write(log, "a", number=number)
    one = follower(log, handler, clock=clock)
    turns(one)
    assert handler.asked == 1, "of two partitions one is asked for: the other would not be told either"
    assert handler.table == {} and not one.ready().ok and one.live().ok
    away.clear()
    turns(one)
    assert handler.table == {}, "not before its time"
    clock.now = 60.0
    turns(one)
    assert {place.number: rows for place, (_, rows) in handler.table.items()} == {0: [b"a"], 1: [b"a"]}
    assert one.ready().ok


def test_tombstones_are_passed_over_and_the_position_moves_past_them() -> None:
    log, handler = make_log(), Effects()
    write(log, None, None, "a", None)
    turns(follower(log, handler))
    assert (handler.seen, committed(log)) == ([b"a"], 4)


class Later(Effects):
    """Finishes nothing of what begins with `later`, and asks to be given it again after a minute."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[list[bytes | None]] = []
        self.open = False

    def handle(self, partition: Partition, records: Sequence[Record]) -> Handled:
        self.calls.append([record.value for record in records])
        finished = 0
        for record in records:
            if (record.value or b"").startswith(b"later") and not self.open:
                break
            finished += 1
        return Handled(finished, again=60.0)


def test_what_is_not_finished_stays_below_the_position_and_comes_again_with_what_came_since() -> None:
    log, handler, clock = make_log(), Later(), Clock()
    one = follower(log, handler, clock=clock)
    write(log, "a", "later", "b")
    turns(one)
    assert (committed(log), handler.calls) == (1, [[b"a", b"later", b"b"]])
    write(log, "c")
    turns(one)
    assert handler.calls[1:] == [[b"later", b"b", b"c"]], "new ones are handed over at once, after what waits"
    clock.now = 59.0
    turns(one)
    assert len(handler.calls) == 2
    clock.now, handler.open = 60.0, True
    turns(one)
    assert (committed(log), handler.calls[2:]) == (4, [[b"later", b"b", b"c"]])


def test_a_partition_that_waits_holds_no_other_up_and_is_neither_stuck_nor_dead() -> None:
    log, handler, clock = make_log(2), Later(), Clock()
    one = follower(log, handler, clock=clock)
    write(log, "later", number=0)
    write(log, "a", "b", number=1)
    turns(one)
    assert (committed(log, 0), committed(log, 1)) == (None, 2)
    clock.now = 10 * PACE.stuck
    turns(one)
    assert one.ready().ok and one.live().ok
    assert metrics.REGISTRY.get_sample_value("keepwell_lag", {"group": GROUP, "partition": "0"}) == 1
    one.close()


def test_while_enough_waits_nothing_more_is_fetched() -> None:
    log, handler = make_log(), Later()
    one = follower(log, handler, clock=Clock())
    write(log, "later", *map(str, range(50)))
    turns(one, 30)
    assert max(map(len, handler.calls)) < 2 * PACE.records
    handler.open = True
    log.rebalance(GROUP, OUT)
    turns(one, 60)
    assert committed(log) == 51


def test_drain_says_that_what_is_left_is_to_be_tried_later() -> None:
    log = make_log()
    write(log, "a", "later")
    with pytest.raises(LogError, match=r"tried again in \d+ s"):
        follower(log, Later(), clock=Clock()).drain()
    assert committed(log) == 1 and PATIENCE < 60


def test_messages_without_a_finished_record_are_a_fault_of_the_program() -> None:
    class Wrong(Effects):
        def handle(self, partition: Partition, records: Sequence[Record]) -> Handled:
            return Handled(0, [Message(LETTERS, b"k", b"v")])

    log = make_log()
    write(log, "a")
    with pytest.raises(RuntimeError, match="finished 0"):
        turns(follower(log, Wrong()))
    assert letters(log) == []


def test_doubt_without_end_ends_the_process_and_each_life_forgets() -> None:
    class Doubtful(Effects):
        def __init__(self) -> None:
            super().__init__()
            self.forgotten = 0

        def handle(self, partition: Partition, records: Sequence[Record]) -> Handled:
            raise Doubt("no")

        def forget(self, partition: Partition) -> None:
            self.forgotten += 1

    log, handler = make_log(), Doubtful()
    write(log, "a")
    with pytest.raises(Doubt, match="no"):
        turns(follower(log, handler), 50)
    assert handler.forgotten == MAX_REBUILDS + 1


def test_a_loop_that_does_not_turn_is_neither_live_nor_ready() -> None:
    clock = Clock()
    one = follower(make_log(), Effects(), clock=clock)
    turns(one)
    assert one.live().ok and one.ready().ok
    clock.now = STALLED_SECONDS
    assert not one.live().ok and not one.ready().ok


def test_records_deleted_unread_end_it_unless_the_gap_is_accepted() -> None:
    log, handler = make_log(), Effects()
    write(log, "a")
    follower(log, handler).drain()
    write(log, "b", "c")
    log.trim(Partition(OUT, 0), 2)
    with pytest.raises(OffsetGone):
        turns(follower(log, handler))
    follower(log, handler, accept_gap=True).drain()
    assert handler.seen == [b"a", b"c"]


def test_a_lost_partition_is_forgotten_and_the_next_owner_goes_on_from_the_position() -> None:
    log, first, second = make_log(2), Effects(), Effects()
    one, two = follower(log, first), follower(log, second, instance="w1")
    for number in range(2):
        write(log, "a", "b", number=number)
    turns(one, 3)
    for _ in range(12):
        one.turn(0.0)
        two.turn(0.0)
    write(log, "c", number=0)
    write(log, "c", number=1)
    for _ in range(12):
        one.turn(0.0)
        two.turn(0.0)
    assert sorted(first.seen + second.seen) == [b"a", b"a", b"b", b"b", b"c", b"c"]
    assert b"c" in first.seen and b"c" in second.seen


@pytest.fixture(params=["memory", "sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
def any_log(request: pytest.FixtureRequest, tmp_path: Path, prefix: str) -> Iterator[Log]:
    """A log of each kind, with `prefix` for its groups where it needs one."""
    match request.param:
        case "memory":
            log: Log = MemoryLog()
        case "sqlite":
            log = open_log(f"sqlite:///{tmp_path / 'log.db'}")
        case _:
            log = open_log(f"kafka://{request.getfixturevalue('kafka_bootstrap')}", topic_prefix=prefix)
    with closing(log):
        yield log


def test_on_every_log_all_is_followed_over_restarts_and_doubts(any_log: Log, prefix: str) -> None:
    log, topic, out = any_log, f"{prefix}{OUT}", f"{prefix}{LETTERS}"
    log.create_topics([Topic(topic, 2, "compact"), Topic(out, 2)])
    seen: list[bytes] = []
    failing = iter([False, True, False, True])

    class Copies(Effects):
        def handle(self, partition: Partition, records: Sequence[Record]) -> Handled:
            if next(failing, False):
                raise Doubt("armed")
            seen.extend(record.value or b"" for record in records)
            return Handled(len(records), [Message(out, record.key, record.value) for record in records])

    for wave in range(3):
        values = [f"{wave}-{n}".encode() for n in range(20)]
        log.append([Message(topic, value, value) for value in values] + [Message(topic, b"gone", None)])
        Follower(log, Copies(), group=GROUP, topic=topic, instance="w0", pace=Pace(poll=0.2, records=7)).drain()
    expected = sorted(f"{wave}-{n}".encode() for wave in range(3) for n in range(20))
    assert sorted(set(seen)) == expected
    assert sorted(r.value or b"" for n in range(2) for r in log.read(Partition(out, n))) == expected


_PROCESS = """
import sys
from pathlib import Path
from keepwell.streams.open import open_log
from keepwell.streams.worker.follow import Follower, Handled

class Handler:
    def position(self, partition): return None
    def forget(self, partition): pass
    def handle(self, partition, records):
        with open(sys.argv[2], "ab", buffering=0) as out:
            out.write(records[0].value + b"\\n")
        print("done", flush=True)
        return Handled(1)

Follower(open_log(sys.argv[1]), Handler(), group="group", topic="out", instance="w0").drain()
"""


def test_a_real_process_killed_again_and_again_loses_nothing(tmp_path: Path) -> None:
    url, effects = f"sqlite:///{tmp_path / 'log.db'}", tmp_path / "effects"
    log = open_log(url)
    prepare(log, 1)
    write(log, *map(str, range(30)))
    kills = 0
    while kills < 6:
        process = subprocess.Popen(
            [sys.executable, "-c", _PROCESS, url, str(effects)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        for _ in range(1 + kills % 3):
            process.stdout.readline()
        process.kill()
        process.communicate()
        kills += 1
    subprocess.run([sys.executable, "-c", _PROCESS, url, str(effects)], check=True, capture_output=True)
    told = effects.read_bytes().split()
    assert once(told) == [str(n).encode() for n in range(30)]
    assert len(told) <= 30 + kills, "each kill repeats no more than what was in hand"
    log.close()
