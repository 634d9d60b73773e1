"""The measurements work and give finite figures; how large these are is never asserted, as machines differ."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from benchmarks.__main__ import MEASUREMENTS, ON_KAFKA
from benchmarks.captured import Replayed, capture, under
from benchmarks.clinic import fill
from benchmarks.feeder import Feeder
from benchmarks.figures import Plan, at_least, at_most
from benchmarks.material import accepted, by_partition, events, open_episodes, predictor
from keepwell.care.instruments import Instruments
from keepwell.contract.outputs import Alert
from keepwell.streams.log import Message
from keepwell.streams.topics import Topics
from services.clinician.database import open_engine
from services.clinician.projector import folded
from services.clinician.tables import alerts
from services.clinician.tables import episodes as rows

ROOT = Path(__file__).parents[2]


def tiny(folder: Path, kafka: str | None = None) -> Plan:
    return Plan(
        folder,
        kafka,
        events=150,
        episodes=120,
        seconds=0.3,
        rate=100.0,
        rounds=2,
        rows=20_000,
        clinicians=12,
        caseload=30,
    )


def wait_until_done(feeder: Feeder) -> None:
    deadline = time.monotonic() + 30
    while not feeder.done and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.mark.parametrize("name", sorted(MEASUREMENTS))
def test_every_measurement_gives_finite_figures_without_a_broker(name: str, tmp_path: Path) -> None:
    figures = MEASUREMENTS[name](tiny(tmp_path))
    assert bool(figures) == (name != "takeover"), "only the takeover is measured on Kafka alone"
    for figure in figures:
        assert figure.samples
        assert all(math.isfinite(sample) for sample in figure.samples), figure
        msgspec.json.encode(figure.samples)


@pytest.mark.kafka
@pytest.mark.parametrize("name", sorted(ON_KAFKA))
def test_every_measurement_gives_finite_figures_on_a_broker(name: str, tmp_path: Path, kafka_bootstrap: str) -> None:
    figures = MEASUREMENTS[name](tiny(tmp_path, kafka_bootstrap))
    told = [figure for figure in figures if "Kafka" in figure.what]
    assert told
    assert all(math.isfinite(sample) and sample > 0 for figure in told for sample in figure.samples), told


def test_captured_outputs_are_those_of_the_predictor_however_it_is_batched() -> None:
    source = accepted(events(300), Topics().episodes)
    topics = Topics("other.")
    replayed, live = Replayed(under(topics, capture(source))), predictor(topics)
    for number, records in by_partition(source).items():
        assert replayed.step(number, records) == live.step(number, records)


def test_events_are_the_same_each_time_and_as_many_as_asked() -> None:
    assert events(200) == events(200)
    assert len(events(200)) == 200


def test_a_clinic_is_as_large_as_asked_and_what_it_repeats_is_what_the_projector_would_have_written(
    tmp_path: Path,
) -> None:
    size = fill(f"sqlite:///{tmp_path / 'clinic.db'}", 36, 90, datetime(2026, 3, 2, tzinfo=UTC))
    assert 24 <= size.clinicians <= 36 and 60 <= size.open_episodes <= 120 and size.alerts > 0
    engine = open_engine(f"sqlite:///{tmp_path / 'clinic.db'}")
    with engine.connect() as connection:
        for row in connection.execute(sa.select(rows).where(rows.c.key.like("%x2"))):
            course = folded(connection, row.key, Instruments()).course
            assert (row.sessions, row.last_session, row.clinician) == (
                course.sessions, course.last_session, course.clinician,
            )  # fmt: skip
        for value in connection.execute(sa.select(alerts.c.value).where(alerts.c.id.like("%x2"))).scalars():
            assert msgspec.json.decode(value, type=Alert).episode.endswith("x2")


def test_open_episodes_are_as_many_as_asked_with_keys_of_their_own() -> None:
    assert len(dict(open_episodes(50))) == 50


def test_a_slow_system_does_not_slow_the_feeder_and_waiting_counts() -> None:
    sent: list[tuple[float, int]] = []

    def slow(messages: object) -> None:
        assert isinstance(messages, list)
        sent.append((time.perf_counter(), len(messages)))
        time.sleep(0.03)

    with Feeder(slow, [Message("topic", b"key", b"value")] * 50, 1000) as feeder:
        wait_until_done(feeder)
    assert sum(count for _, count in sent) == 50
    assert [round((due - feeder.due[0]) * 1000) for due in feeder.due] == list(range(50))
    assert all(moment >= feeder.due[sum(count for _, count in sent[:n])] for n, (moment, _) in enumerate(sent) if n)


def test_a_feeder_tells_that_sending_failed() -> None:
    def broken(messages: object) -> None:
        raise OSError("no way out")

    with pytest.raises(OSError, match="no way out"), Feeder(broken, [Message("t", b"k", b"v")], 1000) as feeder:
        wait_until_done(feeder)


def test_an_aim_is_met_at_its_bound_and_not_beyond() -> None:
    assert at_most(25).met(25)
    assert not at_most(25).met(25.1)
    assert at_least(0.6).met(0.6)
    assert not at_least(0.6).met(0.59)


def test_the_command_prints_one_table_and_writes_a_file_only_where_asked(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "--only", "memory", "--episodes", "100", "--json", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "an episode at rest" in done.stdout
    told = msgspec.json.decode(out.read_bytes())
    assert {row["measurement"] for row in told["figures"]} == {"memory"}
    assert list(tmp_path.iterdir()) == [out]


def test_an_unknown_measurement_is_wrong_use() -> None:
    command = [sys.executable, "-m", "benchmarks", "--only", "luck"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "luck" in done.stderr
