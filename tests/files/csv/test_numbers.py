"""Numbers as offices write them: read by a declared form, or named with the form that would read them; never guessed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepwell.files.csv.cells import MappingError
from keepwell.files.csv.numbers import FORMS, PLAIN, NumberForm, likely_forms
from tests.files.csv.clinic import Import, written

MAPPING = """
zone = "Europe/Berlin"
source = "/north/measures"
subject = "ep-{fall}"
[tables.bogen]
file = "bogen*"
[[events]]
table = "bogen"
type = "measure.completed"
id = "srs-{nr}"
time = { text = "{tag}", format = "%d.%m.%Y %H:%M" }
[events.data]
instrument = "SRS"
scores = { total = { text = "{summe}", as = "number" } }
"""
HEAD = ("nr", "fall", "tag", "summe")


def bogen(*cells: str) -> bytes:
    rows = [(str(number), "7", "03.03.2026 14:00", cell) for number, cell in enumerate(cells, 1)]
    return written(HEAD, *rows, delimiter=";").encode()


@pytest.mark.parametrize(
    ("form", "cell", "number"),
    [
        (PLAIN, "34.6", 34.6), (PLAIN, "-7", -7), (PLAIN, "+.5", 0.5), (PLAIN, "1e3", 1000), (PLAIN, " 5 ", 5),
        (PLAIN, "\u22123", -3), (NumberForm(","), "34,6", 34.6), (NumberForm(","), "34", 34),
        (NumberForm(","), "1234,5", 1234.5),
        (NumberForm(",", "."), "1.234,5", 1234.5), (NumberForm(",", "."), "12.345.678", 12345678),
        (NumberForm(",", " "), "1 234,5", 1234.5), (NumberForm(",", " "), "1\u00a0234,5", 1234.5),
        (NumberForm(",", " "), "1\u202f234,5", 1234.5), (NumberForm(".", "'"), "1'234.5", 1234.5),
        (NumberForm(".", "'"), "1\u2019234.5", 1234.5), (NumberForm(".", ","), "1,234.5", 1234.5),
        (NumberForm(",", "."), "-1.234,5", -1234.5), (NumberForm(",", "."), "1234,5", 1234.5),
    ],
)  # fmt: skip
def test_a_number_is_read_by_the_declared_form(form: NumberForm, cell: str, number: float) -> None:
    assert form.read(cell) == number


@pytest.mark.parametrize(
    ("form", "cell"),
    [
        (PLAIN, "34,6"), (PLAIN, "1,234.5"), (PLAIN, "1 234"), (PLAIN, ""), (PLAIN, "."), (PLAIN, "-"), (PLAIN, "nan"),
        (PLAIN, "inf"), (PLAIN, "1e999"), (PLAIN, "1_000"), (PLAIN, "0x10"), (PLAIN, "12 Punkte"), (NumberForm(","), "34.6"),
        (NumberForm(","), "1.234,5"), (NumberForm(",", "."), "34.6"), (NumberForm(",", "."), "1.23,5"),
        (NumberForm(",", "."), "1234.567"), (NumberForm(",", "."), "1.2345"), (NumberForm(".", ","), "34,6"),
        (NumberForm(",", " "), "1  234"), (NumberForm(",", " "), "1234 5"), (NumberForm(",", "'"), "1'23"),
    ],
)  # fmt: skip
def test_what_is_not_of_the_declared_form_is_no_number(form: NumberForm, cell: str) -> None:
    assert form.read(cell) is None


@given(st.floats(allow_nan=False, allow_infinity=False).map(repr))
def test_the_plain_form_reads_what_programs_write(cell: str) -> None:
    assert PLAIN.read(cell) == float(cell)


@given(st.sampled_from(FORMS), st.integers(-(10**9), 10**9), st.integers(0, 99))
def test_a_form_reads_what_is_written_in_it(form: NumberForm, whole: int, part: int) -> None:
    cell = f"{whole:,}".replace(",", form.thousands or "") + f"{form.decimal}{part:02}"
    assert form.read(cell) == float(f"{whole}.{part:02}")
    assert form in likely_forms([cell]) or any(other.read(cell) == form.read(cell) for other in likely_forms([cell]))


def test_no_form_is_likely_where_none_reads_every_cell() -> None:
    assert likely_forms(["34,6", "n/a"]) == []
    assert likely_forms([]) == []


# ── in an import ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("cells", "line"),
    [
        (("34,6", "7"), 'decimal = ","'), (("1\u00a0034,6",), 'decimal = "," and thousands = " "'),
        (("1'034.5",), "thousands = \"'\""), (("1.034,6",), 'decimal = "," and thousands = "."'),
        (("1,034",), 'decimal = "," (as 1234,5), or with thousands = ","'),
    ],
)  # fmt: skip
def test_numbers_of_another_form_are_named_row_by_row_with_the_line_to_add(
    tmp_path: Path, cells: tuple[str, ...], line: str
) -> None:
    done = Import(tmp_path, bogen(*cells), MAPPING, "bogen.csv")
    assert (done.problems[0].line, done.problems[0].columns) == (2, ("summe",))
    assert "not a number of the form 1234.5" in str(done.problems[0])
    (hint,) = done.summary.hints
    assert line in hint and "add it under [tables.bogen]" in hint


def test_where_no_row_became_an_event_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text("what was there before")
    done = Import(tmp_path, bogen("34,6"), MAPPING, "bogen.csv")
    assert done.summary.events == 0
    assert done.out.read_text() == "what was there before"


@pytest.mark.parametrize("place", ["table", "top"])
def test_the_form_is_declared_for_a_table_or_for_all(tmp_path: Path, place: str) -> None:
    line = 'decimal = ","\n'
    mapping = MAPPING.replace('file = "bogen*"\n', f'file = "bogen*"\n{line}') if place == "table" else line + MAPPING
    done = Import(tmp_path, bogen("34,6", "7"), mapping, "bogen.csv")
    assert not done.problems and not done.summary.hints
    assert [event["data"]["scores"]["total"] for event in done.events.values()] == [34.6, 7]


def test_a_table_that_names_a_mark_is_read_by_its_own_marks_alone(tmp_path: Path) -> None:
    mapping = 'decimal = ","\n' + MAPPING.replace('file = "bogen*"\n', 'file = "bogen*"\ndecimal = "."\n')
    done = Import(tmp_path, bogen("34.6", "31,5"), mapping, "bogen.csv")
    assert [event["data"]["scores"]["total"] for event in done.events.values()] == [34.6]


@pytest.mark.parametrize(
    ("use", "ids"),
    [
        ('where = { summe = { at_least = 30.5 } }', ["srs-1"]),
        ('where = { summe = { minus = "nr", at_most = 29 } }', ["srs-2"]),
        ('unless = { summe = { at_least = 30.5 } }', ["srs-2"]),
    ],
)  # fmt: skip
def test_the_form_holds_for_ranges_too(tmp_path: Path, use: str, ids: list[str]) -> None:
    mapping = 'decimal = ","\n' + MAPPING.replace('table = "bogen"\ntype', f'table = "bogen"\n{use}\ntype')
    assert list(Import(tmp_path, bogen("34,6", "30,2"), mapping, "bogen.csv").events) == ids


def test_the_form_holds_for_days_bands_and_whole_numbers_too(tmp_path: Path) -> None:
    mapping = 'decimal = ","\n' + MAPPING.replace(
        'time = { text = "{tag}", format = "%d.%m.%Y %H:%M" }',
        'time = { text = "2026-03-01T00:00", plus_days = ["{summe}"] }',
    )
    (event,) = Import(tmp_path, bogen("1,5"), mapping, "bogen.csv").events.values()
    assert event["time"] == "2026-03-02T11:00:00Z"


def test_of_the_latest_row_a_number_is_compared_by_its_form(tmp_path: Path) -> None:
    mapping = (
        'decimal = ","\n'
        + MAPPING.replace('file = "bogen*"\n', 'file = "bogen*"\nkey = "fall"\nlatest_by = "summe"\n')
        .replace('"srs-{nr}"', '"srs-{nr}-{bogen.nr}"')
    )  # fmt: skip
    done = Import(tmp_path, bogen("9,5", "10,5"), mapping, "bogen.csv")
    assert list(done.events) == ["srs-1-2", "srs-2-2"]


def test_the_same_mark_for_both_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match=r"tables\.bogen: decimal and thousands are the same mark, `,`"):
        Import(tmp_path, bogen("1"), 'decimal = ","\nthousands = ","\n' + MAPPING, "bogen.csv")


def test_a_table_of_an_office_says_which_line_to_add_and_maps_with_it(tmp_path: Path) -> None:
    table = b"\xef\xbb\xbfnr;fall;tag;summe;beziehung\n1;7;03.03.2026 14:00;34,6;8,4\n2;7;10.03.2026 14:00;31,0;7\n"
    mapping = MAPPING.replace("scores = { ", 'scores = { bond = { text = "{beziehung}", as = "number" }, ')
    mapping = mapping.replace('file = "bogen*"', 'file = "bogen*"\ndelimiter = ";"')
    done = Import(tmp_path, table, mapping, "bogen.csv")
    assert (done.summary.events, len(done.problems)) == (0, 2)
    assert 'decimal = ","' in done.summary.hints[0]
    again = Import(tmp_path, table, mapping.replace('delimiter = ";"', 'delimiter = ";"\ndecimal = ","'), "bogen.csv")
    assert [event["data"]["scores"] for event in again.events.values()] == [
        {"bond": 8.4, "total": 34.6}, {"bond": 7, "total": 31},
    ]  # fmt: skip
