"""What a service tells of itself: health pages, metrics, and log lines without content."""

import io
import json
import logging
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
import structlog

from keepwell.observe import setup_logging
from keepwell.streams.log import Doubt
from keepwell.streams.worker.process import Check
from keepwell.web.health import HealthServer


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_health_pages_say_yes_or_no_and_why() -> None:
    with HealthServer(lambda: Check(True, "beats"), lambda: Check(False, "restoring")) as server:
        assert get(server.port, "/livez") == (200, '{"ok": true, "why": "beats"}\n')
        assert get(server.port, "/readyz?verbose") == (503, '{"ok": false, "why": "restoring"}\n')
        assert get(server.port, "/metrics")[1].startswith("# HELP ")
        assert get(server.port, "/")[0] == 404


def test_a_closed_health_server_leaves_no_thread_and_frees_its_port() -> None:
    with HealthServer(lambda: Check(True, ""), lambda: Check(True, "")) as server:
        port = server.port
    assert "health" not in {thread.name for thread in threading.enumerate()}
    with HealthServer(lambda: Check(True, ""), lambda: Check(True, ""), port=port) as again:
        assert again.port == port


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()
    setup_logging("predictor", "w-1", stream=stream)
    yield stream
    root.handlers[:], root.level = before[0], before[1]
    structlog.reset_defaults()


def told(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_log_line_is_json_and_names_service_and_instance(lines: io.StringIO) -> None:
    structlog.get_logger("keepwell").info("partition.started", partition=3)
    logging.getLogger("elsewhere").warning("library speaks")
    ours, theirs = told(lines)
    assert (ours["service"], ours["instance"], ours["level"], ours["event"]) == (
        "predictor",
        "w-1",
        "info",
        "partition.started",
    )
    assert ours["partition"] == 3
    assert str(ours["timestamp"]).endswith("Z")
    assert (theirs["level"], theirs["event"], theirs["service"]) == ("warning", "library speaks", "predictor")


def test_the_message_of_an_exception_is_told_only_where_it_is_ours(lines: io.StringIO) -> None:
    for error in (KeyError("north/ep-17"), Doubt("the commit took too long")):
        try:
            raise error
        except Exception:
            structlog.get_logger("keepwell").exception("failed")
    try:
        raise ValueError("north/ep-17")
    except ValueError:
        logging.getLogger("elsewhere").exception("library failed")
    foreign, ours, library = told(lines)
    assert "ep-17" not in lines.getvalue()
    assert (foreign["error"], ours["error"], library["error"]) == ("KeyError", "Doubt", "ValueError")
    assert ours["why"] == "the commit took too long"
    assert "test_the_message" in str(foreign["at"])


def test_a_kafka_client_without_its_broker_does_not_fill_the_disk(lines: io.StringIO) -> None:
    for _ in range(50):
        logging.getLogger("kafka.net.connection").error("connect failed")
    assert len(told(lines)) == 1
