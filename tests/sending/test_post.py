"""One post is bounded whatever the receiver does, follows nobody, and reaches the machine that was checked."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keepwell.sending.address import target_of
from keepwell.sending.post import NoAnswer, Poster, Reply
from tests.sending.receivers import Receiver, raw, serving

LIMIT = 0.5
TLS = ssl.create_default_context()


def poster(url: str, *, timeout: float = LIMIT, allow_private: bool = False, tls: ssl.SSLContext = TLS) -> Poster:
    return Poster(target_of(url), timeout, allow_private, tls)


IN_TIME = rf"the receiver gave no answer within {LIMIT:g} seconds$"
NOT_HTTP = r"the receiver's answer is not one of HTTP$|closed the connection without an answer$"


def no_answer(sender: Poster, body: bytes = b"{}", why: str = IN_TIME) -> None:
    """Posts, and no answer comes; that is known in time, and why."""
    began = time.monotonic()
    with pytest.raises(NoAnswer, match=why):
        sender.post({}, body)
    assert time.monotonic() - began < LIMIT + 1.0


def here(port: int) -> Poster:
    return poster(f"http://127.0.0.1:{port}/")


def head(connection: socket.socket) -> None:
    """Reads a request's head and body of two bytes."""
    got = b""
    while not got.endswith(b"{}"):
        got += connection.recv(4096)


def test_a_post_arrives_whole_and_its_answer_is_told() -> None:
    with serving(Receiver(lambda _: (503, {"Retry-After": "7"}))) as receiver:
        assert poster(receiver.url + "?a=b").post({"X-One": "1"}, b"{}") == Reply(503, "7")
    (got,) = receiver.posts
    assert (got.method, got.path, got.body) == ("POST", "/in?a=b", b"{}")
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert got.headers["x-one"] == "1"


def test_a_receiver_that_never_answers_costs_no_more_than_the_time_limit() -> None:
    with raw(lambda _, over: (over.wait(), None)[1]) as port:
        no_answer(here(port))


@pytest.mark.parametrize("opening", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nX-Slow: "])
def test_a_receiver_that_drips_costs_no_more_than_the_time_limit_and_has_taken_nothing(opening: bytes) -> None:
    def drip(connection: socket.socket, over: threading.Event) -> None:
        head(connection)
        connection.sendall(opening)
        while not over.wait(0.05):
            connection.sendall(b"x")

    with raw(drip) as port:
        no_answer(here(port))


def test_a_receiver_that_goes_on_and_on_with_interim_answers_is_cut_off() -> None:
    def stall(connection: socket.socket, over: threading.Event) -> None:
        head(connection)
        while not over.wait(0.01):
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    with raw(stall) as port:
        no_answer(here(port))


def test_a_receiver_that_does_not_read_is_cut_off() -> None:
    with raw(lambda _, over: (over.wait(), None)[1]) as port:
        no_answer(here(port), b"x" * 50_000_000)


def test_a_body_without_end_is_not_read() -> None:
    sent = 0

    def flood(connection: socket.socket, over: threading.Event) -> None:
        nonlocal sent
        head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
        while not over.is_set():
            sent += connection.send(b"x" * 65_536)

    with raw(flood) as port:
        assert here(port).post({}, b"{}") == Reply(200, None)
    assert sent < 50_000_000, "no more than what the sockets hold"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1",
        b"SSH-2.0-OpenSSH_9\r\n",
        b"\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
        b"HTTP/1.1 200 " + b"x" * 100_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_answer_of_http_counts_as_none(answer: bytes) -> None:
    def lie(connection: socket.socket, _: threading.Event) -> None:
        head(connection)
        connection.sendall(answer)

    with raw(lie) as port:
        no_answer(here(port), why=NOT_HTTP)


@pytest.mark.parametrize("length", [b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Content-Length: x\r\n"])
def test_a_wrong_length_changes_nothing_of_the_status(length: bytes) -> None:
    def lie(connection: socket.socket, _: threading.Event) -> None:
        head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n")

    with raw(lie) as port:
        assert here(port).post({}, b"{}").status == 200


def test_a_redirect_is_an_answer_like_another_and_nobody_goes_there() -> None:
    with serving(Receiver()) as elsewhere, serving(Receiver()) as receiver:
        for status in (301, 302, 303, 307, 308):
            receiver.answer = lambda _, status=status: (status, {"Location": elsewhere.url})  # type: ignore[misc]
            assert poster(receiver.url).post({"Authorization": "Bearer t"}, b"{}").status == status
    assert elsewhere.posts == []


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Receiver()) as proxy, serving(Receiver()) as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        poster(receiver.url).post({}, b"{}")
    assert (len(receiver.posts), proxy.posts) == (1, [])


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Lets names stand for these addresses, one answer after the other; returns the list of names asked for."""
    asked: list[str] = []
    answered = iter(answers)

    def look(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        asked.append(host)
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 0, "", (one, port))
            for one in next(answered)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look)
    return asked


@pytest.mark.parametrize(
    "inside", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fe80::1%eth0", "::ffff:127.0.0.1"]
)
def test_a_name_that_stands_for_a_machine_inside_is_not_connected_to(
    monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    resolving(monkeypatch, [inside])
    with pytest.raises(NoAnswer, match="WEBHOOK_ALLOW_PRIVATE"):
        poster("https://alerts.example/").post({}, b"{}")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for alerts.example, signed by itself, with its key."""
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    key = file.with_name("key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=alerts.example",
         "-addext", "subjectAltName=DNS:alerts.example", "-keyout", str(key), "-out", str(file)],
        check=True, capture_output=True,
    )  # fmt: skip
    file.write_bytes(file.read_bytes() + key.read_bytes())
    return file


def over_tls(certificate: Path, names: list[str | None]) -> Callable[[socket.socket, threading.Event], None]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _, name, __: names.append(name)

    def serve(connection: socket.socket, over: threading.Event) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            head(secured)
            secured.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    return serve


def test_the_connection_goes_to_the_address_checked_under_the_name_given_and_is_resolved_once(
    monkeypatch: pytest.MonkeyPatch, certificate: Path
) -> None:
    """A name that is rebound between check and use changes nothing: it is not asked for twice."""
    names: list[str | None] = []
    with raw(over_tls(certificate, names)) as port:
        asked = resolving(monkeypatch, ["127.0.0.1"], ["203.0.113.1"])
        trusted = ssl.create_default_context(cafile=str(certificate))
        sender = poster(f"https://alerts.example:{port}/", allow_private=True, tls=trusted, timeout=5.0)
        assert sender.post({}, b"{}").status == 200
    assert (asked, names) == (["alerts.example"], ["alerts.example"])


def test_a_certificate_of_another_name_or_of_nobody_known_gets_nothing(
    monkeypatch: pytest.MonkeyPatch, certificate: Path
) -> None:
    trusted = ssl.create_default_context(cafile=str(certificate))
    with raw(over_tls(certificate, [])) as port:
        resolving(monkeypatch, ["127.0.0.1"], ["127.0.0.1"])
        for host, context in (("other.example", trusted), ("alerts.example", TLS)):
            with pytest.raises(NoAnswer, match="SSL"):
                poster(f"https://{host}:{port}/", allow_private=True, tls=context, timeout=5.0).post({}, b"{}")


def test_a_handshake_that_drips_is_cut_off() -> None:
    with raw(lambda _, over: (over.wait(), None)[1]) as port:
        no_answer(poster(f"https://127.0.0.1:{port}/"))


def test_of_several_addresses_those_inside_are_left_out_and_the_next_is_tried_where_one_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving(Receiver()) as receiver:
        resolving(monkeypatch, ["10.0.0.1", "127.0.0.9", "127.0.0.1"])
        assert poster(f"http://localhost:{receiver.port}/in").post({}, b"{}").status == 204


def test_a_resolver_that_hangs_costs_no_more_than_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: (over.wait(), [])[1])
    try:
        no_answer(poster("https://alerts.example/"))
    finally:
        over.set()


def test_a_receiver_that_is_not_there_is_told_without_its_address() -> None:
    with pytest.raises(NoAnswer) as caught:
        poster("http://127.0.0.1:9/secret-path").post({}, b"{}")
    assert "secret" not in str(caught.value) and "127" not in str(caught.value)
