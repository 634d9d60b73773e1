"""`keepwell replay`: the live code over files, or over the accepted events that a log holds."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.progress import Progress, TaskID

from keepwell.care.instruments import Instruments as KnownInstruments
from keepwell.cli import _processes, _replayed
from keepwell.cli._common import failed, progress, say
from keepwell.cli._offline import Instruments, moment, read_lines, registrations
from keepwell.cli._options import Model, ReleasesAt
from keepwell.cli._processes import Processes
from keepwell.cli._replayed import BATCH, EpisodeCounts, Item, LogPart
from keepwell.cli._settings import read
from keepwell.cli._verify import Verdict, Verifier
from keepwell.contract.events import InstrumentRegistered, micros, rfc3339
from keepwell.contract.keys import episode_of
from keepwell.files.events import FileIntake, NoEventAccepted, Refused, records, take_in, with_ticks
from keepwell.streams import earlier
from keepwell.streams.log import Doubt, Log, LogError, Message, Partition
from keepwell.streams.topics import Topics
from keepwell.streams.worker import dead_letters
from keepwell.streams.worker.process import rare_collections
from models.registry import Releases
from services.predictor.bootstrap import processor
from services.predictor.settings import PredictorSettings
from services.predictor.step import PredictorProcessor

if TYPE_CHECKING:
    from services.clinician.history import ScoreHistory


def command(
    *,
    files: Annotated[
        list[str] | None, typer.Argument(help="JSON lines, also .gz and .zst; - is standard input.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the results; made if need be.")] = None,
    as_of: Annotated[str | None, typer.Option(help="Now, RFC 3339; default: the time of the last event.")] = None,
    model: Model = None,
    releases: ReleasesAt = None,
    instruments: Instruments = None,
    log: Annotated[str | None, typer.Option(help="Replay the accepted events of this log instead of files.")] = None,
    topic_prefix: Annotated[str | None, typer.Option(help="Prefix of the log's topics.")] = None,
    verify: Annotated[
        bool, typer.Option(help="With --log: compare with every score and alert it still holds.")
    ] = False,
    database: Annotated[
        str | None,
        typer.Option(
            "--database",
            help="With --log: fill the score history of the clinician's read model in this database, as keepwell clinician "
            "has it.",
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes; the result does not depend on it.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Run the live code over FILES, or over a log, and write scores, alerts, dead letters and a summary."""
    settings = read(PredictorSettings, log=log, topic_prefix=topic_prefix, model=model, releases=releases)
    topics = Topics(settings.topic_prefix)
    worker = processor(topics, settings.model, Releases.of(settings))
    processes = Processes(jobs, settings) if jobs > 1 else None
    if log is None:
        if not files:
            raise typer.BadParameter("name at least one FILE, or a log with --log")
        if verify:
            raise typer.BadParameter("--verify needs --log: a file holds no scores to compare with")
        if database is not None:
            raise typer.BadParameter("--database needs --log: what clinicians see comes from a log")
        if out is None:
            raise typer.BadParameter("name a folder for the results with --out")
        own = registrations(instruments)
        summary = replay_files(files, moment(as_of), worker, topics, own, out=out, processes=processes)
        verdict = None
    else:
        if files:
            raise typer.BadParameter("replay either FILES or --log, not both")
        if instruments is not None:
            raise typer.BadParameter("a log tells which instruments were registered: leave out --instruments")
        with closing(settings.open_log(must_exist=True)) as source, _history(database, topics) as history:
            summary, verdict = replay_log(
                source,
                worker,
                topics,
                out,
                verify=verify,
                as_begun=model is None,
                history=history,
                processes=processes,
            )
    say(summary, as_json)
    if verdict is not None and verdict.difference is not None:
        failed(verdict.difference)


@rare_collections()
def replay_files(
    files: Sequence[str],
    until: datetime | None,
    worker: PredictorProcessor,
    topics: Topics,
    registered: Sequence[InstrumentRegistered],
    *,
    out: Path,
    processes: Processes | None = None,
) -> dict[str, Any]:
    """Replays files into a folder and returns the summary. Without `until`, now is the time of the last event.

    With `processes` they work instead of the worker, and nothing is written before all of them are done. Raises
    `NoEventAccepted`, once the dead letters and the summary are written, `UnreadableFile`, and what `in_processes` does.
    """
    with progress() as bar:
        task = bar.add_task("reading", total=None)
        lines = _told(read_lines(files), bar, task)
        intake = take_in(lines, KnownInstruments.of(registered), until or datetime.now(UTC))
        now = until or (intake.events[-1].time if intake.events else datetime.now(UTC))
        bar.update(task, description="replaying", total=len(intake.events), completed=0)
        advance = partial(bar.advance, task)
        stream = records(chain(registered, with_ticks(intake.events, now)), Partition(topics.episodes, 0))
        replayed = (
            _replayed.of_files(worker, stream, now, advance)
            if processes is None
            else _processes.of_files(processes, stream, now, out, advance)
        )
        with replayed as (outputs, episodes), Results(out, topics) as results:
            for messages in outputs:
                results.add(messages)
            for refused in intake.refused:
                results.refuse(refused)
    summary = _of_intake(intake) | results.counts() | _of_episodes(episodes, now, worker.default.model)
    (out / "summary.json").write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=1) + b"\n")
    if not intake.events:
        raise NoEventAccepted(files, intake.refused, len(intake.refused))
    return summary


@rare_collections()
def replay_log(
    source: Log,
    worker: PredictorProcessor,
    topics: Topics,
    out: Path | None,
    *,
    verify: bool,
    as_begun: bool = True,
    history: ScoreHistory | None = None,
    processes: Processes | None = None,
) -> tuple[dict[str, Any], Verdict | None]:
    """Replays what the predictor has committed of a log; with `verify`, compares with what the log holds of its outputs;
    fills a `history` of scores, where one is given.

    Promotions are taken and refused as they were then; with `as_begun`, the release that the predictor began with is that of
    then too, else it is the worker's own. With `processes` they work instead of the worker, and nothing is written before all
    of them are done. Raises `InvalidRelease` where a release that was in use cannot be loaded here, and what the history and
    `in_processes` do.
    """
    if verify:
        _check_verifiable(source, topics)
    verifier = Verifier(source, topics) if verify else None
    counts: Counter[str] = Counter()
    parts = _parts(source, topics, as_begun)
    with ExitStack() as stack:
        bar = stack.enter_context(progress())
        advance = partial(bar.advance, bar.add_task("replaying", total=sum(part.end for part in parts)))
        steps_of = (
            partial(_replayed.of_log, source, worker, topics)
            if processes is None
            else stack.enter_context(_processes.of_log(processes, parts, out, advance))
        )
        results = stack.enter_context(Results(out, topics)) if out is not None else None
        for part in parts:
            for step in steps_of(part):
                counts.update(received=step.received, accepted=step.accepted, refused=step.refused)
                if results is not None:
                    results.add(step.messages)
                if verifier is not None:
                    verifier.produced(step.messages)
                if history is not None:
                    history.produced(step.messages)
                if processes is None:
                    advance(step.received)
            if history is not None:
                history.fill(part.number, part.end)
            aside = sum(offset < part.end for offset in part.set_aside)
            counts.update(received=aside, refused=aside)
        verdict = verifier.verdict() if verifier is not None else None
    summary: dict[str, Any] = dict(counts)
    if results is not None:
        summary |= results.counts()
    if history is not None:
        summary |= {"scores_filled": history.filled, "episodes_skipped": history.skipped}
    if verdict is not None:
        summary["verified"] = {"compared": verdict.compared, "difference": verdict.difference}
    if out is not None:
        (out / "summary.json").write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=1) + b"\n")
    return summary, verdict


def _parts(source: Log, topics: Topics, as_begun: bool) -> list[LogPart]:
    """What is to be replayed of each partition: what the predictor has committed. Ends the command where a part is gone."""
    committed = source.committed(topics.predictor_group, topics.episodes)
    set_aside = dead_letters.refused(source, topics.dead_letters, topics.episodes)
    parts = []
    for number in range(source.partitions(topics.episodes)):
        partition = Partition(topics.episodes, number)
        first, _ = source.bounds(partition)
        if first > 0:
            failed(
                f"{partition.topic}[{number}] begins at offset {first}: what came before is gone, so no replay is whole"
            )
        aside = frozenset(offset for of, offset in set_aside if of == number)
        parts.append(LogPart(number, committed.get(partition, 0), aside, as_begun))
    return parts


@contextmanager
def _history(database: str | None, topics: Topics) -> Iterator[ScoreHistory | None]:
    """The score history in a database, which has to be there; None where none is named."""
    if database is None:
        yield None
        return
    from services.clinician.history import opened  # SQLAlchemy, which no other replay needs
    from services.clinician.settings import ClinicianSettings

    with opened(read(ClinicianSettings, database=database).database, topics.scores) as history:
        yield history


def _check_verifiable(source: Log, topics: Topics) -> None:
    """Raises `LogError` where an earlier version made the log."""
    try:
        earlier.check(source, topics.episodes)
    except Doubt:
        raise
    except LogError as error:
        raise LogError(
            "this version cannot verify what an earlier one wrote, as alerts lay under other keys: verify it with that one. "
            f"{error}"
        ) from error


class Results:
    """The files of a replay. An erasure takes back what was written of the episode before it."""

    def __init__(self, out: Path, topics: Topics) -> None:
        self._out = out
        self._names = {
            topics.scores: "scores", topics.alerts: "alerts", topics.dead_letters: "dead-letters",
            topics.shadow_scores: "shadow-scores",
        }  # fmt: skip
        self._files: dict[str, IO[bytes]] = {}
        self._counts: Counter[str] = Counter()
        self._alerts: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()
        self._erased: dict[str, dict[bytes, int]] = {}

    def __enter__(self) -> Results:
        self._out.mkdir(parents=True, exist_ok=True)
        (self._out / "shadow-scores.jsonl").unlink(missing_ok=True)
        (self._out / "summary.json").unlink(missing_ok=True)  # is written again once these files are whole
        self._files = {name: self._file(name) for name in ("scores", "alerts", "dead-letters")}
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()
        for name, gone in self._erased.items():
            if name in self._files:
                self._forget(name, gone)

    def add(self, messages: Sequence[Message]) -> None:
        """Writes what a step put out."""
        for message in messages:
            name = self._names[message.topic]
            if message.value is None and message.key is not None:
                self._erased.setdefault(name, {})[episode_of(message.key)] = self._counts[name]
                continue
            if name == "dead-letters":
                self._write(name, _dead_letter(message))
                continue
            self._write(name, message.value or b"")
            if name == "alerts":
                alert = msgspec.json.decode(message.value or b"")
                self._alerts[f"{alert['kind']} {alert['status']}"] += 1

    def refuse(self, refused: Refused) -> None:
        """Writes a line that ingest refused, untouched."""
        line, (code, path, detail) = refused
        self._refusals[code] += 1
        told = {"file": line.file, "line": line.number, "reason": code, "path": path, "detail": detail}
        self._write("dead-letters", msgspec.json.encode(told | _untouched(line.content)))

    def counts(self) -> dict[str, Any]:
        """How much was written, of what."""
        shadow = {"shadow_scores": self._counts["shadow-scores"]} if "shadow-scores" in self._files else {}
        return {
            "scores": self._counts["scores"],
            "alerts": dict(sorted(self._alerts.items())),
            "dead_letters": dict(sorted(self._refusals.items())),
        } | shadow

    def _file(self, name: str) -> IO[bytes]:
        return (self._out / f"{name}.jsonl").open("wb")

    def _write(self, name: str, line: bytes) -> None:
        if name not in self._files:  # most replays have no shadow, and need no file for it
            self._files[name] = self._file(name)
        self._files[name].write(line + b"\n")
        self._counts[name] += 1

    def _forget(self, name: str, gone: dict[bytes, int]) -> None:
        path = self._out / f"{name}.jsonl"
        kept = path.with_suffix(".kept")
        with path.open("rb") as old, kept.open("wb") as new:
            for number, line in enumerate(old):
                if number >= gone.get(msgspec.json.decode(line)["episode"].encode(), 0):
                    new.write(line)
                else:
                    self._counts[name] -= 1
        kept.replace(path)


def _dead_letter(message: Message) -> bytes:
    headers = {name: content.decode("utf-8", "replace") for name, content in message.headers}
    return msgspec.json.encode({"headers": headers} | _untouched(message.value or b""))


def _untouched(content: bytes) -> dict[str, str]:
    try:
        return {"value": content.decode()}
    except UnicodeDecodeError:
        return {"value_base64": base64.b64encode(content).decode()}


def _of_intake(intake: FileIntake) -> dict[str, Any]:
    identities = {(event.source, event.id) for event in intake.events}
    return {
        "received": len(intake.events) + len(intake.refused),
        "accepted": len(intake.events),
        "repeated": len(intake.events) - len(identities),
        "unknown_members": intake.unknown,
        "types": dict(sorted(Counter(event.type for event in intake.events).items())),
    }


def _of_episodes(counts: EpisodeCounts, now: datetime, model: str) -> dict[str, Any]:
    return {
        "as_of": rfc3339(micros(now)),
        "episodes": dict(sorted(counts.states.items())),
        "spells": dict(sorted(counts.endings.items())),
        "model": model,
    }


def _told(items: Iterator[Item], bar: Progress, task: TaskID) -> Iterator[Item]:
    for count, item in enumerate(items, 1):
        if count % BATCH == 0:
            bar.update(task, completed=count)
        yield item
