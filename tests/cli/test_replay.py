"""`keepwell replay`: the live code over files and logs, and what it says of wrong use."""

from __future__ import annotations

import gzip
import json
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
import zstandard
from typer.testing import CliRunner, Result

from keepwell.cli.main import app
from keepwell.contract.events import ClientErased, EpisodeOpened, Erased, encode
from keepwell.streams.sqlite.log import SqliteLog
from keepwell.streams.topics import Topics, ensure_topics
from keepwell.testing.made_up import made_up_clinic
from services.clinician.database import open_engine
from services.clinician.history import HistoryDiffers
from services.clinician.tables import scores
from tests.models.releases import released
from tests.services.erasure.clinic import Clinic

EVENTS = list(made_up_clinic(12, 3, datetime(2026, 1, 5, tzinfo=UTC), 90))
LINES = [encode(event) for event in EVENTS]


def replay(*arguments: str | Path, stdin: bytes | None = None) -> Result:
    """Runs the command in this process."""
    return CliRunner().invoke(app, ["replay", *map(str, arguments)], input=stdin)


def written(folder: Path, name: str) -> list[dict[str, object]]:
    """The lines of a result file."""
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The events as JSON lines."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join(LINES) + b"\n")
    return path


def test_every_event_is_scored_and_the_summary_counts_it(file: Path, tmp_path: Path) -> None:
    result = replay(file, "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told == json.loads((tmp_path / "out" / "summary.json").read_text())
    assert told["received"] == told["accepted"] == len(LINES)
    assert sum(told["episodes"].values()) == len({event.subject for event in EVENTS}) - erased_episodes()
    assert told["scores"] == len(written(tmp_path / "out", "scores"))


def erased_episodes() -> int:
    """How many episodes the made-up log erases for good."""
    last = {event.subject: event for event in EVENTS}
    return sum(isinstance(event, ClientErased) for event in last.values())


def test_the_order_of_lines_and_how_they_are_packed_do_not_matter(file: Path, tmp_path: Path) -> None:
    shuffled = random.Random(1).sample(LINES, len(LINES))
    packed, frame = tmp_path / "e.jsonl.gz", tmp_path / "e.jsonl.zst"
    packed.write_bytes(gzip.compress(b"\n".join(shuffled)))
    frame.write_bytes(zstandard.compress(b"\n".join(LINES[::-1])))
    outs = []
    sources: list[tuple[Path | str, bytes | None]] = [(file, None), (packed, None), (frame, None)]
    for number, (source, stdin) in enumerate([*sources, ("-", b"\n".join(shuffled))]):
        out = tmp_path / f"out{number}"
        assert replay(source, "--out", out, stdin=stdin).exit_code == 0
        outs.append([(out / f"{name}.jsonl").read_bytes() for name in ("scores", "alerts", "dead-letters")])
    assert outs[0] == outs[1] == outs[2] == outs[3]


def test_a_bad_line_is_a_dead_letter_that_names_file_and_line(file: Path, tmp_path: Path) -> None:
    file.write_bytes(file.read_bytes() + b"{broken\n\xff\xfe\n")
    assert replay(file, "--out", tmp_path / "out").exit_code == 0
    first, second = written(tmp_path / "out", "dead-letters")
    assert (first["line"], first["reason"], first["value"]) == (len(LINES) + 1, "not_json", "{broken")
    assert "value_base64" in second


def test_what_lies_more_than_a_day_after_as_of_is_refused(file: Path, tmp_path: Path) -> None:
    assert replay(file, "--as-of", "2026-02-01T00:00:00Z", "--out", tmp_path / "out").exit_code == 0
    letters = written(tmp_path / "out", "dead-letters")
    assert {letter["reason"] for letter in letters} == {"future_time"}
    assert len(letters) == sum(event.time > datetime(2026, 2, 2, tzinfo=UTC) for event in EVENTS)


def test_an_erasure_takes_back_what_was_written_before(tmp_path: Path) -> None:
    opened = next(event for event in EVENTS if isinstance(event, EpisodeOpened))
    last = EVENTS[-1]
    erased = ClientErased(
        specversion="1.0", id="erase", source=opened.source, subject="anything", time=last.time,
        data=Erased(client_id=opened.data.client_id),
    )  # fmt: skip
    file = tmp_path / "e.jsonl"
    file.write_bytes(b"\n".join([*LINES, encode(erased)]))
    assert replay(file, "--out", tmp_path / "out").exit_code == 0
    for name in ("scores", "alerts"):
        assert opened.key not in {line["episode"] for line in written(tmp_path / "out", name)}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nowhere.jsonl", "--out", "o"), "no such file"),
        (("--out", "o"), "at least one FILE"),
        (("x", "--verify", "--out", "o"), "--verify needs --log"),
        (("x", "--database", "sqlite:///c.db", "--out", "o"), "--database needs --log"),
        (("-",), "--out"),
        (("-", "--out", "o", "--as-of", "soon"), "is not a moment"),
    ],
)
def test_wrong_use_exits_2_and_says_what_to_change(arguments: tuple[str, ...], says: str) -> None:
    result = replay(*arguments, stdin=b"")
    assert result.exit_code == 2
    assert says in " ".join(result.output.replace("│", " ").split())


@pytest.fixture
def compacted(tmp_path: Path) -> Iterator[tuple[str, str, sa.Engine]]:
    """A log whose scores were compacted, and a database that followed it afterwards."""
    log, database = f"sqlite:///{tmp_path / 'keepwell.db'}", f"sqlite:///{tmp_path / 'clinician.db'}"
    with closing(SqliteLog(tmp_path / "keepwell.db")) as held:
        Clinic(held).live()
        held.compact(Topics().scores)
    done = CliRunner().invoke(app, ["clinician", "--drain", "--log", log, "--database", database])
    assert done.exit_code == 0, done.output
    engine = open_engine(database)
    yield log, database, engine
    engine.dispose()


def scored(engine: sa.Engine) -> list[bytes]:
    """Every score of a database, by episode in the order of the log."""
    with engine.connect() as connection:
        asked = sa.select(scores.c.value).order_by(scores.c.episode, scores.c.partition, scores.c.offset)
        return list(connection.execute(asked).scalars())


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_score_history_of_a_database_is_filled_from_the_log(
    compacted: tuple[str, str, sa.Engine], jobs: int, tmp_path: Path
) -> None:
    log, database, engine = compacted
    before = len(scored(engine))
    result = replay("--log", log, "--database", database, "--out", tmp_path / "out", "--jobs", str(jobs), "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    produced = (tmp_path / "out" / "scores.jsonl").read_bytes().splitlines()
    assert sorted(scored(engine)) == sorted(produced)
    assert (told["scores_filled"], told["episodes_skipped"]) == (len(produced) - before, 0)
    assert told["scores_filled"] > before
    again = replay("--log", log, "--database", database)
    assert "scores filled: 0" in again.stdout and "episodes skipped: 0" in again.stdout


def test_another_release_than_wrote_the_scores_fills_nothing(
    compacted: tuple[str, str, sa.Engine], tmp_path: Path
) -> None:
    log, database, engine = compacted
    before = scored(engine)
    released(tmp_path / "other", 0.5)
    result = replay("--log", log, "--database", database, "--model", tmp_path / "other")
    assert result.exit_code == 1
    assert isinstance(result.exception, HistoryDiffers)
    assert scored(engine) == before


@pytest.mark.parametrize("there", [False, True])
def test_a_database_without_a_read_model_is_refused_and_not_made(there: bool, tmp_path: Path) -> None:
    with closing(SqliteLog(tmp_path / "keepwell.db")) as log:
        ensure_topics(log, Topics(), 1)
    file = tmp_path / "other.db"
    if there:
        with closing(sqlite3.connect(file)) as made:
            made.execute("CREATE TABLE scores (x)")
            made.commit()
    result = replay("--log", f"sqlite:///{tmp_path / 'keepwell.db'}", "--database", f"sqlite:///{file}")
    assert result.exit_code == 1
    assert "no read model" in str(result.exception) and "keepwell clinician" in str(result.exception)
    assert file.exists() == there
    if there:
        with closing(sqlite3.connect(file)) as found:
            assert found.execute("SELECT name FROM sqlite_master").fetchall() == [("scores",)]
