"""Where releases lie: a folder or an object store, in which each is found by its digest, a unique prefix of it, or a path."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from fsspec.core import url_to_fs

from models.release import (
    DEFAULT,
    MANIFEST,
    InvalidRelease,
    Release,
    check_name,
    default,
    folder_name,
    load,
    verified,
    verified_file,
)
from models.settings import ReleaseSettings
from models.signing import SIGNATURES, PublicKeys, sign

SHORTEST: Final = 4
"""Hex digits of a prefix: fewer are more likely a slip than a choice."""

_DIGEST = re.compile(rf"(?:sha256:)?([0-9a-f]{{{SHORTEST},64}})")
_FOLDER = re.compile(r"sha256-[0-9a-f]{64}")


class Folder:
    """One folder, here or in a store: read and written by whole files. `place` is a path or a URL that fsspec knows."""

    def __init__(self, place: str) -> None:
        try:
            self._fs, self._root = url_to_fs(place)
        except (ImportError, ValueError) as error:
            raise InvalidRelease("unreadable", f"{place}: {error}") from error
        self.place = place

    @property
    def name(self) -> str:
        """Its own name, without the path."""
        return str(self._root).rstrip("/").rpartition("/")[2]

    def below(self, name: str) -> Folder:
        """The folder of that name in this one."""
        return Folder(f"{self.place.rstrip('/')}/{name}")

    def names(self) -> list[str]:
        """What lies in it, sorted; nothing where it does not exist. Raises `OSError`."""
        self._fs.invalidate_cache()
        try:
            found = self._asked(self._fs.ls, self._root, detail=False)
        except FileNotFoundError:
            return []
        return sorted(path.rstrip("/").rpartition("/")[2] for path in found)

    def read(self, name: str) -> bytes:
        """The content of a file. Raises `OSError`."""
        content: bytes = self._asked(self._fs.cat_file, f"{self._root}/{name}")
        return content

    def write(self, name: str, content: bytes) -> None:
        """Writes a file whole: nobody sees half of it. Raises `OSError`."""
        target = f"{self._root}/{name}"
        if "file" not in self._fs.protocol:
            self._asked(self._fs.pipe_file, target, content)  # a store shows an object when all of it has come
            return
        Path(self._root).mkdir(parents=True, exist_ok=True)
        unfinished = Path(self._root) / f".{name}.{secrets.token_hex(4)}"
        try:
            with unfinished.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)

    def _asked(self, call: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return call(*arguments, **options)
        except OSError:
            raise
        except Exception as error:  # each kind of store raises its own; to a reader they are all one
            raise OSError(f"{self.place}: {type(error).__name__}: {error}") from error


class Releases:
    """The releases of an installation: the shipped one, and those of its registry, if it has one.

    With `keys`, only what one of them signed is loaded; the shipped release is part of the software and needs none. What was
    loaded is kept: a digest names one content for ever.
    """

    def __init__(self, place: str | Path | None = None, keys: PublicKeys | None = None) -> None:
        self._folder = Folder(str(place)) if place is not None else None
        self._keys = keys
        self._loaded: dict[str, Release] = {}

    @classmethod
    def of(cls, settings: ReleaseSettings) -> Releases:
        """As the settings say. Raises `UnusableKey`, `InvalidRelease`."""
        keys = PublicKeys.read(settings.release_keys) if settings.release_keys is not None else None
        return cls(settings.releases, keys)

    def default(self) -> Release:
        """The shipped release."""
        return self.load(_shipped())

    def digests(self) -> list[str]:
        """The digests that are there to be loaded, the shipped one first; nothing is verified. Raises `InvalidRelease`."""
        shipped = _shipped()
        return [shipped, *(digest for digest in self._published() if digest != shipped)]

    def open(self, name: str) -> Release:
        """The release of a digest, of a prefix that only one has (with or without `sha256:`), or of a path or URL.

        A path may lead to a folder of any name; one that is named by a digest must hold what it says. A folder whose name
        reads like a digest is told from one by `./`. Raises `InvalidRelease`.
        """
        asked = _DIGEST.fullmatch(name)
        if asked is None:
            return self._open_folder(name)
        return self.load(self.find(asked[1]))

    def file(self, name: str, file: str) -> bytes | None:
        """A file of the release that `open` finds, as its manifest has it; None where it has none of that name.

        Raises `InvalidRelease`.
        """
        release = self.open(name)
        if file not in release.manifest.files:
            return None
        folder = self._folder_of(release.digest) if _DIGEST.fullmatch(name) else Folder(name)
        return verified_file(folder.read, folder.place, file, release.manifest.files[file])

    def bring(self, name: str) -> Release:
        """As `open`, and published where it was named by its path: others can then load it by its digest."""
        return self.open(name) if _DIGEST.fullmatch(name) else self.publish(name)

    def find(self, prefix: str) -> str:
        """The one digest that begins with these hex digits. Raises `InvalidRelease` where there is none or more than one."""
        if len(prefix) == 64:
            return f"sha256:{prefix}"
        found = [digest for digest in self.digests() if digest.startswith(f"sha256:{prefix}")]
        if len(found) > 1:
            raise InvalidRelease("not_found", f"{prefix} is not enough: {', '.join(found)} begin so")
        if not found:
            raise InvalidRelease("not_found", f"{prefix}: no release begins so, {self._where()}")
        return found[0]

    def load(self, digest: str) -> Release:
        """The verified release of a whole digest. Raises `InvalidRelease`."""
        if digest not in self._loaded:
            self._loaded[digest] = self._load(digest)
        return self._loaded[digest]

    def publish(self, path: str) -> Release:
        """Copies a verified release from a path into the registry, file by file, its manifest last: until then it is none.

        To publish again changes nothing but brings what was lost, and new signatures. Raises `InvalidRelease`, `OSError`.
        """
        release = self._open_folder(path)
        target = self._registry().below(folder_name(release.digest))
        source = Folder(path)
        signatures = [SIGNATURES] if SIGNATURES in source.names() else []
        for name in [*release.manifest.files, *signatures, MANIFEST]:
            target.write(name, source.read(name))
        # What others will load is what is there, not what was meant to be written.
        check_name(folder_name(release.digest), verified(target.read, target.place, self._keys).digest, target.place)
        return release

    def sign(self, name: str, private: Path) -> tuple[str, str]:
        """Adds the signature of a private key to a release; gives its digest and the id of the key.

        The release itself need not be signed yet. Raises `InvalidRelease`, `UnusableKey`, `OSError`.
        """
        release = Releases(self._folder.place if self._folder else None).open(name)
        asked = _DIGEST.fullmatch(name)
        folder = Folder(name) if asked is None else self._registry().below(folder_name(release.digest))
        there = folder.read(SIGNATURES) if SIGNATURES in folder.names() else None
        key, signatures = sign(folder.read(MANIFEST), private, there)
        folder.write(SIGNATURES, signatures)
        return release.digest, key

    def _load(self, digest: str) -> Release:
        name = folder_name(digest)
        if not _FOLDER.fullmatch(name):
            raise InvalidRelease("not_found", f"{digest!r} is no digest of a release")
        if (DEFAULT / name).is_dir():
            return load(DEFAULT / name)
        folder = self._folder_of(digest)
        release = verified(folder.read, folder.place, self._keys)
        check_name(name, release.digest, folder.place)
        return release

    def _folder_of(self, digest: str) -> Folder:
        name = folder_name(digest)
        if (DEFAULT / name).is_dir():
            return Folder(str(DEFAULT / name))
        if self._folder is None or name not in _listed(self._folder):
            raise InvalidRelease("not_found", f"{digest}: no such release {self._where()}")
        return self._folder.below(name)

    def _open_folder(self, path: str) -> Release:
        folder = Folder(path)
        release = verified(folder.read, path, self._keys)
        if _FOLDER.fullmatch(folder.name):
            check_name(folder.name, release.digest, path)
        return release

    def _published(self) -> Sequence[str]:
        if self._folder is None:
            return []
        found = [name for name in _listed(self._folder) if _FOLDER.fullmatch(name)]
        return [name.replace("-", ":") for name in found if MANIFEST in _listed(self._folder.below(name))]

    def _registry(self) -> Folder:
        if self._folder is None:
            raise InvalidRelease("not_found", "there is no registry: name one with --releases or KEEPWELL_RELEASES")
        return self._folder

    def _where(self) -> str:
        return f"in {self._folder.place} or among the shipped" if self._folder else "among the shipped"


def _shipped() -> str:
    return default().digest


def _listed(folder: Folder) -> list[str]:
    try:
        return folder.names()
    except OSError as error:
        raise InvalidRelease("unreadable", f"{folder.place}: cannot be listed: {error}") from error
