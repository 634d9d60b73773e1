"""Wires the predictor to a log: release, instruments, processor and worker."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import structlog
from pydantic import Field

from keepwell.assess import Assessor
from keepwell.instruments import Instruments, load_instruments
from keepwell.settings import Settings
from keepwell.topics import Topics
from models.release import InvalidRelease, Release, default, find
from services.predictor.step import PredictorProcessor

_log = structlog.get_logger(__name__)


class PredictorSettings(Settings):
    """Settings of the predictor."""

    releases: Path | None = Field(None, description="Folder of releases beside the shipped one.")
    model: str | None = Field(None, description="Digest of the release to begin with; default: the shipped one.")
    host: str = Field("127.0.0.1", description="Address of /livez, /readyz and /metrics.")
    port: int = Field(8082, ge=0, le=65535, description="Port of /livez, /readyz and /metrics; 0: any free one.")
    accept_gap: bool = Field(False, description="Go on although records were deleted from the log unread.")


def assessor_of(release: Release) -> Assessor:
    """What scores and alerts with a release."""
    return Assessor(release.digest, release.scorer, release.policy)


def promote(registries: tuple[Path, ...], digest: str) -> Assessor:
    """The assessor of a digest. Raises `InvalidRelease` (and says so in the log) where it cannot be used."""
    try:
        return assessor_of(find(digest, *registries))
    except InvalidRelease as error:
        _log.error("release.refused", digest=digest, why=str(error))
        raise


def processor(
    topics: Topics, instruments: Instruments, model: str | None = None, releases: Path | None = None
) -> PredictorProcessor:
    """A processor without memory. Raises `InvalidRelease` where the release to begin with cannot be used."""
    registries = (releases,) if releases is not None else ()
    first = assessor_of(default()) if model is None else promote(registries, model)
    return PredictorProcessor(topics, instruments, first, partial(promote, registries))


def instruments_of(settings: Settings) -> Instruments:
    """The instruments known by name, and those of the settings' file."""
    return load_instruments(settings.instruments) if settings.instruments is not None else Instruments()
