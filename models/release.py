"""A release of the model: a folder whose name is its digest, loaded only if every byte is what the digest says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec

from keepwell.alerting.policy import Policy
from keepwell.care.endings import DEFINITION
from keepwell.scoring.features import BY_NAME
from keepwell.scoring.scorecard import Offsets, Output, Scorecard
from keepwell.scoring.scorer import Scorer
from models.signing import SIGNATURES, PublicKeys, Unsigned

FORMAT: Final = 2
"""Version of the manifest. A later one is refused: what it means is not known here."""
MANIFEST: Final = "manifest.json"
SCORECARD: Final = "scorecard.json"
POLICY: Final = "policy.json"
OFFSETS: Final = "offsets.json"
"""Log-odds of clinics and clinicians (`keepwell.scoring.scorecard.Offsets`). A release need not have them, and says
whether they are used: what a score rests on is told by the digest alone."""
NEEDED: Final = (SCORECARD, POLICY)
"""The files a service reads. Others lie beside them and are covered by the digest too: report.json, card.md,
and estimator.joblib, which data teams may unpickle and nothing that serves ever does."""

DEFAULT: Final = Path(__file__).parent / "default"
"""The folder that holds the one release shipped with Keepwell."""

Read = Callable[[str], bytes]
"""The content of a file of a release, by its name. Raises `OSError`."""

Refusal = Literal["not_found", "unreadable", "changed", "format", "foreign", "content", "unsigned"]
"""Why a release is not loaded: `foreign` is made for another definition or other features, `content` contradicts itself."""


class InvalidRelease(ValueError):
    """A release that must not be loaded; the message says what is wrong with it, `code` in one word."""

    def __init__(self, code: Refusal, message: str) -> None:
        super().__init__(code, message)  # both, so that it comes whole out of another process
        self.code = code
        self._message = message

    def __str__(self) -> str:
        return self._message


class Basis(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The data a release was fitted to: the fingerprint of its events, until when outcomes were known, and how many of each;
    `positive` are the rows with a positive target, by output."""

    fingerprint: str
    as_of: str
    events: int
    clients: int
    episodes: int
    rows: int
    positive: Mapping[str, int]


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a release says of itself.

    `created` is a date; `code` the version of Keepwell that made it; `definition` that of stopping; `features` the unit of
    each feature it uses; `data` what it was fitted to, None where to nothing; `metrics` its chief figures, None where one
    could not be had; `files` the SHA-256 of each file beside the manifest; `left_out` the outputs that it does not have, each
    with the reason, not written where it has all. `calibrated_for`: the clinics that it was fitted or recalibrated to with
    enough stops to tell their people frequencies; not written where there are none.
    """

    format: int
    title: str
    origin: str
    created: str
    code: str
    definition: str
    features: Mapping[str, str]
    data: Basis | None = None
    metrics: Mapping[str, float | None] = {}
    files: Mapping[str, str]
    left_out: Mapping[Output, str] | msgspec.UnsetType = msgspec.UNSET
    calibrated_for: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


class _Format(msgspec.Struct, frozen=True):
    format: int


class Release(NamedTuple):
    """A verified release. `digest` is `sha256:` and 64 hex digits, the SHA-256 of `content`, the bytes of the manifest;
    `signer` is the id of the key that vouches for it, None where no keys are configured."""

    digest: str
    content: bytes
    manifest: Manifest
    scorer: Scorer
    policy: Policy
    signer: str | None = None


def load(folder: Path, keys: PublicKeys | None = None) -> Release:
    """Loads and verifies the release of a folder that is named by its digest. Raises `InvalidRelease`."""
    release = verified(read_in(folder), str(folder), keys)
    check_name(folder.name, release.digest, str(folder))
    return release


def verified(read: Read, where: str, keys: PublicKeys | None = None) -> Release:
    """Loads a release, whatever the name of its folder: the digest is that of the content. `where` is said in errors.

    Raises `InvalidRelease` where anything is missing, changed, foreign, of another format or, with `keys`, not signed by
    one of them.
    """
    try:
        content = read(MANIFEST)
    except OSError as error:
        told = f"{where}: no readable {MANIFEST} there ({error.strerror or error}): name the folder of a release"
        raise InvalidRelease("unreadable", told) from error
    manifest = _decoded(content, where)
    signer = _signer(read, content, where, keys) if keys is not None else None
    files = {name: verified_file(read, where, name, wanted) for name, wanted in manifest.files.items()}
    missing = [name for name in NEEDED if name not in files]
    if missing:
        raise InvalidRelease("content", f"{where}: the manifest does not list {', '.join(missing)}")
    try:
        card = msgspec.json.decode(files[SCORECARD], type=Scorecard)
        policy = msgspec.json.decode(files[POLICY], type=Policy)
        offsets = msgspec.json.decode(files[OFFSETS], type=Offsets) if OFFSETS in files else None
        _check_features(card, manifest, where)
        return Release(digest_of(content), content, manifest, Scorer(card, offsets), policy, signer)
    except InvalidRelease:
        raise
    except (msgspec.MsgspecError, ValueError) as error:
        raise InvalidRelease("content", f"{where}: {error}") from error


def default() -> Release:
    """The release shipped with Keepwell. It is part of the software, so no key has to vouch for it."""
    folders = [folder for folder in DEFAULT.iterdir() if folder.is_dir()] if DEFAULT.is_dir() else []
    if len(folders) != 1:
        told = f"{DEFAULT}: exactly one release must be shipped, there are {len(folders)}"
        raise InvalidRelease("not_found", told)
    return load(folders[0])


def write(
    registry: Path,
    *,
    title: str,
    origin: str,
    created: str,
    files: Mapping[str, bytes],
    code: str | None = None,
    data: Basis | None = None,
    metrics: Mapping[str, float | None] | None = None,
) -> Path:
    """Writes a release below `registry`, in a folder named by its digest, and returns that folder.

    For a folder of another name, see `describe` and `put`.
    """
    manifest = describe(
        title=title, origin=origin, created=created, files=files, code=code, data=data, metrics=metrics
    )  # fmt: skip
    folder = registry / folder_name(digest_of(manifest))
    put(folder, manifest, files)
    return folder


def describe(
    *,
    title: str,
    origin: str,
    created: str,
    files: Mapping[str, bytes],
    code: str | None = None,
    data: Basis | None = None,
    metrics: Mapping[str, float | None] | None = None,
    left_out: Mapping[Output, str] | None = None,
    calibrated_for: Sequence[str] = (),
) -> bytes:
    """The bytes of a manifest. The same input gives the same, and so the same digest; `code` defaults to this version."""
    manifest = Manifest(
        format=FORMAT, title=title, origin=origin, created=created, code=code or version("keepwell"),
        definition=DEFINITION, features=_units(files.get(SCORECARD, b"")), data=data, metrics=metrics or {},
        files={name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)}, left_out=left_out or msgspec.UNSET,
        calibrated_for=tuple(calibrated_for) or msgspec.UNSET,
    )  # fmt: skip
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def put(folder: Path, manifest: bytes, files: Mapping[str, bytes]) -> None:
    """Writes the files of a release, its manifest last: what has none is no release yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, body in files.items():
        (folder / name).write_bytes(body)
    (folder / MANIFEST).write_bytes(manifest)


def digest_of(manifest: bytes) -> str:
    """The digest of a release: that of its manifest, which holds those of all its files."""
    return "sha256:" + hashlib.sha256(manifest).hexdigest()


def folder_name(digest: str) -> str:
    """The folder of a digest; a colon is not a character for every file system."""
    return digest.replace(":", "-")


def read_in(folder: Path) -> Read:
    """Reads the files of a local folder."""
    return lambda name: (folder / name).read_bytes()


def check_name(name: str, digest: str, where: str) -> None:
    """Raises `InvalidRelease` where a folder is not named by the digest of what it holds."""
    if name != folder_name(digest):
        raise InvalidRelease("changed", f"{where}: the manifest's digest is {digest}, the folder's name is another")


def _units(scorecard: bytes) -> dict[str, str]:
    """The units of the features that a scorecard uses. What cannot be read uses none, and is refused when it is loaded."""
    try:
        terms = msgspec.json.decode(scorecard, type=Scorecard).terms
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return {}
    return {term.feature: BY_NAME[term.feature].unit for term in terms if term.feature in BY_NAME}


def _decoded(content: bytes, where: str) -> Manifest:
    try:
        found = msgspec.json.decode(content, type=_Format).format
        if found != FORMAT:
            mend = "upgrade Keepwell" if found > FORMAT else "fit it anew with this version (keepwell train)"
            told = f"{where}: of format {found}, not for this version, which reads {FORMAT}; {mend}"
            raise InvalidRelease("format", told)
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidRelease("unreadable", f"{where}: no readable {MANIFEST}: {error}") from error
    if manifest.definition != DEFINITION:
        raise InvalidRelease("foreign", f"{where}: made for {manifest.definition}; not for this version ({DEFINITION})")
    return manifest


def _signer(read: Read, manifest: bytes, where: str, keys: PublicKeys) -> str:
    try:
        signatures = read(SIGNATURES)
    except OSError:
        signatures = None
    try:
        return keys.signer(manifest, signatures)
    except Unsigned as error:
        raise InvalidRelease("unsigned", f"{where}: {error}") from error


def _check_features(card: Scorecard, manifest: Manifest, where: str) -> None:
    """Whether each feature is still here, and in the unit that its points were made for."""
    for term in card.terms:
        feature = BY_NAME.get(term.feature)
        if feature is None:
            raise InvalidRelease("foreign", f"{where}: {term.feature}: no such feature in this version of Keepwell")
        made_for = manifest.features.get(term.feature)
        if made_for != feature.unit:
            told = f"{where}: {term.feature} is told in {feature.unit!r} here, the release was made for {made_for!r}"
            raise InvalidRelease("foreign", told)


def verified_file(read: Read, where: str, name: str, wanted: str) -> bytes:
    """A file beside a manifest that gives it this SHA-256. Raises `InvalidRelease`."""
    if not name or Path(name).name != name:
        raise InvalidRelease("content", f"{where}: {name!r} is not a plain file name")
    try:
        body = read(name)
    except OSError as error:
        raise InvalidRelease("changed", f"{where}: {name} is listed but cannot be read") from error
    if hashlib.sha256(body).hexdigest() != wanted:
        raise InvalidRelease("changed", f"{where}: {name} is not the file that was released")
    return body
