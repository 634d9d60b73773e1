"""The registry, in a folder and in an object store: found by digest, prefix or path; whole, or not there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from models.hand_set import POLICY
from models.registry import Folder, Releases
from models.release import MANIFEST, InvalidRelease, default, folder_name
from tests.models.releases import TRAP, files_of, released


@pytest.fixture(params=["folder", "store"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty registry: a folder that is not there yet, or a store of objects in memory."""
    if request.param == "folder":
        yield str(tmp_path / "registry")
        return
    url = f"memory://{uuid4().hex}"
    yield url
    MemoryFileSystem().store.clear()
    MemoryFileSystem().pseudo_dirs[:] = [""]


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A release in a folder that is not named by its digest."""
    released(tmp_path / "mine")
    return tmp_path / "mine"


def refused(releases: Releases, name: str) -> str:
    """The code with which a release is refused."""
    with pytest.raises(InvalidRelease) as info:
        releases.open(name)
    return info.value.code


def spoil(place: str, digest: str, name: str, content: bytes) -> None:
    Folder(place).below(folder_name(digest)).write(name, content)


def test_what_was_published_is_listed_and_loaded_by_its_digest(place: str, mine: Path) -> None:
    digest = Releases(place).publish(str(mine)).digest
    assert Releases(place).digests() == [default().digest, digest]
    found = Releases(place).load(digest)
    assert (found.digest, found.policy, found.signer) == (digest, POLICY, None)
    assert set(Folder(place).below(folder_name(digest)).names()) == {*files_of(), MANIFEST}


def test_a_file_beside_the_scorecard_is_read_as_it_was_released_or_told_to_be_missing(place: str, mine: Path) -> None:
    releases = Releases(place)
    digest = releases.publish(str(mine)).digest
    for name in (digest, digest[:12], str(mine)):
        assert releases.file(name, "card.md") == files_of()["card.md"]
        assert releases.file(name, "reference.json") is None
    assert releases.file(default().digest, "policy.json") is not None
    spoil(place, digest, "card.md", b"# Another")
    with pytest.raises(InvalidRelease, match=r"card\.md is not the file that was released"):
        releases.file(digest, "card.md")


def test_an_empty_registry_and_none_hold_what_is_shipped(place: str) -> None:
    for releases in (Releases(place), Releases()):
        assert releases.digests() == [default().digest]
        assert releases.default().digest == releases.open(default().digest).digest == default().digest


def test_a_release_is_found_by_a_prefix_that_only_one_has(place: str, mine: Path) -> None:
    digest = Releases(place).publish(str(mine)).digest
    name = digest.removeprefix("sha256:")
    for prefix in (name[:6], f"sha256:{name[:6]}", name, digest, default().digest[:14]):
        assert Releases(place).open(prefix).digest.startswith(f"sha256:{prefix.removeprefix('sha256:')}")


def test_a_prefix_that_two_have_is_refused_and_names_them(tmp_path: Path) -> None:
    for last in "ab":
        (tmp_path / f"sha256-{'0' * 63}{last}").mkdir()
        (tmp_path / f"sha256-{'0' * 63}{last}" / MANIFEST).write_bytes(b"{}")
    with pytest.raises(InvalidRelease, match=rf"0000 is not enough: sha256:{'0' * 63}a, sha256:{'0' * 63}b"):
        Releases(tmp_path).open("0000")


@pytest.mark.parametrize("name", ["sha256:" + "0" * 64, "0" * 64, "abcdef012345", "sha256:abcd"])
def test_a_digest_that_is_not_there_is_not_found(place: str, name: str) -> None:
    assert refused(Releases(place), name) == "not_found"


@pytest.mark.parametrize("name", ["", "sha256:", "..", ".", "abc", "../default", "sha256:ABCDEF", "sha256:" + "0" * 65])
def test_what_is_no_digest_is_a_path_and_holds_no_release(tmp_path: Path, name: str) -> None:
    assert refused(Releases(tmp_path), name) == "unreadable"


@pytest.mark.parametrize("digest", ["sha256:../../etc", "", "sha256:", "..", "sha256-" + "0" * 63 + "/"])
def test_only_a_whole_digest_is_loaded(tmp_path: Path, digest: str) -> None:
    with pytest.raises(InvalidRelease) as info:
        Releases(tmp_path).load(digest)
    assert info.value.code == "not_found"


# ── paths ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_path_leads_to_a_release_of_any_name_and_the_digest_is_that_of_the_content(tmp_path: Path) -> None:
    digest = released(tmp_path / "first")
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    assert {Releases().open(str(tmp_path / name)).digest for name in ("first", "second", "first/")} == {digest}


def test_a_url_is_a_path_too(place: str, mine: Path) -> None:
    digest = Releases(place).publish(str(mine)).digest
    assert Releases().open(f"{place}/{folder_name(digest)}").digest == digest


def test_a_path_that_names_a_digest_must_hold_it(tmp_path: Path) -> None:
    released(tmp_path / folder_name(default().digest))
    assert refused(Releases(), str(tmp_path / folder_name(default().digest))) == "changed"


def test_a_folder_in_the_registry_must_hold_the_digest_that_names_it(place: str, mine: Path, tmp_path: Path) -> None:
    digest = Releases(place).publish(str(mine)).digest
    released(tmp_path / "other", base=-2.0)
    for name in ("scorecard.json", MANIFEST):
        spoil(place, digest, name, (tmp_path / "other" / name).read_bytes())
    assert refused(Releases(place), digest) == "changed"


def test_an_unknown_kind_of_store_is_refused() -> None:
    with pytest.raises(InvalidRelease, match="nowhere"):
        Releases("nowhere://bucket")
    assert refused(Releases(), "nowhere://bucket/release") == "unreadable"


# ── publishing ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["scorecard.json", "card.md", "estimator.joblib", MANIFEST])
def test_a_broken_release_is_not_published(place: str, mine: Path, name: str) -> None:
    (mine / name).write_bytes(b"{}")
    with pytest.raises(InvalidRelease):
        Releases(place).publish(str(mine))
    assert Releases(place).digests() == [default().digest]


def test_until_its_manifest_is_there_a_release_is_none(place: str, mine: Path) -> None:
    digest = Releases().open(str(mine)).digest
    for name, content in files_of().items():
        assert Releases(place).digests() == [default().digest]
        spoil(place, digest, name, content)
    assert refused(Releases(place), digest) == "unreadable"
    assert Releases(place).publish(str(mine)).digest == digest
    assert digest in Releases(place).digests()


@pytest.mark.parametrize("name", ["scorecard.json", "card.md", "estimator.joblib"])
def test_what_was_changed_after_publishing_is_refused_and_mended_by_publishing_again(
    place: str, mine: Path, name: str
) -> None:
    digest = Releases(place).publish(str(mine)).digest
    spoil(place, digest, name, b"changed")
    assert refused(Releases(place), digest) == "changed"
    Releases(place).publish(str(mine))
    assert Releases(place).open(digest).digest == digest


def test_no_file_is_ever_seen_half_written(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path / "there"))
    folder.write("file", b"first")
    (tmp_path / "there" / "taken").mkdir()
    with pytest.raises(IsADirectoryError):
        folder.write("taken", b"never")
    assert folder.names() == ["file", "taken"]
    folder.write("file", b"second")
    assert folder.read("file") == b"second"


def test_without_a_registry_nothing_can_be_published(mine: Path) -> None:
    with pytest.raises(InvalidRelease, match="there is no registry"):
        Releases().publish(str(mine))


def test_a_release_that_was_brought_by_its_path_is_published(place: str, mine: Path) -> None:
    digest = Releases(place).bring(str(mine)).digest
    assert Releases(place).bring(digest).digest == digest
    assert digest in Releases(place).digests()


def test_a_loaded_release_stays_what_it_was(place: str, mine: Path) -> None:
    releases = Releases(place)
    digest = releases.publish(str(mine)).digest
    first = releases.load(digest)
    spoil(place, digest, "policy.json", b"{}")
    assert releases.load(digest) is first


def test_the_estimator_is_summed_and_never_opened(place: str, mine: Path) -> None:
    digest = Releases(place).publish(str(mine)).digest
    assert Folder(place).below(folder_name(digest)).read("estimator.joblib") == TRAP
    assert Releases(place).open(digest).digest == digest


def test_a_store_that_fails_in_its_own_way_refuses_and_does_not_crash(
    place: str, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = Releases(place).publish(str(mine)).digest

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the store's own error")

    kind = type(Folder(place)._fs)
    monkeypatch.setattr(kind, "cat_file", broken)
    assert refused(Releases(place), digest) == "unreadable"
    monkeypatch.setattr(kind, "ls", broken)
    assert refused(Releases(place), digest) == "unreadable"
