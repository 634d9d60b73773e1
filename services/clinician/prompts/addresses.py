"""Where mail is handed over, and what an address of mail looks like; without what a command that sends none would load."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from pydantic import SecretStr

_ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9-]{1,63}\.)*[A-Za-z0-9-]{1,63}")
"""As browsers check `type=email` (HTML, 4.10.5.1.5); nothing in it can end a header."""


class MailServer(NamedTuple):
    """Where mail is handed over. `tls` from the first byte, else by STARTTLS; only this machine is spoken to without."""

    host: str
    port: int
    tls: bool
    this_machine: bool
    user: str | None = None
    password: SecretStr | None = None


def is_address(text: str) -> bool:
    """Whether mail can be sent there, as far as its form goes."""
    return len(text) <= 254 and _ADDRESS.fullmatch(text) is not None
