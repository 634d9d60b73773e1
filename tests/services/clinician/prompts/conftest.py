"""A clinic in an empty database of either kind."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from services.clinician.schema import migrate
from tests.services.clinician.prompts.clinic import Clinic


@pytest.fixture
def clinic(opened: sa.Engine) -> Clinic:
    """With mail as its channel, at noon on a Tuesday."""
    migrate(opened)
    return Clinic(opened)
