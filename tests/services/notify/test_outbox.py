"""The outbox (invariant 10): order, waiting, the end of the schedule, and letters put back; time is the test's."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest
import structlog.testing

from keepwell import metrics
from keepwell.sending.outcome import Delivered, Gone, Later, Outcome, Rejected
from keepwell.sending.schedule import END
from keepwell.streams.log import LogError, Message, Partition
from keepwell.streams.memory import MemoryLog
from keepwell.streams.standing import stands
from keepwell.streams.topics import Topics, ensure_topics
from keepwell.streams.worker import dead_letters
from keepwell.streams.worker.assignment import Pace
from keepwell.streams.worker.dead_letters import MAX_ATTEMPTS, letters, put_back
from keepwell.streams.worker.follow import Follower
from services.notify.outbox import Outbox, Receiver

TOPICS = Topics()
DOWN, BUSY = Later("no answer", answered=False), Later("the receiver answered 503")


@pytest.fixture(autouse=True)
def entries() -> Iterator[Sequence[Any]]:
    with structlog.testing.capture_logs() as captured:
        yield captured


class Clock:
    """Seconds since 1970 that the test moves."""

    def __init__(self) -> None:
        self.now = time.time() + 1.0

    def __call__(self) -> float:
        return self.now


class Told:
    """A receiver that notes every try with its time, and answers what it is told."""

    def __init__(self, clock: Clock, answer: Callable[[str], Outcome] = lambda _: Delivered()) -> None:
        self.tries: list[tuple[str, float]] = []
        self.answer = answer
        self._clock = clock
        self._began = clock.now

    def __call__(self, notice: str, body: str) -> Outcome:
        assert json.loads(body)["alert_id"] == notice.partition(".")[0]
        self.tries.append((notice, round(self._clock.now - self._began)))
        return self.answer(notice)

    @property
    def notices(self) -> list[str]:
        return [notice for notice, _ in self.tries]


class House:
    """A log with alerts, and the two followers over it."""

    def __init__(self, answer: Callable[[str], Outcome] = lambda _: Delivered(), partitions: int = 1) -> None:
        self.log = MemoryLog()
        ensure_topics(self.log, TOPICS, partitions)
        self.clock = Clock()
        self.told = Told(self.clock, answer)
        self.restart()

    def restart(self) -> None:
        """A new process under the same name: nothing but the log is left of the one before."""
        self.receiver = Receiver(self.told, self.clock)
        held = partial(stands, self.log)
        alerts = Outbox(self.receiver, TOPICS.dead_letters, stands=held)
        returned = Outbox(self.receiver, TOPICS.dead_letters, partial(put_back, self.log), held)
        self.followers = [
            self._follower(alerts, TOPICS.notify_group, TOPICS.alerts),
            self._follower(returned, TOPICS.returned_group, TOPICS.dead_letters),
        ]

    def _follower(self, handler: Outbox, group: str, topic: str) -> Follower:
        pace = Pace(poll=0.0, stuck=1e12)
        return Follower(self.log, handler, group=group, topic=topic, instance="a", pace=pace, clock=self.clock)

    def alert(self, name: str, status: str = "raised", episode: str = "ep-1", number: int = 0) -> None:
        value = json.dumps({"alert_id": name, "status": status, "episode": f"north/{episode}"}).encode()
        key = f"north/{episode}#{name}.{status}".encode()
        self.log.append([Message(TOPICS.alerts, key, value, partition=number)])

    def erase(self, name: str, purge: bool) -> None:
        """Takes an alert back as the predictor does when it forgets a client; with `purge` its bytes too."""
        self.log.append([Message(TOPICS.alerts, f"north/ep-1#{name}.raised".encode(), None, partition=0)])
        if purge:
            self.log.purge([Partition(TOPICS.alerts, 0)])

    def turn(self, seconds: float = 0.0, turns: int = 8) -> None:
        """Lets time pass, and the followers turn."""
        self.clock.now += seconds
        for _ in range(turns):
            for follower in self.followers:
                follower.turn(0.0)

    def wait(self, seconds: float) -> None:
        """Lets time pass in steps no longer than a minute."""
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.turn(min(60.0, until - self.clock.now), turns=2)

    @property
    def sent_to(self) -> int | None:
        return self.log.committed(TOPICS.notify_group, TOPICS.alerts).get(Partition(TOPICS.alerts, 0))

    def letters(self) -> list[tuple[str, int]]:
        return [(found.reason, found.attempts) for found in letters(self.log, TOPICS.dead_letters)]


def count(result: str) -> float:
    return metrics.REGISTRY.get_sample_value("keepwell_notified_total", {"result": result}) or 0.0


def test_every_notice_is_sent_under_its_own_name_in_order_and_once() -> None:
    house = House()
    for status in ("raised", "escalated", "resolved"):
        house.alert("al-1", status)
    house.turn()
    house.restart()
    house.turn()
    assert house.told.notices == ["al-1.raised", "al-1.escalated", "al-1.resolved"]
    assert house.sent_to == 3


def test_an_alert_that_is_not_taken_is_tried_by_the_schedule_and_becomes_a_letter_at_its_end() -> None:
    before = count("undelivered")
    house = House(lambda _: BUSY)
    house.alert("al-1")
    house.turn()
    house.wait(END + 60)
    waits = [moment for _, moment in house.told.tries]
    assert len(waits) == 8
    assert all(
        abs(found - due) <= 61 for found, due in zip(waits, [0, 5, 305, 2105, 9305, 27305, 63305, 99305], strict=True)
    )
    assert house.letters() == [("webhook_undelivered", 1)]
    assert (house.sent_to, count("undelivered") - before) == (1, 1.0)


def test_restarts_do_not_move_the_end_of_the_schedule() -> None:
    house = House(lambda _: BUSY)
    house.alert("al-1")
    for _ in range(5):
        house.turn()
        house.wait(END / 5)
        house.restart()
    house.turn()
    house.wait(400)
    assert house.letters() == [("webhook_undelivered", 1)]


def test_an_alert_that_waits_holds_up_those_of_its_episode_and_no_others() -> None:
    house = House(lambda notice: BUSY if notice == "al-1.raised" and busy else Delivered())
    busy = True
    house.alert("al-1")
    house.alert("al-2", episode="ep-2")
    house.alert("al-1", "resolved")
    house.alert("al-3", episode="ep-3")
    house.turn()
    assert house.told.notices == ["al-1.raised", "al-2.raised", "al-3.raised"]
    assert house.sent_to is None, "the position does not pass what is not sent"
    busy = False
    house.turn(5.0)
    assert house.told.notices[3:] == ["al-1.raised", "al-1.resolved"]
    assert house.sent_to == 4


def test_what_was_sent_behind_a_waiting_alert_is_sent_again_after_a_crash_under_the_same_name() -> None:
    house = House(lambda notice: BUSY if notice == "al-1.raised" else Delivered())
    house.alert("al-1")
    house.alert("al-2", episode="ep-2")
    house.turn()
    house.restart()
    house.turn()
    assert house.told.notices == ["al-1.raised", "al-2.raised"] * 2


def test_a_receiver_that_gives_no_answer_is_asked_by_one_alert_after_growing_pauses() -> None:
    house = House(lambda _: DOWN if down else Delivered())
    down = True
    for number in range(100):
        house.alert(f"al-{number}", episode=f"ep-{number}")
    house.turn()
    assert house.told.notices == ["al-0.raised"]
    assert not house.receiver.check().ok
    house.wait(3600)
    assert len(house.told.tries) < 80
    down = False
    house.turn(61.0)
    assert len(set(house.told.notices)) == 100 and house.receiver.check().ok


def test_a_rejected_alert_becomes_a_letter_and_the_rest_goes_on() -> None:
    before = count("rejected")
    house = House(lambda notice: Rejected(400) if notice == "al-1.raised" else Delivered())
    house.alert("al-1")
    house.alert("al-1", "resolved")
    house.turn()
    assert house.told.notices == ["al-1.raised", "al-1.resolved"]
    (found,) = letters(house.log, TOPICS.dead_letters)
    assert (found.reason, found.detail) == ("webhook_rejected", "$: the receiver answered 400")
    assert json.loads(found.record.value or b"") == {"alert_id": "al-1", "status": "raised", "episode": "north/ep-1"}
    assert count("rejected") - before == 1.0


def test_a_letter_behind_a_waiting_alert_is_written_once_whatever_is_killed() -> None:
    house = House(lambda notice: BUSY if notice == "al-1.raised" and busy else Rejected(400))
    busy = True
    house.alert("al-1")
    house.alert("al-2", episode="ep-2")
    house.turn()
    assert house.letters() == [], "it is committed with the position"
    house.restart()
    house.turn()
    busy = False
    house.turn(5.0)
    assert house.letters() == [("webhook_rejected", 1)] * 2


def test_after_410_nothing_more_is_posted_before_a_restart_and_nothing_is_lost() -> None:
    house = House(lambda _: Gone() if gone else Delivered())
    gone = True
    house.alert("al-1")
    house.alert("al-2", episode="ep-2")
    house.turn()
    house.wait(3 * 3600)
    assert house.told.notices == ["al-1.raised"]
    assert "410" in house.receiver.check().why and not house.receiver.check().ok
    gone = False
    house.restart()
    house.turn()
    assert house.told.notices[1:] == ["al-1.raised", "al-2.raised"]
    assert house.letters() == []


def test_what_the_receiver_asks_for_is_kept() -> None:
    house = House(lambda _: Later("the receiver answered 429", after=1000.0))
    house.alert("al-1")
    house.turn()
    house.wait(995)
    assert len(house.told.tries) == 1
    house.turn(10.0)
    assert len(house.told.tries) == 2


def test_a_slow_receiver_does_not_cost_the_membership() -> None:
    """A round ends soon after its budget, so that a poll comes between."""

    def slow(_: str) -> Outcome:
        house.clock.now += 8.0
        return Delivered()

    house = House(slow)
    for number in range(3):
        house.alert(f"al-{number}", episode=f"ep-{number}")
    sent = []
    for _ in range(4):
        house.followers[0].turn(0.0)
        sent.append(len(house.told.tries))
    assert sent == [0, 1, 2, 3]


def test_what_is_no_alert_becomes_a_letter() -> None:
    house = House()
    for value in (b"\xff", b"[]", b'{"alert_id": 1}'):
        house.log.append([Message(TOPICS.alerts, value, value, partition=0)])
    house.turn()
    assert house.letters() == [("webhook_unreadable", 1)] * 3 and house.told.tries == []


def test_a_letter_put_back_is_posted_again_under_its_name_and_no_alert_is_written_a_second_time() -> None:
    house = House(lambda _: Rejected(400) if broken else Delivered())
    broken = True
    house.alert("al-1")
    house.turn()
    broken = False
    assert dead_letters.replay(house.log, letters(house.log, TOPICS.dead_letters)).replayed == 1
    house.turn()
    assert house.told.notices == ["al-1.raised"] * 2
    assert house.letters() == []
    assert [record.offset for record in house.log.read(Partition(TOPICS.alerts, 0))] == [0]
    house.restart()
    house.turn()
    assert len(house.told.tries) == 2, "a marker that was followed is done with"


def test_letters_put_back_come_in_the_order_of_their_episode() -> None:
    house = House(lambda _: Rejected(400) if broken else Delivered(), partitions=4)
    broken = True
    names = [f"al-{number}" for number in range(12)]
    for name in names:
        house.alert(name)
    house.turn()
    broken = False
    dead_letters.replay(house.log, letters(house.log, TOPICS.dead_letters))
    house.turn()
    assert house.told.notices[12:] == [f"{name}.raised" for name in names]


def test_a_letter_put_back_and_rejected_again_counts_its_attempts_until_it_stays() -> None:
    house = House(lambda _: Rejected(400))
    house.alert("al-1")
    house.turn()
    for attempts in range(1, MAX_ATTEMPTS):
        assert house.letters() == [("webhook_rejected", attempts)]
        assert dead_letters.replay(house.log, letters(house.log, TOPICS.dead_letters)).replayed == 1
        house.turn()
    assert dead_letters.replay(house.log, letters(house.log, TOPICS.dead_letters)) == (0, 1)
    assert len(house.told.tries) == MAX_ATTEMPTS


@pytest.mark.parametrize("purge", [False, True])
def test_an_alert_of_a_client_erased_while_it_waited_is_not_posted(purge: bool) -> None:
    house = House()
    house.alert("al-1")
    house.alert("al-2", episode="ep-2")
    house.erase("al-1", purge)
    house.turn()
    assert house.told.notices == ["al-2.raised"]
    busy = House(lambda _: BUSY if waiting else Delivered())
    waiting = True
    busy.alert("al-1")
    busy.turn()
    busy.erase("al-1", purge)
    waiting = False
    busy.wait(1.1 * END)
    assert busy.told.notices == ["al-1.raised"], "the try before the erasure"
    assert busy.letters() == []


@pytest.mark.parametrize("purge", [False, True])
def test_a_letter_put_back_of_a_client_erased_meanwhile_is_not_posted(purge: bool) -> None:
    house = House(lambda _: Rejected(400))
    house.alert("al-1")
    house.turn()
    house.erase("al-1", purge)
    dead_letters.replay(house.log, letters(house.log, TOPICS.dead_letters))
    house.turn()
    assert len(house.told.tries) == 1
    assert house.letters() == []


def test_the_schedule_of_a_letter_put_back_begins_when_it_was_put_back() -> None:
    house = House(lambda _: Rejected(400) if broken else BUSY)
    broken = True
    house.alert("al-1")
    house.turn()
    broken = False
    dead_letters.replay(house.log, letters(house.log, TOPICS.dead_letters))
    house.turn()
    house.wait(1.1 * END)
    assert len(house.told.tries) == 1 + 8
    assert house.letters() == [("webhook_undelivered", 2)]


def test_letters_of_others_and_letters_dropped_are_not_posted() -> None:
    house = House(lambda _: Rejected(400))
    house.alert("al-1")
    house.turn()
    dead_letters.drop(house.log, letters(house.log, TOPICS.dead_letters))
    house.log.append([Message(TOPICS.sessions, b"k", b"{}", partition=0)])
    (record,) = house.log.read(Partition(TOPICS.sessions, 0))
    house.log.append([dead_letters.letter(TOPICS.dead_letters, record, "not_json", "$")])
    dead_letters.replay(house.log, letters(house.log, TOPICS.dead_letters))
    house.turn()
    assert len(house.told.tries) == 1


def test_drain_of_what_must_wait_says_so() -> None:
    house = House(lambda _: Later("busy", after=100.0))
    house.alert("al-1")
    with pytest.raises(LogError, match="Nothing is lost"):
        house.followers[0].drain()


def test_nothing_of_an_alert_is_told_in_logs_or_labels(entries: Sequence[Any]) -> None:
    house = House(lambda _: BUSY)
    house.alert("al-secret", episode="ep-secret")
    house.turn()
    house.wait(1.1 * END)
    assert any(entry["event"] == "webhook.given_up" for entry in entries)
    assert "secret" not in repr(entries)
