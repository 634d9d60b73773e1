"""The schema of the database: brought up to date, or back, by alembic; no file of settings is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import sqlalchemy as sa
import structlog
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from keepwell.streams.worker.loop import Stop
from services.clinician import identity, seen, sent, tables  # noqa: F401  # their tables belong to METADATA
from services.clinician.database import AGAIN_SECONDS, AWAY, METADATA, NoDatabase, cause, refusal
from services.clinician.people import tables as people  # noqa: F401
from services.clinician.prompts import tables as prompts  # noqa: F401

FOLDER: Final = Path(__file__).with_name("migrations")
_log = structlog.get_logger(__name__)


def migrate(engine: sa.Engine) -> None:
    """Brings the database to the newest schema. Idempotent; of two at once one waits."""
    _run(engine, lambda config: command.upgrade(config, "head"))


def migrate_once_there(engine: sa.Engine, stop: Stop | None = None) -> str:
    """As `migrate`, and returns the database's id. Waits for one that is away, until `stop` is set; without that not at all.
    Where it was stopped the id is empty. Raises `NoDatabase`."""
    while stop is None or not stop.is_set():
        try:
            migrate(engine)
            return identity.identity_of(engine)
        except AWAY as error:
            why = refusal(error)
            if stop is None or why is not None:
                raise NoDatabase(why or "it does not answer") from error
            _log.warning("database.later", cause=cause(error))
        stop.wait(AGAIN_SECONDS)
    return ""


def downgrade(engine: sa.Engine, revision: str = "base") -> None:
    """Takes migrations back, with what stands in their tables."""
    _run(engine, lambda config: command.downgrade(config, revision))


def differences(engine: sa.Engine) -> list[object]:
    """What the tables of the code and those of the database do not share; empty after `migrate`."""
    with engine.connect() as connection:
        return list(compare_metadata(MigrationContext.configure(connection), METADATA))


def _run(engine: sa.Engine, work: object) -> None:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(731200451)"))
        config.attributes["connection"] = connection
        work(config)  # type: ignore[operator]  # a function of the configuration
