"""Where accepted events come from: JSON lines, Parquet archives, the topic of a log; gathered episode by episode.

Files know no arrival, so their order is event time, with a tick every midnight (as in `keepwell replay`). A log, and an
archive of one, keep the order of arrival and the ticks that were written, so that a row sees what a live score saw.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

from keepwell.care.endings import DAY
from keepwell.care.history import RANK
from keepwell.care.instruments import Instruments
from keepwell.contract.events import (
    CONTROL_TYPES,
    EVENT_TYPES,
    ClientErased,
    ClockTicked,
    EpisodeOpened,
    Event,
    InstrumentRegistered,
    decode_accepted,
    encode,
    micros,
)
from keepwell.files.events import FIRST, NoEventAccepted, Refused, check_lines, read_lines
from keepwell.streams.log import Log, Partition
from keepwell.streams.standing import standing
from keepwell.streams.topics import Topics
from training.dataset.archives import SUFFIX, ArchivedEvent, Order, order_of, read_archive, write_archive
from training.dataset.replay import Ticks, Told


class FromLog(NamedTuple):
    """A log with the topics of an installation: its accepted events, and the alerts that were shown."""

    log: Log
    topics: Topics


class InMemory(NamedTuple):
    """Events in memory that are accepted already, such as a simulator's."""

    events: Iterable[Event]


Source = FromLog | InMemory | Sequence[str | Path]
"""A log, events in memory, or files: JSON lines (`-`, `.jsonl`, `.gz`, `.zst`) and archives (`.parquet`)."""

_TICK: Final = str(ClockTicked.__struct_config__.tag)
_ERASED: Final = str(ClientErased.__struct_config__.tag)
_REGISTERED: Final = str(InstrumentRegistered.__struct_config__.tag)
_OPENED: Final = str(EpisodeOpened.__struct_config__.tag)


class Stream(NamedTuple):
    """Episodes that share one order of events and one clock: those of a partition, or of all files. Sorted by key."""

    ticks: Ticks
    told: Sequence[Told]


class Gathered(NamedTuple):
    """What sources hold until `now` (µs), and how many events were refused, came after `now`, or were erased.

    `registrations` are those of the clinics' own instruments, given or found; `instruments` is what they come to: every
    measure is read by what its clinic meant by the name in the end, those before a registration too.
    """

    order: Order
    streams: Sequence[Stream]
    now: int
    refused: int
    later: int
    erased: int
    registrations: Sequence[InstrumentRegistered]
    instruments: Instruments


def gather(
    source: Source,
    registrations: Sequence[InstrumentRegistered],
    as_of: datetime | None,
    shown: Mapping[str, list[int]],
) -> Gathered:
    """Gathers a source. `as_of` cuts it: what happened later is left out, as if it had never been told.

    `registrations` are of clinics' own instruments; those that a log or an archive holds are added.
    `shown` holds the moments (µs) of alerts shown, by episode; a log adds those it still holds.
    Raises `NoEventAccepted` where files hold no event, `ValueError` where files of different order are mixed, and
    `UnreadableFile`, `OSError` and `LogError` where a source cannot be read.
    """
    counts = _Counts()
    order, items = _items(source, Instruments.of(registrations), as_of or datetime.now(UTC), counts)
    registered = {(event.source, event.id): event for event in registrations}
    if isinstance(source, FromLog):
        shown = _joined(shown, shown_in_log(source))
    until = micros(as_of) if as_of is not None else None
    latest = 0
    gatherers: dict[int, _Gatherer] = defaultdict(_Gatherer)
    for item in items:
        if until is not None and item.at > until:
            counts.later += 1
            continue
        if item.type == _REGISTERED:
            event = decode_accepted(item.value)
            assert isinstance(event, InstrumentRegistered)
            registered[event.source, event.id] = event
            continue
        latest = max(latest, item.at)
        gatherers[item.partition].take(item)
    if not gatherers and not counts.later and not isinstance(source, FromLog | InMemory):
        raise NoEventAccepted(list(map(str, source)), counts.first, counts.refused)
    now = until if until is not None else latest
    streams = [
        Stream(gatherer.midnights(now) if order == "time" else gatherer.ticks(), gatherer.told(shown))
        for _, gatherer in sorted(gatherers.items())
    ]
    erased = sum(gatherer.erased for gatherer in gatherers.values())
    told = tuple(registered.values())
    return Gathered(order, streams, now, counts.refused, counts.later, erased, told, Instruments.of(told))


def archive(source: Source, path: Path, as_of: datetime | None = None) -> int:
    """Writes the accepted events of a source as a Parquet archive and returns how many. Raises what `gather` raises."""
    order, items = _items(source, Instruments(), as_of or datetime.now(UTC), _Counts())
    return write_archive(path, items, order)


def shown_in_log(source: FromLog) -> dict[str, list[int]]:
    """When alerts were shown (raised or escalated; µs), by episode, as far as the log still holds them."""
    return _shown(alerts_in_log(source))


def alerts_in_log(source: FromLog) -> Iterator[bytes]:
    """The records of alerts that a log holds: all of them, but for those of clients who were erased."""
    topic = source.topics.alerts
    for number in range(source.log.partitions(topic)):
        for record in standing(source.log, Partition(topic, number)):
            if record.value is not None:
                yield record.value


def shown_in_files(files: Sequence[str | Path]) -> dict[str, list[int]]:
    """The same from JSON lines of alerts that were really shown, such as an export of `risk-alerts`."""
    return _shown(line.content for line in read_lines([str(name) for name in files]))


class _Counts:
    def __init__(self) -> None:
        self.refused = 0
        self.first: list[Refused] = []
        self.later = 0


class _Gatherer:
    """What one stream told so far. An erasure takes effect as in the predictor: all before it is gone."""

    def __init__(self) -> None:
        self.erased = 0
        self._episodes: dict[str, tuple[list[int], list[bytes]]] = {}
        self._of_client: dict[str, set[str]] = defaultdict(set)
        self._places: list[int] = []
        self._moments: list[int] = []
        self._first: int | None = None

    def take(self, item: ArchivedEvent) -> None:
        """Takes the next item of the stream."""
        if item.type == _TICK:
            if not self._moments or item.at > self._moments[-1]:
                self._places.append(item.place)
                self._moments.append(item.at)
            return
        if item.type in CONTROL_TYPES:
            return
        if self._first is None:
            self._first = item.at
        if item.type in (_OPENED, _ERASED):
            event = decode_accepted(item.value)
            client = f"{event.clinic}/{event.data.client_id}"  # type: ignore[union-attr]  # both types have one
            if item.type == _ERASED:
                for key in self._of_client.pop(client, ()):
                    self.erased += len(self._episodes.pop(key, ((), ()))[0])
                return
            self._of_client[client].add(item.key)
        places, values = self._episodes.setdefault(item.key, ([], []))
        places.append(item.place)
        values.append(item.value)

    def told(self, shown: Mapping[str, list[int]]) -> list[Told]:
        """The episodes, sorted by key."""
        return [Told(key, *told, tuple(shown.get(key, ()))) for key, told in sorted(self._episodes.items())]

    def ticks(self) -> Ticks:
        """The ticks as they came."""
        return Ticks(np.array(self._places, dtype=np.int64), np.array(self._moments, dtype=np.int64))

    def midnights(self, now: int) -> Ticks:
        """A tick at every midnight UTC since the first event, and one now. Events of a tick's moment come before it."""
        if self._first is None:
            return Ticks()
        moments = np.append(np.arange(self._first - self._first % DAY, now, DAY, dtype=np.int64), now)
        return Ticks(moments, moments)


def _items(
    source: Source, instruments: Instruments, clock: datetime, counts: _Counts
) -> tuple[Order, Iterable[ArchivedEvent]]:
    """The items of a source, stream by stream in the order of each."""
    if isinstance(source, FromLog):
        return "arrival", _of_log(source, counts)
    if isinstance(source, InMemory):
        return "time", _by_time(_item(event, encode(event)) for event in source.events)
    archives = [Path(name) for name in source if str(name).endswith(SUFFIX)]
    lines = [str(name) for name in source if not str(name).endswith(SUFFIX)]
    orders = {order_of(path) for path in archives} | ({"time"} if lines else set())
    if orders == {"arrival"}:
        return "arrival", _merged(archives)
    if "arrival" in orders:
        raise ValueError("an archive of a log keeps the order of arrival and cannot be mixed with files that have none")
    return "time", _by_time([*_of_lines(lines, instruments, clock, counts), *_of_archives(archives)])


def _of_lines(
    files: Sequence[str], instruments: Instruments, clock: datetime, counts: _Counts
) -> Iterator[ArchivedEvent]:
    for checked in check_lines(read_lines(files), instruments, clock):
        if isinstance(checked, Refused):
            counts.refused += 1
            if counts.refused <= FIRST:
                counts.first.append(checked)
        else:
            yield _item(checked.event, encode(checked.event))


def _of_archives(archives: Sequence[Path]) -> Iterator[ArchivedEvent]:
    for path in archives:
        yield from read_archive(path)


def _of_log(source: FromLog, counts: _Counts) -> Iterator[ArchivedEvent]:
    topic = source.topics.episodes
    for number in range(source.log.partitions(topic)):
        for record in standing(source.log, Partition(topic, number)):
            value = record.value or b""
            try:
                event = decode_accepted(value)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                counts.refused += 1
                continue
            yield _item(event, value)._replace(partition=number, place=record.offset)


def _merged(archives: Sequence[Path]) -> Iterator[ArchivedEvent]:
    """Archives of one log, such as one a month; an event that two of them hold counts once."""
    last = None
    for item in heapq.merge(*map(read_archive, archives), key=itemgetter(0, 1)):
        if last != (item.partition, item.place):
            yield item
        last = (item.partition, item.place)


def _by_time(items: Iterable[ArchivedEvent]) -> list[ArchivedEvent]:
    """In the order of `keepwell replay`: of one moment, by what kind of thing happened."""
    return sorted(items, key=lambda item: (item.at, _RANKS[item.type]))


_RANKS: Final = {name: RANK.get(cls, len(RANK)) for name, cls in EVENT_TYPES.items()}


def _item(event: Event, value: bytes) -> ArchivedEvent:
    at = micros(event.time)
    return ArchivedEvent(0, at, at, event.key, event.type, value)


class _Alert(msgspec.Struct):
    episode: str
    status: str
    at: datetime


def _shown(values: Iterable[bytes]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for value in values:
        alert = msgspec.json.decode(value, type=_Alert)
        if alert.status != "resolved":
            found[alert.episode].append(micros(alert.at))
    return {episode: sorted(moments) for episode, moments in found.items()}


def _joined(one: Mapping[str, list[int]], other: Mapping[str, list[int]]) -> dict[str, list[int]]:
    return {key: sorted({*one.get(key, ()), *other.get(key, ())}) for key in {*one, *other}}
