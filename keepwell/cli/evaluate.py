"""`keepwell evaluate`: what a release is worth on a set of events, as `report.json` and a page to read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from keepwell.cli._common import progress, say
from keepwell.cli._offline import moment, read_lines
from keepwell.cli._options import AsJson, ReleasesAt
from keepwell.cli.score import Pair, scored
from keepwell.events import AnyEvent, micros
from keepwell.files import records, take_in, with_ticks
from keepwell.outputs import Alert
from keepwell.streams.log import Partition
from keepwell.topics import Topics
from models.registry import Releases
from services.predictor.bootstrap import PredictorSettings, assessor_of, instruments_of, processor
from services.predictor.step import PredictorProcessor
from training.dataset import InMemory, build
from training.dataset.sources import gather
from training.evaluate import Moment, Raised, Report, encode, evaluate, outcomes, page

MOST_TRUTHS: Final = 10_000
"""Moments of a simulator's truth that are scored, evenly over all it tells: each is folded from its first event."""
BATCH: Final = 5000
"""Records a step of the predictor, which bounds memory."""


class _Truth(msgspec.Struct, frozen=True):
    episode: str
    as_of: str
    risk_30d: float
    risk_30d_clinician_unknown: float


def command(
    release: Annotated[str, typer.Argument(help="The release to judge: digest, unique prefix or path.")],
    files: Annotated[list[str], typer.Argument(help="Events: JSON lines, also .gz and .zst; - is standard input.")],
    out: Annotated[Path, typer.Option(help="Folder for report.json and report.html; made if need be.")],
    truth: Annotated[
        Path | None, typer.Option(help="truth.jsonl of `keepwell simulate`: compare with the true risk.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(help="Until when outcomes are known, RFC 3339; default: the time of the last event.")
    ] = None,
    releases: ReleasesAt = None,
    instruments: Annotated[Path | None, typer.Option(help="TOML file with the clinics' own instruments.")] = None,
    as_json: AsJson = False,
) -> None:
    """Judge RELEASE on FILES it was not fitted to: discrimination, calibration, alerts, rules to beat, fairness."""
    settings = PredictorSettings(instruments=instruments, model=release, releases=releases)
    known = instruments_of(settings)
    found = Releases.of(settings).open(release)
    until = moment(as_of)
    truths = _truths(truth) if truth is not None else None
    with progress() as bar:
        task = bar.add_task("reading", total=None)
        intake = take_in(read_lines(files), known, until or datetime.now(UTC))
        events = [event for event in intake.events if until is None or event.time <= until]
        if not events:
            raise ValueError("no event to judge by in these files")
        now = until or events[-1].time
        source = InMemory(events)
        bar.update(task, description="building the landmark table")
        dataset = build(source, instruments=known, as_of=now, policy=found.policy)
        of_episodes = outcomes(gather(source, known, now, {}), known)
        bar.update(task, description="replaying alerts")
        alerts = replayed(processor(Topics(), known, release, Releases.of(settings)), events, now)
        kept = [alert for alert in alerts if alert.episode in of_episodes]
        moments = None
        if truths is not None:
            bar.update(task, description="scoring the moments of the truth")
            pairs = [Pair(row.episode, row.as_of, micros(datetime.fromisoformat(row.as_of))) for row in truths[1]]
            rows = scored(events, pairs, assessor_of(found), known, micros(now))
            moments = [_moment(row, pair, cells) for row, pair, cells in zip(truths[1], pairs, rows, strict=True)]
        bar.update(task, description="judging")
        report = evaluate(
            found,
            dataset,
            events,
            of_episodes,
            kept,
            micros(now),
            len(intake.refused),
            moments,
            truths[0] if truths else 1,
        )
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_bytes(encode(report))
    (out / "report.html").write_text(page(report, found.scorer.card), encoding="utf-8")
    say(summary(report), as_json)


def replayed(worker: PredictorProcessor, events: Sequence[AnyEvent], now: datetime) -> list[Raised]:
    """The alerts that the predictor's own step raises over events in order of time, with a tick a day."""
    topics = Topics()
    raised = []
    stream = records(with_ticks(events, now), Partition(topics.episodes, 0))
    while batch := list(islice(stream, BATCH)):
        for message in worker.step(0, batch).messages:
            if message.topic != topics.alerts or message.value is None:
                continue
            alert = msgspec.json.decode(message.value, type=Alert)
            if alert.status == "raised":
                raised.append(Raised(alert.episode, alert.kind, micros(datetime.fromisoformat(alert.at))))
    return raised


def summary(report: Report) -> dict[str, object]:
    """The chief figures."""
    headline = next(found for found in report.performance if found.output == "30d")
    auroc = headline.pooled.auroc
    return {
        "simulated_episodes": report.data.simulated,
        "rows": headline.pooled.rows,
        "auroc_30d": auroc.value,
        "auroc_30d_low": auroc.low,
        "auroc_30d_high": auroc.high,
        "calibration_slope_30d": headline.pooled.slope,
        "ece_30d": headline.pooled.ece,
        "alerts_per_clinician_week": report.alerts.kinds[0].per_clinician_week,
        "gaps": sum(item.told is None for item in report.disclosures),
    }


def _truths(path: Path) -> tuple[int, list[_Truth]]:
    """Every how many-th moment of the truth is taken, and those. Raises `typer.BadParameter` where it is no truth."""
    try:
        rows = [msgspec.json.decode(line, type=_Truth) for line in path.read_bytes().splitlines() if line.strip()]
    except (OSError, msgspec.MsgspecError) as error:
        raise typer.BadParameter(f"{path}: {error}", param_hint="--truth") from error
    every = max(1, -(-len(rows) // MOST_TRUTHS))
    return every, rows[::every]


def _moment(truth: _Truth, pair: Pair, row: Sequence[object]) -> Moment:
    risk, target = row[3], row[7]
    return Moment(
        pair.episode, pair.at,
        float(target) if isinstance(target, int | float) else None,
        float(risk) if isinstance(risk, int | float) else None,
        truth.risk_30d_clinician_unknown, truth.risk_30d,
    )  # fmt: skip
