"""Files as arguments: whatever is wrong with one, every command says so in a sentence with its place, and never exits 0."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
import zstandard
from typer.testing import CliRunner

from keepwell.cli.main import app
from keepwell.contract.events import encode
from keepwell.testing.made_up import made_up_clinic
from models.release import default

CONTENT = b"\n".join(encode(event) for event in made_up_clinic(3, 1, datetime(2026, 1, 5, tzinfo=UTC), 30)) + b"\n"

COMMANDS = {
    "replay": ["replay", "{file}", "--out", "{out}/replay"],
    "score": ["score", "{file}", "--at", "{pairs}", "--out", "{out}/scores.csv"],
    "train": ["train", "{file}", "--out", "{out}/release"],
    "evaluate": ["evaluate", default().digest, "{file}", "--out", "{out}/report"],
    "monitor": ["monitor", "{file}"],
}

DAMAGED = {
    "cut.jsonl.gz": (gzip.compress(CONTENT)[:-20], "after line"),
    "cut.jsonl.zst": (zstandard.compress(CONTENT)[:-20], "after line"),
    "corrupt.jsonl.zst": (b"\x28\xb5\x2f\xfd" + bytes(40), "after line 0: the packed file is cut off or damaged"),
    "packed.jsonl.bz2": (bz2.compress(CONTENT), "is packed as bzip2: unpack it, or pack it as .gz or .zst"),
    "packed.jsonl.xz": (lzma.compress(CONTENT), "is packed as xz: unpack it, or pack it as .gz or .zst"),
    "packed.zip": (b"PK\x03\x04" + CONTENT, "is packed as zip: unpack it, or pack it as .gz or .zst"),
    "wide.jsonl": (CONTENT.decode().encode("utf-16"), ":1: the file is UTF-16; save it as UTF-8"),
    "array.json": (b"[" + b",".join(CONTENT.splitlines()) + b"]", ":1: the file is one JSON array"),
    "refused.jsonl": (b'{"specversion": "1.0"}\n' * 2, "nothing was accepted: all 2 lines were refused"),
    "empty.jsonl": (b"", "nothing was accepted: there is no line in it"),
}  # fmt: skip


def keepwell(command: str, file: str | Path, folder: Path) -> tuple[int, str]:
    """The exit code of a command, run in this process, and what it says on standard error."""
    (folder / "pairs.csv").write_text("episode,as_of\nnorth/ep-1,2026-01-20T00:00:00Z\n")
    arguments = [one.format(file=file, out=folder, pairs=folder / "pairs.csv") for one in COMMANDS[command]]
    done = CliRunner().invoke(app, arguments)
    error = done.exception
    if error is not None and not isinstance(error, SystemExit):
        assert isinstance(error, ValueError | OSError), repr(error)  # which the entry point prints
        return done.exit_code, done.stderr + str(error)
    return done.exit_code, done.stderr


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_is_wrong_with_a_file_and_exits_1(command: str, name: str, tmp_path: Path) -> None:
    content, says = DAMAGED[name]
    file = tmp_path / name
    file.write_bytes(content)
    code, said = keepwell(command, file, tmp_path)
    assert code == 1
    assert str(file) in said and says in said
    assert "Aborted" not in said


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_is_not_there_and_a_folder_are_wrong_use(command: str, tmp_path: Path) -> None:
    for file, says in ((tmp_path / "nowhere.jsonl", "no such file"), (tmp_path, "is a folder")):
        code, said = keepwell(command, file, tmp_path)
        assert code == 2
        assert says in " ".join(said.replace("│", " ").split())


def test_what_the_system_says_of_a_path_is_told_without_its_number(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    (tmp_path / "events.jsonl").write_bytes(CONTENT)
    done = subprocess.run(
        [sys.executable, "-m", "keepwell.cli.main", "replay", "events.jsonl", "--out", "taken"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "keepwell: taken: File exists\n")


def test_the_entry_point_prints_the_sentence_and_no_traceback(tmp_path: Path) -> None:
    file = tmp_path / "cut.jsonl.gz"
    file.write_bytes(DAMAGED[file.name][0])
    done = subprocess.run(
        [sys.executable, "-m", "keepwell.cli.main", "replay", str(file), "--out", str(tmp_path / "out")],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith(f"keepwell: {file}: after line") and "Traceback" not in done.stderr


def test_a_replay_that_accepted_nothing_still_writes_why(tmp_path: Path) -> None:
    file = tmp_path / "refused.jsonl"
    file.write_bytes(b'{"specversion": "1.0"}\n' * 7)
    code, said = keepwell("replay", file, tmp_path)
    assert code == 1
    assert f"{file}:1: $.type: Add the attribute `type`." in said and "and 2 more" in said
    assert len((tmp_path / "replay" / "dead-letters.jsonl").read_bytes().splitlines()) == 7
    assert json.loads((tmp_path / "replay" / "summary.json").read_bytes())["accepted"] == 0


def test_a_pipe_is_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "events.pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=[gzip.compress(CONTENT)])
    writer.start()
    code, said = keepwell("replay", pipe, tmp_path)
    writer.join()
    assert code == 0, said
    assert json.loads((tmp_path / "replay" / "summary.json").read_bytes())["accepted"] == len(CONTENT.splitlines())
