"""A release of the model: a folder whose name is its digest, loaded only if every byte is what the digest says."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from keepwell.endings import DEFINITION
from keepwell.policy import Policy
from keepwell.scorecard import Scorecard, Scorer

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
NEEDED: Final = ("scorecard.json", "policy.json")
"""The files a service reads. Others (report, card, estimator) may lie beside them and are covered by the digest too."""

DEFAULT: Final = Path(__file__).parent / "default"
"""The folder that holds the one release shipped with Keepwell."""


class InvalidRelease(ValueError):
    """A release that must not be loaded; the message says what is wrong with it."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a release says of itself. `files`: SHA-256 of each file beside the manifest."""

    format: int
    title: str
    origin: str
    definition: str
    created: str
    files: Mapping[str, str]


class Release(NamedTuple):
    """A verified release. `digest` is `sha256:` and 64 hex digits."""

    digest: str
    manifest: Manifest
    scorer: Scorer
    policy: Policy


def load(folder: Path) -> Release:
    """Loads and verifies a release: the folder is named by the manifest, which sums every file.

    Raises `InvalidRelease` where anything is missing, changed, foreign or of another format.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
        manifest = msgspec.json.decode(content, type=Manifest)
    except (OSError, msgspec.MsgspecError) as error:
        raise InvalidRelease(f"{folder}: no readable {MANIFEST}: {error}") from error
    digest = digest_of(content)
    if folder.name != folder_name(digest):
        raise InvalidRelease(f"{folder}: the manifest's digest is {digest}, the folder's name is another")
    if manifest.format != FORMAT or manifest.definition != DEFINITION:
        raise InvalidRelease(
            f"{folder}: made for format {manifest.format}, {manifest.definition}; not for this version"
        )
    files = {name: _verified(folder, name, wanted) for name, wanted in manifest.files.items()}
    missing = [name for name in NEEDED if name not in files]
    if missing:
        raise InvalidRelease(f"{folder}: the manifest does not list {', '.join(missing)}")
    try:
        card = msgspec.json.decode(files["scorecard.json"], type=Scorecard)
        policy = msgspec.json.decode(files["policy.json"], type=Policy)
        return Release(digest, manifest, Scorer(card), policy)
    except (msgspec.MsgspecError, ValueError) as error:
        raise InvalidRelease(f"{folder}: {error}") from error


def find(digest: str, *registries: Path) -> Release:
    """The release of a digest, from the shipped one or the first registry folder that holds it. Raises `InvalidRelease`."""
    for registry in (DEFAULT, *registries):
        folder = registry / folder_name(digest)
        if folder.is_dir():
            return load(folder)
    raise InvalidRelease(f"{digest}: no such release in {', '.join(str(r) for r in (DEFAULT, *registries))}")


def default() -> Release:
    """The release shipped with Keepwell."""
    folders = [folder for folder in DEFAULT.iterdir() if folder.is_dir()] if DEFAULT.is_dir() else []
    if len(folders) != 1:
        raise InvalidRelease(f"{DEFAULT}: exactly one release must be shipped, there are {len(folders)}")
    return load(folders[0])


def write(registry: Path, *, title: str, origin: str, created: str, files: Mapping[str, bytes]) -> Path:
    """Writes a release below `registry` and returns its folder. The same input gives the same digest."""
    sums = {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)}
    manifest = Manifest(
        format=FORMAT, title=title, origin=origin, definition=DEFINITION, created=created, files=sums
    )  # fmt: skip
    content = msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
    folder = registry / folder_name(digest_of(content))
    folder.mkdir(parents=True, exist_ok=True)
    for name, body in files.items():
        (folder / name).write_bytes(body)
    (folder / MANIFEST).write_bytes(content)
    return folder


def digest_of(manifest: bytes) -> str:
    """The digest of a release: that of its manifest, which holds those of all its files."""
    return "sha256:" + hashlib.sha256(manifest).hexdigest()


def folder_name(digest: str) -> str:
    """The folder of a digest; a colon is not a character for every file system."""
    return digest.replace(":", "-")


def _verified(folder: Path, name: str, wanted: str) -> bytes:
    if Path(name).name != name:
        raise InvalidRelease(f"{folder}: {name!r} is not a plain file name")
    try:
        body = (folder / name).read_bytes()
    except OSError as error:
        raise InvalidRelease(f"{folder}: {name} is listed but cannot be read") from error
    if hashlib.sha256(body).hexdigest() != wanted:
        raise InvalidRelease(f"{folder}: {name} is not the file that was released")
    return body
