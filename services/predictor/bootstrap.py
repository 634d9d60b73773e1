"""Wires the predictor to a log: release, instruments, processor and worker."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec
import structlog
from pydantic import Field

from keepwell import metrics
from keepwell.assess import Assessor
from keepwell.instruments import Instruments, load_instruments
from keepwell.observe import HealthServer, setup_logging
from keepwell.settings import Settings, WorkerSettings
from keepwell.streams.log import Log
from keepwell.streams.process import Watchdog, stop_on_signals, tune_gc
from keepwell.streams.processor import Step
from keepwell.streams.worker import STALLED_SECONDS, Worker
from keepwell.topics import Topics, ensure_topics
from models.release import InvalidRelease, Release, default, find
from services.predictor.step import PredictorProcessor

_log = structlog.get_logger(__name__)


class PredictorSettings(WorkerSettings):
    """Settings of the predictor."""

    releases: Path | None = Field(None, description="Folder of releases beside the shipped one.")
    model: str | None = Field(None, description="Digest of the release to begin with; default: the shipped one.")
    predictor_host: str = Field("127.0.0.1", description="Address of /livez, /readyz and /metrics.")
    predictor_port: int = Field(
        8082, ge=0, le=65535, description="Port of /livez, /readyz and /metrics; 0: any free one."
    )


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


def worker_of(settings: PredictorSettings, log: Log) -> Worker:
    """The predictor's worker on a log whose topics exist."""
    topics = Topics(settings.topic_prefix)
    instruments = instruments_of(settings)
    make = partial(processor, topics, instruments, settings.model, settings.releases)
    make()  # a release that cannot be used is told before anything is joined
    return Worker(
        log,
        make,
        group=topics.predictor_group,
        source_topic=topics.episodes,
        instance=settings.instance,
        changelog_topic=topics.state,
        accept_gap=settings.accept_gap,
        limits=settings.limits,
        after_commit=partial(_count, topics),
    )


def run(settings: PredictorSettings, *, drain: bool = False) -> None:
    """Runs the predictor until SIGTERM, or until it has worked off what the log held. Raises `LogError`, `InvalidRelease`."""
    setup_logging("predictor", settings.instance)
    log = settings.open_log()
    ensure_topics(log, Topics(settings.topic_prefix))
    worker = worker_of(settings, log)
    stop = stop_on_signals()
    tune_gc()
    try:
        with (
            Watchdog(worker.silence, STALLED_SECONDS),
            HealthServer(worker.live, worker.ready, settings.predictor_host, settings.predictor_port),
        ):
            if drain:
                worker.drain(stop)
            else:
                worker.run(stop)
    finally:
        log.close()


def _count(topics: Topics, steps: Sequence[Step]) -> None:
    """Counts what a commit wrote."""
    for step in steps:
        for message in step.messages:
            if message.value is None:
                continue
            if message.topic == topics.scores:
                metrics.SCORES.inc()
            elif message.topic == topics.alerts:
                alert = msgspec.json.decode(message.value, type=_Kind)
                metrics.ALERTS.labels(alert.kind, alert.status).inc()


class _Kind(msgspec.Struct):
    kind: str
    status: str
