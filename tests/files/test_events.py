"""Files of events: packed or not, whole or damaged; what cannot be read is named with file and place."""

from __future__ import annotations

import codecs
import gzip
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import zstandard

from keepwell.care.instruments import Instruments
from keepwell.contract.decode import MAX_BYTES
from keepwell.contract.events import encode
from keepwell.files.events import NoEventAccepted, UnreadableFile, read_lines, take_in
from keepwell.testing.made_up import made_up_clinic

EVENTS = list(made_up_clinic(3, 1, datetime(2026, 1, 5, tzinfo=UTC), 30))
LINES = [encode(event) for event in EVENTS]
CONTENT = b"\n".join(LINES) + b"\n"
NOISE = b"".join(b'{"n": "%032x"}\n' % (number * 0x9E3779B97F4A7C15) for number in range(20_000))
"""Long enough that a packed half of it unpacks to lines before it breaks off."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def contents(path: Path) -> list[bytes]:
    return [line.content for line in read_lines([str(path)])]


@pytest.mark.parametrize(
    "packed",
    [
        CONTENT,
        CONTENT.removesuffix(b"\n"),
        CONTENT.replace(b"\n", b"\r\n"),
        b"\n\n  \n" + CONTENT.replace(b"\n", b"\n\n"),
        codecs.BOM_UTF8 + CONTENT,
        codecs.BOM_UTF8 + b"\r\n" + CONTENT,
        gzip.compress(CONTENT),
        gzip.compress(LINES[0] + b"\n") + gzip.compress(b"\n".join(LINES[1:])),
        gzip.compress(codecs.BOM_UTF8 + CONTENT),
        zstandard.compress(CONTENT),
        zstandard.compress(LINES[0] + b"\n") + zstandard.compress(b"\n".join(LINES[1:])),
        zstandard.compress(codecs.BOM_UTF8 + CONTENT),
    ],
)
def test_the_lines_are_the_same_however_the_file_is_written(file: Path, packed: bytes) -> None:
    file.write_bytes(packed)
    assert contents(file) == LINES


def test_a_frame_that_may_be_skipped_stands_before_the_events(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl.zst"
    file.write_bytes(b"\x50\x2a\x4d\x18\x03\x00\x00\x00xyz" + zstandard.compress(CONTENT))
    assert contents(file) == LINES


CHECKED = zstandard.ZstdCompressor(write_checksum=True).compress
"""As the command `zstd` packs."""


@pytest.mark.parametrize("pack", [gzip.compress, CHECKED])
@pytest.mark.parametrize("content", [CONTENT, NOISE])
@pytest.mark.parametrize(
    "damage",
    [
        lambda packed: packed[: len(packed) // 2],
        lambda packed: packed[:-1],
        lambda packed: packed[: len(packed) // 2] + bytes(20) + packed[len(packed) // 2 + 20 :],
        lambda packed: packed[:6],
        lambda packed: packed + b"and something more",
    ],
)
def test_a_packed_file_that_is_cut_off_or_damaged_is_named_with_the_line_that_it_was_read_to(
    file: Path, pack: Callable[[bytes], bytes], content: bytes, damage: Callable[[bytes], bytes]
) -> None:
    file.write_bytes(damage(pack(content)))
    with pytest.raises(UnreadableFile, match=r"events\.jsonl: after line \d+: the packed file is cut off or damaged"):
        contents(file)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_file_that_is_not_packed_as_its_name_says_is_named(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"events.jsonl{suffix}"
    file.write_bytes(CONTENT)
    with pytest.raises(UnreadableFile, match="cut off or damaged"):
        contents(file)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_file_in_another_encoding_than_utf_8_is_named(file: Path, encoding: str) -> None:
    file.write_bytes(CONTENT.decode().encode(encoding))
    with pytest.raises(UnreadableFile, match=r"events\.jsonl:1: the file is UTF-(16|32); save it as UTF-8"):
        contents(file)


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("before", [b"", b"\n\n", codecs.BOM_UTF8])
def test_a_json_array_is_named_with_what_to_do(file: Path, indent: int | None, before: bytes) -> None:
    file.write_bytes(before + json.dumps([json.loads(line) for line in LINES], indent=indent).encode())
    with pytest.raises(UnreadableFile, match=r"events\.jsonl:[13]: the file is one JSON array; write one event a line"):
        contents(file)


def test_a_bad_first_line_is_refused_alone(file: Path) -> None:
    file.write_bytes(b"[1, 2]\n" + CONTENT)
    intake = take_in(read_lines([str(file)]), Instruments(), datetime(2027, 1, 1, tzinfo=UTC))
    assert [refused.line.number for refused in intake.refused] == [1]
    assert len(intake.events) == len(LINES)


@pytest.mark.parametrize("size", [MAX_BYTES + 1, 3 * MAX_BYTES, 5_000_000])
def test_of_a_line_too_long_for_an_event_only_the_beginning_is_kept_and_the_next_line_is_its_own(
    file: Path, size: int
) -> None:
    file.write_bytes(b"x" * size + b"\n" + CONTENT)
    lines = list(read_lines([str(file)]))
    assert len(lines[0].content) == MAX_BYTES + 1
    assert [(line.number, line.content) for line in lines[1:]] == list(enumerate(LINES, 2))
    intake = take_in(lines, Instruments(), datetime(2027, 1, 1, tzinfo=UTC))
    assert [refused.refusal.code for refused in intake.refused] == ["too_large"]


def test_a_line_as_long_as_an_event_may_be_is_whole(file: Path) -> None:
    line = LINES[0][:-1] + b" " * (MAX_BYTES - len(LINES[0])) + b"}"
    file.write_bytes(line + b"\n")
    assert contents(file) == [line]


def test_standard_input_is_read_and_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(gzip.compress(CONTENT)))
    monkeypatch.setattr("sys.stdin", stdin)
    assert [line.content for line in read_lines(["-"])] == LINES
    assert not stdin.buffer.closed


def test_where_nothing_was_accepted_the_first_reasons_are_told_by_place(file: Path) -> None:
    file.write_bytes(b'{"specversion": "1.0"}\n' * 7)
    intake = take_in(read_lines([str(file)]), Instruments(), datetime(2027, 1, 1, tzinfo=UTC))
    told = str(NoEventAccepted([str(file)], intake.refused, len(intake.refused)))
    assert "all 7 lines were refused" in told
    assert [f"{file}:{number}: $.type: Add" in told for number in range(1, 8)] == [True] * 5 + [False] * 2
    assert "and 2 more" in told
