"""The alerts of a release over a log: those of the predictor's own step, with its ticks, not of a threshold on risks."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from keepwell.contract.control import tick
from keepwell.contract.events import InstrumentRegistered, encode, micros
from keepwell.contract.words import AlertStatus
from keepwell.streams.log import Partition, Record
from keepwell.streams.worker.step import Processor
from training.dataset.sources import Gathered, Stream

BATCH: Final = 5000
"""Records a step of the predictor, which bounds memory."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class AlertMoment(NamedTuple):
    """An alert when it was told: raised, or escalated later. `at` in µs."""

    episode: str
    kind: str
    at: int
    status: AlertStatus = "raised"


class _AlertRecord(msgspec.Struct):
    episode: str
    kind: str
    status: AlertStatus
    at: datetime


def replayed(worker: Processor, gathered: Gathered, topic: str) -> list[AlertMoment]:
    """What a predictor without memory raises and escalates to `topic` over what was gathered, in its order."""
    told = []
    for number, stream in enumerate(gathered.streams):
        records = _records(gathered.registrations, stream, Partition("", number))
        while batch := list(islice(records, BATCH)):
            for message in worker.step(number, batch).messages:
                if message.topic == topic and message.value is not None:
                    alert = msgspec.json.decode(message.value, type=_AlertRecord)
                    if alert.status != "resolved":
                        told.append(AlertMoment(alert.episode, alert.kind, micros(alert.at), alert.status))
    return told


def _records(registrations: Sequence[InstrumentRegistered], stream: Stream, source: Partition) -> Iterator[Record]:
    """The events and ticks of a stream as they would stand in a partition; what happened at a tick's moment comes first.

    Instruments are registered before everything, as every measure of the table is read by them too.
    """
    told = [
        (place, 0, key, value)
        for key, places, values, _ in stream.told
        for place, value in zip(places, values, strict=True)
    ]
    told.sort(key=lambda one: one[0])
    ticks = (
        (place, 1, "", encode(tick(EPOCH + timedelta(microseconds=moment))))
        for place, moment in zip(stream.ticks.places.tolist(), stream.ticks.moments.tolist(), strict=True)
    )
    registered = ((-1, 0, "", encode(event)) for event in registrations)
    for offset, (_, _, key, value) in enumerate(heapq.merge(registered, told, ticks, key=lambda one: one[:2])):
        yield Record(source, offset, key.encode() or None, value, (), 0)
