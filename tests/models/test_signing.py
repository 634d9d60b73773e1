"""Signatures: where keys are configured, only what one of them signed is loaded, to the byte."""

from __future__ import annotations

import builtins
import shutil
import stat
import subprocess
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey

from models.registry import Releases
from models.release import MANIFEST, InvalidRelease, default
from models.settings import ReleaseSettings
from models.signing import SIGNATURES, PublicKeys, Signatures, Unsigned, UnusableKey, key_id, keygen, sign
from tests.models.releases import released

CONTENT = b'{"format": 1}'


def pair(folder: Path, name: str) -> tuple[Path, str]:
    """A key pair in a folder of its own, and its id."""
    private = folder / name / "key"
    return private, keygen(private)


def public_of(private: Path) -> Path:
    return private.with_name(private.name + ".pub")


def signed_by(*privates: Path, content: bytes = CONTENT) -> bytes:
    """The signature file that these keys made one after the other."""
    signatures: bytes | None = None
    for private in privates:
        _, signatures = sign(content, private, signatures)
    assert signatures is not None
    return signatures


def test_what_a_configured_key_signed_is_known_by_its_id(tmp_path: Path) -> None:
    private, name = pair(tmp_path, "ours")
    assert PublicKeys.read(public_of(private)).signer(CONTENT, signed_by(private)) == name
    assert len(name) == 16


def test_one_of_several_keys_and_one_of_several_signatures_is_enough(tmp_path: Path) -> None:
    (ours, name), (theirs, _), (third, _) = (pair(tmp_path, each) for each in ("ours", "theirs", "third"))
    folder = tmp_path / "trusted"
    folder.mkdir()
    for private in (ours, third):
        shutil.copy(public_of(private), folder / f"{private.parent.name}.pub")
    assert PublicKeys.read(folder).signer(CONTENT, signed_by(theirs, ours)) == name


def test_signing_twice_with_a_key_leaves_one_signature(tmp_path: Path) -> None:
    private, name = pair(tmp_path, "ours")
    assert list(msgspec.json.decode(signed_by(private, private), type=Signatures).ed25519) == [name]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda _: None, "not signed"),
        (lambda _: b"", "no signature file"),
        (lambda _: b"[]", "no signature file"),
        (lambda _: b"\xff", "no signature file"),
        (lambda _: b'{"ed25519": {}}', "signed by nobody"),
        (lambda good: good.replace(b'": "', b'": "A', 1), "not one of this manifest"),
        (lambda good: good.replace(b'": "', b'": "!', 1), "not one of this manifest"),
    ],
)  # fmt: skip
def test_no_signature_or_a_spoilt_one_is_refused(
    tmp_path: Path, spoil: Callable[[bytes], bytes | None], why: str
) -> None:
    private, _ = pair(tmp_path, "ours")
    with pytest.raises(Unsigned, match=why):
        PublicKeys.read(public_of(private)).signer(CONTENT, spoil(signed_by(private)))


def test_a_foreign_signature_is_refused_and_so_is_one_under_our_name(tmp_path: Path) -> None:
    (ours, name), (theirs, other) = pair(tmp_path, "ours"), pair(tmp_path, "theirs")
    keys = PublicKeys.read(public_of(ours))
    with pytest.raises(Unsigned, match=f"signed by {other}, configured are {name}"):
        keys.signer(CONTENT, signed_by(theirs))
    with pytest.raises(Unsigned, match="not one of this manifest"):
        keys.signer(CONTENT, signed_by(theirs).replace(other.encode(), name.encode()))


def test_a_signature_of_another_manifest_is_refused(tmp_path: Path) -> None:
    private, _ = pair(tmp_path, "ours")
    with pytest.raises(Unsigned):
        PublicKeys.read(public_of(private)).signer(CONTENT + b" ", signed_by(private))


def test_openssl_reads_the_keys_and_agrees_with_the_signature(tmp_path: Path) -> None:
    private, name = pair(tmp_path, "ours")
    (tmp_path / "manifest").write_bytes(CONTENT)
    signature = msgspec.json.decode(signed_by(private), type=Signatures).ed25519[name]
    (tmp_path / "signature").write_bytes(b64decode(signature))
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl")
    command = [openssl, "pkeyutl", "-verify", "-pubin", "-inkey", str(public_of(private)), "-rawin"]
    command += ["-in", str(tmp_path / "manifest"), "-sigfile", str(tmp_path / "signature")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# ── keys ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_private_key_is_for_its_owner_only_and_no_key_is_overwritten(tmp_path: Path) -> None:
    private, _ = pair(tmp_path, "ours")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        keygen(private)
    private.unlink()
    with pytest.raises(FileExistsError, match="never overwritten"):
        keygen(private)
    assert not private.exists()


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key.pub").write_bytes(content)
    with pytest.raises(UnusableKey, match=r"key\.pub: no public key"):
        PublicKeys.read(tmp_path)
    with pytest.raises(UnusableKey, match="no private key"):
        sign(CONTENT, tmp_path / "key.pub", None)


def test_no_key_is_not_the_same_as_nothing_to_check(tmp_path: Path) -> None:
    with pytest.raises(UnusableKey, match=r"no \.pub file"):
        PublicKeys.read(tmp_path)
    with pytest.raises(UnusableKey, match="cannot be read"):
        PublicKeys.read(tmp_path / "nowhere")


def test_a_private_key_among_the_public_ones_is_refused(tmp_path: Path) -> None:
    private, _ = pair(tmp_path, "ours")
    private.rename(private.with_suffix(".pub"))
    with pytest.raises(UnusableKey, match="this is a private key"):
        PublicKeys.read(tmp_path / "ours")


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    other = Ed448PrivateKey.generate()
    public = other.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pub").write_bytes(public)
    secret = other.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
    (tmp_path / "key").write_bytes(secret)
    with pytest.raises(UnusableKey, match="not an Ed25519 key"):
        PublicKeys.read(tmp_path)
    with pytest.raises(UnusableKey, match="not an Ed25519 key"):
        sign(CONTENT, tmp_path / "key", None)


def test_without_the_package_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UnusableKey, match=r"pip install 'keepwell\[signing\]'"):
        PublicKeys.read(tmp_path / "key.pub")


# ── releases ────────────────────────────────────────────────────────────────────────────────────────────


def test_with_keys_only_what_they_signed_is_loaded(tmp_path: Path) -> None:
    private, name = pair(tmp_path, "ours")
    stranger, _ = pair(tmp_path, "theirs")
    path, registry = str(tmp_path / "mine"), tmp_path / "registry"
    digest = released(tmp_path / "mine")
    settings = ReleaseSettings(releases=str(registry), release_keys=public_of(private))
    Releases(registry).publish(path)
    for signer in (None, stranger):
        if signer is not None:
            Releases(registry).sign(digest, signer)
            Releases().sign(path, signer)
        for refused in (path, digest):
            with pytest.raises(InvalidRelease) as info:
                Releases.of(settings).open(refused)
            assert info.value.code == "unsigned"
        with pytest.raises(InvalidRelease):
            Releases.of(settings).publish(path)
    assert Releases(registry).sign(digest, private) == (digest, name)
    assert Releases.of(settings).open(digest).signer == name
    assert Releases(registry).open(digest).signer is None


def test_a_signature_is_published_with_the_release_and_changes_no_digest(tmp_path: Path) -> None:
    private, name = pair(tmp_path, "ours")
    digest = released(tmp_path / "mine")
    before = (tmp_path / "mine" / MANIFEST).read_bytes()
    assert Releases().sign(str(tmp_path / "mine"), private) == (digest, name)
    assert (tmp_path / "mine" / MANIFEST).read_bytes() == before
    keys = PublicKeys.read(public_of(private))
    assert Releases(tmp_path / "registry", keys).publish(str(tmp_path / "mine")).signer == name
    assert Releases(tmp_path / "registry", keys).load(digest).signer == name
    assert (tmp_path / "registry" / digest.replace(":", "-") / SIGNATURES).exists()


def test_a_release_that_is_broken_is_not_signed(tmp_path: Path) -> None:
    private, _ = pair(tmp_path, "ours")
    released(tmp_path / "mine")
    (tmp_path / "mine" / "policy.json").write_bytes(b"{}")
    with pytest.raises(InvalidRelease):
        Releases().sign(str(tmp_path / "mine"), private)


def test_the_shipped_release_needs_no_signature(tmp_path: Path) -> None:
    private, _ = pair(tmp_path, "ours")
    keys = PublicKeys.read(public_of(private))
    assert Releases(tmp_path, keys).default().digest == default().digest


def test_a_key_is_called_after_its_bytes(tmp_path: Path) -> None:
    private, name = pair(tmp_path, "ours")
    key = pem.load_pem_private_key(private.read_bytes(), None).public_key()
    assert key_id(key) == name  # type: ignore[arg-type]  # it was made as one of Ed25519
