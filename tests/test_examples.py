"""The examples do what their pages say, on real input."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from jsonschema import Draft202012Validator

from keepwell.csv_import import Problem, Summary, import_csv
from keepwell.csv_mapping import load_mapping
from keepwell.events import CONTROL_TYPES, EVENT_TYPES, Accepted, decode
from keepwell.instruments import Instruments
from keepwell.schema import output_schema

EXAMPLES = Path(__file__).parents[1] / "examples"
WEEK = EXAMPLES / "quickstart" / "week.jsonl"
CTN = EXAMPLES / "ctn0027"
DATA = Path(__file__).parents[2] / "shared" / "data" / "ctn0027"
TABLES = ("visit", "randomization", "treatment", "site_masked", "demographics")
RESEARCH = {"BASELINE", "WK24", "WK28", "WK32"}

needs_data = pytest.mark.skipif(
    not DATA.exists() and "CI" not in os.environ, reason=f"the trial's tables are not in {DATA}"
)


# ── the clinic week ─────────────────────────────────────────────────────────────────────────────────────


def _week() -> list[dict[str, Any]]:
    return _lines(WEEK)


def test_every_line_of_the_week_is_accepted_with_nothing_unknown_and_every_type_is_there() -> None:
    for line in WEEK.read_bytes().splitlines():
        outcome = decode(line, now=datetime.now(UTC), instruments=Instruments())
        assert isinstance(outcome, Accepted), (line, outcome)
        assert outcome.unknown == 0
    assert {event["type"] for event in _week()} == set(EVENT_TYPES) - CONTROL_TYPES


def test_the_week_is_in_the_order_of_time_and_every_identity_is_its_own() -> None:
    week = _week()
    times = [datetime.fromisoformat(event["time"]) for event in week]
    assert times == sorted(times)
    assert max(Counter((event["source"], event["id"]) for event in week).values()) == 1


def test_what_the_week_corrects_and_retracts_is_an_earlier_event_of_its_source_and_episode() -> None:
    seen: set[tuple[str, str, str]] = set()
    for event in _week():
        named = event.get("corrects") or event["data"].get("event_id")
        assert named is None or (event["source"], event["subject"], named) in seen
        seen.add((event["source"], event["subject"], event["id"]))


def test_the_page_of_the_week_explains_every_line() -> None:
    rows = re.findall(
        r"^\| (\d+) \| (\w+ [\d:]+) \| (\S+) \| `(\S+)` \|", (WEEK.parent / "README.md").read_text(), re.M
    )
    expected = [
        (str(number), f"{datetime.fromisoformat(event['time']):%a %H:%M}", event["subject"], event["type"][9:-3])
        for number, event in enumerate(_week(), start=1)
    ]
    assert rows == expected


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what a replay of the week wrote."""
    out = tmp_path_factory.mktemp("week")
    _run("keepwell", "replay", str(WEEK), "--out", str(out))
    return out


def test_the_alert_that_the_week_answers_is_the_one_that_its_replay_raises(replayed: Path) -> None:
    answered = {line["data"]["alert_id"] for line in _week() if "alert_id" in line.get("data", {})}
    raised = {alert["alert_id"] for alert in _lines(replayed / "alerts.jsonl") if alert["kind"] == "rupture"}
    assert answered == raised


def test_the_week_raises_a_rupture_a_safety_and_a_risk_alert(replayed: Path) -> None:
    alerts = _lines(replayed / "alerts.jsonl")
    assert {"rupture", "safety", "risk"} <= {alert["kind"] for alert in alerts if alert["status"] == "raised"}
    assert _lines(replayed / "dead-letters.jsonl") == []


@pytest.mark.parametrize("name", ["score", "alert"])
def test_what_the_replay_writes_fits_its_published_schema(replayed: Path, name: str) -> None:
    validator = Draft202012Validator(output_schema(name))
    written = _lines(replayed / f"{name}s.jsonl")
    assert written
    for output in written:
        validator.validate(output)


# ── the trial ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> tuple[Summary, list[dict[str, Any]]]:
    """The import of the trial: its summary, and its events."""
    out = tmp_path_factory.mktemp("ctn0027") / "events.jsonl"
    problems: list[Problem] = []
    files = [DATA / f"{table}.csv.gz" for table in TABLES]
    summary = import_csv(
        load_mapping(CTN / "mapping.toml"), files, out, instruments=Instruments(), on_problem=problems.append
    )
    assert problems == []
    return summary, _lines(out)


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    """The tables by another road: pandas, for the people who were randomised."""
    read = {table: pd.read_csv(DATA / f"{table}.csv.gz") for table in TABLES}
    people = read["randomization"]["who"]
    return {name: table[table["who"].isin(people)] for name, table in read.items()}


def _of(events: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == f"keepwell.{name}.v1"]


@needs_data
def test_the_trials_events_are_as_many_as_pandas_counts(
    trial: tuple[Summary, list[dict[str, Any]]], tables: dict[str, pd.DataFrame]
) -> None:
    _, events = trial
    visits = tables["visit"]
    treatment = visits[~visits["visit"].isin(RESEARCH)]
    assert len(_of(events, "episode.opened")) == tables["randomization"]["who"].nunique()
    assert len(_of(events, "appointment.booked")) == len(treatment)
    assert len(_of(events, "appointment.missed")) == (treatment["what"] == "no visit").sum()
    attended = [event for event in _of(events, "session.attended") if event["data"]["purpose"] != "assessment"]
    assert len(attended) == (treatment["what"] == "visit").sum()
    left = [event for event in _of(events, "episode.ended") if event["data"]["reason"] == "client_stopped"]
    assert len(left) == treatment.loc[treatment["is_left_study"] == 1, "who"].nunique()


@needs_data
def test_a_visit_of_which_nobody_knows_and_a_missing_row_are_not_missed_visits(
    trial: tuple[Summary, list[dict[str, Any]]], tables: dict[str, pd.DataFrame]
) -> None:
    _, events = trial
    visits = tables["visit"]
    missed = {event["data"]["appointment_id"] for event in _of(events, "appointment.missed")}
    names = visits["who"].astype(str) + "-" + visits["visit"]
    assert missed.isdisjoint(names[visits["what"] == "MISSING"])
    assert missed <= set(names[visits["what"] == "no visit"])


@needs_data
def test_a_research_visit_is_an_assessment_and_never_a_session_or_a_missed_one(
    trial: tuple[Summary, list[dict[str, Any]]],
) -> None:
    _, events = trial
    research = [event for event in events if re.search(r"-WK(24|28|32)-", event["id"])]
    assert research
    assert {(event["type"], event["data"]["purpose"]) for event in research} == {
        ("keepwell.session.attended.v1", "assessment")
    }


@needs_data
def test_jail_and_hospital_are_told_apart_from_not_showing_up(trial: tuple[Summary, list[dict[str, Any]]]) -> None:
    _, events = trial
    reasons = Counter(event["data"].get("reason", "no_show") for event in _of(events, "appointment.missed"))
    assert set(reasons) == {"unknown", "no_show", "other", "custody", "hospital"}
    assert reasons.most_common(1)[0][0] == "unknown"


@needs_data
def test_completion_by_arm_is_what_the_trial_reported(
    trial: tuple[Summary, list[dict[str, Any]]],
) -> None:
    """74 % with methadone, 46 % with buprenorphine: Hser et al. 2014, Addiction 109:79."""
    _, events = trial
    arm = {event["subject"]: event["data"]["service"] for event in _of(events, "episode.opened")}
    people = Counter(arm.values())
    ended = [event for event in _of(events, "episode.ended") if event["data"]["reason"] == "planned"]
    completed = Counter(arm[event["subject"]] for event in ended)
    assert completed["methadone"] / people["methadone"] == pytest.approx(0.74, abs=0.006)
    assert completed["buprenorphine"] / people["buprenorphine"] == pytest.approx(0.46, abs=0.006)


@needs_data
def test_the_page_of_the_trial_says_what_the_import_counts(trial: tuple[Summary, list[dict[str, Any]]]) -> None:
    summary, events = trial
    page = (CTN / "README.md").read_text("utf-8")
    assert f"{summary.rows:,} rows" in page and f"{summary.unused:,} give no event" in page
    kinds = [f"{len(_of(events, name)):,} {word}" for name, word in (
        ("episode.opened", "opened"), ("appointment.booked", "booked"), ("session.attended", "attended"),
        ("appointment.missed", "missed"), ("episode.ended", "ended"),
    )]  # fmt: skip
    assert f"{summary.events:,}: " + ", ".join(kinds) in page


@needs_data
def test_no_attribute_for_fairness_is_anything_but_a_band_or_a_word(
    trial: tuple[Summary, list[dict[str, Any]]],
) -> None:
    _, events = trial
    found = {(k, v) for event in _of(events, "episode.opened") for k, v in event["data"].get("fairness", {}).items()}
    assert {value for name, value in found if name == "age_band"} == {
        *("18-24", "25-34", "35-44", "45-54", "55-64", "65+"),
    }
    assert {name for name, _ in found} == {"age_band", "gender", "ethnicity", "hispanic"}


def test_without_the_data_the_script_says_what_to_put_where(tmp_path: Path) -> None:
    script = shutil.copy(CTN / "run.sh", tmp_path / "run.sh")
    done = subprocess.run([script, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "visit.csv.gz" in done.stderr and "README.md" in done.stderr


def _run(name: str, *arguments: str) -> None:
    command = Path(sys.executable).with_name(name)
    subprocess.run([str(command), *arguments], check=True, capture_output=True)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
