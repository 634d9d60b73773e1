"""The predictor's pure step: accepted events of a partition in; scores, alerts and episode states out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from keepwell.alerting.assess import Assessor, Trigger
from keepwell.alerting.decide import CAUGHT_UP, is_history, timers
from keepwell.contract.events import (
    AnyEvent,
    ClientErased,
    ClockTicked,
    EpisodeOpened,
    InstrumentRegistered,
    MeasureCompleted,
    ModelPromoted,
    decode_accepted,
    is_of_later_type,
    micros,
    rfc3339,
)
from keepwell.contract.outputs import encode_output
from keepwell.contract.words import RefusalCode
from keepwell.streams.log import Message, Record
from keepwell.streams.topics import Topics
from keepwell.streams.worker.dead_letters import letter
from keepwell.streams.worker.step import Step
from models.release import InvalidRelease
from services.predictor.store import NEVER, PARTITION_KEY, HeldEpisode, PartitionStore
from services.predictor.turns import TURNS_KEY, Turn, roles_of, turn_of

KEPT_LIVE: Final = 10_000
"""Episodes that a process holds with their course (about 26 kB each); the rest are held as bytes (about 1 kB) and unfolded
when an event comes. Shared evenly by the partitions."""
_UPGRADE: Final = "upgrade the predictor, then replay this letter"

Promote = Callable[[str], Assessor]
"""Finds the assessor of a release digest. Raises `InvalidRelease` where it cannot be used; the present one then stays."""


class OutputPlace(NamedTuple):
    """Where an output stands among those of its partition: at the record of an offset; where a tick lets timers fall due, by
    the moment (µs) at which the episode was next due; then, of these and of what an erasure deletes, by episode.

    Sorted by their places, the outputs of episodes that were worked apart, each with all control events, are in the order in
    which one processor puts them out. No two episodes share a place. Only a control event that is refused is so by each
    processor; ingest and commands let none of these through.
    """

    offset: int
    due: int = 0
    episode: bytes = b""


class Outputs:
    """What a step puts out of a partition, in order, each message with its place."""

    __slots__ = ("messages", "partition", "place", "places")

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.messages: list[Message] = []
        self.places: list[OutputPlace] = []
        self.place = OutputPlace(0)

    def put(self, topic: str, key: bytes, value: bytes | None) -> None:
        """Adds a message at the present place; None deletes the key."""
        self.add(Message(topic, key, value, partition=self.partition))

    def add(self, message: Message) -> None:
        """Adds a message as it is at the present place."""
        self.messages.append(message)
        self.places.append(self.place)


class PredictorProcessor:
    """Scores at every accepted event and due timer. Deterministic: the same records give the same bytes."""

    def __init__(self, topics: Topics, default: Assessor, promote: Promote) -> None:
        self._topics = topics
        self._default = default
        self._promote = promote
        self.stores: dict[int, PartitionStore] = {}

    @property
    def default(self) -> Assessor:
        """What assesses where no release was promoted."""
        return self._default

    def recall(self, partition: int, turns: Sequence[Turn]) -> None:
        """Makes a replay decide as it was decided then. Must come before the first step of the partition.

        Without turns of the role `begin` it begins with the default. A turn that was taken and now cannot be raises
        `InvalidRelease`, out of the step at its place.
        """
        store = self._store(partition)
        store.recalled = {(turn.offset, turn.event_id): turn for turn in turns if turn.role != "begin"}
        store.beginnings = sorted((turn for turn in turns if turn.role == "begin"), key=lambda turn: turn.offset)
        store.begun = bool(store.beginnings)

    def in_use(self) -> set[tuple[str, str]]:
        """The releases in use, each with its role, over all partitions."""
        found = {roles_of(store.turns) for store in self.stores.values()}
        champions = {(each.champion, "champion") for each in found}
        shadows = {(each.shadow, "shadow") for each in found}
        return {(release, role) for release, role in champions | shadows if release is not None}

    def restore(self, partition: int, key: bytes, payload: bytes | None) -> None:
        """Takes one changelog entry of a partition, in offset order. Raises `Outdated`; then nothing but the turns counts."""
        self._store(partition).restore(key, payload)

    def forget(self, partition: int) -> None:
        """Drops the memory of a partition."""
        self.stores.pop(partition, None)

    def step(self, partition: int, records: Sequence[Record]) -> Step:
        """Works records of one partition in, in offset order."""
        return self.step_with_places(partition, records)[0]

    def step_with_places(self, partition: int, records: Sequence[Record]) -> tuple[Step, Sequence[OutputPlace]]:
        """As `step`, and beside it the place of each of its messages."""
        store = self._store(partition)
        if store.outdated:
            self.forget(partition)
            self.recall(partition, store.turns)
            store = self._store(partition)
        out = Outputs(partition)
        refused = 0
        for record in records:
            out.place = OutputPlace(record.offset)
            self._begin(store, record.offset)
            refusal = self._take(store, record, out)
            if refusal is not None:
                refused += 1
                out.add(letter(self._topics.dead_letters, record, *refusal))
        state = store.flush(KEPT_LIVE // len(self.stores))
        return Step(out.messages, state, len(records), len(records) - refused, refused), out.places

    def _take(self, store: PartitionStore, record: Record, out: Outputs) -> tuple[RefusalCode, str] | None:
        """Takes one record; one without a value is an erasure's trace and says nothing. Returns reason and detail of a
        refusal."""
        if record.value is None:
            return None
        try:
            event = decode_accepted(record.value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            if is_of_later_type(record.value):
                return "unknown_type", f"$.type: ingest is newer than this predictor; {_UPGRADE}"
            return "not_accepted", f"$: send events to session-events; if ingest wrote this, {_UPGRADE}"
        match event:
            case ClockTicked():
                self._tick(store, micros(event.time), out)
            case ModelPromoted():
                self._change_model(store, record.offset, event)
            case InstrumentRegistered():
                try:
                    store.register(event)
                except ValueError as error:
                    return "invalid", f"$.data: {error}"
            case ClientErased():
                self._erase(store, event, out)
            case _:
                return self._event(store, event, out)
        return None

    def _event(self, store: PartitionStore, event: AnyEvent, out: Outputs) -> tuple[RefusalCode, str] | None:
        key = event.key.encode()
        held = store.get(key) or store.open(key)
        folded = held.live.fold(event)
        if folded == "full":
            return "episode_full", "$.subject: the episode has as many events as one may have; open a new episode"
        if folded == "taken":
            if isinstance(event, EpisodeOpened):
                store.belongs(key, held, event.data.client_id)
            at = micros(event.time)
            safety = isinstance(event, MeasureCompleted) and (event.data.safety_item or 0) > 0
            endorsed = at if safety and held.live.holds(event.source, event.id) else None
            tick = store.state.tick
            history = tick is not None and is_history(self._champion(store).policy, at, tick)
            trigger = Trigger(event.id, event.source, event.traceparent, endorsed, tick if history else None)
            self._assess(store, held, trigger, out)
        return None

    def _erase(self, store: PartitionStore, event: ClientErased, out: Outputs) -> None:
        """Forgets a client, and deletes what was put out of the client's episodes; an episode that goes on begins anew."""
        topics = self._topics
        for key, told in store.erase(event.clinic, event.data.client_id):
            out.place = OutputPlace(out.place.offset, episode=key)
            out.put(topics.scores, key, None)
            for name in told:
                out.put(topics.alerts, b"%s#%s" % (key, name.encode()), None)
            if any(turn.role == "shadow" for turn in store.turns):
                out.put(topics.shadow_scores, key, None)

    def _tick(self, store: PartitionStore, tick: int, out: Outputs) -> None:
        before = store.state.tick
        if before is not None and tick <= before:
            return
        store.state.tick = tick
        store.dirty.add(PARTITION_KEY)
        for due_from, key in store.due_until(tick):
            held = store.get(key)
            if held is None:
                continue
            out.place = OutputPlace(out.place.offset, due_from, key)
            course = held.live.course
            now = max(held.live.episode.latest, tick)
            since = before if before is not None else -NEVER
            due = timers(held.memory, course, held.live.episode.latest)
            names = [name for moment, name in due if since < moment <= tick]
            # What a history amounts to is told once, after all else that falls due at this tick.
            for name in sorted(dict.fromkeys(names), key=CAUGHT_UP.__eq__):
                trigger = Trigger(f"timer:{name}:{rfc3339(now)}", caught_up=name == CAUGHT_UP)
                self._assess(store, held, trigger, out)
            if not names:
                self._reschedule(store, key, held)
                store.dirty.add(key)

    def _assess(self, store: PartitionStore, held: HeldEpisode, trigger: Trigger, out: Outputs) -> None:
        key = held.live.episode.key.encode()
        tick = store.state.tick
        now = held.live.episode.latest if tick is None else max(held.live.episode.latest, tick)
        score, alerts, held.memory = self._champion(store).assess(held.live, held.memory, now, trigger)
        out.put(self._topics.scores, key, encode_output(score))
        for alert in alerts:
            held.told.append(alert.notice)
            out.put(self._topics.alerts, alert.key, encode_output(alert))
        if store.shadow is not None:
            beside, _ = store.shadow.score(held.live, now, trigger)
            out.put(self._topics.shadow_scores, key, encode_output(beside))
        self._reschedule(store, key, held)
        store.dirty.add(key)

    def _reschedule(self, store: PartitionStore, key: bytes, held: HeldEpisode) -> None:
        store.schedule(key, self._due(store, held))

    def _due(self, store: PartitionStore, held: HeldEpisode) -> int:
        """The first moment after the newest tick at which something falls due."""
        tick = store.state.tick if store.state.tick is not None else -NEVER
        episode = held.live.episode
        ahead = timers(held.memory, held.live.course, max(episode.latest, tick))
        return min((moment for moment, _ in ahead if moment > tick), default=NEVER)

    def _begin(self, store: PartitionStore, offset: int) -> None:
        """Notes at which record the predictor began with the release it has, or with another one than before."""
        while store.beginnings and store.beginnings[0].offset <= offset:  # its own record may have been erased
            self._take_turn(store, store.beginnings.pop(0))
        if store.begun:
            return
        store.begun = True
        present = roles_of(store.turns)
        if not present.promoted and present.champion != self._default.model:
            self._take_turn(store, Turn(offset, self._default.model, "begin"))

    def _change_model(self, store: PartitionStore, offset: int, event: ModelPromoted) -> None:
        if any(turn.event_id == event.id for turn in store.turns):
            return
        turn = store.recalled.get((offset, event.id))
        if turn is None:
            turn = turn_of(offset, event, self._refusal(event))
        self._take_turn(store, turn)

    def _refusal(self, event: ModelPromoted) -> str | None:
        """Why a promoted release cannot be used; None where it can, or where nothing is to be loaded."""
        try:
            if event.data.role != "none":
                self._promote(event.data.release)
        except InvalidRelease as error:
            return error.code
        return None

    def _take_turn(self, store: PartitionStore, turn: Turn) -> None:
        """Goes over to what a turn says. Everything new is loaded before anything old is left."""
        old = store.champion
        turns = (*store.turns, turn)
        present = roles_of(turns)
        champion = old if old is not None and old.model == present.champion else self._loaded(present.champion)
        shadow = self._loaded(present.shadow) if present.shadow is not None else None
        store.turns, store.champion, store.shadow = turns, champion, shadow
        store.dirty.add(TURNS_KEY)

    def _champion(self, store: PartitionStore) -> Assessor:
        """What assesses a partition; after a restore, loads the releases that were in use."""
        if store.champion is None:
            present = roles_of(store.turns)
            store.shadow = self._loaded(present.shadow) if present.shadow is not None else None
            store.champion = self._loaded(present.champion)
        return store.champion

    def _loaded(self, release: str | None) -> Assessor:
        return self._default if release in (None, self._default.model) else self._promote(release)

    def _store(self, partition: int) -> PartitionStore:
        if partition not in self.stores:
            self.stores[partition] = PartitionStore()
        return self.stores[partition]
