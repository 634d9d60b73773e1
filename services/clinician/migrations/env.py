"""Where alembic begins: with the connection that `services.clinician.schema` hands over, inside its transaction."""

from __future__ import annotations

from alembic import context

from services.clinician.database import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
