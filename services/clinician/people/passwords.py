"""Passwords: how they are hashed, what one has to be like, and those that are given out for the first log-in."""

from __future__ import annotations

import secrets
import threading
import unicodedata
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from pydantic import SecretStr

from keepwell.contract.say import Said, said

SHORTEST: Final = 15
"""NIST SP 800-63B-4, section 3.1.1.2: at least 15 characters where the password is all that is asked for."""
LONGEST: Final = 256
"""Ours: longer ones only cost time. The same section asks for at least 64."""
DISTINCT: Final = 5
"""Ours: fewer different characters than that are a pattern."""
MEMORY_KIB: Final = 19_456
"""OWASP Password Storage Cheat Sheet: argon2id with 19 MiB, two passes and one lane, at least."""
PASSES: Final = 2
"""The same."""
AT_ONCE: Final = 2
"""Ours: passwords hashed at the same time, so that a flood of log-ins takes 38 MiB and not all there is."""
_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"


class Passwords:
    """Hashes and verifies. For use by several threads; each call takes some ten milliseconds."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher(PASSES, MEMORY_KIB, 1)
        self._nobody = self._hasher.hash(secrets.token_urlsafe(32))
        self._turn = threading.BoundedSemaphore(AT_ONCE)

    def hashed(self, password: str) -> str:
        """What is kept of a password."""
        with self._turn:
            return self._hasher.hash(_normal(password))

    def right(self, kept: str | None, password: str) -> bool:
        """Whether a password is the one that `kept` is of. None: nobody's, which takes the same time and is never right."""
        with self._turn:
            try:
                self._hasher.verify(kept or self._nobody, _normal(password)[: LONGEST + 1])
            except (VerificationError, InvalidHashError):
                return False
        return kept is not None

    def stale(self, kept: str) -> bool:
        """Whether `kept` was made with other parameters than those in use."""
        return self._hasher.check_needs_rehash(kept)


def objection(password: str, name: str) -> Said | None:
    """What speaks against a password that somebody chose, in words; None where nothing does."""
    normal = _normal(password)
    if len(normal) < SHORTEST:
        return said("Choose a password of {length} characters or more", length=SHORTEST)
    if len(normal) > LONGEST:
        return said("Choose a password of {length} characters or fewer", length=LONGEST)
    rest = normal.casefold().replace(name.casefold(), "")
    if len(rest) < SHORTEST - 5 or len(set(rest)) < DISTINCT:
        return said("Choose a password that is harder to guess than your name or a pattern")
    return None


def one_time() -> SecretStr:
    """A password to be typed once: five groups of five letters and digits that are not taken for each other, 124 bits."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(5))
    return SecretStr("-".join(groups))


def _normal(password: str) -> str:
    """One form of what can be typed in several (RFC 8265, OpaqueString: NFC)."""
    return unicodedata.normalize("NFC", password)
