"""Which addresses may carry what is secret: https, or http that stays on this machine."""

from __future__ import annotations

from urllib.parse import urlsplit

from keepwell.sending.address import is_this_machine


def is_safe(url: str) -> bool:
    """Whether what is sent there can be read on the way by nobody. No name, password or fragment may stand in it.

    >>> is_safe("https://id.example/realms/north"), is_safe("http://127.0.0.1:8080"), is_safe("http://id.example")
    (True, True, False)
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or port == 0 or parts.username is not None or parts.fragment or not url.isprintable() or " " in url:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_this_machine(host))
