"""The draft of a mapping: what it guesses, what it leaves to a person, and whom it does not show."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from keepwell.cli.main import app
from keepwell.files.csv.cells import MappingError
from keepwell.files.csv.draft import Draft, draft_mapping
from keepwell.files.csv.mapping import load_mapping
from tests.files.csv.clinic import Import

VISITS = """Appt ID;Case;Client No;Therapist;Name;Geb.-Datum;Contact;Status;When;PHQ-9;GAD7 total;Referral date;Notes
1;7;k1;t1;Ann Lee;01.02.1990;ann@example.org;attended;29.03.2026 10:30;12,5;3;01.02.2026;She said a lot today
2;7;k1;t1;Ann Lee;01.02.1990;ann@example.org;Attended ;25.10.2025 11:30;;;01.02.2026;and more
3;8;k2;t2;Bo Ek;01.02.1991;;No-show;02.03.2026 10:00;7;4;03.02.2026;nothing
4;8;k2;t2;Bo Ek;01.02.1991;;cancelled by client;02.03.2026 10:00;;;03.02.2026;
5;8;k2;t2;Bo Ek;01.02.1991;;Rescheduled;02.03.2026 10:00;;;03.02.2026;
"""
ANSWERS = {
    "the time zone of the moments without offset": "Europe/Berlin",
    "/CLINIC/SYSTEM": "/north/booking",
    "who cancelled": "client",
}


def drafted(folder: Path, content: str = VISITS, name: str = "visits.csv") -> Draft:
    (folder / name).write_text(content, "utf-8")
    return draft_mapping([folder / name])


def filled_in(text: str) -> str:
    for asked, answer in ANSWERS.items():
        text = re.sub(rf"<fill in: {asked}[^>]*>", answer, text)
    return text


def test_a_draft_says_what_is_left_to_fill_in_and_imports_once_it_is(tmp_path: Path) -> None:
    draft = drafted(tmp_path)
    (tmp_path / "draft.toml").write_text(draft.text, "utf-8")
    with pytest.raises(
        MappingError, match=r"left to fill in: zone: .*; source: .*; events 4\.data.initiator: who cancelled"
    ):
        load_mapping(tmp_path / "draft.toml")
    done = Import(tmp_path, VISITS.encode(), filled_in(draft.text))
    assert not done.problems
    assert done.summary.types == {
        "keepwell.appointment.cancelled.v1": 1, "keepwell.appointment.missed.v1": 1, "keepwell.episode.opened.v1": 2,
        "keepwell.measure.completed.v1": 4, "keepwell.session.attended.v1": 2,
    }  # fmt: skip
    assert [one.contents for one in done.summary.unmatched] == [{"Rescheduled": 1}]
    totals = {
        name: event["data"]["scores"]["total"] for name, event in done.events.items() if "scores" in event["data"]
    }
    assert totals == {"visits-phq-9-1": 12.5, "visits-phq-9-3": 7, "visits-gad7total-1": 3, "visits-gad7total-3": 4}


def test_a_draft_is_toml_with_what_was_found_of_the_file(tmp_path: Path) -> None:
    parsed = tomllib.loads(drafted(tmp_path).text)
    assert parsed["tables"]["visits"] == {
        "file": "visits.csv", "delimiter": ";", "encoding": "utf-8", "decimal": ",",
    }  # fmt: skip
    attended = parsed["events"][1]
    assert attended["where"] == {"Status": ["attended"]}
    assert attended["time"] == {"text": "{When}", "format": "%d.%m.%Y %H:%M"}


def test_columns_that_may_name_or_reach_a_person_are_left_out_and_said(tmp_path: Path) -> None:
    draft = drafted(tmp_path)
    for column in ("Name", "Geb.-Datum", "Contact"):
        assert any(f"column `{column}` is left out" in warning for warning in draft.warnings)
        assert f"{{{column}}}" not in draft.text
    for content in ("Ann", "Bo Ek", "example.org", "1990", "said a lot", "k1", "t1"):
        assert content not in draft.text + "".join(draft.warnings)


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("Vorname", ("Ann", "Bo")), ("E-Mail", ("x", "y")), ("DOB", ("01/02/1990", "01/02/1991")), ("Telefon", ("1", "2")),
        ("reach", ("+44 7700 900123", "")), ("reach", ("0049 (30) 123 45 67", "")), ("x", ("a@b.de", "")),
        ("Therapist", ("Dr Ames", "Dr Bell")), ("Client ID", ("Jane Doe", "J Roe")), ("Postcode", ("N1", "N2")),
        ("patient name", ("a", "b")), ("Surname", ("a", "b")), ("Geburtsdatum", ("1", "2")), ("NHS Number", ("9", "8")),
    ],
)  # fmt: skip
def test_a_person_is_known_by_the_name_of_the_column_or_by_its_contents(
    tmp_path: Path, column: str, cells: tuple[str, str]
) -> None:
    draft = drafted(tmp_path, f"nr;{column}\n1;{cells[0]}\n2;{cells[1]}\n")
    assert f"`{column}`: LEFT OUT" in draft.text and len(draft.warnings) == 1
    assert f"{{{column}}}" not in draft.text


@pytest.mark.parametrize("column", ["When", "Status", "PHQ-9", "Filename", "Case", "Appt ID", "phase", "telling"])
def test_other_columns_are_not_taken_for_a_person(tmp_path: Path, column: str) -> None:
    assert not drafted(tmp_path, f"nr;{column}\n1;3\n2;4\n").warnings


def test_numbers_of_one_table_in_forms_that_exclude_each_other_are_left_to_check(tmp_path: Path) -> None:
    assert "no form reads all of its numbers" in drafted(tmp_path, "nr;a;b\n1;1,5;2.5\n2;2,25;3.25\n").text


def test_forms_that_cannot_be_told_apart_are_left_to_check(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "nr;fall;When;GAD-7\n1;7;02/03/2026 10:00;1,234\n2;7;03/03/2026 10:00;2,345\n")
    assert 'format = "%d/%m/%Y %H:%M" } # check, or %m/%d/%Y %H:%M' in draft.text
    assert 'decimal = ","' in draft.text and 'may also be read with thousands = ","' in draft.text


@pytest.mark.parametrize("content", ["a\n1\n", "a;b\nx;y\n", "a;b\n", 'Nr "x" \\;{y}\n1;2\n', "nr;Name\n1;Ann\n"])
def test_a_table_of_which_nothing_is_guessed_is_left_to_a_person(tmp_path: Path, content: str) -> None:
    (tmp_path / "draft.toml").write_text(drafted(tmp_path, content).text, "utf-8")
    with pytest.raises(MappingError, match="what a row tells: one of the types"):
        load_mapping(tmp_path / "draft.toml")


def test_the_command_prints_the_draft_or_writes_it_and_warns_on_standard_error(tmp_path: Path) -> None:
    table, out = tmp_path / "visits.csv", tmp_path / "draft.toml"
    table.write_text(VISITS, "utf-8")
    printed = CliRunner().invoke(app, ["import-csv", "--draft", str(table)])
    written = CliRunner().invoke(app, ["import-csv", "--draft", str(table), "--out", str(out)])
    assert (printed.exit_code, written.exit_code) == (0, 0)
    assert printed.stdout == out.read_text("utf-8") and not written.stdout
    assert "column `Name` is left out" in printed.stderr
    filled = CliRunner().invoke(app, ["import-csv", str(out), str(table), "--out", str(tmp_path / "events.jsonl")])
    assert filled.exit_code == 2 and "left to fill in: zone" in filled.stderr


def test_a_file_that_is_no_table_gives_no_draft(tmp_path: Path) -> None:
    table = tmp_path / "visits.csv"
    table.write_bytes(b"PK\x03\x04")
    done = CliRunner().invoke(app, ["import-csv", "--draft", str(table)])
    assert done.exit_code == 2 and "visits.csv: is a spreadsheet" in done.stderr
