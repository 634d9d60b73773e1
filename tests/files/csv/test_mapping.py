"""Mappings that are wrong: refused with their place before a row is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from keepwell.files.csv.cells import MappingError
from tests.files.csv.clinic import MAPPING, ROWS, Import, written

TABLE = written(*ROWS).encode()
FILE = 'file = "visits*"'
APPOINTMENT = 'appointment_id = "{Appt ID}"'


@pytest.mark.parametrize(
    "text", ["out-{Appt ID", "out-Appt ID}", "out-{}", "{{Appt ID}}", "{Appt {ID}}", "{", "}{", "{Appt ID}}"]
)
@pytest.mark.parametrize(
    ("old", "place"),
    [
        ('id = "visit-{Appt ID}"', "id"),
        ('appointment_id = "{Appt ID}"', "data.appointment_id"),
        ('time = { text = "{When}"', "time"),
        ('type = { text = "{Status}"', "type"),
    ],
)
def test_a_brace_that_is_not_closed_or_opened_around_a_column_is_refused_with_table_and_key(
    tmp_path: Path, text: str, old: str, place: str
) -> None:
    new = old[: old[:-1].rindex(chr(34)) + 1] + text + chr(34)
    with pytest.raises(MappingError, match=rf"mapping\.toml: events 1 \(visits\): \$\.{place}: .* brace that is not"):
        Import(tmp_path, TABLE, MAPPING.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('subject = "ep-{Case}"', 'subject = "ep-{Case"', "subject"),
        ('source = "/north/booking"', 'source = "/north/{booking"', "source"),
        (
            APPOINTMENT,
            'appointment_id = "a"\nstarts_at = { as = "time", text = "2026-01-01", plus_days = ["{Case"] }',
            "data.starts_at",
        ),
        ('Attended = "session.attended"', 'Attended = "session.{When}"', "type"),
        (APPOINTMENT, 'appointment_id = { text = "{Appt ID}", otherwise = "{Case}" }', "data.appointment_id"),
        (
            APPOINTMENT,
            'appointment_id = { cases = [{ where = { Case = "7" }, value = "{Case}" }] }',
            "data.appointment_id",
        ),
    ],
)
def test_braces_are_checked_wherever_a_text_stands(tmp_path: Path, old: str, new: str, place: str) -> None:
    with pytest.raises(MappingError, match=rf"events 1 \(visits\): \$\.{place}: "):
        Import(tmp_path, TABLE, MAPPING.replace(old, new))


def test_what_a_draft_leaves_to_fill_in_is_named_all_at_once(tmp_path: Path) -> None:
    mapping = MAPPING.replace("Europe/London", "<fill in: the zone>").replace('"visit-{Appt ID}"', '"<fill in: an id>"')
    with pytest.raises(MappingError, match=r"mapping\.toml: left to fill in: zone: the zone; events 1\.id: an id$"):
        Import(tmp_path, TABLE, mapping)


def test_a_mapping_that_an_editor_wrote_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    assert Import(tmp_path, TABLE, "\ufeff" + MAPPING).summary.events == 2


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (FILE, FILE + '\ndecimal = "x"', r"\$\.tables\.visits\.decimal: write one of: `\.`, `,`"),
        (FILE, FILE + '\nencodng = "x"', r"\$\.tables\.visits\.encodng: there is no such member: did you mean `encoding`\?"),
        (FILE, FILE + '\nquote = "ab"', r"\$\.tables\.visits\.quote: write a text of 1 character$"),
        ('id = "visit-{Appt ID}"', "id = 5", r"\$\.events\[0\]\.id: write a text$"),
        ('id = "visit-{Appt ID}"', "", r"\$\.events\[0\]\.id: is required: write a text$"),
        (APPOINTMENT, 'appointment_id = { text = "x", as = "int" }', r"appointment_id\.as: write one of: `text`, `number`"),
    ],
)  # fmt: skip
def test_what_a_mapping_may_not_say_is_told_with_its_keys_and_what_it_may_say(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    with pytest.raises(MappingError, match=told):
        Import(tmp_path, TABLE, MAPPING.replace(old, new, 1))
