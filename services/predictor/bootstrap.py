"""Wires the predictor to a log: release, instruments, processor and worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import msgspec
import structlog

from keepwell import metrics
from keepwell.alerting.assess import Assessor
from keepwell.streams.log import Log, Partition
from keepwell.streams.topics import Topics
from keepwell.streams.worker.dead_letters import refused
from keepwell.streams.worker.loop import Stop, Worker
from keepwell.streams.worker.step import Step
from keepwell.web import service
from keepwell.web.health import HealthServer
from keepwell.web.service import Service
from models.registry import Releases
from models.release import InvalidRelease, Release
from services.predictor.settings import PredictorSettings
from services.predictor.step import PredictorProcessor

_log = structlog.get_logger(__name__)


def run(settings: PredictorSettings, *, drain: bool = False, stop: Stop | None = None) -> None:
    """Runs the predictor as a process of its own, as `keepwell.web.service.run` does. Raises `InvalidRelease` where the
    release to begin with cannot be used."""
    service.run("predictor", settings, make, drain=drain, stop=stop)


def make(settings: PredictorSettings, log: Log) -> Service:
    """The predictor's worker, with health pages as its face. Raises as `run`."""
    face = partial(HealthServer, host=settings.predictor_host, port=settings.predictor_port)
    return Service(worker_of(settings, log), face)


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
        set_aside=partial(_set_aside, log, topics),
        after_commit=lives.tell,
    )


def _set_aside(log: Log, topics: Topics, partition: Partition) -> set[int]:
    """The offsets of a partition of accepted events that became letters."""
    found = refused(log, topics.dead_letters, topics.episodes)
    return {offset for number, offset in found if number == partition.number}


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
