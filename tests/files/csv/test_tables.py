"""Tables as offices export them: how they are written is detected and said, and a file that is none is named."""

from __future__ import annotations

import codecs
import gzip
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from keepwell.files.csv.cells import MappingError
from keepwell.files.csv.dialect import Declared, detect
from tests.files.csv.clinic import MAPPING, ROWS, Import, written

PLAIN = written(*ROWS)


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_the_delimiter_is_detected_and_said(tmp_path: Path, mark: str, ends: str) -> None:
    done = Import(tmp_path, written(*ROWS, delimiter=mark).replace("\n", ends).encode(), MAPPING)
    assert list(done.events) == ["visit-1", "visit-2"]
    assert (done.summary.files[0].delimiter, done.summary.files[0].columns, done.summary.files[0].rows) == (mark, 4, 2)
    assert not done.summary.files[0].doubts


@pytest.mark.parametrize(
    "note", ["a, b, c, d", "1,5", "x|y", "it's 5 o'clock", 'say ""hello""', "two\nlines", "semi;colon"]
)
def test_marks_inside_of_quoted_cells_mislead_nobody(tmp_path: Path, note: str) -> None:
    rows = [("Note", *ROWS[0]), *((f'"{note}"', *row) for row in ROWS[1:])]
    done = Import(tmp_path, written(*rows, delimiter=";").encode(), MAPPING)
    assert list(done.events) == ["visit-1", "visit-2"] and not done.problems


def test_the_columns_that_the_mapping_uses_decide_between_delimiters(tmp_path: Path) -> None:
    """By its looks alone, this table would be one of pipes."""
    rows = [("Appt ID", "Case", "Status", "When", "a|b|c|d|e|f|g"), *((*row, "1|2|3|4|5|6|7") for row in ROWS[1:])]
    assert list(Import(tmp_path, written(*rows).encode(), MAPPING).events) == ["visit-1", "visit-2"]


def test_excels_own_line_about_the_delimiter_is_heeded_and_lines_are_counted_with_it(tmp_path: Path) -> None:
    rows = (*ROWS, ("3", "7", "Attended", "soon"))
    done = Import(tmp_path, b"sep=;\r\n" + written(*rows, delimiter=";").encode(), MAPPING)
    assert list(done.events) == ["visit-1", "visit-2"]
    assert [problem.line for problem in done.problems] == [5]


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (PLAIN.encode(), "utf-8"),
        (codecs.BOM_UTF8 + PLAIN.encode(), "utf-8-sig"),
        (PLAIN.encode("utf-16"), "utf-16"),
        (codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be"), "utf-16"),
        (PLAIN.encode("utf-16-le"), "utf_16_le"),
        (PLAIN.replace("Case", "Fälle").encode(), "utf-8"),
        (PLAIN.replace("Case", "Fälle").encode("cp1252"), "cp1252"),
    ],
)
def test_the_encoding_is_detected_and_said(tmp_path: Path, content: bytes, encoding: str) -> None:
    mapping = MAPPING.replace("{Case}", "7")
    done = Import(tmp_path, content, mapping)
    assert list(done.events) == ["visit-1", "visit-2"]
    assert done.summary.files[0].encoding == encoding


@pytest.mark.parametrize("rows", [3, 20_000])
def test_the_encoding_is_that_of_the_first_letters_beyond_ascii_however_late(tmp_path: Path, rows: int) -> None:
    content = ("nr;note\n" + "1;plain\n" * rows + "2;größer für später\n" * 5).encode("cp1252")
    (tmp_path / "t.csv").write_bytes(content)
    assert detect(tmp_path / "t.csv", Declared()).encoding == "cp1252"


def test_an_encoding_that_may_be_another_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("nr;name\n1;Łukasz żółć\n".encode("cp1250"))
    dialect = detect(tmp_path / "t.csv", Declared())
    assert "is a guess" in dialect.doubts[0] and "set `encoding`" in dialect.doubts[0]
    assert not detect(tmp_path / "t.csv", Declared("cp1250")).doubts


@pytest.mark.parametrize("declared", ["utf-8", "utf-16-le"])
def test_a_byte_order_mark_is_no_part_of_the_first_column_though_the_encoding_is_declared(
    tmp_path: Path, declared: str
) -> None:
    content = ("\ufeff" + PLAIN).encode(declared)
    mapping = MAPPING.replace('file = "visits*"', f'file = "visits*"\nencoding = "{declared}"')
    assert list(Import(tmp_path, content, mapping).events) == ["visit-1", "visit-2"]


def test_delimiter_quote_and_encoding_are_taken_from_the_mapping(tmp_path: Path) -> None:
    mapping = MAPPING.replace(
        'file = "visits*"', 'file = "visits*"\ndelimiter = ":"\nquote = "~"\nencoding = "cp850"'
    ).replace("%H:%M", "%H:%M")
    rows = [ROWS[0], *((*row[:3], f"~{row[3]}~") for row in ROWS[1:])]
    done = Import(tmp_path, written(*rows, delimiter=":").encode("cp850"), mapping)
    assert list(done.events) == ["visit-1", "visit-2"]


def test_a_table_is_unpacked_whatever_its_name(tmp_path: Path) -> None:
    assert list(Import(tmp_path, gzip.compress(PLAIN.encode()), MAPPING).events) == ["visit-1", "visit-2"]


@pytest.mark.parametrize("blank", [",,,", "", "  ,,\u00a0,", " "])
def test_blank_rows_are_no_rows(tmp_path: Path, blank: str) -> None:
    content = f"\n{blank}\n{PLAIN}{blank}\n{blank}\n"
    done = Import(tmp_path, content.encode(), MAPPING)
    assert (done.summary.rows, done.problems) == (2, [])


def test_empty_cells_beyond_the_header_are_nothing_and_others_a_damaged_row(tmp_path: Path) -> None:
    content = PLAIN + "3,7,Attended,03/03/2026 10:00,,\n4,7,Attended,03/03/2026 10:00,more\n5,7,Attended\n"
    done = Import(tmp_path, content.encode(), MAPPING)
    assert list(done.events) == ["visit-1", "visit-3", "visit-2"]
    assert [(problem.line, problem.detail) for problem in done.problems] == [
        (5, "the row has 5 cells, the header 4"), (6, "the row has 3 cells, the header 4"),
    ]  # fmt: skip


def test_a_row_with_nul_bytes_is_damaged(tmp_path: Path) -> None:
    content = PLAIN + "3,7,Attended,03/03/2026 10:00\n" * 8000 + "4,7,\0,03/03/2026 10:00\n"
    done = Import(tmp_path, content.encode(), MAPPING)
    assert [problem.detail for problem in done.problems] == ["the row holds NUL bytes"]


# ── what is no table ────────────────────────────────────────────────────────────────────────────────────


def spreadsheet() -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (spreadsheet(), r"is a spreadsheet \(\.xlsx, \.ods\)"),
        (gzip.compress(spreadsheet(), mtime=0), r"is a spreadsheet \(\.xlsx, \.ods\)"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), r"is a spreadsheet \(\.xls\)"),
        (b"%PDF-1.7\n", "is a PDF"),
        (b"<html><table>", "HTML"),
        (b'\xef\xbb\xbf\n<?xml version="1.0"?>', "XML"),
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"\n \r\n", "is empty"),
        (b";;;\n;;;\n", "is empty"),
        (b"sep=;\n", "is empty"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (bytes(range(1, 256)) * 3 + bytes(range(256)) * 4, "NUL bytes"),
        (gzip.compress(PLAIN.encode() * 100, mtime=0)[:-30], "Compressed file ended"),
        (PLAIN.encode() + b'3,7,"Attended,02/03/2026 10:00\n4,7,Attended,x\n', "begins in line 4: a quote is opened and"),
        (PLAIN.encode() + b'3,7,"Att"ended,02/03/2026 10:00\n', "the row that begins in line 4"),
        (PLAIN.encode() + b'3,7,"Attended' + b"x\n" * 200_000, "row that begins in line 4: a quote is opened and"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_table_is_named_with_what_it_is(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(MappingError, match=rf"visits\.csv: .*{says}"):
        Import(tmp_path, content, MAPPING)
    assert not (tmp_path / "events.jsonl").exists()


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (
            "Appt,Case,Status,When",
            r"no column `Appt ID`.*its columns are `Appt`, `Case`, `Status`, `When` \(delimiter ,",
        ),
        ("appt id,Case,Status,When", "Is `appt id` meant"),
        ("Appt Id ,Case,Status,When", "Is `Appt Id ` meant"),
        ("Appt ID:Case:Status:When", "It is one column alone: set `delimiter`"),
        ("Appt ID,Case,Status,When,Case", "more than one column `Case`; its columns are"),
    ],
)
def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path, header: str, says: str) -> None:
    content = "\n".join([header, "1,7,Attended,02/03/2026 10:00"])
    with pytest.raises(
        MappingError, match=rf"visits\.csv: has {says}".replace("has Is", ".*Is").replace("has It", ".*It")
    ):
        Import(tmp_path, content.encode(), MAPPING)


def test_a_wrong_delimiter_in_the_mapping_is_named_with_the_right_one(tmp_path: Path) -> None:
    mapping = MAPPING.replace('file = "visits*"', 'file = "visits*"\ndelimiter = ";"')
    with pytest.raises(MappingError, match="With the delimiter ',' it would be there: set `delimiter`"):
        Import(tmp_path, PLAIN.encode(), mapping)


def test_many_or_long_columns_are_shortened(tmp_path: Path) -> None:
    header = ",".join([*(f"c{number}" for number in range(50)), "x" * 500])
    with pytest.raises(MappingError) as caught:
        Import(tmp_path, f"{header}\n".encode(), MAPPING)
    assert "and 21 more" in str(caught.value) and len(str(caught.value)) < 600


def test_a_header_without_rows_gives_no_event(tmp_path: Path) -> None:
    done = Import(tmp_path, written(ROWS[0]).encode(), MAPPING)
    assert (done.summary.events, done.summary.files[0].rows) == (0, 0)
    assert not done.out.exists()
