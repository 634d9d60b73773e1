"""The outbox (invariant 10) on the log in memory, with a receiver that fails, and a webhook over real HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat

import pytest

from keepwell.streams.log import Doubt, Message
from keepwell.streams.memory import MemoryLog
from keepwell.streams.topics import Topics, ensure_topics
from keepwell.streams.worker.dead_letters import letters
from services.notify.outbox import Outbox, Rejected, Unreachable
from services.notify.settings import NotifySettings
from services.notify.webhook import Webhook

TOPICS = Topics()


class Receiver:
    """Notes what it is sent; `behave` may raise before that."""

    def __init__(self, behave: Callable[[str], None] = lambda _: None) -> None:
        self.keys: list[str] = []
        self._behave = behave

    def __call__(self, key: str, body: bytes) -> None:
        self._behave(key)
        self.keys.append(key)


def log_with(*statuses: str) -> MemoryLog:
    """A log that holds one alert in each of these states."""
    log = MemoryLog()
    ensure_topics(log, TOPICS, 2)
    log.append([Message(TOPICS.alerts, b"north/ep-1", alert(status)) for status in statuses])
    return log


def alert(status: str) -> bytes:
    """An alert as far as the outbox looks at it."""
    return json.dumps({"alert_id": "al-1", "status": status, "episode": "north/ep-1"}).encode()


def sent_after_restarts(log: MemoryLog, send: Receiver) -> list[str]:
    """Drains the outbox as a supervisor would: again after every crash."""
    for _ in range(20):
        try:
            Outbox(log, TOPICS, "a", send).drain(threading.Event())
        except (Unreachable, Doubt):
            continue
        return send.keys
    raise AssertionError("the outbox did not get through in 20 lives")


def test_invariant_10_every_notice_is_sent_under_its_own_key_in_order() -> None:
    log = log_with("raised", "escalated", "resolved")
    assert sent_after_restarts(log, Receiver()) == ["al-1.raised", "al-1.escalated", "al-1.resolved"]


def test_invariant_10_what_was_sent_and_committed_is_not_sent_again() -> None:
    log, receiver = log_with("raised"), Receiver()
    for _ in range(3):
        Outbox(log, TOPICS, "a", receiver).drain(threading.Event())
    assert receiver.keys == ["al-1.raised"]


def test_invariant_10_a_crash_between_sending_and_committing_sends_again_under_the_same_key() -> None:
    log, receiver = log_with("raised", "resolved"), Receiver()
    crashes = iter([True])

    def fault(call: str) -> None:
        if call == "commit.before" and next(crashes, False):
            raise Doubt("the process died here")

    log.faults = fault
    keys = sent_after_restarts(log, receiver)
    assert set(keys) == {"al-1.raised", "al-1.resolved"}
    assert keys == ["al-1.raised", "al-1.resolved"] * 2


def test_invariant_10_a_receiver_that_is_down_loses_nothing() -> None:
    down = iter([True, True, False, True])

    def behave(_: str) -> None:
        if next(down, False):
            raise Unreachable("down")

    log = log_with("raised", "escalated", "resolved")
    assert sent_after_restarts(log, Receiver(behave)) == ["al-1.raised", "al-1.escalated", "al-1.resolved"]


def test_an_alert_that_the_receiver_rejects_for_good_becomes_a_dead_letter_and_the_rest_goes_on() -> None:
    def behave(key: str) -> None:
        if key == "al-1.raised":
            raise Rejected(410)

    log = log_with("raised", "resolved")
    assert sent_after_restarts(log, Receiver(behave)) == ["al-1.resolved"]
    (dead,) = letters(log, TOPICS.dead_letters)
    assert (dead.reason, dead.record.value) == ("webhook_rejected", alert("raised"))


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    """A receiver over HTTP that answers with the statuses it is told, then 204."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.headers["Idempotency-Key"], self.headers["Authorization"], body))
            self.send_response(next(statuses))
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    got: list[tuple[str, str, bytes]] = []
    statuses = chain([503, 429], repeat(204))
    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.got = got  # type: ignore[attr-defined]  # what the test looks at
    thread = threading.Thread(target=served.serve_forever, args=(0.05,))
    thread.start()
    yield served
    served.shutdown()
    thread.join()
    served.server_close()


def test_the_webhook_posts_until_the_receiver_takes_it_always_under_the_same_key(server: ThreadingHTTPServer) -> None:
    settings = NotifySettings(webhook=f"http://127.0.0.1:{server.server_address[1]}/in", webhook_token="t")
    Webhook(settings)("al-1.raised", b"{}")
    assert server.got == [("al-1.raised", "Bearer t", b"{}")] * 3  # type: ignore[attr-defined]  # see the fixture


def test_a_webhook_that_refuses_the_connection_is_unreachable_and_the_error_names_no_address() -> None:
    settings = NotifySettings(webhook="http://127.0.0.1:9/secret-path", webhook_attempts=1)
    with pytest.raises(Unreachable) as caught:
        Webhook(settings)("k", b"{}")
    assert "secret" not in str(caught.value)


def test_alerts_do_not_leave_the_machine_in_the_clear() -> None:
    with pytest.raises(ValueError, match="https"):
        NotifySettings(webhook="http://clinic.example/alerts")
