"""A clinic on any log, worked off by the real services one after the other, for tests of erasure."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from keepwell.cli.replay import replay_log
from keepwell.contract.control import tick
from keepwell.contract.events import ClientErased, EpisodeOpened, Erased, Event, encode
from keepwell.contract.keys import episode_of
from keepwell.streams.log import Log, Message, Partition, Record
from keepwell.streams.standing import standing
from keepwell.streams.topics import Topics, ensure_topics, to_every_partition
from keepwell.testing.made_up import made_up_clinic
from services.erasure.bootstrap import follower_of
from services.erasure.client import written
from services.erasure.settings import ErasureSettings
from services.ingest.bootstrap import make as make_ingest
from services.ingest.settings import IngestSettings
from services.predictor.bootstrap import processor, worker_of
from services.predictor.settings import PredictorSettings

START: Final = datetime(2026, 1, 5, tzinfo=UTC)
DAYS: Final = 80
EVENTS: Final = [event for event in made_up_clinic(12, 3, START, DAYS) if not isinstance(event, ClientErased)]
GONE: Final = "p-2"
"""The client of the made-up clinic who is erased; with alerts."""
SUBJECTS: Final = sorted(
    event.subject for event in EVENTS if isinstance(event, EpisodeOpened) and event.data.client_id == GONE
)
OF_GONE: Final = [event for event in EVENTS if event.subject in SUBJECTS]


def erasure(client: str = GONE, event_id: str = "erase") -> ClientErased:
    """The event that asks for a client's erasure."""
    return ClientErased(
        specversion="1.0", id=event_id, source="/north/keepwell", subject="_erasure",
        time=START + timedelta(days=DAYS), data=Erased(client_id=client),
    )  # fmt: skip


class Clinic:
    """Events go in by `session-events`; ingest, predictor and erasure each work off what there is when they are called."""

    def __init__(self, log: Log, prefix: str = "", partitions: int = 3) -> None:
        self.log = log
        self.topics = Topics(prefix)
        ensure_topics(log, self.topics, partitions)
        self._shared: dict[str, Any] = {"instance": "a", "topic_prefix": prefix}

    def send(self, events: Iterable[Event]) -> None:
        """Sends events as a platform does."""
        self.log.append([Message(self.topics.sessions, event.subject.encode(), encode(event)) for event in events])

    def tick(self, day: float) -> None:
        """Tells every partition the time."""
        event = tick(START + timedelta(days=day))
        topic = self.topics.episodes
        self.log.append(to_every_partition(event, topic, self.log.partitions(topic)))

    def live(self, events: Sequence[Event] = EVENTS) -> None:
        """Lives through events, a tick every two weeks, with ingest and predictor at work."""
        for day in range(0, DAYS + 14, 14):
            low, high = START + timedelta(days=day - 14), START + timedelta(days=day)
            self.send(event for event in events if low <= event.time < high)
            self.ingest()
            self.tick(day)
        self.predict()

    def ingest(self) -> None:
        """Ingest works off what there is."""
        make_ingest(IngestSettings(**self._shared), self.log).work.drain(threading.Event())

    def predict(self) -> None:
        """The predictor works off what there is, in a life of its own."""
        worker_of(PredictorSettings(**self._shared), self.log).drain()

    def erase(self) -> None:
        """The erasure service works off what there is, in a life of its own."""
        follower_of(ErasureSettings(**self._shared), self.log).drain()

    def verify(self) -> str | None:
        """What a replay of the log finds different; None for nothing."""
        _, verdict = replay_log(self.log, processor(self.topics), self.topics, None, verify=True)
        assert verdict is not None
        assert verdict.compared > 10
        return verdict.difference

    def holds(self, topic: str) -> list[tuple[int, bytes | None, bytes | None]]:
        """What stands in a topic: partition, key and value."""
        return [
            (r.partition.number, r.key, r.value) for each in self.partitions(topic) for r in standing(self.log, each)
        ]

    def raw(self, topic: str) -> list[Record]:
        """All that a reader of a topic can see, deletions too."""
        return [record for each in self.partitions(topic) for record in self.log.read(each)]

    def partitions(self, topic: str) -> list[Partition]:
        return [Partition(topic, number) for number in range(self.log.partitions(topic))]

    def of_gone(self) -> list[str]:
        """The topics in which a record of the erased client stands."""
        keys = {f"north/{subject}".encode() for subject in SUBJECTS}
        return [
            topic
            for topic in written(self.topics)
            for _, key, value in self.holds(topic)
            if episode_of(key or b"") in keys or f'"{GONE}"'.encode() in (value or b"")
        ]

    def outputs(self) -> dict[str, list[tuple[bytes | None, bytes | None]]]:
        """Scores, alerts and episode states that stand, without places, and without what tells offsets of the source."""
        found = {}
        for topic in (self.topics.scores, self.topics.alerts):
            found[topic] = sorted((key or b"", value) for _, key, value in self.holds(topic))
        states = ((key or b"", (value or b"")[9:]) for _, key, value in self.holds(self.topics.state))
        newest = dict(states)
        found[self.topics.state] = sorted((key, value) for key, value in newest.items() if b"/" in key)
        return found  # type: ignore[return-value]  # lists of pairs, whose first is never None here
