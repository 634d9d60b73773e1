"""Which addresses a webhook may have, and which machines a name may stand for."""

from __future__ import annotations

import pytest

from keepwell.sending.address import is_private_literal, is_refused, target_of

NAMED = target_of("https://alerts.north.example/in")
HERE = target_of("http://localhost:8080/in")


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("https://alerts.north.example", "alerts.north.example", 443, "/"),
        ("HTTPS://Alerts.North.Example:8443/in?a=b", "alerts.north.example", 8443, "/in?a=b"),
        ("http://127.0.0.1:9000/in", "127.0.0.1", 9000, "/in"),
        ("http://127.8.9.1/", "127.8.9.1", 80, "/"),
        ("http://[::1]/", "::1", 80, "/"),
        ("http://LOCALHOST", "localhost", 80, "/"),
        ("https://[2001:db8::1]:8443/", "2001:db8::1", 8443, "/"),
    ],
)
def test_an_address_is_read_in_its_parts(url: str, host: str, port: int, path: str) -> None:
    target = target_of(url)
    assert (target.host, target.port, target.path) == (host, port, path)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://clinic.example/alerts", "https"),
        ("http://localhost.evil.example/", "https"),
        ("http://127.0.0.1.evil.example/", "https"),
        ("http://10.0.0.1/", "https"),
        ("http://127.0.0.1@evil.example/", "user"),
        ("https://user:secret@alerts.example/", "user"),
        ("http://evil.example\\@127.0.0.1/", "backslashes"),
        ("http://127.0.0.1\\@evil.example/", "backslashes"),
        ("http://2130706433/", "usual form"),
        ("http://0x7f000001/", "usual form"),
        ("http://127.1/", "usual form"),
        ("https://0x7f.1/", "usual form"),
        ("https://017700000001/", "usual form"),
        ("https://exämple.org/", "ASCII"),
        ("https://alerts.example/a b", "blanks"),
        ("https://alerts.example/\r\nHost: evil", "blanks"),
        ("ftp://alerts.example/", "https://HOST"),
        ("//alerts.example/", "https://HOST"),
        ("alerts.example", "https://HOST"),
        ("https:///in", "https://HOST"),
        ("https://alerts.example:port/", "https://HOST"),
        ("https://alerts.example:99999/", "https://HOST"),
        ("https://[::1/", "https://HOST"),
        ("https://alerts.example/#x", "fragment"),
        ("https://al%65rts.example/", "usual form"),
    ],
)
def test_an_address_where_alerts_may_not_go_is_refused_without_being_repeated(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        target_of(url)
    assert "example" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3", "172.16.0.1", "192.168.1.1", "127.0.0.1", "0.0.0.0", "169.254.169.254", "100.64.0.1", "224.0.0.1",
        "255.255.255.255", "240.0.0.1", "::", "::1", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:0a00:0001::", "::7f00:1",
    ],
)  # fmt: skip
def test_no_name_reaches_a_machine_inside_unless_that_is_allowed(address: str) -> None:
    assert is_refused(NAMED, address, allow_private=False)
    assert not is_refused(NAMED, address, allow_private=True)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"])
def test_a_name_reaches_any_public_machine(address: str) -> None:
    assert not is_refused(NAMED, address, allow_private=False)


def test_an_address_of_this_machine_reaches_loopback_only_whatever_is_allowed() -> None:
    assert not is_refused(HERE, "127.0.0.1", allow_private=False)
    assert not is_refused(HERE, "::1", allow_private=False)
    assert is_refused(HERE, "93.184.216.34", allow_private=True)
    assert is_refused(HERE, "10.0.0.1", allow_private=True)


@pytest.mark.parametrize(
    ("url", "inside"),
    [
        ("https://10.0.0.5/", True),
        ("https://169.254.169.254/", True),
        ("https://[fe80::1]/", True),
        ("https://[::ffff:10.0.0.5]/", True),
        ("https://127.0.0.1/", False),
        ("https://93.184.216.34/", False),
        ("https://alerts.example/", False),
    ],
)
def test_an_address_written_as_that_of_a_machine_inside_is_told_from_the_start(url: str, inside: bool) -> None:
    assert is_private_literal(target_of(url)) is inside
