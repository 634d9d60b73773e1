"""Where a post may go: the parts of a webhook's address, and which machines behind its name it may reach."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final, NamedTuple
from urllib.parse import urlsplit

_NAME: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")
_ENDS_IN_A_NUMBER: Final = re.compile(r"(.*\.)?(\d+|0x[0-9a-f]*)\.?")
"""Such a host is an IPv4 address in an unusual form (`2130706433`, `0x7f.1`) to the resolver: WHATWG URL, host parser."""
_NAT64: Final = IPv6Network("64:ff9b::/96")
"""IPv4 addresses seen through a translator (RFC 6052)."""


class Target(NamedTuple):
    """A webhook's address in parts. `authority` is the Host header; `this_machine`: the address itself says loopback."""

    secure: bool
    host: str
    port: int
    authority: str
    path: str
    this_machine: bool


def target_of(url: str) -> Target:
    """The parts of an address. Raises `ValueError` where alerts may not go there, in a sentence without the address.

    >>> target_of("https://alerts.north.example/in?clinic=1").path
    '/in?clinic=1'
    >>> target_of("http://LOCALHOST:8080").this_machine
    True
    """
    if not all("!" <= character <= "~" for character in url) or "\\" in url:
        raise ValueError("the address has blanks, backslashes or characters beyond ASCII: percent-encode them")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        literal = _literal(host)
    except ValueError:
        raise ValueError("the address cannot be read: write it as https://HOST/PATH") from None
    if parts.scheme not in ("https", "http") or not host or "#" in url:
        raise ValueError("the address cannot be read: write it as https://HOST/PATH, without a fragment")
    if "@" in parts.netloc:
        raise ValueError("the address names a user: leave that out, and give a token in KEEPWELL_WEBHOOK_TOKEN")
    if literal is None and (not _NAME.fullmatch(host) or _ENDS_IN_A_NUMBER.fullmatch(host)):
        raise ValueError("the host is neither a name nor an IP address in its usual form: write it so")
    this_machine = is_this_machine(host)
    if parts.scheme == "http" and not this_machine:
        raise ValueError("alerts are clinical: use an https:// address, or http:// on this machine's loopback")
    secure = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(secure, host, port or (443 if secure else 80), parts.netloc.lower(), path, this_machine)


def is_this_machine(host: str) -> bool:
    """Whether a host is this machine by its very name or address.

    >>> is_this_machine("127.0.0.1"), is_this_machine("localhost"), is_this_machine("mail.north.example")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        literal = _literal(host)
    except ValueError:
        return False
    return literal is not None and literal.is_loopback


def is_refused(target: Target, address: str, allow_private: bool) -> bool:
    """Whether an IP address that the target's host stands for must not be connected to.

    An address that names loopback itself reaches loopback only. Any other reaches private, loopback and link-local machines
    only with `allow_private`: whoever controls a name could otherwise point it at what is inside.
    """
    ip = _unwrapped(ip_address(address))
    if target.this_machine:
        return not ip.is_loopback
    return not (allow_private or _is_public(ip))


def is_private_literal(target: Target) -> bool:
    """Whether the host is written as the address of a machine inside, other than this one."""
    literal = _literal(target.host)
    return literal is not None and is_refused(target, target.host, allow_private=False)


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    if ":" in host:
        return IPv6Address(host)
    try:
        return IPv4Address(host)
    except ValueError:
        return None


def _is_public(ip: IPv4Address | IPv6Address) -> bool:
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def _unwrapped(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside an IPv6 one that reaches it: mapped (RFC 4291), 6to4 (RFC 3056), NAT64."""
    if isinstance(ip, IPv4Address):
        return ip
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip
