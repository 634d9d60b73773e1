"""Releases: loaded only if every byte is what the digest says and everything fits this version."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keepwell.care.endings import DEFINITION
from models.hand_set import POLICY, scorecard
from models.release import FORMAT, MANIFEST, InvalidRelease, digest_of, folder_name, load, write

FILES = {
    "scorecard.json": msgspec.json.encode(scorecard()),
    "policy.json": msgspec.json.encode(POLICY),
    "card.md": b"# What this model is",
}


def released(registry: Path, **changed: bytes) -> Path:
    """A release of the hand-set card with a page beside it; `changed` files by name up to the dot."""
    files = FILES | {name: changed[name.partition(".")[0]] for name in FILES if name.partition(".")[0] in changed}
    return write(registry, title="Trial", origin="tests", created="2026-01-01", files=files)


def remade(folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The release with another manifest, under the name that it then has."""
    manifest = json.loads((folder / MANIFEST).read_bytes())
    change(manifest)
    content = json.dumps(manifest).encode()
    (folder / MANIFEST).write_bytes(content)
    return folder.rename(folder.with_name(folder_name(digest_of(content))))


def test_what_was_written_is_loaded_with_its_digest(tmp_path: Path) -> None:
    folder = released(tmp_path)
    release = load(folder)
    assert release.digest == "sha256:" + folder.name.removeprefix("sha256-")
    assert (release.manifest.title, release.manifest.definition) == ("Trial", DEFINITION)
    assert (release.scorer.card, release.policy) == (scorecard(), POLICY)


def test_the_same_content_has_the_same_digest_and_any_other_another(tmp_path: Path) -> None:
    one = released(tmp_path / "a").name
    assert released(tmp_path / "b").name == one
    assert released(tmp_path / "c", card=b"another page").name != one


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_changed_byte_is_refused_wherever_it_is(tmp_path: Path, name: str) -> None:
    folder = released(tmp_path)
    body = bytearray((folder / name).read_bytes())
    body[len(body) // 2] ^= 1
    (folder / name).write_bytes(body)
    with pytest.raises(InvalidRelease, match=f"{name} is not the file that was released"):
        load(folder)


@pytest.mark.parametrize("place", [0, 40, -3])
def test_a_changed_byte_of_the_manifest_is_refused(tmp_path: Path, place: int) -> None:
    folder = released(tmp_path)
    body = bytearray((folder / MANIFEST).read_bytes())
    body[place] ^= 1
    (folder / MANIFEST).write_bytes(body)
    with pytest.raises(InvalidRelease):
        load(folder)


@pytest.mark.parametrize("name", [*sorted(FILES), MANIFEST])
def test_a_missing_file_is_refused(tmp_path: Path, name: str) -> None:
    folder = released(tmp_path)
    (folder / name).unlink()
    with pytest.raises(InvalidRelease, match=name):
        load(folder)


def test_a_file_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    folder = released(tmp_path)
    (folder / "card.md").unlink()
    (folder / "card.md").mkdir()
    with pytest.raises(InvalidRelease, match=r"card\.md is listed but cannot be read"):
        load(folder)


def test_a_renamed_folder_is_refused(tmp_path: Path) -> None:
    folder = released(tmp_path)
    with pytest.raises(InvalidRelease, match="the folder's name is another"):
        load(folder.rename(tmp_path / "mine"))


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRelease, match=MANIFEST):
        load(tmp_path / "nothing")


@pytest.mark.parametrize("change", [{"format": FORMAT + 1}, {"definition": "unilateral-stop@2"}])
def test_another_format_or_definition_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(InvalidRelease, match="not for this version"):
        load(remade(released(tmp_path), lambda manifest: manifest.update(change)))


@pytest.mark.parametrize("name", ["scorecard.json", "policy.json"])
def test_a_file_that_services_need_must_be_listed(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidRelease, match=f"does not list {name}"):
        load(remade(released(tmp_path), lambda manifest: manifest["files"].pop(name)))


@pytest.mark.parametrize("name", ["../policy.json", "a/b.json", "/etc/hostname", "..", ""])
def test_a_listed_name_that_is_a_path_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "policy.json").write_bytes(FILES["policy.json"])
    with pytest.raises(InvalidRelease):
        load(remade(released(tmp_path / "r"), lambda manifest: manifest["files"].update({name: "0" * 64})))


@pytest.mark.parametrize("change", [{"extra": 1}, {"files": []}, {"format": "1"}])
def test_a_manifest_of_another_shape_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(InvalidRelease, match="no readable manifest"):
        load(remade(released(tmp_path), lambda manifest: manifest.update(change)))


def changed(name: str, old: bytes, new: bytes) -> bytes:
    assert old in FILES[name]
    return FILES[name].replace(old, new, 1)


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"scorecard": changed("scorecard.json", b'"sessions"', b'"eye_colour"')}, "eye_colour: no such feature"),
        ({"scorecard": b"{}"}, "base"),
        ({"scorecard": b"not JSON"}, "malformed"),
        ({"scorecard": changed("scorecard.json", b'"edges":[1', b'"edges":[99')}, "edges must increase"),
        ({"policy": b"{}"}, "line"),
        ({"policy": changed("policy.json", b'"line":0.3', b'"line":0.1')}, "release < line"),
        ({"policy": changed("policy.json", b'"line":0.3', b'"line":0.3,"mood":1')}, "mood"),
    ],
)
def test_content_that_does_not_fit_is_refused_although_its_digest_is_right(
    tmp_path: Path, files: dict[str, bytes], why: str
) -> None:
    with pytest.raises(InvalidRelease, match=why):
        load(released(tmp_path, **files))


def test_an_unlisted_file_beside_the_others_is_not_looked_at(tmp_path: Path) -> None:
    folder = released(tmp_path)
    (folder / "notes.txt").write_text("left by somebody")
    assert load(folder).policy == POLICY
