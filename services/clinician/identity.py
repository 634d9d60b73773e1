"""Which database it is: an id that a database is given once, and that the groups which follow into it are named by.

Positions stand in the database, partitions are shared out in a group. So whoever follows into one database has to be in one
group, and who follows into another in another, or each would get a part of the log alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import sqlalchemy as sa

from services.clinician.database import AWAY, METADATA, open_engine
from services.clinician.settings import ClinicianSettings

identity: Final = sa.Table("identity", METADATA, sa.Column("id", sa.Text, primary_key=True))
"""One row, which the migration that makes the table writes."""


def identity_of(engine: sa.Engine) -> str:
    """The id of a database with its tables."""
    with engine.connect().execution_options(reads=True) as connection:
        found: str = connection.execute(sa.select(identity.c.id)).scalar_one()
    return found


def looked_up(settings: ClinicianSettings) -> str | None:
    """The id of the database of these settings, for a look from outside. None where it cannot be told: there is none yet, or
    it is away."""
    url = sa.make_url(settings.database)
    if url.drivername == "sqlite" and not (url.database and Path(url.database).exists()):
        return None  # to open it would make it
    engine = open_engine(settings.database)
    try:
        return identity_of(engine)
    except (sa.exc.DBAPIError, sa.exc.NoResultFound, *AWAY):
        return None
    finally:
        engine.dispose()
