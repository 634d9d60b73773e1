"""What is known of releases: of whom one was fitted to, and that one which comes later is found then."""

from __future__ import annotations

from pathlib import Path

from models.registry import Releases
from models.release import describe, digest_of, folder_name, put
from services.clinician.releases import KnownReleases
from tests.models.releases import files_of


def test_a_release_fits_the_clinics_that_it_names_once_it_can_be_read(tmp_path: Path) -> None:
    files, place = files_of(), tmp_path / "registry"
    manifest = describe(title="Trial", origin="tests", created="2026-01-01", files=files, calibrated_for=["north"])
    digest = digest_of(manifest)
    place.mkdir()
    known = KnownReleases(Releases(place))
    assert known.find(digest) is None and not known.fits(digest, "north")
    put(place / folder_name(digest), manifest, files)
    assert known.fits(digest, "north") and not known.fits(digest, "south") and not known.fits("", "north")
    found = known.find(digest)
    assert found is not None and found.card == "# What this model is" and found.budget is None


def test_the_shipped_release_fits_nobody() -> None:
    known = KnownReleases(Releases())
    digest = Releases().default().digest
    assert known.find(digest) is not None and not known.fits(digest, "north")
