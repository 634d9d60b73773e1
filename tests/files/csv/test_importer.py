"""The import of a clinic's own tables: what a mapping can say, and that no row is lost without a word."""

from __future__ import annotations

import csv
import gzip
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

import keepwell.files.csv.importer
from keepwell.care.instruments import Instruments
from keepwell.cli.main import app
from keepwell.contract.decode import Accepted, decode
from keepwell.files.csv.cells import MappingError
from keepwell.files.csv.importer import RowProblem, Summary, import_csv
from keepwell.files.csv.mapping import RawRule, Table, load_mapping
from keepwell.files.csv.values import Value

MAPPING = """
zone = "Europe/Berlin"
source = "/north/booking"
subject = "ep-{case}"

[tables.visits]
file = "visits*.csv"
delimiter = ";"
empty = ["NULL"]

[tables.cases]
file = "cases.csv"
key = "case"

[[events]]
table = "visits"
where = { status = ["came", "dna"] }
type = { text = "{status}", map = { came = "session.attended", dna = "appointment.missed" } }
id = "visit-{nr}"
time = { text = "{day} {hour}", format = "%d.%m.%Y %H:%M" }

[events.data]
appointment_id = "a-{nr}"

[[events]]
table = "visits"
where = { phq9 = "*" }
type = "measure.completed"
id = "phq-{nr}"
time = { text = "{day} {hour}", format = "%d.%m.%Y %H:%M", plus_minutes = ["{minutes}", 5] }

[events.data]
instrument = "PHQ-9"
rater = "client"
appointment_id = "a-{nr}"
scores = { total = { text = "{phq9}", as = "number" } }
safety_item = { text = "{item9}", as = "integer" }

[[events]]
table = "cases"
type = "episode.opened"
id = "case-{case}"
time = { text = "2026-01-01T09:00", plus_days = ["{start}"] }

[events.data]
client_id = "k-{client}"
clinician_id = { text = "{team}", map = "teams" }
preference_met = { text = "{wish}", as = "boolean" }
planned_sessions = 20

[events.data.fairness]
age_band = { text = "{age}", bands = [18, 25, 40] }

[maps.teams]
A = "c-1"
B = "c-2"
"""

VISITS = """nr;case;day;hour;minutes;status;phq9;item9
1;17;02.03.2026;10:00;50;came;14;1
2;17;09.03.2026;10:00;NULL;dna;;
3;18;01.01.2026;10:00;50;planned;;
4;18;30.03.2026;10:00;50;came;9;NULL
"""

CASES = """case,client,team,wish,age,start
17,88,A,yes,24,1.5
18,89,B,,40,90
"""


class Clinic:
    """A folder with a mapping and tables, and an import of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mapping, self.visits, self.cases = MAPPING, VISITS, CASES
        self.problems: list[RowProblem] = []

    @property
    def out(self) -> Path:
        return self.folder / "events.jsonl"

    def write(self) -> list[Path]:
        paths = {"visits.csv": self.visits, "cases.csv": self.cases, "mapping.toml": self.mapping}
        for name, text in paths.items():
            (self.folder / name).write_text(text, "utf-8")
        return [self.folder / "visits.csv", self.folder / "cases.csv"]

    def run(self, strict: bool = False, files: list[Path] | None = None) -> Summary:
        written = self.write()
        return import_csv(
            load_mapping(self.folder / "mapping.toml"),
            written if files is None else files,
            self.out,
            instruments=Instruments(),
            on_problem=self.problems.append,
            strict=strict,
        )

    def events(self, **options: Any) -> dict[str, dict[str, Any]]:
        self.run(**options)
        assert [str(problem) for problem in self.problems] == []
        return {event["id"]: event for event in map(json.loads, self.out.read_text("utf-8").splitlines())}


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    return Clinic(tmp_path)


# ── what a mapping can say ──────────────────────────────────────────────────────────────────────────────


def test_rows_become_the_events_that_the_mapping_says_in_the_order_of_time(clinic: Clinic) -> None:
    events = clinic.events()
    assert list(events) == ["case-17", "visit-1", "phq-1", "visit-2", "visit-4", "phq-4", "case-18"]
    assert {event["type"] for event in events.values()} == {
        "keepwell.session.attended.v1",
        "keepwell.appointment.missed.v1",
        "keepwell.measure.completed.v1",
        "keepwell.episode.opened.v1",
    }
    assert events["visit-2"]["type"] == "keepwell.appointment.missed.v1"


def test_every_event_written_is_one_that_the_contract_accepts(clinic: Clinic) -> None:
    clinic.events()
    for line in clinic.out.read_bytes().splitlines():
        assert isinstance(decode(line, now=datetime.now(UTC), instruments=Instruments()), Accepted)


def test_moments_keep_the_wall_clock_of_their_zone_over_a_change_of_the_clocks(clinic: Clinic) -> None:
    events = clinic.events()
    assert events["visit-1"]["time"] == "2026-03-02T09:00:00Z"
    assert events["visit-4"]["time"] == "2026-03-30T08:00:00Z"
    assert events["case-18"]["time"] == "2026-04-01T07:00:00Z"


def test_days_may_be_parts_of_days_and_minutes_add_up(clinic: Clinic) -> None:
    events = clinic.events()
    assert events["case-17"]["time"] == "2026-01-02T20:00:00Z"
    assert events["phq-1"]["time"] == "2026-03-02T09:55:00Z"


def test_an_offset_in_the_cell_counts_before_the_zone_of_the_mapping(clinic: Clinic) -> None:
    clinic.cases = "case,client,team,wish,age,start\n17,88,A,,,2026-02-01T10:00:00-05:00\n"
    clinic.mapping = clinic.mapping.replace('{ text = "2026-01-01T09:00", plus_days = ["{start}"] }', '"{start}"')
    assert clinic.events()["case-17"]["time"] == "2026-02-01T15:00:00Z"


def test_an_empty_cell_leaves_the_member_out_and_a_word_for_empty_is_empty(clinic: Clinic) -> None:
    events = clinic.events()
    assert events["phq-1"]["data"]["safety_item"] == 1
    assert "safety_item" not in events["phq-4"]["data"]
    assert "preference_met" not in events["case-18"]["data"]


def test_maps_numbers_booleans_bands_and_constants_give_the_contracts_values(clinic: Clinic) -> None:
    data = clinic.events()["case-17"]["data"]
    assert data == {
        "client_id": "k-88",
        "clinician_id": "c-1",
        "preference_met": True,
        "planned_sessions": 20,
        "fairness": {"age_band": "18-24"},
    }


@pytest.mark.parametrize(
    ("age", "band"), [("3", "<18"), ("18", "18-24"), ("25", "25-39"), ("39", "25-39"), ("40", "40+")]
)
def test_a_band_begins_at_its_start_and_ends_below_the_next(clinic: Clinic, age: str, band: str) -> None:
    clinic.cases = f"case,client,team,wish,age,start\n17,88,A,,{age},1\n"
    assert clinic.events()["case-17"]["data"]["fairness"] == {"age_band": band}


def test_a_row_of_another_table_is_looked_up_by_its_key(clinic: Clinic) -> None:
    clinic.mapping = clinic.mapping.replace('appointment_id = "a-{nr}"', 'appointment_id = "a-{cases.client}-{nr}"')
    assert clinic.events()["visit-1"]["data"]["appointment_id"] == "a-88-1"


def test_a_row_without_its_match_has_empty_cells_there(clinic: Clinic) -> None:
    clinic.cases = "case,client,team,wish,age,start\n18,89,B,,40,90\n"
    clinic.mapping = clinic.mapping.replace(
        "[events.data]\nappointment_id", '[events.data]\nmodality = "{cases.wish}"\nappointment_id'
    )
    assert "modality" not in clinic.events()["visit-1"]["data"]


def test_of_several_rows_with_a_key_the_latest_counts_where_the_table_says_by_what(clinic: Clinic) -> None:
    clinic.cases += "17,99,A,,,3\n17,77,A,,,2\n"
    clinic.mapping = clinic.mapping.replace('key = "case"', 'key = "case"\nlatest_by = "start"')
    clinic.mapping = clinic.mapping.replace('id = "case-{case}"', 'id = "case-{case}-{start}"')
    clinic.mapping = clinic.mapping.replace('appointment_id = "a-{nr}"', 'appointment_id = "{cases.client}"')
    assert clinic.events()["visit-1"]["data"]["appointment_id"] == "99"


@pytest.mark.parametrize(
    ("test", "kept"),
    [
        ('where = { status = "came" }', {"1", "4"}),
        ('where = { phq9 = "" }', {"2", "3"}),
        ('where = { phq9 = "*" }', {"1", "4"}),
        ('where = { phq9 = { at_least = 10 } }', {"1"}),
        ('where = { phq9 = { at_most = 9 } }', {"4"}),
        ('where = { nr = { minus = "case", at_least = -15 } }', {"2", "3", "4"}),
        ('unless = { status = "came", nr = "2" }', {"3"}),
    ],
)  # fmt: skip
def test_conditions_choose_rows(clinic: Clinic, test: str, kept: set[str]) -> None:
    clinic.mapping = clinic.mapping.replace(
        'where = { status = ["came", "dna"] }\ntype = { text = "{status}", map = { came = "session.attended", '
        'dna = "appointment.missed" } }',
        f'{test}\ntype = "appointment.missed"',
    )
    assert {name[6:] for name in clinic.events() if name.startswith("visit-")} == kept


def test_cases_choose_a_value_by_the_first_condition_that_holds(clinic: Clinic) -> None:
    clinic.mapping = clinic.mapping.replace(
        'appointment_id = "a-{nr}"',
        "appointment_id = { otherwise = 'other', cases = [{ where = { status = 'came' }, value = 'seen' }] }",
        1,
    )
    events = clinic.events()
    assert [events[f"visit-{nr}"]["data"]["appointment_id"] for nr in (1, 2, 4)] == ["seen", "other", "seen"]


def test_with_first_only_the_earliest_of_events_with_one_id_is_written(clinic: Clinic) -> None:
    clinic.mapping = clinic.mapping.replace('id = "visit-{nr}"', 'id = "first-{case}"\nfirst = true')
    events = clinic.events()
    assert events["first-17"]["time"] == "2026-03-02T09:00:00Z"
    assert clinic.run().repeats == 1


@pytest.mark.parametrize("change", ["gz", "bom", "latin"])
def test_compressed_files_and_other_encodings_are_read(clinic: Clinic, change: str) -> None:
    expected = clinic.events()
    clinic.write()
    raw = (clinic.folder / "cases.csv").read_bytes()
    if change == "bom":
        (clinic.folder / "cases.csv").write_bytes(b"\xef\xbb\xbf" + raw)
        files = [clinic.folder / "visits.csv", clinic.folder / "cases.csv"]
    elif change == "gz":
        (clinic.folder / "cases.csv.gz").write_bytes(gzip.compress(raw))
        clinic.mapping = clinic.mapping.replace('"cases.csv"', '"cases.csv.gz"')
        files = [clinic.folder / "visits.csv", clinic.folder / "cases.csv.gz"]
    else:
        clinic.visits = clinic.visits.replace("planned", "verspätet")
        clinic.write()
        (clinic.folder / "visits.latin.csv").write_text(clinic.visits, "latin-1")
        clinic.mapping = clinic.mapping.replace('delimiter = ";"', 'delimiter = ";"\nencoding = "latin-1"')
        files = [clinic.folder / "visits.latin.csv", clinic.folder / "cases.csv"]
    (clinic.folder / "mapping.toml").write_text(clinic.mapping)
    mapping = load_mapping(clinic.folder / "mapping.toml")
    import_csv(mapping, files, clinic.out, instruments=Instruments(), on_problem=clinic.problems.append)
    assert not clinic.problems
    assert {json.loads(line)["id"] for line in clinic.out.read_text().splitlines()} == set(expected)


# ── the same again ──────────────────────────────────────────────────────────────────────────────────────


def test_a_second_import_gives_the_same_bytes_whatever_the_order_of_the_files(clinic: Clinic) -> None:
    files = clinic.write()
    clinic.run(files=files)
    first = clinic.out.read_bytes()
    clinic.run(files=files[::-1])
    assert clinic.out.read_bytes() == first


def test_a_row_in_two_files_gives_one_event(clinic: Clinic) -> None:
    files = clinic.write()
    again = clinic.folder / "visits-again.csv"
    again.write_text(clinic.visits, "utf-8")
    summary = clinic.run(files=[*files, again])
    assert (summary.events, summary.repeats, summary.problems) == (7, 5, 0)


def test_an_import_larger_than_memory_gives_the_same_bytes(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.run()
    whole = clinic.out.read_bytes()
    monkeypatch.setattr(keepwell.files.csv.importer, "_RUN", 2)
    clinic.run()
    assert clinic.out.read_bytes() == whole


def test_rows_that_no_rule_takes_are_counted(clinic: Clinic) -> None:
    summary = clinic.run()
    assert (summary.rows, summary.unused, summary.events, summary.problems) == (6, 1, 7, 0)


# ── what cannot be mapped ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("table", "old", "new", "line", "column", "word"),
    [
        ("visits", "02.03.2026", "2026-03-02", 2, "day", "%d.%m.%Y"),
        ("visits", "50;came;14", "50;came;lots", 2, "phq9", "not a number"),
        ("visits", "50;came;14", "50;came;nan", 2, "phq9", "not a number"),
        ("visits", "50;came;14", "50;came;28", 2, "phq9", "0 to 27"),
        ("visits", "came;14;1", "came;14;0.5", 2, "item9", "whole number"),
        ("visits", "02.03.2026;10:00", "02.03.2096;10:00", 2, "day", "24 h ahead"),
        ("visits", "1;17;02", "1;1 7;02", 2, "case", "$.subject"),
        ("cases", "88,A", "88,C", 2, "team", "no entry"),
        ("cases", "A,yes", "A,perhaps", 2, "wish", "yes/no"),
        ("cases", "17,88", "17,", 2, "client", "Add the required member"),
        ("cases", ",1.5", ",1e9", 2, "start", "calendar"),
        ("cases", "17,88,A,yes,24,1.5", "17,88,A", 2, "", "3 cells, the header 6"),
        ("visits", "4;18;30", "1;18;30", 5, "nr", "same `id`"),
        ("cases", "18,89", "17,89", 3, "case", "another row"),
    ],
)
def test_a_row_that_cannot_be_mapped_is_named_by_file_line_and_column(
    clinic: Clinic, table: str, old: str, new: str, line: int, column: str, word: str
) -> None:
    before = clinic.run()
    setattr(clinic, table, getattr(clinic, table).replace(old, new, 1))
    summary = clinic.run()
    first = clinic.problems[0]
    assert (first.file, first.line) == (f"{table}.csv", line)
    assert column in first.columns or not column
    assert word in str(first)
    assert summary.problems == len(clinic.problems) > 0
    assert 0 < summary.events <= before.events


@pytest.mark.parametrize("id_", ["8 8", "88 ", "Zq7@x.org", "Zq7\u00fc", "8" * 200])
def test_an_id_that_is_no_pseudonym_is_told_with_its_column_and_what_to_change(clinic: Clinic, id_: str) -> None:
    clinic.cases = clinic.cases.replace("17,88", f"17,{id_}")
    summary = clinic.run()
    (problem,) = clinic.problems
    assert (problem.file, problem.line, problem.columns) == ("cases.csv", 2, ("client",))
    assert "$.data.client_id: Send a pseudonym: 1 to 128 visible ASCII characters without an @" in str(problem)
    assert id_ not in str(problem)
    assert summary.events == 6


def test_a_problem_holds_no_content_of_the_row(clinic: Clinic) -> None:
    clinic.visits = clinic.visits.replace("02.03.2026", "Zq7canary").replace(";14;", ";Zq7canary;")
    clinic.cases = clinic.cases.replace("A,yes", "Zq7canary,Zq7canary")
    clinic.run()
    assert clinic.problems
    assert "Zq7canary" not in "".join(map(str, clinic.problems))


def test_a_cell_over_several_lines_is_named_by_its_last_line(clinic: Clinic) -> None:
    clinic.cases = clinic.cases.replace("88,A", '88,"A\nB"')
    clinic.run()
    assert clinic.problems[0].line == 3


def test_with_strict_nothing_is_written_where_there_was_a_problem(clinic: Clinic) -> None:
    clinic.out.write_text("what was there before")
    clinic.visits = clinic.visits.replace("50;came;14", "50;came;lots")
    assert clinic.run(strict=True).problems == 1
    assert clinic.out.read_text() == "what was there before"
    assert not list(clinic.folder.glob("*.partial"))


_cell = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.lists(_cell | st.sampled_from(["17", "02.03.2026", "10:00", "came"]), min_size=8, max_size=8), max_size=5
    )
)
def test_no_content_of_a_table_raises_or_gives_an_event_that_the_contract_refuses(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]
) -> None:
    clinic = Clinic(tmp_path_factory.mktemp("clinic"))
    files = clinic.write()
    with files[0].open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerows([VISITS.splitlines()[0].split(";"), *rows])
    mapping = load_mapping(clinic.folder / "mapping.toml")
    import_csv(mapping, files, clinic.out, instruments=Instruments(), on_problem=clinic.problems.append)
    for line in clinic.out.read_bytes().splitlines():
        assert isinstance(decode(line, now=datetime.now(UTC), instruments=Instruments()), Accepted)


# ── a wrong mapping ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ('zone = "Europe/Berlin"', 'zone = "Europe/Nowhere"', "time zone"),
        ('zone = "Europe/Berlin"', "zone = ", "mapping.toml"),
        ('table = "cases"\ntype', 'table = "case"\ntype', "no table"),
        ('map = "teams"', 'map = "team"', "no map"),
        ('delimiter = ";"', 'delimiter = ";;"', "delimiter"),
        ('delimiter = ";"', 'encoding = "utf-99"', "encoding"),
        ('delimiter = ";"', 'colour = "red"', "colour"),
        ('as = "integer"', 'as = "int"', "safety_item"),
        ('id = "visit-{nr}"\n', "", "id"),
        ('id = "visit-{nr}"', 'id = "visit-{number}"', "no column `number`"),
        ('id = "visit-{nr}"', 'id = "visit-{cases.number}"', "`cases.number`"),
        ('file = "cases.csv"', 'file = "case.csv"', "case.csv"),
        ('key = "case"', 'key = "case"\nwhere = { "visits.nr" = "1" }', "own columns"),
        ("planned_sessions = 20", "planned_sessions = 2026-01-01", "planned_sessions"),
    ],
)
def test_a_wrong_mapping_is_refused_with_its_place(clinic: Clinic, old: str, new: str, word: str) -> None:
    assert old in clinic.mapping
    clinic.mapping = clinic.mapping.replace(old, new)
    with pytest.raises(MappingError, match=word.replace(".", r"\.")):
        clinic.run()
    assert not clinic.out.exists()


def test_a_file_that_no_table_names_is_refused(clinic: Clinic) -> None:
    other = clinic.folder / "other.csv"
    other.write_text("a\n1\n")
    with pytest.raises(MappingError, match=r"other\.csv"):
        clinic.run(files=[*clinic.write(), other])


def test_a_member_that_the_contract_does_not_have_is_told(clinic: Clinic) -> None:
    clinic.mapping = clinic.mapping.replace("planned_sessions = 20", "mood = 20")
    assert clinic.run().problems == 2
    assert "does not have" in clinic.problems[0].detail


def test_a_file_in_another_encoding_than_the_declared_one_is_refused(clinic: Clinic) -> None:
    files = clinic.write()
    files[1].write_bytes(CASES.encode().replace(b"88", b"\xff\xff"))
    clinic.mapping = clinic.mapping.replace('key = "case"', 'key = "case"\nencoding = "utf-8"')
    (clinic.folder / "mapping.toml").write_text(clinic.mapping)
    with pytest.raises(MappingError, match=r"cases\.csv: after line 0: not in the encoding utf-8"):
        import_csv(
            load_mapping(clinic.folder / "mapping.toml"),
            files,
            clinic.out,
            instruments=Instruments(),
            on_problem=clinic.problems.append,
        )


# ── the command ─────────────────────────────────────────────────────────────────────────────────────────


def command(clinic: Clinic, *options: str) -> Result:
    files = [str(path) for path in clinic.write()]
    mapping = str(clinic.folder / "mapping.toml")
    return CliRunner().invoke(app, ["import-csv", mapping, *files, "--out", str(clinic.out), *options])


def test_the_command_prints_a_summary(clinic: Clinic) -> None:
    summary = json.loads(command(clinic, "--json").stdout)
    assert (summary["events"], summary["rows"], summary["problems"]) == (7, 6, 0)
    assert "keepwell.episode.opened.v1" in command(clinic).stdout


def test_the_command_names_problems_on_standard_error_and_exits_1_with_strict_only(clinic: Clinic) -> None:
    clinic.visits = clinic.visits.replace("50;came;14", "50;came;lots")
    lenient, strict = command(clinic), command(clinic, "--strict")
    assert (lenient.exit_code, strict.exit_code) == (0, 1)
    assert "visits.csv:2: column `phq9`" in lenient.stderr


def test_the_command_exits_2_for_a_wrong_mapping(clinic: Clinic) -> None:
    clinic.mapping = clinic.mapping.replace('map = "teams"', 'map = "team"')
    assert command(clinic).exit_code == 2


def test_the_command_exits_1_where_no_row_became_an_event(clinic: Clinic) -> None:
    clinic.mapping = clinic.mapping.replace("%d.%m.%Y", "%d/%m/%Y")
    clinic.cases = clinic.cases.replace("yes", "perhaps").replace(",40,", ",old,")
    for options in ((), ("--json",)):
        done = command(clinic, *options)
        assert done.exit_code == 1
        assert "no row became an event: nothing was written" in done.stderr
        assert 'column `day`: its moments read with `format = "%d.%m.%Y %H:%M"`' in done.stderr
    assert not clinic.out.exists()


def test_the_command_lists_what_nothing_matched_on_standard_output_and_exits_1_with_strict(clinic: Clinic) -> None:
    lenient, strict = command(clinic), command(clinic, "--strict")
    assert (lenient.exit_code, strict.exit_code) == (0, 1)
    for done in (lenient, strict):
        assert "visits, column `status`: nothing in the mapping matches 1 rows: 'planned' 1" in done.stdout
        assert "planned" not in done.stderr


def test_the_command_says_how_each_file_was_read(clinic: Clinic) -> None:
    done = command(clinic)
    assert "4  rows of visits.csv: 8 columns by ; in utf-8" in done.stdout
    assert "2  rows of cases.csv: 6 columns by , in utf-8" in done.stdout


@pytest.mark.parametrize("arguments", [["visits.csv", "--out", "x"], ["mapping.toml", "visits.csv"], ["nowhere.toml"]])
def test_the_command_exits_2_where_an_argument_is_missing(clinic: Clinic, arguments: list[str]) -> None:
    clinic.write()
    named = [str(clinic.folder / one) if "." in one else one for one in arguments]
    assert CliRunner().invoke(app, ["import-csv", *named]).exit_code == 2


# ── the page ────────────────────────────────────────────────────────────────────────────────────────────


def test_the_mapping_of_the_reference_page_imports(clinic: Clinic) -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "csv-mapping.md").read_text("utf-8")
    clinic.mapping = page.split("```toml\n")[1].split("```")[0]
    clinic.visits = clinic.visits.replace("NULL", "0")
    clinic.cases = "case,client,team,age,opened\n17,88,A,24,01.03.2026\n18,89,B,40,01.03.2026\n"
    events = clinic.events()
    assert list(events) == ["case-17", "case-18", "phq-1", "visit-1", "visit-2", "phq-4", "visit-4"]


@pytest.mark.parametrize(("written", "names"), [("Tables", Table), ("Events", RawRule), ("Values", Value)])
def test_the_reference_page_names_every_member(written: str, names: type[msgspec.Struct]) -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "csv-mapping.md").read_text("utf-8")
    told = set(re.findall(r"`(\w+)`", page[page.index(f"## {written}") :]))
    assert set(names.__struct_encode_fields__) <= told
