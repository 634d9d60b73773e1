"""Which rows are meant: statuses match however they are typed, and what nothing matches is listed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from keepwell.files.csv.cells import alike
from tests.files.csv.clinic import MAPPING, ROWS, Import, written


def visits(*statuses: str) -> bytes:
    rows = [
        (str(number), "7", status, f"{number % 28 + 1:02}/03/2026 10:00") for number, status in enumerate(statuses, 1)
    ]
    return written(ROWS[0], *rows, delimiter=";").encode()


def types(done: Import) -> list[str]:
    return [event["type"].split(".", 1)[1] for _, event in sorted(done.events.items())]


@pytest.mark.parametrize(
    "typed", ["Attended", "attended", "ATTENDED", " Attended ", "Attended\u00a0", "\tattended", "at-tended"]
)
def test_a_status_matches_whatever_its_case_and_blanks(tmp_path: Path, typed: str) -> None:
    done = Import(tmp_path, visits(typed), MAPPING)
    assert types(done) == ["session.attended.v1"]
    assert done.summary.clean


@pytest.mark.parametrize(
    "typed",
    [
        "No Show",
        "no show",
        "No-show",
        "NO_SHOW",
        "noshow",
        "No\u00a0Show",
        "no\u202fshow",
        "No \u2013 Show",
        "no--show ",
    ],
)
def test_a_status_matches_whatever_stands_between_its_words(tmp_path: Path, typed: str) -> None:
    assert types(Import(tmp_path, visits(typed), MAPPING)) == ["appointment.missed.v1"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("-1", "1"),
        ("1-2", "12"),
        ("1 2", "12"),
        ("A-", "A"),
        ("+", "-"),
        ("B1", "B-1"),
        ("no", "no show"),
        ("", "-"),
        ("ä", "a"),
    ],
)
def test_what_means_something_else_is_not_alike(one: str, other: str) -> None:
    assert alike(one) != alike(other)


def test_a_content_that_the_mapping_names_is_no_other_however_alike(tmp_path: Path) -> None:
    mapping = MAPPING.replace('["Attended", "No Show"]', '["A"]').replace("{ Attended =", "{ A =") + MAPPING[
        MAPPING.index("[[events]]") :
    ].replace('["Attended", "No Show"]', '["a"]').replace(
        '{ Attended = "session.attended",', '{ a = "appointment.missed",'
    )
    assert types(Import(tmp_path, visits("A", "a"), mapping)) == ["session.attended.v1", "appointment.missed.v1"]


def test_a_map_takes_the_key_itself_before_one_that_is_alike(tmp_path: Path) -> None:
    mapping = MAPPING.replace('"No Show" = "appointment.missed"', 'attended = "appointment.missed"')
    done = Import(tmp_path, visits("Attended", "attended", "ATTENDED"), mapping)
    assert types(done) == ["session.attended.v1", "appointment.missed.v1"]
    assert "the map has no entry" in str(done.problems[0])


# ── what nothing matches ────────────────────────────────────────────────────────────────────────────────


def unmatched(done: Import) -> dict[str, dict[str, int]]:
    return {one.column: one.contents for one in done.summary.unmatched}


def test_each_content_that_no_where_matched_is_listed_with_its_count(tmp_path: Path) -> None:
    done = Import(tmp_path, visits("Attended", "DNA", "CANX", "DNA", "No-show"), MAPPING)
    assert unmatched(done) == {"Status": {"DNA": 2, "CANX": 1}}
    assert not done.problems and not done.summary.clean
    assert "nothing in the mapping matches 3 rows: 'DNA' 2, 'CANX' 1" in str(done.summary.unmatched[0])


def test_with_strict_a_content_that_nothing_matched_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    done = Import(tmp_path, visits("Attended", "DNA"), MAPPING, strict=True)
    assert done.summary.events == 1 and not done.out.exists()


def test_an_empty_status_is_no_content(tmp_path: Path) -> None:
    assert not unmatched(Import(tmp_path, visits("Attended", "", "  "), MAPPING))


@pytest.mark.parametrize("said", ['["dna", "canx"]', '"*"'])
def test_what_is_meant_to_be_left_out_is_said_in_the_mapping(tmp_path: Path, said: str) -> None:
    mapping = MAPPING.replace('file = "visits*"', f'file = "visits*"\nleft_out = {{ Status = {said} }}')
    assert Import(tmp_path, visits("Attended", "DNA", "CANX"), mapping).summary.clean


@pytest.mark.parametrize(
    ("rule", "listed"),
    [
        ('where = { Status = "*" }', False),
        ('unless = { Status = "Attended" }', False),
        ('unless = { Status = "" }', False),
        ('unless = { Status = "*" }', True),
        ('where = { Case = "7" }', True),
        ('where = { Status = "DNA" }', False),
        ('where = { Status = "dna " }', False),
    ],
)
def test_a_content_that_another_rule_takes_is_matched_and_only_then(tmp_path: Path, rule: str, listed: bool) -> None:
    more = f"""
[[events]]
table = "visits"
{rule}
type = "appointment.booked"
id = "booked-{{Appt ID}}"
time = "2026-03-01T10:00:00Z"
data = {{ appointment_id = "{{Appt ID}}", starts_at = "2026-03-05T10:00:00Z" }}
"""
    assert unmatched(Import(tmp_path, visits("Attended", "DNA"), MAPPING + more)) == (
        {"Status": {"DNA": 1}} if listed else {}
    )


def test_a_status_of_rows_that_no_rule_is_about_is_not_listed(tmp_path: Path) -> None:
    mapping = (
        MAPPING.replace("where = { Status", 'where = { Case = "7", Status')
        + """
[[events]]
table = "visits"
where = { Case = "8" }
type = "episode.opened"
id = "opened-{Case}"
time = "2026-03-01T10:00:00Z"
data = { client_id = "k", clinician_id = "c" }
"""
    )
    rows = (*ROWS, ("3", "8", "whatever", "02/03/2026 10:00"), ("4", "9", "whatever", "02/03/2026 10:00"))
    assert unmatched(Import(tmp_path, written(*rows).encode(), mapping)) == {
        "Case": {"9": 1},
        "Status": {"whatever": 1},
    }


def test_what_a_tables_own_where_drops_is_listed_too(tmp_path: Path) -> None:
    mapping = MAPPING.replace('file = "visits*"', 'file = "visits*"\nwhere = { Status = ["Attended", "No Show"] }')
    assert unmatched(Import(tmp_path, visits("attended", "DNA"), mapping)) == {"Status": {"DNA": 1}}


def test_what_no_case_chose_is_listed_where_nothing_is_said_of_the_rest(tmp_path: Path) -> None:
    cases = 'modality = { cases = [{ where = { Status = "Attended" }, value = "video" }]'
    both = MAPPING.replace('"No Show"]', '"No Show", "DNA"]').replace(
        '"No Show" =', 'DNA = "appointment.missed", "No Show" ='
    )
    open_, closed = both + cases + ', otherwise = "phone" }\n', both + cases + " }\n"
    assert not unmatched(Import(tmp_path, visits("Attended", "DNA"), open_))
    assert not unmatched(Import(tmp_path, visits("Attended", "DNA"), closed))  # another condition names it
    mapped = MAPPING.replace('where = { Status = ["Attended", "No Show"] }\n', "").replace(
        "{ Attended", '{ DNA = "appointment.missed", Attended'
    )
    assert not unmatched(Import(tmp_path, visits("Attended", "DNA"), mapped + cases + " }\n"))


def test_a_content_without_an_entry_in_a_map_is_a_problem_and_listed(tmp_path: Path) -> None:
    mapping = MAPPING.replace('where = { Status = ["Attended", "No Show"] }\n', "")
    done = Import(tmp_path, visits("Attended", "DNA", "DNA"), mapping)
    assert [problem.line for problem in done.problems] == [3, 4]
    assert unmatched(done) == {"Status": {"DNA": 2}}
    assert "DNA" not in "".join(map(str, done.problems))


@pytest.mark.parametrize(
    "texts",
    [
        [f"Mr {number} called" for number in "abcdefghijklmnopqrstuvwxyz"],
        ["the client said that she would rather not come any more"],
    ],
)
def test_what_is_no_list_of_statuses_is_counted_and_not_shown(tmp_path: Path, texts: Sequence[str]) -> None:
    done = Import(tmp_path, visits("Attended", *texts), MAPPING)
    (one,) = done.summary.unmatched
    assert (one.rows, one.contents) == (len(texts), {})
    assert "not listed" in str(one) and "called" not in str(one) and "client" not in str(one)


def test_a_content_cannot_steer_the_terminal(tmp_path: Path) -> None:
    done = Import(tmp_path, visits("Attended", "\x1b[31mred"), MAPPING)
    assert "\x1b" not in str(done.summary.unmatched[0])
