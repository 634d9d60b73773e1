"""Short words for telling an episode in tests: what happened on which day, and what the core makes of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from keepwell.alerting.assess import Assessor
from keepwell.care.episode import Episode, Live
from keepwell.care.instruments import Instruments
from keepwell.contract.control import tick
from keepwell.contract.events import AnyEvent, Attended, Booked, Data, Measured, Opened, micros
from keepwell.files.events import records
from keepwell.scoring.features import BY_NAME, FEATURES, Value
from keepwell.scoring.scorecard import Scorecard, Term
from keepwell.scoring.scorer import Scorer
from keepwell.streams.log import Message, Partition, Record
from keepwell.streams.topics import Topics
from keepwell.streams.worker import state as state_records
from keepwell.streams.worker.step import Step
from models.hand_set import POLICY
from models.release import InvalidRelease
from services.predictor.bootstrap import processor
from services.predictor.step import PredictorProcessor
from tests.strategies import BASE, DAY, make, moment

TOPICS: Final = Topics()
SOURCE: Final = Partition(TOPICS.episodes, 0)
START: Final = micros(BASE)
"""Day 0 of every story, in µs."""

INTERPRET: Final = partial(Instruments().get, "north")
"""What a clinic without instruments of its own means by a name."""

Happening = tuple[float, Data]
"""Day and what happened on it."""


def on(day: float) -> int:
    """A day of a story, in µs since 1970."""
    return START + round(day * DAY)


def story(*happenings: Happening, **attributes: Any) -> list[AnyEvent]:
    """The events of an episode, with ids `e-0`, `e-1`, … in the order they are told."""
    return [make(data, round(day * DAY), f"e-{n}", **attributes) for n, (day, data) in enumerate(happenings)]


def opened(**facts: Any) -> Opened:
    return Opened(**{"client_id": "p-1", "clinician_id": "c-1"} | facts)


def booked(visit: str, day: float, **facts: Any) -> Booked:
    return Booked(appointment_id=visit, starts_at=moment(round(day * DAY)), **facts)


def measured(instrument: str, total: float | None = None, **scores: float) -> Measured:
    return Measured(instrument=instrument, scores=scores if total is None else {"total": total, **scores})


def srs(goals: float, tasks: float, bond: float, overall: float) -> Measured:
    """A rating of the alliance with its total."""
    return measured("SRS", goals + tasks + bond + overall, goals=goals, tasks=tasks, bond=bond, overall=overall)


def weekly(sessions: int, first: float = 7) -> list[Happening]:
    """Sessions a week apart, each attended."""
    return [(first + 7 * n, Attended()) for n in range(sessions)]


def lived(events: Iterable[AnyEvent]) -> Live:
    """The episode that events, in this order of arrival, are folded into."""
    events = list(events)
    live = Live(Episode(events[0].key), INTERPRET)
    for event in events:
        live.fold(event)
    return live


def value(feature: str, happenings: Sequence[Happening], day: float) -> Value:
    """A feature of a story on a day."""
    return BY_NAME[feature].read(lived(story(*happenings)).course, on(day))


def card_of_all() -> Scorecard:
    """A card in which every declared feature counts, finely: nothing that a feature sees can hide."""
    edges = tuple(float(edge) for edge in (-3, -2, -1, -0.5, 0, 0.25, 0.5, 0.75, 1, 2, 3, 5, 8, 12, 20, 40, 80))
    terms = [
        Term(
            feature=feature.name, edges=edges, missing=(-0.37, -0.37, -0.37, -0.37),
            points=tuple((p, p, p, p) for p in (0.01 * (n + 1) * (i % 7 + 1) for n in range(len(edges) + 1))),
        )
        for i, feature in enumerate(FEATURES)
    ]  # fmt: skip
    return Scorecard(base=(-9.0, -8.5, -8.0, -8.0), terms=tuple(terms), calibration=((0.0, 0.3),) * 4)


def assessor_of_all() -> Assessor:
    """Assesses with `card_of_all`."""
    return Assessor("sha256:all", Scorer(card_of_all()), POLICY)


# ── the predictor's step ────────────────────────────────────────────────────────────────────────────────


def predictor() -> PredictorProcessor:
    """A processor without memory, with the shipped scorecard and the lines of the hand-set policy, so that what these
    stories tell of does not hang on the lines that a fit chose."""
    shipped = processor(TOPICS)
    return PredictorProcessor(TOPICS, Assessor(shipped.default.model, shipped.default.scorer, POLICY), _none_promoted)


def recorded(events: Iterable[AnyEvent], first: int = 0) -> list[Record]:
    """Events as records of one partition."""
    return [record._replace(offset=record.offset + first) for record in records(iter(events), SOURCE)]


def ticked(day: float) -> AnyEvent:
    """A tick of the clock on a day."""
    return tick(moment(round(day * DAY)))


def _none_promoted(release: str) -> Assessor:
    raise InvalidRelease("not_found", release)


class Run:
    """A processor at work on one partition: everything it put out, and the state that a changelog would hold."""

    def __init__(self, worker: PredictorProcessor | None = None) -> None:
        self.worker = worker or predictor()
        self.messages: list[Message] = []
        self.state: dict[bytes, bytes] = {}
        self.offset = 0

    def take(self, *events: AnyEvent) -> Step:
        """Works events in as one batch."""
        return self.take_records(recorded(events, self.offset))

    def take_records(self, batch: Sequence[Record]) -> Step:
        """Works records in as one batch."""
        self.offset += len(batch)
        step = self.worker.step(0, batch)
        self.messages += step.messages
        self._keep(step.state)
        return step

    def restart(self) -> None:
        """Goes on with a new processor that was restored from what the changelog holds."""
        self.worker = predictor()
        for key, payload in self.state.items():
            self.worker.restore(0, key, payload)

    def of(self, topic: str) -> list[Any]:
        """The outputs on a topic, decoded; None for a deletion."""
        return outputs(self.messages, topic)

    @property
    def scores(self) -> list[Any]:
        return self.of(TOPICS.scores)

    @property
    def alerts(self) -> list[Any]:
        return self.of(TOPICS.alerts)

    def _keep(self, state: Mapping[bytes, bytes | None]) -> None:
        for message in state_records.entries(TOPICS.state, 0, self.offset, state):
            if message.key is None or message.key == state_records.POSITION:
                continue
            if message.value is None:
                self.state.pop(message.key, None)
            else:
                self.state[message.key] = state_records.decode(message.value).payload


def outputs(messages: Iterable[Message], topic: str) -> list[Any]:
    """The outputs on a topic, decoded; None for a deletion."""
    return [
        None if message.value is None else msgspec.json.decode(message.value)
        for message in messages
        if message.topic == topic
    ]
