"""Signatures of releases: Ed25519 over the bytes of the manifest, in a file beside it, checked against known public keys.

The manifest sums every file of a release, so its signature covers them all. Where no key is configured nothing is checked;
where one is, only what one of these keys signed is loaded. Ed25519 is RFC 8032; keys are PEM files (RFC 8410), as OpenSSL
reads and writes them.
"""

from __future__ import annotations

import hashlib
import os
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURES: Final = "manifest.json.sig"
"""The file beside the manifest. It is no part of the release: signing changes no digest."""
PUBLIC_SUFFIX: Final = ".pub"


class Unsigned(ValueError):
    """None of the configured keys signed it; the message says what was found instead."""


class UnusableKey(ValueError):
    """A key that cannot be used; the message says what to change."""


class Signatures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The signature file: by id of the key, its signature in base64. More than one key may sign, as when keys change."""

    ed25519: dict[str, str]


class PublicKeys:
    """The public keys whose signatures count."""

    def __init__(self, keys: Mapping[str, Ed25519PublicKey]) -> None:
        self._keys = keys

    @classmethod
    def read(cls, place: Path) -> PublicKeys:
        """The key of a file, or those of all `*.pub` files of a folder.

        Raises `UnusableKey` where there is none, or one that is no public Ed25519 key: a mistake here must not pass for
        "nothing to check".
        """
        files = sorted(place.glob(f"*{PUBLIC_SUFFIX}")) if place.is_dir() else [place]
        if not files:
            raise UnusableKey(f"{place}: no {PUBLIC_SUFFIX} file in this folder; put the public keys of releases there")
        return cls({key_id(key): key for key in map(_public, files)})

    def signer(self, manifest: bytes, signatures: bytes | None) -> str:
        """The id of a configured key that signed these bytes; `signatures` is the signature file, None: there is
        none. Raises `Unsigned`."""
        if signatures is None:
            raise Unsigned(f"it is not signed, but release keys are configured ({self._names()})")
        found = read_signatures(signatures).ed25519
        ours = sorted(self._keys.keys() & found.keys())
        for name in ours:
            if _holds(self._keys[name], found[name], manifest):
                return name
        if ours:
            raise Unsigned(f"the signature of key {', '.join(ours)} is not one of this manifest")
        raise Unsigned(f"it is signed by {', '.join(sorted(found)) or 'nobody'}, configured are {self._names()}")

    def _names(self) -> str:
        return ", ".join(sorted(self._keys))


def key_id(key: Ed25519PublicKey) -> str:
    """What a key is called: the first 16 hex digits of the SHA-256 of its 32 bytes."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def keygen(private: Path) -> str:
    """Makes a key pair: `private` (for its owner only) and beside it the public key, with `.pub` added. Returns its id.

    Raises `FileExistsError` where either file is there: a key is never overwritten.
    """
    _need_cryptography()
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = private.with_name(private.name + PUBLIC_SUFFIX)
    if public.exists():
        raise FileExistsError(f"{public} is there already; a key is never overwritten")
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
    open_ = key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)
    private.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secret)
    public.write_bytes(open_)
    return key_id(key.public_key())


def sign(manifest: bytes, private: Path, signatures: bytes | None) -> tuple[str, bytes]:
    """The id of a private key, and the signature file with its signature added to those of others. Raises `UnusableKey`."""
    key = _private(private)
    name = key_id(key.public_key())
    others = read_signatures(signatures).ed25519 if signatures is not None else {}
    signed = Signatures(dict(sorted((others | {name: b64encode(key.sign(manifest)).decode()}).items())))
    return name, msgspec.json.format(msgspec.json.encode(signed), indent=1) + b"\n"


def read_signatures(content: bytes) -> Signatures:
    """A signature file. Raises `Unsigned` where it is none."""
    try:
        return msgspec.json.decode(content, type=Signatures)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unsigned(f"{SIGNATURES} is no signature file") from error


def _holds(key: Ed25519PublicKey, signature: str, manifest: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(b64decode(signature, validate=True), manifest)
    except (InvalidSignature, ValueError):
        return False
    return True


def _public(file: Path) -> Ed25519PublicKey:
    _need_cryptography()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    content = _content(file)
    if b"PRIVATE KEY" in content:
        raise UnusableKey(f"{file}: this is a private key; what loads releases needs the public one, and that only")
    try:
        key = load_pem_public_key(content)
    except ValueError as error:
        raise UnusableKey(f"{file}: no public key in PEM form") from error
    if not isinstance(key, Ed25519PublicKey):
        raise UnusableKey(f"{file}: not an Ed25519 key; make one with `keepwell release keygen`")
    return key


def _private(file: Path) -> Ed25519PrivateKey:
    _need_cryptography()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(_content(file), password=None)
    except (ValueError, TypeError) as error:
        raise UnusableKey(f"{file}: no private key in PEM form without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UnusableKey(f"{file}: not an Ed25519 key; make one with `keepwell release keygen`")
    return key


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UnusableKey(f"{file}: cannot be read") from error


def _need_cryptography() -> None:
    try:
        import cryptography  # noqa: F401  # only looked for
    except ImportError as error:
        raise UnusableKey("signatures need another package: pip install 'keepwell[signing]'") from error
