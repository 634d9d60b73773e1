"""The examples do what their pages say, on real input."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from examples import beside, people, plain
from examples.ctn0027 import judge as trial_judge
from examples.ctn0027 import weeks as trial_weeks
from examples.null_controls import judge as null_judge
from examples.oulad import early as register_early
from examples.oulad import events as register
from examples.oulad import judge as register_judge
from examples.simulated import judge as simulated_judge
from keepwell.care.instruments import Instruments
from keepwell.cli.main import app
from keepwell.contract.decode import Accepted, decode
from keepwell.contract.events import CONTROL_TYPES, EVENT_TYPES
from keepwell.contract.schema import output_schema
from keepwell.files.csv.importer import RowProblem, Summary, import_csv
from keepwell.files.csv.mapping import load_mapping
from models.release import default
from tests.golden import CTN, DATA, TABLES, needs_data
from training.simulate import simulate

EXAMPLES = Path(__file__).parents[1] / "examples"
WEEK = EXAMPLES / "quickstart" / "week.jsonl"
RESEARCH = {"BASELINE", "WK24", "WK28", "WK32"}


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
    assert answered <= raised


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
    problems: list[RowProblem] = []
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


def test_without_the_data_each_script_says_what_to_put_where(tmp_path: Path) -> None:
    for name, table in (("ctn0027", "visit"), ("oulad", "assessments"), ("null_controls", "synthmind_cbt")):
        script = shutil.copy(EXAMPLES / name / "run.sh", tmp_path / "run.sh")
        done = subprocess.run([script, str(tmp_path)], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert f"{table}.csv.gz" in done.stderr and "README.md" in done.stderr


# ── what is trained on them, tried on a few made-up people ──────────────────────────────────────────────


def test_no_person_is_both_trained_and_judged_on_and_no_event_is_lost(tmp_path: Path) -> None:
    events = _made_up_trial(tmp_path / "events.jsonl", people=30)
    once = events.read_text("utf-8")
    events.write_text(once + once.replace('-1"', '-2"'), "utf-8")  # everyone comes a second time
    people.main(events, tmp_path)
    parts = [_lines(tmp_path / f"{name}.jsonl") for name in ("train", "test")]
    train, test = ({event["subject"].rpartition("-")[0] for event in part} for part in parts)
    assert train and test and not train & test
    assert sorted(map(str, parts[0] + parts[1])) == sorted(map(str, _lines(events)))


def test_the_trials_judge_tells_of_every_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_judge, "FOLDS", 2)
    trial_judge.main(str(_made_up_trial(tmp_path / "events.jsonl", people=420)))
    told = capsys.readouterr().out
    assert all(what in told for what in trial_judge.JUDGED.values())
    found = re.search(r"\| all \| 420 \| .*? \| (\d\.\d\d) \(", told)
    assert found is not None and float(found[1]) > 0.6


def test_the_plain_regression_counts_what_lies_before_the_moment_and_nothing_after_it(tmp_path: Path) -> None:
    """Of the made-up trial: visits a week apart, each booked a week ahead."""
    events = _made_up_trial(tmp_path / "events.jsonl", people=40)
    told = [event for event in _lines(events) if event["subject"] == "p1-1"]
    at = datetime.fromisoformat(told[0]["time"]) + timedelta(days=15)  # after the visits of days 7 and 14
    row = plain.features(events, pd.DataFrame([{"episode": "made-up/p1-1", "as_of": at.isoformat()}])).iloc[0]
    visits = [event["type"].split(".")[1] for event in told if event["id"].split("-")[-2] in ("7", "14")]
    assert (row["attended"], row["missed"]) == (visits.count("session"), 2 - visits.count("session"))
    assert (row["days"], row["booked_ahead"], row["days_to_next"], row["clinician c"]) == (15, 1, 6, 1)
    before = [event for event in _lines(events) if datetime.fromisoformat(event["time"]) <= at]
    known = tmp_path / "known.jsonl"
    known.write_text("\n".join(json.dumps(event) for event in before), "utf-8")
    again = plain.features(known, pd.DataFrame([{"episode": "made-up/p1-1", "as_of": at.isoformat()}])).iloc[0]
    pd.testing.assert_series_equal(row, again)


def test_a_release_stands_beside_a_regression_that_has_learnt_from_other_people(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    monkeypatch.setattr(trial_weeks, "FOLDS", 2)
    monkeypatch.setattr(trial_weeks, "trained", lambda events, out: default().digest)
    rows = trial_weeks.main(_made_up_trial(tmp_path / "events.jsonl", people=240), tmp_path)
    assert not rows.duplicated(["episode", "when"]).any() and rows["client"].nunique() == 240
    told = capsys.readouterr().out
    found = re.search(r"\| week 4 \| stop in 30 days \|.*?\) \| (\d\.\d\d) \(", told)
    assert found is not None and float(found[1]) > 0.7  # whoever stops misses more, and is soon not booked
    assert re.search(r"\| week 12 \| next visit missed \| 0 \| 0 \| fewer than 20", told)
    means = re.search(r"\| mean \| stop in 60 days \| \| \| (\S+) .*?\| (\S+) .*?\| (\S+) ", told)
    assert means is not None and float(means[1]) - float(means[2]) == pytest.approx(float(means[3]), abs=0.011)


def test_where_too_few_have_either_outcome_no_figure_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    few = pd.DataFrame({"when": "day 7", "client": range(30), "target_30d": [1.0] * 3 + [0.0] * 27,
                        "release_30d": 0.1, "plain_30d": 0.1})  # fmt: skip
    beside.table(few, {"30d": "stop"})
    assert "| 30 | 3 | fewer than 20" in capsys.readouterr().out


def test_nobody_of_the_first_half_of_the_register_is_judged_in_the_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Students 0 to 59 in the first half, 40 to 99 in the second."""
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    monkeypatch.setattr(register_early, "trained", lambda events, out: default().digest)
    events = tmp_path / "events.jsonl"
    with events.open("w", encoding="utf-8") as both:
        for presentation, ids in (("2013B", range(60)), ("2013J", range(40, 100))):
            half = tmp_path / presentation
            half.mkdir()
            _made_up_register(half, presentation, ids)
            register.main(half, half / "events.jsonl")
            both.write((half / "events.jsonl").read_text("utf-8"))
    rows = register_early.main(events, tmp_path / "early")
    assert {int(client) for client in rows["client"]} <= set(range(60, 100))
    assert set(rows["when"]) == {"day 7", "day 14", "day 28", "day 56"}
    withdrawn = rows[(rows["client"].astype(int) % 3 == 0) & (rows["when"] == "day 56")]
    assert set(withdrawn["target_left"]) == {0.0, 1.0}
    assert rows.loc[rows["client"].astype(int) % 3 > 0, "target_left"].eq(0).all()


def test_a_null_control_fails_where_something_can_be_foretold_and_only_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here, unlike in the real control, the last questionnaire tells who drops out of the therapy."""
    rng = Random(5)
    weeks = [
        f"{person:08x},{week}.0,{20 if week == last else rng.uniform(2, 9):.3f},4.0,50.0,"
        f"{int(week == 0 or rng.random() < 0.8)},{int(week > last)}"
        for person in range(400)
        for last in [rng.randrange(4, 24)]
        for week in range(17)
    ]
    visits = [
        f"{n:06},2024-0{1 + n % 8}-01,2024-0{1 + n % 8}-{2 + rng.randrange(26):02},09:00:00,"
        f"{rng.choice(('attended', 'attended', 'did not attend'))},{n:05}"
        for n in range(700)
    ]
    columns = "appointment_id,scheduling_date,appointment_date,appointment_time,status,patient_id"
    therapy = _imported(tmp_path, "therapy", "synthmind_cbt", "patient_id,week,phq9,gad7,wai,attended,dropped", weeks)
    single = _imported(tmp_path, "visits", "appointments", columns, visits)
    assert null_judge.main(str(therapy), str(single), seeds=[0]) is False
    off = dict(re.findall(r"^\| (\w+: [\w ]+?)(?:, [^|]*)? \| \S+ \| (\S+) \|", capsys.readouterr().out, re.M))
    assert float(off["therapy: stop in 14 days"]) > 0.1
    assert abs(float(off["therapy: next visit missed"])) < 0.1 and abs(float(off["visits: next visit missed"])) < 0.1


def test_what_was_not_handed_in_is_missed_once_the_grace_is_over_and_nothing_follows_a_withdrawal() -> None:
    calendar = [register.Assessment("t1", "TMA", 20), register.Assessment("t2", "TMA", 50),
                register.Assessment("c1", "CMA", 60), register.Assessment("x", "Exam", 240)]  # fmt: skip
    student = register.Enrolment("aaa-2013j", "1", 0, 100, 0, {})
    told = [(day, kind) for day, _, kind, _ in register.course(student, calendar, {"t1": 29, "t2": 55, "x": 230})]
    assert told[5:] == [
        (29, "session.attended"), (27, "appointment.missed"),  # so late that it counted as missed before it came
        (55, "session.attended"), (67, "homework.reviewed"), (100, "episode.ended"),
    ]  # fmt: skip
    early = register.course(student._replace(left=52), calendar, {"t2": 55})
    assert [(day, kind) for day, _, kind, _ in early][5:] == [(27, "appointment.missed"), (52, "episode.ended")]


def test_the_register_becomes_events_of_the_contract_that_can_be_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _made_up_register(tmp_path)
    events = tmp_path / "events.jsonl"
    register.main(tmp_path, events)
    for line in events.read_bytes().splitlines():
        assert isinstance(decode(line, now=datetime.now(UTC), instruments=Instruments()), Accepted), line
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    register_judge.main(events, default().digest, tmp_path)
    table = capsys.readouterr().out.splitlines()[-len(register_judge.DAYS) :]
    assert [int(row.split("|")[1]) for row in table] == list(register_judge.DAYS)
    first, last = ([int(row.split("|")[2]) for row in table][n] for n in (0, -1))
    assert 0 < last < first <= 60


def test_the_simulated_worlds_are_judged_beside_the_truth_the_rules_and_the_challenger(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = tmp_path / "clinic-905"
    simulate("clinic", 400, 905, world, rollouts=4)
    events, truth = str(world / "events.jsonl"), str(world / "truth.jsonl")
    command = ["evaluate", default().digest, events, "--truth", truth, "--no-challengers", "--out", str(world)]
    assert CliRunner().invoke(app, command).exit_code == 0
    for name in ("community-906", "both", "shifted"):
        shutil.copytree(world, tmp_path / name)
    simulated_judge.main(tmp_path, (("community", 300, 7),))
    printed = capsys.readouterr().out
    for words in ("| 30d | 0.", "After session 1", "Last SRS below 36", "| LightGBM, same rows and features | 0."):
        assert words in printed


def _made_up_trial(path: Path, people: int) -> Path:
    """Weekly visits of people of whom six in ten stop; whoever will stop misses more of them."""
    rng = Random(3)
    start = datetime(2024, 1, 1, 9, tzinfo=UTC)
    with path.open("w", encoding="utf-8") as file:

        def tell(subject: str, kind: str, day: int, hours: int = 0, **data: object) -> None:
            event = {"specversion": "1.0", "id": f"{subject}-{kind}-{day}-{hours}", "source": "/made-up/trial",
                     "subject": subject, "type": f"keepwell.{kind}.v1", "data": data,
                     "time": (start + timedelta(days=day, hours=hours)).isoformat()}  # fmt: skip
            file.write(json.dumps(event) + "\n")

        for person in range(people):
            subject, stops = f"p{person}-1", rng.random() < 0.6
            last = rng.randrange(3, 9) if stops else 9
            tell(subject, "episode.opened", 0, client_id=f"p{person}", clinician_id="c", service=rng.choice("ab"))
            for week in range(last):
                visit, begins = f"v{week}", start + timedelta(days=7 * week + 7)
                tell(subject, "appointment.booked", 7 * week, 1, appointment_id=visit, starts_at=begins.isoformat())
                kind = "appointment.missed" if rng.random() < (0.4 if stops else 0.1) else "session.attended"
                tell(subject, kind, 7 * week + 7, appointment_id=visit)
            if not stops:
                tell(subject, "episode.ended", 70, reason="planned")
        tell("p0-1", "contact.made", 400, direction="outbound")  # until when outcomes are known
    return path


def _imported(folder: Path, mapping: str, table: str, columns: str, rows: list[str]) -> Path:
    """Events of a table of one of the null controls."""
    file, out = folder / f"{table}.csv.gz", folder / f"{mapping}.jsonl"
    file.write_bytes(gzip.compress("\n".join([columns, *rows]).encode()))
    problems: list[RowProblem] = []
    import_csv(load_mapping(EXAMPLES / "null_controls" / f"{mapping}.toml"), [file], out,
               instruments=Instruments(), on_problem=problems.append)  # fmt: skip
    assert problems == []
    return out


def _made_up_register(folder: Path, presentation: str = "2013J", ids: range = range(60)) -> None:
    """Students of one course, in tables of the shape of the Open University's; every third withdraws."""
    course: dict[str, Any] = {"code_module": "AAA", "code_presentation": presentation}
    tables: dict[str, list[dict[str, Any]]] = {
        "courses": [course | {"module_presentation_length": 240}],
        "assessments": [
            course | {"id_assessment": n, "assessment_type": kind, "date": due}
            for n, (kind, due) in enumerate((("TMA", 20), ("CMA", 40), ("TMA", 90), ("TMA", 150), ("Exam", None)))
        ],
        "studentInfo": [
            course | {"id_student": n, "gender": "F", "age_band": "0-35", "imd_band": None, "disability": "N",
                      "num_of_prev_attempts": n % 2, "final_result": "Pass" if n % 3 else "Withdrawn"}
            for n in ids
        ],
        "studentRegistration": [
            course | {"id_student": n, "date_registration": -20.0 + n % 60,
                      "date_unregistration": None if n % 3 else 60.0 + 3 * (n % 60)}
            for n in ids
        ],
        "studentAssessment": [
            {"id_assessment": a, "id_student": n, "date_submitted": day, "is_banked": 0}
            for n in ids for a, day in ((0, 18), (1, 41), (2, 95)) if (n + a) % 4
        ],
    }  # fmt: skip
    for name, rows in tables.items():
        pd.DataFrame(rows).to_csv(folder / f"{name}.csv.gz", index=False)


def _run(name: str, *arguments: str) -> None:
    command = Path(sys.executable).with_name(name)
    subprocess.run([str(command), *arguments], check=True, capture_output=True)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
