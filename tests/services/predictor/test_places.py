"""Where outputs stand: episodes that are worked apart put out the same, and their places say in which order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from heapq import merge
from operator import itemgetter
from random import Random
from typing import Final

import msgspec
import pytest

from keepwell.contract.control import promotion, registration, tick
from keepwell.contract.events import ClientErased, EpisodeOpened, Erased, Event, MeasureCompleted, Registered
from keepwell.contract.keys import episode_of
from keepwell.streams.log import Message, Record
from keepwell.streams.worker import dead_letters
from keepwell.testing.accepted import accepted
from keepwell.testing.made_up import made_up_clinic
from services.predictor.bootstrap import processor
from services.predictor.step import PredictorProcessor
from tests.episodes import SOURCE, TOPICS

START: Final = datetime(2026, 1, 5, tzinfo=UTC)
DAYS: Final = 90
CHUNK: Final = 37
CLIENT: Final = "p-3"
EPISODES_OF: Final = {"p-3", "p-4", "p-5", "p-6", "p-7"}
"""The clients of the made-up clinic who are one here."""


def lived() -> list[Event]:
    """A made-up clinic with a tick a day; some events come days late, two whole histories at the end; there are an
    instrument, a shadow and an erasure, of an episode that goes on."""
    events = [_renamed(event) for event in made_up_clinic(16, 3, START, DAYS) if not isinstance(event, ClientErased)]
    clinic = events[0].clinic
    behind = sorted({event.key for event in events})[:2]
    at = START + timedelta(days=85)
    erasure = ClientErased(
        specversion="1.0", id="erase", source=events[0].source, subject="_erasure", time=at,
        data=Erased(client_id=CLIENT),
    )  # fmt: skip
    registered = Registered(
        name="MOOD-5", kind="outcome", lowest=0, highest=40, higher_is_better=True, cutoff=25, reliable_change=5
    )
    acts: list[tuple[datetime, Event]] = [
        (at, erasure),
        (START + timedelta(days=20), promotion("sha256:shadow", "shadow", START + timedelta(days=20))),
        (START + timedelta(days=30), registration(clinic, registered, START + timedelta(days=30))),
        *((START + timedelta(days=day), tick(START + timedelta(days=day))) for day in range(DAYS + 20)),
    ]
    arrivals = [
        (
            START + timedelta(days=DAYS + 5) if event.key in behind else event.time + timedelta(days=5 * (n % 7 == 0)),
            event,
        )
        for n, event in enumerate(events)
    ]
    return [event for _, event in sorted([*arrivals, *acts], key=itemgetter(0))]


def _renamed(event: Event) -> Event:
    """What measures by the ORS does so under the name of the clinic's own instrument; a client has several episodes."""
    if isinstance(event, EpisodeOpened) and event.data.client_id in EPISODES_OF:
        return msgspec.structs.replace(event, data=msgspec.structs.replace(event.data, client_id=CLIENT))
    if not isinstance(event, MeasureCompleted) or event.data.instrument != "ORS":
        return event
    return msgspec.structs.replace(event, data=msgspec.structs.replace(event.data, instrument="MOOD-5"))


def predictor() -> PredictorProcessor:
    """With the shipped release, also under the name of the shadow."""
    worker = processor(TOPICS)
    return PredictorProcessor(TOPICS, worker.default, lambda _: worker.default)


def put_out(records: Sequence[Record]) -> list[tuple[tuple[object, ...], Message]]:
    worker = predictor()
    found: list[tuple[tuple[object, ...], Message]] = []
    for begin in range(0, len(records), CHUNK):
        step, places = worker.step_with_places(0, records[begin : begin + CHUNK])
        found += zip(places, step.messages, strict=True)
    return found


@pytest.mark.parametrize("shares", [2, 5])
def test_outputs_of_episodes_that_are_worked_apart_merge_by_place_to_what_one_processor_puts_out(shares: int) -> None:
    told = accepted(lived(), TOPICS.episodes, 1)
    records = [Record(SOURCE, offset, message.key, message.value) for offset, message in enumerate(told)]
    broken = next(n for n, record in enumerate(records) if b"/" in episode_of(record.key or b"") and n > 100)
    records[broken] = records[broken]._replace(value=b"{}")
    together = put_out(records)
    random = Random(shares)
    of: dict[bytes, int] = {}
    split: list[list[Record]] = [[] for _ in range(shares)]
    for record in records:
        episode = episode_of(record.key or b"")
        chosen = [of.setdefault(episode, random.randrange(shares))] if b"/" in episode else range(shares)
        for number in chosen:
            split[number].append(record)
    apart = [put_out(share) for share in split]
    assert all(apart)
    assert list(merge(*apart, key=itemgetter(0))) == together
    # The log has all that could be told in another order.
    topics = {message.topic for _, message in together}
    assert topics == {TOPICS.scores, TOPICS.alerts, TOPICS.shadow_scores, TOPICS.dead_letters}
    assert any(message.value is None for _, message in together)
    assert sum(dead_letters.reason_of(message) == "not_accepted" for _, message in together) == 1
    by_key = sorted(together, key=lambda each: (each[0][0], each[0][2]))
    assert by_key != together
