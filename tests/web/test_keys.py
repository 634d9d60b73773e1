"""The rules of API keys."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from keepwell.web.keys import KeyFile, Keyring, read
from tests.services.ingest.events import NOW

HOUR = timedelta(hours=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "of" / "keys.json"


def test_a_key_is_known_by_its_token_and_by_nothing_else(path: Path) -> None:
    issued = KeyFile(path).issue("north", NOW)
    ring = Keyring(path)
    assert ring.find(issued.token, NOW) == issued.key
    other = KeyFile(path).issue("north", NOW)
    secret = issued.token.rpartition("_")[2]
    wrong = ("", "kw", "kw__", issued.token[:-1], issued.token + "x", f"kw_{other.key.id}_{secret}", "x" + issued.token)
    assert not any(ring.find(token, NOW) for token in wrong)


def test_the_file_holds_no_secret_and_only_its_owner_reads_it(path: Path) -> None:
    issued = KeyFile(path).issue("north", NOW)
    secret = issued.token.split("_", 2)[2]
    assert len(secret) >= 43
    assert secret not in path.read_text("utf-8")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_ends_when_it_expires(path: Path) -> None:
    token = KeyFile(path).issue("north", NOW, NOW + HOUR).token
    ring = Keyring(path)
    assert ring.find(token, NOW + HOUR - timedelta(microseconds=1))
    assert ring.find(token, NOW + HOUR) is None


def test_a_rotated_key_opens_for_the_grace_and_never_longer_than_before(path: Path) -> None:
    keys = KeyFile(path)
    short = keys.issue("north", NOW, NOW + HOUR)
    long = keys.issue("north", NOW)
    south = keys.issue("south", NOW)
    fresh = keys.rotate("north", NOW, 2 * HOUR)
    until = {key.id: key.expires for key in keys.all()}
    assert until == {
        short.key.id: NOW + HOUR,
        long.key.id: NOW + 2 * HOUR,
        south.key.id: None,
        fresh.key.id: None,
    }


def test_a_clinic_without_a_valid_key_has_nothing_to_rotate(path: Path) -> None:
    keys = KeyFile(path)
    keys.issue("north", NOW, NOW)
    with pytest.raises(ValueError, match="keepwell keys issue north"):
        keys.rotate("north", NOW, HOUR)
    assert len(keys.all()) == 1


def test_a_revoked_key_is_gone_and_an_unknown_one_is_named(path: Path) -> None:
    keys = KeyFile(path)
    issued = keys.issue("north", NOW)
    assert keys.revoke(issued.key.id) == issued.key
    assert not keys.all()
    with pytest.raises(ValueError, match=issued.key.id):
        keys.revoke(issued.key.id)


@pytest.mark.parametrize("clinic", ["", "North", "north/x", "north\n", "-north"])
def test_a_key_is_issued_for_a_clinic_of_the_contract_only(path: Path, clinic: str) -> None:
    with pytest.raises(ValueError, match="is no clinic"):
        KeyFile(path).issue(clinic, NOW)


def test_no_key_is_lost_when_many_are_issued_at_once(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        issued = list(pool.map(lambda number: KeyFile(path).issue(f"c{number}", NOW), range(24)))
    assert {key.id for key in read(path)} == {one.key.id for one in issued}


def test_a_running_service_needs_no_file_at_first_and_follows_it_then(path: Path) -> None:
    ring = Keyring(path)
    issued = KeyFile(path).issue("north", NOW)
    assert ring.find(issued.token, NOW)
    KeyFile(path).revoke(issued.key.id)
    assert ring.find(issued.token, NOW) is None


def test_a_file_that_breaks_does_not_replace_the_keys_in_use(path: Path) -> None:
    issued = KeyFile(path).issue("north", NOW)
    ring = Keyring(path)
    path.write_text("{", "utf-8")
    assert ring.find(issued.token, NOW) == issued.key
    with pytest.raises(ValueError, match="not a file of API keys"):
        Keyring(path)
    with pytest.raises(ValueError, match="not a file of API keys"):
        KeyFile(path).issue("north", NOW)
    assert path.read_text("utf-8") == "{"
