"""The Open University's courses as events, which no mapping can say: `python -m examples.oulad.events DATA OUT`.

What was *not* handed in stands in no row of the tables, so every enrolment is held against its calendar. README.md
beside this file tells what becomes what, and why.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

GRACE_DAYS = 7
"""How long after its day an assignment that was not handed in counts as missed; of those that came, 94 % came by then."""
START = {"2013B": datetime(2013, 2, 1, tzinfo=UTC), "2013J": datetime(2013, 10, 1, tzinfo=UTC)}
"""Day 0 of February and October courses. The data name the month only; the day is made up, and so are all hours."""
SOURCE = "/open-university/register"


class Assessment(NamedTuple):
    """One entry of a course's calendar; `due` is a day of the course."""

    id: str
    kind: str
    due: int


class Enrolment(NamedTuple):
    """One student in one course, in days of the course. `left` is the true day of withdrawal."""

    course: str
    student: str
    begins: int
    left: int | None
    attempts: int
    fairness: dict[str, str]


Told = tuple[int, int, str, dict[str, object]]
"""Day, hour, type and data of an event."""


def main(folder: Path, out: Path) -> None:
    """Writes the events and prints what was counted."""
    counts: Counter[str] = Counter()
    calendars, handed_in = read_calendars(folder), read_handed_in(folder)
    with out.open("w", encoding="utf-8") as file:
        for enrolment in read_enrolments(folder, counts):
            calendar = calendars[enrolment.course]
            subject = f"{enrolment.course}-{enrolment.student}"
            start = START[enrolment.course[-5:].upper()]
            found = handed_in[enrolment.student]
            for number, (day, hour, kind, data) in enumerate(course(enrolment, calendar, found)):
                time = start + timedelta(days=day, hours=hour)
                if "starts_at" in data:
                    data["starts_at"] = (start + timedelta(days=int(str(data["starts_at"])), hours=18)).isoformat()
                event = {
                    "specversion": "1.0", "id": f"{subject}-{number}", "source": SOURCE, "subject": subject,
                    "type": f"keepwell.{kind}.v1", "time": time.isoformat(), "data": data,
                }  # fmt: skip
                file.write(json.dumps(event) + "\n")
                counts[kind] += 1
    for name, count in sorted(counts.items()):
        print(f"{count:10,}  {name}")


def course(enrolment: Enrolment, calendar: list[Assessment], handed_in: dict[str, int]) -> Iterator[Told]:
    """The events of one enrolment, up to the day on which it ended."""
    begins, exam = enrolment.begins, max(entry.due for entry in calendar)
    withdrew = enrolment.left is not None and enrolment.left < exam
    ends = enrolment.left if withdrew and enrolment.left is not None else exam
    ahead = [entry for entry in calendar if entry.due >= begins]
    yield begins, 8, "episode.opened", {
        "client_id": enrolment.student, "clinician_id": enrolment.course.partition("-")[0], "modality": "text",
        "planned_sessions": max(sum(entry.kind == "TMA" for entry in ahead), 1),
        "previous_episodes": enrolment.attempts, "fairness": enrolment.fairness,
    }  # fmt: skip
    for entry in ahead:
        if entry.kind == "CMA":
            yield begins, 8, "homework.assigned", {"homework_id": entry.id}
        else:
            purpose = "review" if entry.kind == "Exam" else "treatment"
            booking = {"appointment_id": entry.id, "starts_at": entry.due, "purpose": purpose}
            yield begins, 8, "appointment.booked", booking
    for entry in ahead:
        day, last = handed_in.get(entry.id), entry.due + GRACE_DAYS
        if day is not None and begins <= day < ends:
            yield day, 12, *came(entry, day <= last)
        if (day is None or day > last) and last < ends and entry.kind != "Exam":
            yield last, 20, *missed(entry)
    yield ends, 20, "episode.ended", {"reason": "client_stopped" if withdrew else "planned"}


def came(entry: Assessment, in_time: bool) -> tuple[str, dict[str, object]]:
    """What an assessment that was handed in becomes. One that was given up for missed is a session of its own."""
    if entry.kind == "CMA":
        return "homework.reviewed", {"homework_id": entry.id, "completion": 1}
    return "session.attended", {"appointment_id": entry.id} if in_time else {}


def missed(entry: Assessment) -> tuple[str, dict[str, object]]:
    if entry.kind == "CMA":
        return "homework.reviewed", {"homework_id": entry.id, "completion": 0}
    return "appointment.missed", {"appointment_id": entry.id, "reason": "unknown"}


def read_calendars(folder: Path) -> dict[str, list[Assessment]]:
    """The calendar of each course. An exam without a day is on the last day of the course."""
    lengths = {course_of(row): row.module_presentation_length for row in rows(folder, "courses")}
    calendars: dict[str, list[Assessment]] = defaultdict(list)
    for row in rows(folder, "assessments"):
        due = lengths[course_of(row)] if pd.isna(row.date) else row.date
        calendars[course_of(row)].append(Assessment(str(row.id_assessment), row.assessment_type, int(due)))
    return calendars


def read_handed_in(folder: Path) -> dict[str, dict[str, int]]:
    """By student, the day on which each assessment was handed in. What was carried over from an earlier year was not."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for row in rows(folder, "studentAssessment"):
        if not row.is_banked:
            found[str(row.id_student)][str(row.id_assessment)] = int(row.date_submitted)
    return found


def read_enrolments(folder: Path, counts: Counter[str]) -> Iterator[Enrolment]:
    """The enrolments that began; those that did not are counted."""
    info = pd.read_csv(folder / "studentInfo.csv.gz")
    dates = pd.read_csv(folder / "studentRegistration.csv.gz")
    for row in each(info.merge(dates, validate="1:1")):
        begins = 0 if pd.isna(row.date_registration) else max(0, int(row.date_registration))
        left = None if pd.isna(row.date_unregistration) else int(row.date_unregistration)
        if left is not None and left <= begins:
            counts["(left out: withdrew before it began)"] += 1
        elif left is None and row.final_result == "Withdrawn":
            counts["(left out: withdrew on a day that is not known)"] += 1
        else:
            fairness = {
                "gender": row.gender,
                "age_band": row.age_band,
                "deprivation": row.imd_band,
                "disability": row.disability,
            }
            yield Enrolment(
                course_of(row), str(row.id_student), begins, left, int(row.num_of_prev_attempts),
                {name: value for name, value in fairness.items() if isinstance(value, str)},
            )  # fmt: skip


def rows(folder: Path, table: str) -> Iterator[Any]:
    return each(pd.read_csv(folder / f"{table}.csv.gz"))


def each(table: pd.DataFrame) -> Iterator[Any]:
    """The rows; what is in them is the table's own affair."""
    return iter(table.itertuples())


def course_of(row: Any) -> str:
    return f"{row.code_module}-{row.code_presentation}".lower()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
