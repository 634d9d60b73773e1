"""`keepwell evaluate`: what a release is worth on a set of events, as `report.json` and a page to read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from msgspec.json import decode

from keepwell.cli._common import progress, say
from keepwell.cli._offline import Instruments, moment, registrations
from keepwell.cli._options import AsJson, Prefix, ReleasesAt
from keepwell.cli._settings import read
from keepwell.cli._source import check_source, opened
from keepwell.contract.events import decode_accepted
from keepwell.streams.topics import Topics
from models.registry import Releases
from services.predictor.bootstrap import processor
from services.predictor.settings import PredictorSettings
from training.dataset.builder import table
from training.dataset.sources import Gathered, gather, shown_in_files
from training.evaluate import (
    Evaluation,
    Evidence,
    JudgedLog,
    encode,
    evaluate,
    moments,
    outcomes,
    page,
    read_truths,
    replayed,
)
from training.evaluate.aims import VERDICTS
from training.evaluate.worlds.table import WorldsTable
from training.fit.publish import WORLDS


def command(
    *,
    release: Annotated[str, typer.Argument(help="The release to judge: digest, unique prefix or path.")],
    out: Annotated[Path, typer.Option(help="Folder for report.json and report.html; made if need be.")],
    files: Annotated[
        list[str] | None, typer.Argument(help="Events: JSON lines (also .gz, .zst, -) or Parquet archives.")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="truth.jsonl of `keepwell simulate`: compare with the true risk.")
    ] = None,
    compare: Annotated[
        list[str] | None, typer.Option(help="Events of elsewhere or of later: is the release as good there?")
    ] = None,
    learning_curve: Annotated[
        bool, typer.Option("--learning-curve", help="Fit models of this kind to more and more of the episodes.")
    ] = False,
    challengers: Annotated[bool, typer.Option(help="Fit models without constraints beside it: the slow part.")] = True,
    alerts: Annotated[list[Path] | None, typer.Option(help="JSON lines of alerts that were really shown.")] = None,
    as_of: Annotated[
        str | None, typer.Option(help="Until when outcomes are known, RFC 3339; default: the time of the last event.")
    ] = None,
    log: Annotated[str | None, typer.Option(help="Judge by the accepted events of this log instead of files.")] = None,
    topic_prefix: Prefix = None,
    releases: ReleasesAt = None,
    instruments: Instruments = None,
    as_json: AsJson = False,
) -> None:
    """Judge RELEASE on events it was not fitted to: discrimination, calibration, alerts, rules to beat, fairness."""
    check_source(files, log, [*(compare or ()), *(alerts or ())])
    settings = read(PredictorSettings, log=log, topic_prefix=topic_prefix, model=release, releases=releases)
    topics, own = Topics(settings.topic_prefix), registrations(instruments)
    registry = Releases.of(settings)
    found, worlds = registry.open(release), registry.file(release, WORLDS)
    truths = None
    if truth is not None:
        try:
            truths = read_truths(truth)
        except (OSError, ValueError) as error:
            raise typer.BadParameter(str(error), param_hint="--truth") from error
    with progress() as bar, opened(files, settings) as source:
        task = bar.add_task("reading", total=None)
        gathered = gather(source, own, moment(as_of), shown_in_files(alerts or ()))
        bar.update(task, description="building the landmark table")
        evidence = Evidence(_log(gathered), outcomes(gathered), [], gathered.now)
        if not evidence.outcomes:
            raise ValueError("no event of an episode was accepted: there is nothing to judge by")
        bar.update(task, description="replaying alerts")
        worker = processor(topics, release, Releases.of(settings))
        evidence = evidence._replace(alerts=replayed(worker, gathered, topics.alerts))
        if truths is not None:
            bar.update(task, description="scoring the moments of the truth")
            evidence = evidence._replace(truth=moments(truths, gathered, found.scorer))
        elsewhere = None
        if compare:
            bar.update(task, description="reading what to compare with")
            elsewhere = _log(gather(compare, own, None, {}))
        bar.update(task, description="judging")
        report = evaluate(
            found, evidence, elsewhere, learning_curve, challengers,
            worlds=None if worlds is None else decode(worlds, type=WorldsTable),
        )  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_bytes(encode(report))
    (out / "report.html").write_text(page(report, found.scorer.card), encoding="utf-8")
    say(summary(report), as_json)


def summary(report: Evaluation) -> dict[str, object]:
    """The chief figures."""
    headline = next(found for found in report.performance if found.output == "30d")
    auroc, every = headline.pooled.auroc, report.alerts.kinds[0]
    return {
        "simulated_episodes": report.data.simulated,
        "rows": headline.pooled.rows,
        "auroc_30d": auroc.value,
        "auroc_30d_low": auroc.low,
        "auroc_30d_high": auroc.high,
        "calibration_slope_30d": headline.pooled.calibration.slope.value,
        "ece_30d": headline.pooled.ece,
        "alerts_per_clinician_week": every.per_clinician_week,
        "alerts_per_100_sessions": every.per_100_sessions.value,
        "stops_in_time": every.in_time.value,
        "aims": {verdict: sum(aim.verdict == verdict for aim in report.aims) for verdict in VERDICTS},
        "gaps": sum(item.told is None for item in report.disclosures),
    }


def _log(gathered: Gathered) -> JudgedLog:
    """The landmark table of what was gathered, with its events."""
    told = (one for stream in gathered.streams for one in stream.told)
    return JudgedLog(table(gathered), [decode_accepted(value) for one in told for value in one.events])
