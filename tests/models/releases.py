"""Releases for tests: the hand-set card with another base value, a page and an estimator that nothing may unpickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from models.hand_set import POLICY, scorecard
from models.release import describe, digest_of, put

TRAP = b"\x80\x04cposix\nsystem\n(S'exit 1'\ntR."
"""A pickle that runs a command when it is opened."""


def files_of(base: float = -1.0, **policy: Any) -> dict[str, bytes]:
    """The files of a release whose risks follow from `base`; `policy` changes thresholds."""
    card = msgspec.structs.replace(scorecard(), base=(base,) * 4)
    return {
        "scorecard.json": msgspec.json.encode(card),
        "policy.json": msgspec.json.encode(msgspec.structs.replace(POLICY, **policy)),
        "card.md": b"# What this model is",
        "estimator.joblib": TRAP,
    }


def released(folder: Path, base: float = -1.0, **policy: Any) -> str:
    """Writes a release into a folder of any name, as `keepwell train` does, and gives its digest."""
    files = files_of(base, **policy)
    manifest = describe(title=f"Trial {base}", origin="tests", created="2026-01-01", code="0", files=files)
    put(folder, manifest, files)
    return digest_of(manifest)
