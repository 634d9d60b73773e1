"""What a simulated world is made by: simulated worlds that are kept are of use as long as none of it changes."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

import keepwell
import training

_WHAT_MAKES_IT: Final = (
    (keepwell, ("contract", "care", "scoring", "alerting")),
    (training, ("simulate", "dataset")),
)
"""The packages that decide what a world and its landmark table look like."""


@cache
def made_by() -> str:
    """A digest of the source of all that makes a world what it is."""
    found = hashlib.sha256()
    for package, rooms in _WHAT_MAKES_IT:
        root = Path(package.__path__[0])
        for path in sorted(
            path for room in rooms for path in (root / room).rglob("*") if path.suffix in (".py", ".toml")
        ):
            found.update(path.relative_to(root).as_posix().encode() + b"\n" + path.read_bytes())
    return found.hexdigest()[:12]
