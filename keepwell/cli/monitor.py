"""`keepwell monitor`: how a release in use fares, over a window of events, and what a person might do next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec
import typer

from keepwell.cli import _promotion as promotion
from keepwell.cli._common import progress
from keepwell.cli._offline import Instruments, moment, registrations
from keepwell.cli._options import AsJson, Prefix, ReleaseKeys, ReleasesAt
from keepwell.cli._settings import read
from keepwell.cli._source import check_source, opened
from keepwell.contract.events import InstrumentRegistered
from keepwell.files.events import read_lines
from keepwell.streams.log import Log
from keepwell.streams.topics import Topics
from models.registry import Releases
from models.release import Release
from services.predictor.settings import PredictorSettings
from training.dataset import FromLog
from training.dataset.builder import table
from training.dataset.sources import Source, alerts_in_log, gather, shown_in_files
from training.evaluate import encode
from training.fit.reference import Reference
from training.monitor import Monitoring, Subject, Window, monitor, page, words
from training.monitor.acceptance import Shown, decoded
from training.monitor.expose import write
from training.monitor.report import Chosen

REFERENCE: Final = "reference.json"


def command(
    *,
    files: Annotated[
        list[str] | None, typer.Argument(help="Events: JSON lines (also .gz, .zst, -) or Parquet archives.")
    ] = None,
    log: Annotated[str | None, typer.Option(help="Look at the accepted events of this log instead of files.")] = None,
    topic_prefix: Prefix = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="The release: digest, unique prefix or path; default: the log's champion, else the shipped one."
        ),
    ] = None,
    releases: ReleasesAt = None,
    release_keys: ReleaseKeys = None,
    since: Annotated[str | None, typer.Option(help="Look at moments from here on, RFC 3339; default: all.")] = None,
    until: Annotated[str | None, typer.Option(help="Look at moments until here; default: the last.")] = None,
    as_of: Annotated[
        str | None, typer.Option(help="Until when outcomes are known; default: the time of the last event.")
    ] = None,
    alerts: Annotated[
        list[Path] | None, typer.Option(help="JSON lines of alerts that were really shown; a log has its own.")
    ] = None,
    instruments: Instruments = None,
    out: Annotated[Path | None, typer.Option(help="Folder for monitor.json and monitor.html; made if need be.")] = None,
    metrics: Annotated[
        Path | None, typer.Option(help="File (.prom) for the textfile collector of Prometheus' node exporter.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes; the result does not depend on it.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Watch a release in use: drift, calibration, what became of alerts, gaps in the data; suggests, and promotes nothing."""
    window = Window(moment(since), moment(until))
    if window.since is not None and window.until is not None and window.since > window.until:
        raise typer.BadParameter("--since lies after --until")
    check_source(files, log, alerts or ())
    settings = read(
        PredictorSettings,
        log=log,
        topic_prefix=topic_prefix,
        model=model,
        releases=releases,
        release_keys=release_keys,
    )
    run = _Run(registrations(instruments), window, moment(as_of), [str(path) for path in alerts or ()], jobs)
    with progress() as bar, opened(files, settings) as source:
        bar.add_task("looking", total=None)
        report = _of_log(source, settings, run) if isinstance(source, FromLog) else _of_files(source, settings, run)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "monitor.json").write_bytes(encode(report))
        (out / "monitor.html").write_text(page(report), encoding="utf-8")
    if metrics is not None:
        write(report, metrics)
    print(encode(report).decode().rstrip() if as_json else words(report))


class _Run(NamedTuple):
    registrations: Sequence[InstrumentRegistered]
    window: Window
    as_of: datetime | None
    alerts: Sequence[str]
    jobs: int


def _of_files(files: Sequence[str], settings: PredictorSettings, run: _Run) -> Monitoring:
    releases = Releases.of(settings)
    subject = _subject(releases, settings.model, "named") if settings.model else _shipped(releases)
    shown = decoded(line.content for line in read_lines(run.alerts)) if run.alerts else None
    return _looked(files, subject, shown, run)


def _of_log(source: FromLog, settings: PredictorSettings, run: _Run) -> Monitoring:
    named = (line.content for line in read_lines(run.alerts))
    return _looked(source, _in_use(settings, *source), decoded([*alerts_in_log(source), *named]), run)


def _looked(source: Source, subject: Subject, shown: Sequence[Shown] | None, run: _Run) -> Monitoring:
    gathered = gather(source, run.registrations, run.as_of, shown_in_files(run.alerts))
    dataset = table(gathered, run.jobs)
    told = [one for stream in gathered.streams for one in stream.told]
    return monitor(subject, dataset, told, shown, gathered.instruments, window=run.window, refused=gathered.refused)


def _in_use(settings: PredictorSettings, log: Log, topics: Topics) -> Subject:
    """The release that is named, else the log's champion. Raises `ValueError` where partitions have different ones."""
    releases = Releases.of(settings)
    if settings.model is not None:
        return _subject(releases, settings.model, "named")
    champions = {digest for digest, role in promotion.in_use(promotion.held(log, topics)) if role == "champion"}
    if len(champions) > 1:
        raise ValueError(
            f"partitions of the log use different releases ({', '.join(sorted(champions))}): name one with --model"
        )
    return _subject(releases, champions.pop(), "in use in the log") if champions else _shipped(releases)


def _shipped(releases: Releases) -> Subject:
    return _subject(releases, releases.default().digest, "shipped")


def _subject(releases: Releases, name: str, chosen: Chosen) -> Subject:
    release: Release = releases.open(name)
    content = releases.file(name, REFERENCE)
    try:
        return Subject(release, None if content is None else msgspec.json.decode(content, type=Reference), chosen)
    except msgspec.MsgspecError as error:
        raise ValueError(f"{name}: {REFERENCE}: {error}") from error
