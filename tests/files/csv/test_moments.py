"""Moments as offices write them: read by a declared format; what the clocks make doubtful is told with the reading taken."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from keepwell.files.csv.moments import likely_formats, placed
from tests.files.csv.clinic import MAPPING, ROWS, Import, written


def visits(*moments: str) -> bytes:
    rows = [(str(number), "7", "Attended", moment) for number, moment in enumerate(moments, 1)]
    return written(ROWS[0], *rows, delimiter=";").encode()


@pytest.mark.parametrize(
    ("zone", "local", "says", "reading"),
    [
        ("Europe/London", "2026-03-29T01:00", "does not exist", "2026-03-29T02:00+01:00"),
        ("Europe/London", "2026-03-29T01:59", "does not exist", "2026-03-29T02:59+01:00"),
        ("Europe/London", "2026-03-29T00:59", "", ""),
        ("Europe/London", "2026-03-29T02:00", "", ""),
        ("Europe/London", "2026-10-25T01:00", "occurs twice", "2026-10-25T01:00+01:00"),
        ("Europe/London", "2026-10-25T01:59", "occurs twice", "2026-10-25T01:59+01:00"),
        ("Europe/London", "2026-10-25T00:59", "", ""),
        ("Europe/London", "2026-10-25T02:00", "", ""),
        ("America/New_York", "2026-03-08T02:30", "does not exist", "2026-03-08T03:30-04:00"),
        ("Australia/Lord_Howe", "2026-04-05T01:45", "occurs twice", "2026-04-05T01:45+11:00"),
        ("Pacific/Apia", "2011-12-30T12:00", "does not exist", "2011-12-31T12:00+14:00"),
        ("UTC", "2026-03-29T01:30", "", ""),
    ],
)
def test_a_local_time_is_told_where_the_clocks_make_it_none_or_two(
    zone: str, local: str, says: str, reading: str
) -> None:
    moment, doubt = placed(datetime.fromisoformat(local), ZoneInfo(zone))
    assert (says in doubt and zone in doubt) if says else doubt == ""
    assert doubt.endswith(reading)
    if reading:
        assert moment.timestamp() == datetime.fromisoformat(reading).timestamp()


def test_doubtful_times_are_told_row_by_row_and_become_events_all_the_same(tmp_path: Path) -> None:
    done = Import(tmp_path, visits("29/03/2026 01:30", "25/10/2026 01:30", "02/03/2026 10:00"), MAPPING, strict=True)
    assert [(problem.line, problem.columns, problem.doubt) for problem in done.problems] == [
        (2, ("When",), True), (3, ("When",), True),
    ]  # fmt: skip
    assert (done.summary.problems, done.summary.doubts, done.summary.clean) == (0, 2, True)
    assert [event["time"] for event in done.events.values()] == [
        "2026-03-02T10:00:00Z", "2026-03-29T01:30:00Z", "2026-10-25T00:30:00Z",
    ]  # fmt: skip


def test_a_row_that_makes_several_events_of_one_doubtful_time_is_told_once(tmp_path: Path) -> None:
    again = MAPPING[MAPPING.index("[[events]]") :].replace("visit-{", "again-{")
    done = Import(tmp_path, visits("29/03/2026 01:30"), MAPPING + again)
    assert (len(done.problems), done.summary.doubts, done.summary.events) == (1, 1, 2)


def test_an_offset_in_the_cell_leaves_no_doubt(tmp_path: Path) -> None:
    mapping = MAPPING.replace(', format = "%d/%m/%Y %H:%M"', "")
    assert not Import(tmp_path, visits("2026-03-29T01:30+00:00"), mapping).problems


@pytest.mark.parametrize("cell", ["46083,4375", "46083.4375", "46083"])
@pytest.mark.parametrize("form", [', format = "%d/%m/%Y %H:%M"', ""])
def test_a_day_number_of_a_spreadsheet_is_refused_with_what_to_do(tmp_path: Path, cell: str, form: str) -> None:
    done = Import(tmp_path, visits(cell), MAPPING.replace(', format = "%d/%m/%Y %H:%M"', form))
    assert "day number of a spreadsheet" in str(done.problems[0]) and "1899-12-30" in str(done.problems[0])
    assert not done.summary.hints
    mapping = 'decimal = ","\n' if "," in cell else ""
    mapping += MAPPING.replace(
        '{ text = "{When}", format = "%d/%m/%Y %H:%M" }', '{ text = "1899-12-30T00:00", plus_days = ["{When}"] }'
    )
    (event,) = Import(tmp_path, visits(cell), mapping).events.values()
    assert event["time"] == ("2026-03-02T00:00:00Z" if cell == "46083" else "2026-03-02T10:30:00Z")


def test_where_a_format_would_read_every_cell_it_is_suggested_and_not_taken(tmp_path: Path) -> None:
    done = Import(tmp_path, visits("02.03.2026 10:00", "13.03.2026 10:00"), MAPPING)
    assert done.summary.events == 0
    assert done.summary.hints == [
        'visits, column `When`: its moments read with `format = "%d.%m.%Y %H:%M"`; say which'
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cells", "formats"),
    [
        (["2026-03-02T10:00"], [None]),
        (["02/03/2026 10:00"], ["%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M"]),
        (["02/13/2026 10:00 PM"], ["%m/%d/%Y %I:%M %p"]),
        (["2 Mar 2026"], ["%d %b %Y"]),
        (["02.03.26"], ["%d.%m.%y"]),
        (["02.03.2026", "soon"], []),
        ([], []),
    ],
)
def test_the_formats_that_read_every_cell_are_likely(cells: list[str], formats: list[str | None]) -> None:
    assert likely_formats(cells) == formats
