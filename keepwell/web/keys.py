"""API keys of the clinics: issued, rotated and revoked in one file, checked at each request.

The file holds SHA-256 of the secrets, never the secrets. A slow password hash would add nothing: it makes guessing dear, and
a random 256-bit secret cannot be guessed at any speed; a fast one lets every request be checked. Digests are compared in
constant time.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
import structlog

from keepwell.contract.events import CLINIC_PATTERN

_SCHEME: Final = "kw"
_NOBODY: Final = "0" * 64
_log = structlog.get_logger(__name__)


class Key(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a key: `id` is public and stands in lists; `sha256` is the hex digest of its secret."""

    id: str
    clinic: str
    sha256: str
    created: datetime
    expires: datetime | None = None

    def valid(self, now: datetime) -> bool:
        """Whether it still opens the door."""
        return self.expires is None or now < self.expires


class Issued(msgspec.Struct, frozen=True):
    """A new key and its token, `kw_<id>_<secret>`: shown once, stored nowhere."""

    key: Key
    token: str


class _Content(msgspec.Struct, frozen=True):
    keys: tuple[Key, ...] = ()


class KeyFile:
    """The keys at rest. Each change is made under a lock and replaces the file in one step, readable by its owner only.

    Every method raises `ValueError` where the file is not one of ours.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> Sequence[Key]:
        """All keys, expired ones too, by clinic and age. Empty where there is no file yet."""
        return sorted(read(self._path), key=lambda key: (key.clinic, key.created, key.id))

    def issue(self, clinic: str, now: datetime, expires: datetime | None = None) -> Issued:
        """A new key for a clinic, beside those it has. Raises `ValueError` where `clinic` is not a clinic's name."""
        if not re.fullmatch(CLINIC_PATTERN, clinic):
            raise ValueError(f"{clinic!r} is no clinic: lower-case letters, digits and hyphens, as in `source`")
        with self._changing() as keys:
            issued = _new(clinic, now, expires)
            keys.append(issued.key)
        return issued

    def rotate(self, clinic: str, now: datetime, grace: timedelta) -> Issued:
        """A new key for a clinic; those it has open the door for `grace` still, or less where they expire sooner.

        Raises `ValueError` where the clinic has no valid key.
        """
        with self._changing() as keys:
            mine = {key.id for key in keys if key.clinic == clinic and key.valid(now)}
            if not mine:
                raise ValueError(f"{clinic} has no valid key to rotate; make one with `keepwell keys issue {clinic}`")
            issued = _new(clinic, now, None)
            keys[:] = [_until(key, now + grace) if key.id in mine else key for key in keys] + [issued.key]
        return issued

    def revoke(self, key_id: str) -> Key:
        """Takes a key out at once. Raises `ValueError` where there is none of that id."""
        with self._changing() as keys:
            revoked = next((key for key in keys if key.id == key_id), None)
            if revoked is None:
                raise ValueError(f"there is no key {key_id!r}; `keepwell keys list` shows them")
            keys.remove(revoked)
        return revoked

    @contextmanager
    def _changing(self) -> Iterator[list[Key]]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_name(f"{self._path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            keys = list(read(self._path))
            yield keys
            _replace(self._path, msgspec.json.format(msgspec.json.encode(_Content(tuple(keys)))) + b"\n")


class Keyring:
    """The keys in use by a running service; follows the file, so that issuing, rotating and revoking need no restart.

    Raises `ValueError` when made from a file that is not one of ours. A file that breaks later does not replace the keys
    in use.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = _version(path)
        self._keys = {key.id: key for key in read(path)}

    def find(self, token: str, now: datetime) -> Key | None:
        """The valid key that `token` belongs to, or None."""
        self._follow()
        scheme, _, rest = token.partition("_")
        key_id, _, secret = rest.partition("_")
        key = self._keys.get(key_id)
        same = hmac.compare_digest(key.sha256 if key else _NOBODY, _digest(secret))
        return key if key and same and scheme == _SCHEME and key.valid(now) else None

    def _follow(self) -> None:
        version = _version(self._path)
        if version == self._seen:
            return
        self._seen = version
        try:
            self._keys = {key.id: key for key in read(self._path)}
        except (ValueError, OSError) as error:
            _log.error("the key file cannot be read; the former keys stay in use", cause=type(error).__name__)


def read(path: Path) -> tuple[Key, ...]:
    """The keys in a file, none where there is no file. Raises `ValueError` where it is not one of ours."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Content).keys
    except FileNotFoundError:
        return ()
    except msgspec.MsgspecError as error:
        raise ValueError(f"{path} is not a file of API keys: {error}") from error


def _new(clinic: str, now: datetime, expires: datetime | None) -> Issued:
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    created = now.astimezone(UTC).replace(microsecond=0)
    key = Key(id=key_id, clinic=clinic, sha256=_digest(secret), created=created, expires=expires)
    return Issued(key, f"{_SCHEME}_{key_id}_{secret}")


def _until(key: Key, moment: datetime) -> Key:
    if key.expires is not None and key.expires <= moment:
        return key
    return msgspec.structs.replace(key, expires=moment)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _version(path: Path) -> tuple[int, int, int] | None:
    """Tells one content of the file from the next: a replaced file is another inode."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f"{path.name}.new")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
