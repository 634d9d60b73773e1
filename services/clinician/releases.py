"""The releases by which scores were made, as far as they can be read here: what they say, and whom they were fitted to."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from models.registry import Releases
from models.release import InvalidRelease, Manifest

MOST: Final = 32
"""Releases that are kept in memory; ours."""


class KnownRelease(NamedTuple):
    """What the page tells of a release: its manifest, its card (Markdown), and how many alerts a clinician and week its lines
    foresee, None where it does not say."""

    manifest: Manifest
    card: str
    budget: float | None


class KnownReleases:
    """Reads releases once. One that cannot be read is asked for again, as it may be on its way. For any thread."""

    def __init__(self, releases: Releases) -> None:
        self._releases = releases
        self._known: dict[str, KnownRelease] = {}

    def find(self, digest: str) -> KnownRelease | None:
        """A release; None where it cannot be read here."""
        found = self._known.get(digest)
        if found is None:
            found = self._read(digest)
            if found is not None:
                if len(self._known) >= MOST:
                    self._known.clear()
                self._known[digest] = found
        return found

    def fits(self, digest: str, clinic: str) -> bool:
        """Whether a release was fitted or recalibrated to a clinic, so that its risks may be told as frequencies."""
        found = self.find(digest) if digest else None
        return found is not None and clinic in (found.manifest.calibrated_for or ())

    def _read(self, digest: str) -> KnownRelease | None:
        try:
            manifest = self._releases.load(digest).manifest
            card, report = (self._releases.file(digest, name) for name in ("card.md", "report.json"))
        except (InvalidRelease, OSError):
            return None
        line = msgspec.json.decode(report or b"{}").get("line") or {}
        return KnownRelease(manifest, (card or b"").decode("utf-8", "replace"), line.get("alerts_per_clinician_week"))
