"""Wires the predictor to a log: release, instruments, processor and worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import msgspec
import structlog
from pydantic import Field

from keepwell import metrics
from keepwell.alerting.assess import Assessor
from keepwell.observe import setup_logging
from keepwell.settings import WorkerSettings
from keepwell.streams.log import Log
from keepwell.streams.topics import Topics, ensure_topics
from keepwell.streams.worker.loop import STALLED_SECONDS, Worker
from keepwell.streams.worker.process import Watchdog, stop_on_signals, tune_gc
from keepwell.streams.worker.step import Step
from keepwell.web.health import HealthServer
from models.registry import Releases, ReleaseSettings
from models.release import InvalidRelease, Release
from services.predictor.step import PredictorProcessor

_log = structlog.get_logger(__name__)


class PredictorSettings(ReleaseSettings, WorkerSettings):
    """Settings of the predictor."""

    model: str | None = Field(
        None, description="Release to begin with: digest, unique prefix or path; default: the shipped one."
    )
    predictor_host: str = Field("127.0.0.1", description="Address of /livez, /readyz and /metrics.")
    predictor_port: int = Field(
        8082, ge=0, le=65535, description="Port of /livez, /readyz and /metrics; 0: any free one."
    )


def assessor_of(release: Release) -> Assessor:
    """What scores and alerts with a release."""
    return Assessor(release.digest, release.scorer, release.policy)


def promote(releases: Releases, digest: str) -> Assessor:
    """The assessor of a digest. Raises `InvalidRelease` (counted, and told in the log) where it cannot be used."""
    try:
        return assessor_of(releases.load(digest))
    except InvalidRelease as error:
        metrics.RELEASES_REFUSED.labels(error.code).inc()
        _log.error("release.refused", digest=digest, reason=error.code, why=str(error))
        raise


def processor(topics: Topics, model: str | None = None, releases: Releases | None = None) -> PredictorProcessor:
    """A processor without memory. Raises `InvalidRelease` where the release to begin with cannot be used.

    `model` is a digest, a unique prefix or a path; `releases` defaults to the shipped one alone.
    """
    releases = releases or Releases()
    first = releases.open(model) if model is not None else releases.default()
    return PredictorProcessor(topics, assessor_of(first), partial(promote, releases))


def worker_of(settings: PredictorSettings, log: Log) -> Worker:
    """The predictor's worker on a log whose topics exist."""
    topics = Topics(settings.topic_prefix)
    releases = Releases.of(settings)
    make = partial(processor, topics, settings.model, releases)
    make()  # a release that cannot be used is told before anything is joined
    lives = _Lives(topics, make)
    return Worker(
        log,
        lives.begin,
        group=topics.predictor_group,
        source_topic=topics.episodes,
        instance=settings.instance,
        changelog_topic=topics.state,
        accept_gap=settings.accept_gap,
        limits=settings.limits,
        after_commit=lives.tell,
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


class _Lives:
    """The processor of each life of a worker, and what is told of it after a commit."""

    def __init__(self, topics: Topics, make: Callable[[], PredictorProcessor]) -> None:
        self._topics = topics
        self._make = make
        self._present: PredictorProcessor | None = None
        self._in_use: set[tuple[str, str]] = set()

    def begin(self) -> PredictorProcessor:
        """A processor without memory."""
        self._present = self._make()
        return self._present

    def tell(self, steps: Sequence[Step]) -> None:
        """Counts what a commit wrote, and shows the releases in use."""
        for step in steps:
            for message in step.messages:
                if message.value is None:
                    continue
                if message.topic == self._topics.scores:
                    metrics.SCORES.inc()
                elif message.topic == self._topics.alerts:
                    alert = msgspec.json.decode(message.value, type=_Kind)
                    metrics.ALERTS.labels(alert.kind, alert.status).inc()
        in_use = self._present.in_use() if self._present is not None else set()
        for release, role in self._in_use - in_use:
            metrics.MODEL.remove(release, role)
        for release, role in in_use - self._in_use:
            metrics.MODEL.labels(release, role).set(1)
        self._in_use = in_use


class _Kind(msgspec.Struct):
    kind: str
    status: str
