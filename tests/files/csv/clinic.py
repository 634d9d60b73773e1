"""A table of visits and its mapping, as the tests of single modules change them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keepwell.care.instruments import Instruments
from keepwell.files.csv.importer import RowProblem, Summary, import_csv
from keepwell.files.csv.mapping import load_mapping

MAPPING = """
zone = "Europe/London"
source = "/north/booking"
subject = "ep-{Case}"

[tables.visits]
file = "visits*"

[[events]]
table = "visits"
where = { Status = ["Attended", "No Show"] }
type = { text = "{Status}", map = { Attended = "session.attended", "No Show" = "appointment.missed" } }
id = "visit-{Appt ID}"
time = { text = "{When}", format = "%d/%m/%Y %H:%M" }

[events.data]
appointment_id = "{Appt ID}"
"""

ROWS = (
    ("Appt ID", "Case", "Status", "When"),
    ("1", "7", "Attended", "02/03/2026 10:00"),
    ("2", "7", "No Show", "09/03/2026 10:00"),
)


class Import:
    """What came of one import."""

    def __init__(
        self, folder: Path, content: bytes, mapping: str, name: str = "visits.csv", strict: bool = False
    ) -> None:
        (folder / "mapping.toml").write_text(mapping, "utf-8")
        (folder / name).write_bytes(content)
        self.problems: list[RowProblem] = []
        self.out = folder / "events.jsonl"
        self.summary: Summary = import_csv(
            load_mapping(folder / "mapping.toml"), [folder / name], self.out, instruments=Instruments(),
            on_problem=self.problems.append, strict=strict,
        )  # fmt: skip

    @property
    def events(self) -> Mapping[str, dict[str, Any]]:
        """By id."""
        lines = self.out.read_text("utf-8").splitlines() if self.out.exists() else []
        return {event["id"]: event for event in map(json.loads, lines)}


def written(*rows: tuple[str, ...], delimiter: str = ",") -> str:
    """Rows as text."""
    return "".join(delimiter.join(row) + "\n" for row in rows)
