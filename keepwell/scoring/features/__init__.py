"""Every feature that a score can rest on, declared once, a file a pillar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keepwell.scoring.features.alliance import ALLIANCE
from keepwell.scoring.features.attendance import ATTENDANCE
from keepwell.scoring.features.consistency import CONSISTENCY
from keepwell.scoring.features.context import CONTEXT
from keepwell.scoring.features.feature import Feature, Read, Value
from keepwell.scoring.features.feedback import FEEDBACK
from keepwell.scoring.features.homework import HOMEWORK
from keepwell.scoring.features.progress import PROGRESS
from keepwell.scoring.features.silence import SILENCE

__all__ = ["BY_NAME", "FEATURES", "Feature", "Read", "Value"]

FEATURES: Final[Sequence[Feature]] = (
    *ATTENDANCE,
    *ALLIANCE,
    *PROGRESS,
    *HOMEWORK,
    *FEEDBACK,
    *SILENCE,
    *CONSISTENCY,
    *CONTEXT,
)
"""In the order in which they are read, and stand in tables."""

BY_NAME: Final = {feature.name: feature for feature in FEATURES}
