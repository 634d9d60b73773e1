"""The outbox: every alert is posted at least once, under a name that tells a repetition, until taken or given up visibly.

`risk-alerts` is the outbox itself, and `worker/follow.py` follows it. An alert that the receiver does not take waits for its
next try while the others go on; only alerts of the same episode wait behind it, so that each episode's come in order. An
alert that is rejected, or not taken to the end of the schedule, becomes a dead letter, committed with the position.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, assert_never

import msgspec
import structlog

from keepwell.metrics import NOTIFIED
from keepwell.sending.outcome import Delivered, Gone, Later, Outcome, Rejected, Send
from keepwell.sending.schedule import next_try
from keepwell.streams.log import Message, Partition, Record
from keepwell.streams.worker.dead_letters import UNREADABLE_ALERT, WEBHOOK_REJECTED, WEBHOOK_UNDELIVERED, letter
from keepwell.streams.worker.follow import Handled
from keepwell.streams.worker.process import Check

BUDGET: Final = 2.0
"""Seconds after which a round begins no further post, so that the membership is kept alive."""
LONGEST_PAUSE: Final = 60.0
"""Seconds between two posts to a receiver that gives no answer at all."""
SLEEP: Final = 3_600.0
"""Seconds until the follower asks again where nothing is to be sent any more."""

_log = structlog.get_logger(__name__)


class Receiver:
    """The receiver as it behaved so far: whether to post at all now. Shared by the outboxes of a process.

    Where no answer comes, it is asked once after a growing pause instead of once for each alert that waits. Where it
    answered 410, it is not asked again in this process.
    """

    def __init__(self, send: Send, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._send = send
        self._silences = 0
        self._not_before = 0.0
        self._gone = False
        self._trouble = ""

    def free_at(self) -> float:
        """When it may be asked, in seconds since 1970."""
        return self.clock() + SLEEP if self._gone else self._not_before

    def post(self, notice: str, body: str) -> Outcome:
        """Posts, and notes how it went."""
        outcome = self._send(notice, body)
        match outcome:
            case Later(why, _, answered):
                self._trouble = why
                self._silences = 0 if answered else self._silences + 1
                self._not_before = 0.0 if answered else self.clock() + min(LONGEST_PAUSE, 2.0 ** (self._silences - 1))
            case Gone():
                self._gone = True
                self._trouble = "the receiver answered 410 Gone: alerts wait; set another KEEPWELL_WEBHOOK and restart"
            case Delivered() | Rejected():
                self._trouble, self._silences, self._not_before = "", 0, 0.0
            case _:
                assert_never(outcome)
        return outcome

    def check(self) -> Check:
        """Whether alerts get through. For any thread."""
        return Check(not self._trouble, self._trouble or "alerts get through")


class Outbox:
    """Handler of a follower: posts the alerts that a topic holds, or tells of.

    `alert_of` finds the alert record that a record of the topic is about, with the time from which its schedule counts; None
    where it is about none. `dead_letters` is the full name of that topic.
    """

    def __init__(
        self,
        receiver: Receiver,
        dead_letters: str,
        alert_of: Callable[[Record], Record | None] = lambda record: record,
        stands: Callable[[Record], bool] = lambda _: True,
    ) -> None:
        self._receiver = receiver
        self._dead_letters = dead_letters
        self._alert_of = alert_of
        self._stands = stands
        self._entries: dict[Partition, dict[int, _Entry]] = {}

    def position(self, partition: Partition) -> int | None:
        """The group's."""
        return None

    def forget(self, partition: Partition) -> None:
        """Drops the tries made so far; the age of an alert still says when they end."""
        self._entries.pop(partition, None)

    def handle(self, partition: Partition, records: Sequence[Record]) -> Handled:
        """Tries what is due, until the time of a round is used up."""
        entries = self._entries.setdefault(partition, {})
        for record in records:
            if record.offset not in entries:
                entries[record.offset] = self._entry(record)
        again = self._round([entries[record.offset] for record in records])
        done = 0
        letters: list[Message] = []
        for record in records:
            if not entries[record.offset].over:
                break
            done += 1
            letters += entries.pop(record.offset).letters
        return Handled(done, letters, again)

    def _round(self, entries: Sequence[_Entry]) -> float:
        """Returns after how many seconds the next is due."""
        now = self._receiver.clock()
        stop = now + BUDGET
        behind: set[str] = set()
        due = [now + SLEEP]
        for entry in entries:
            if entry.over or entry.episode in behind:
                continue
            now = self._receiver.clock()
            moment = max(entry.due, self._receiver.free_at())
            if moment <= now < stop:
                self._try(entry, now)
                moment = max(entry.due, self._receiver.free_at())
            if not entry.over:
                behind.add(entry.episode)
                due.append(moment)
        return max(0.0, min(due) - self._receiver.clock())

    def _try(self, entry: _Entry, now: float) -> None:
        if not self._stands(entry.alert):
            entry.over = True
            _log.info("webhook.erased")
            return
        entry.tries += 1
        outcome = self._receiver.post(entry.notice, entry.body)
        match outcome:
            case Delivered():
                entry.over = True
                NOTIFIED.labels("sent").inc()
            case Rejected(status):
                self._give_up(entry, WEBHOOK_REJECTED, f"$: the receiver answered {status}")
                NOTIFIED.labels("rejected").inc()
            case Gone():
                _log.error("webhook.gone", what="the receiver answered 410; nothing more is posted before a restart")
                NOTIFIED.labels("retried").inc()
            case Later(why, after, _):
                due = next_try(entry.tries, entry.alert.timestamp / 1000, now, after)
                if due is None:
                    self._give_up(entry, WEBHOOK_UNDELIVERED, f"$: not taken to the end of the schedule; last: {why}")
                    NOTIFIED.labels("undelivered").inc()
                else:
                    entry.due = due
                    NOTIFIED.labels("retried").inc()
                    _log.warning("webhook.later", why=why, tries=entry.tries, seconds=round(due - now))
            case _:
                assert_never(outcome)

    def _give_up(self, entry: _Entry, reason: str, detail: str) -> None:
        entry.over = True
        # In the partition that the alert is in, so that letters put back come in the order of their episode too.
        found = letter(self._dead_letters, entry.alert, reason, detail)
        entry.letters = [found._replace(partition=entry.alert.partition.number)]
        _log.error("webhook.given_up", reason=reason, why=detail)

    def _entry(self, record: Record) -> _Entry:
        alert = self._alert_of(record)
        if alert is None or alert.value is None:
            return _Entry(record, over=True)
        try:
            body = alert.value.decode()
            told = msgspec.json.decode(body, type=_Told)
        except (UnicodeDecodeError, msgspec.MsgspecError):
            entry = _Entry(alert)
            self._give_up(entry, UNREADABLE_ALERT, "$: this topic takes the alerts that the predictor writes")
            return entry
        return _Entry(alert, told.episode, f"{told.alert_id}.{told.status}", body)


class _Entry:
    """An alert on its way: tries so far, when it is due, and whether it is over, with the dead letter if it came to that."""

    __slots__ = ("alert", "body", "due", "episode", "letters", "notice", "over", "tries")

    def __init__(
        self, alert: Record, episode: str = "", notice: str = "", body: str = "", *, over: bool = False
    ) -> None:
        self.alert = alert
        self.episode = episode
        self.notice = notice
        self.body = body
        self.over = over
        self.tries = 0
        self.due = 0.0
        self.letters: list[Message] = []


class _Told(msgspec.Struct):
    alert_id: str
    status: str
    episode: str
