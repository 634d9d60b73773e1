"""The chief figures of a monitoring as a file for the node exporter's textfile collector."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from prometheus_client import Metric, write_to_textfile
from prometheus_client.registry import Collector

from keepwell import metrics
from training.monitor.drift import DriftVerdict
from training.monitor.report import Monitoring
from training.monitor.suggest import DOS

STEPS: dict[DriftVerdict, int] = {"alike": 0, "unclear": 0, "some": 1, "much": 2}


def write(report: Monitoring, path: Path) -> None:
    """Writes the file whole: nobody sees half of it. A gap in the report is no sample in it. Raises `OSError`."""
    _set(report)
    write_to_textfile(str(path), _Monitored())


class _Monitored(Collector):
    def collect(self) -> Iterator[Metric]:
        for gauge in metrics.MONITORED:
            yield from gauge.collect()


def _set(report: Monitoring) -> None:
    for gauge in metrics.MONITORED:
        gauge.clear()
    release = report.release.digest
    metrics.MONITOR_AS_OF.labels(release).set(datetime.fromisoformat(report.seen.as_of).timestamp())
    metrics.MONITOR_MOMENTS.labels(release).set(report.seen.moments)
    for kind, compared in (("risk", report.drift.risks), ("feature", report.drift.features)):
        for found in compared:
            metrics.MONITOR_PSI.labels(release, kind, found.name).set(found.psi)
            metrics.MONITOR_DRIFT.labels(release, kind, found.name).set(STEPS[found.verdict])
    for one in report.calibration:
        for gauge, value in (
            (metrics.MONITOR_RATIO, one.ratio.value), (metrics.MONITOR_SLOPE, one.slope.value),
            (metrics.MONITOR_ECE, one.ece), (metrics.MONITOR_AUROC, one.auroc.value),
        ):  # fmt: skip
            if value is not None:
                gauge.labels(release, one.output).set(value)
    for answers in report.acceptance.kinds:
        if answers.answered is not None:
            metrics.MONITOR_ANSWERED.labels(answers.kind).set(answers.answered)
        if answers.hours is not None:
            metrics.MONITOR_ANSWER_HOURS.labels(answers.kind).set(answers.hours[1])
    for gap, share in report.gaps.overall.items():
        metrics.MONITOR_GAPS.labels(gap).set(share)
        metrics.MONITOR_GAPS_MORE.labels(gap).set(sum(cell.gap == gap for _, cell in report.gaps.more()))
    suggested = {suggestion.do for suggestion in report.suggestions}
    for do in DOS:
        metrics.MONITOR_SUGGESTS.labels(release, do).set(do in suggested)
