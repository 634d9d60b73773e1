"""`keepwell score`: risks at chosen moments from what was known then, beside what came of it."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer

from keepwell.alerting.assess import Assessor, Trigger
from keepwell.care.endings import next_visit_missed, spell_of, target
from keepwell.care.episode import Episode, Live
from keepwell.care.history import effective
from keepwell.care.instruments import Instruments as KnownInstruments
from keepwell.cli._common import progress, say
from keepwell.cli._offline import Instruments, moment, read_lines, registrations
from keepwell.cli._options import Model, ReleasesAt
from keepwell.cli._settings import read
from keepwell.contract.events import CONTROL_TYPES, AnyEvent, ClientErased, EpisodeOpened, micros
from keepwell.contract.words import HORIZONS
from keepwell.files.events import NoEventAccepted, take_in
from keepwell.streams.topics import Topics
from models.registry import Releases
from services.predictor.bootstrap import processor
from services.predictor.settings import PredictorSettings

COLUMNS: Final = (
    "episode", "as_of", "risk_14d", "risk_30d", "risk_60d", "risk_next", "target_14d", "target_30d", "target_60d",
    "target_next", "ending",
)  # fmt: skip


class Pair(NamedTuple):
    """An episode and a moment to score it at; `as_of` is kept as it was written."""

    episode: str
    as_of: str
    at: int


def command(
    *,
    files: Annotated[list[str], typer.Argument(help="JSON lines, also .gz and .zst; - is standard input.")],
    at: Annotated[Path, typer.Option(help="CSV with the columns episode,as_of.")],
    out: Annotated[Path, typer.Option(help="CSV to write.")],
    as_of: Annotated[
        str | None, typer.Option(help="Until when outcomes are known, RFC 3339; default: the time of the last event.")
    ] = None,
    model: Model = None,
    releases: ReleasesAt = None,
    instruments: Instruments = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Score episodes of FILES at chosen moments: each risk from what was known then, each target from the whole file."""
    pairs = read_pairs(at)
    settings = read(PredictorSettings, model=model, releases=releases)
    known = KnownInstruments.of(registrations(instruments))
    until = moment(as_of)
    with progress() as bar:
        bar.add_task("reading", total=None)
        intake = take_in(read_lines(files), known, until or datetime.now(UTC))
    if not intake.events:
        raise NoEventAccepted(files, intake.refused, len(intake.refused))
    now = micros(until or intake.events[-1].time)
    assessor = processor(Topics(), settings.model, Releases.of(settings)).default
    rows = scored(intake.events, pairs, assessor, known, now)
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    unknown = len({pair.episode for pair in pairs} - {event.key for event in intake.events})
    say(
        {
            "pairs": len(pairs),
            "episodes_not_found": unknown,
            "accepted": len(intake.events),
            "refused": len(intake.refused),
        },
        as_json,
    )


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of a CSV file. Raises `typer.BadParameter` naming the line that is wrong."""
    if not path.is_file():
        raise typer.BadParameter(f"{path}: no such file", param_hint="--at")
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        missing = {"episode", "as_of"} - set(rows.fieldnames or ())
        if missing:
            found = ", ".join(f"`{name}`" for name in rows.fieldnames or ()) or "none"
            told = f"{path}: no column {', '.join(sorted(missing))}; its columns are {found}: write a comma between columns"
            raise typer.BadParameter(told, param_hint="--at")
        pairs = []
        for row in rows:
            try:
                at = micros(moment(row["as_of"] or "") or datetime.now(UTC))
            except typer.BadParameter as error:
                raise typer.BadParameter(f"{path}:{rows.line_num}: {error.message}", param_hint="--at") from error
            pairs.append(Pair(row["episode"], row["as_of"], at))
    return pairs


def scored(
    events: Sequence[AnyEvent], pairs: Sequence[Pair], assessor: Assessor, instruments: KnownInstruments, now: int
) -> Iterator[list[Any]]:
    """One row of `COLUMNS` for each pair, in their order; cells are empty where nothing is known or determined."""
    by_episode = _by_episode(events, {pair.episode for pair in pairs})
    whole = {
        key: _live(key, [event for event in known if micros(event.time) <= now], instruments)
        for key, known in by_episode.items()
    }
    for pair in pairs:
        live = whole.get(pair.episode)
        risks: list[Any] = [""] * 4
        outcomes: list[Any] = [""] * 5
        if live is not None and live.episode.history:
            then = [event for event in by_episode[pair.episode] if micros(event.time) <= min(pair.at, now)]
            if then:
                risks = _risks(_live(pair.episode, then, instruments), pair.at, assessor)
            outcomes = _outcomes(live, pair.at, now)
        yield [pair.episode, pair.as_of, *risks, *outcomes]


def _by_episode(events: Sequence[AnyEvent], wanted: set[str]) -> dict[str, list[AnyEvent]]:
    """The events of the episodes in time order; an erasure takes the client's episodes away, as it does live."""
    found: dict[str, list[AnyEvent]] = defaultdict(list)
    client: dict[str, set[str]] = defaultdict(set)
    for event in events:
        if isinstance(event, ClientErased):
            gone = [key for key in found if key.startswith(f"{event.clinic}/") and event.data.client_id in client[key]]
            for key in gone:
                del found[key], client[key]
        elif event.key in wanted and event.type not in CONTROL_TYPES:
            found[event.key].append(event)
            if isinstance(event, EpisodeOpened):
                client[event.key].add(event.data.client_id)
    return found


def _live(key: str, events: Sequence[AnyEvent], instruments: KnownInstruments) -> Live:
    live = Live(Episode(key), partial(instruments.get, key.partition("/")[0]))
    for event in events:
        live.fold(event)
    return live


def _risks(live: Live, at: int, assessor: Assessor) -> list[Any]:
    score, _ = assessor.score(live, at, Trigger("score"))
    if score.risk is None:
        return [""] * 4
    following = "" if score.next_visit_missed is None else score.next_visit_missed
    return [score.risk.d14, score.risk.d30, score.risk.d60, following]


def _outcomes(live: Live, at: int, now: int) -> list[Any]:
    spells = live.course.standing.spells_at(now)
    spell = spell_of(spells, at)
    targets: list[Any] = [target(spells, at, days) for days in HORIZONS.values()]
    targets.append(next_visit_missed(effective(live.episode.history), at) if spell is not None else None)
    return [*("" if value is None else value for value in targets), (spell.ending if spell else None) or ""]
