"""`keepwell clinician --rebuild`: what follows from the log is made anew, and nothing else is touched."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from keepwell.streams.sqlite.log import SqliteLog
from services.clinician.database import open_engine
from services.clinician.people.tables import users
from services.clinician.tables import episodes, events
from tests.services.clinician.lived import content
from tests.services.erasure.clinic import Clinic


def test_a_read_model_is_rebuilt_from_the_log_and_accounts_stay(tmp_path: Path) -> None:
    with closing(SqliteLog(tmp_path / "keepwell.db")) as log:
        Clinic(log).live()
    database = f"sqlite:///{tmp_path / 'clinician.db'}"

    def keepwell(*words: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KEEPWELL_")}
        done = subprocess.run(
            [sys.executable, "-m", "keepwell.cli.main", *words, "--database", database],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def accounts() -> list[str]:
        with engine.connect() as connection:
            return list(connection.execute(sa.select(users.c.name)).scalars())

    keepwell("clinician", "--drain")
    keepwell("users", "add", "anna", "--clinic", "north", "--role", "supervisor")
    engine = open_engine(database)
    whole = content(engine)
    assert whole["scores"] and whole["alerts"]
    with engine.begin() as connection:
        connection.execute(sa.delete(events))
        connection.execute(sa.update(episodes).values(state="ended"))
    broken = content(engine)
    keepwell("clinician", "--drain")
    assert content(engine) == broken != whole
    keepwell("clinician", "--rebuild", "--drain")
    assert content(engine) == whole
    assert accounts() == ["anna"]
    engine.dispose()
