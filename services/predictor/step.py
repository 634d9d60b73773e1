"""The predictor's pure step: accepted events of a partition in; scores, alerts and episode states out."""

from __future__ import annotations

import heapq
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

import msgspec

from keepwell.alerting.assess import Assessor, Trigger
from keepwell.alerting.decide import CAUGHT_UP, is_history, timers, timing
from keepwell.alerting.policy import Memory
from keepwell.care.episode import Episode, Live
from keepwell.care.instruments import Instrument
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
from keepwell.streams.worker.step import Outdated, Step
from models.release import InvalidRelease
from services.predictor.registered import INSTRUMENTS_KEY, Registrations
from services.predictor.turns import TURNS_KEY, Turn, decode_turns, encode_turns, roles_of, turn_of

PARTITION_KEY: Final = b"_partition"
"""Key of the state of the partition itself; no episode key is without a slash."""
KEPT_LIVE: Final = 10_000
"""Episodes that a process holds with their course (about 22 kB each); the rest are held as bytes (about 2 kB) and unfolded
when an event comes. Shared evenly by the partitions."""
VERSION: Final = 0x82
"""First byte of an episode's state. The first version had none and began with the due moment, whose first byte is below 0x40.
A record of another version is not read: the worker builds the partition's state anew from its source."""
_NEVER: Final = (1 << 62) - 1
_HEAD: Final = struct.Struct(">BqI")
"""What stands before an episode's state, to be read without unfolding it: version, due moment (µs), bytes of the clients."""
_UPGRADE: Final = "upgrade the predictor, then replay this letter"

Promote = Callable[[str], Assessor]
"""Finds the assessor of a release digest. Raises `InvalidRelease` where it cannot be used; the present one then stays."""


class EpisodeState(msgspec.Struct, array_like=True):
    """What the changelog holds of an episode, behind its head and its clients. `told`: every alert record, as `id.status`."""

    episode: Episode
    memory: Memory = Memory()
    told: list[str] = []


class PartitionState(msgspec.Struct, array_like=True):
    """What the changelog holds of a partition beside its releases: its newest tick (µs)."""

    tick: int | None = None


_encoder = msgspec.msgpack.Encoder()
_episode_state = msgspec.msgpack.Decoder(EpisodeState)
_clients = msgspec.msgpack.Decoder(tuple[str, ...])
_partition_state = msgspec.msgpack.Decoder(PartitionState)


class Held:
    """An episode in memory, with its course, the alerts told of it and the clients whom an opening named."""

    __slots__ = ("clients", "live", "memory", "told")

    def __init__(self, live: Live, memory: Memory, told: list[str], clients: tuple[str, ...]) -> None:
        self.live = live
        self.memory = memory
        self.told = told
        self.clients = clients


class Shelf:
    """The memory of one partition: every episode as bytes, the lately used ones unfolded, the moments that are due, and which
    episodes are a client's."""

    def __init__(self) -> None:
        self.state = PartitionState()
        self.turns: tuple[Turn, ...] = ()
        self.champion: Assessor | None = None
        self.shadow: Assessor | None = None
        self.begun = False
        self.outdated: set[bytes] = set()
        self.recalled: dict[tuple[int, str], Turn] = {}
        self.beginnings: list[Turn] = []
        self._registrations = Registrations()
        self._stored: dict[bytes, bytes] = {}
        self._held: OrderedDict[bytes, Held] = OrderedDict()
        self._due: dict[bytes, int] = {}
        self._agenda: list[tuple[int, bytes]] = []
        # By `<clinic>/<client>`. May name episodes that are gone by now or have other clients: `erase` looks.
        self._of_client: dict[str, tuple[bytes, ...]] = {}
        self.dirty: set[bytes] = set()

    def restore(self, key: bytes, payload: bytes | None) -> None:
        """Takes one changelog entry. Raises `Outdated`."""
        self.outdated.discard(key)
        if key == PARTITION_KEY:
            self.state = _partition_state.decode(payload) if payload is not None else PartitionState()
        elif key == TURNS_KEY:
            self.turns = decode_turns(payload)
        elif key == INSTRUMENTS_KEY:
            self._registrations = Registrations(payload)
        elif payload is None:
            self._stored.pop(key, None)
            self._due.pop(key, None)
        elif payload[0] != VERSION:
            self.outdated.add(key)
            raise Outdated
        else:
            self._stored[key] = payload
            self.schedule(key, _HEAD.unpack_from(payload)[1])
            for client in _clients_of(payload):
                self._note(key, client)

    def get(self, key: bytes) -> Held | None:
        """The episode of a key; None for one that is not known."""
        held = self._held.get(key)
        if held is not None:
            self._held.move_to_end(key)
            return held
        payload = self._stored.get(key)
        if payload is None:
            return None
        return self._hold(key, self._unfolded(payload))

    def open(self, key: bytes) -> Held:
        """A new episode."""
        return self._hold(key, Held(self._live(Episode(key.decode())), Memory(), [], ()))

    def belongs(self, key: bytes, held: Held, client: str) -> None:
        """Notes that an opening of an episode named a client."""
        if client not in held.clients:
            held.clients = (*held.clients, client)
            self._note(key, client)

    def redue(self, due_of: Callable[[Held], int]) -> None:
        """Looks at every episode anew for when it is due. Those held as bytes stay so."""
        for key in sorted(self._due):
            held = self._held.get(key) or self._unfolded(self._stored[key])
            due = due_of(held)
            if due == self._due[key]:
                continue
            self.schedule(key, due)
            self.dirty.add(key)
            if key not in self._held:
                _, _, clients = _HEAD.unpack_from(self._stored[key])
                self._stored[key] = _HEAD.pack(VERSION, due, clients) + self._stored[key][_HEAD.size :]

    def schedule(self, key: bytes, due: int) -> None:
        """Notes when an episode next needs a look."""
        if self._due.get(key) != due:
            self._due[key] = due
            if due < _NEVER:
                heapq.heappush(self._agenda, (due, key))

    def due_until(self, moment: int) -> Iterator[bytes]:
        """Takes the episodes due up to and including a moment off the agenda, in the order of their due moments."""
        while self._agenda and self._agenda[0][0] <= moment:
            due, key = heapq.heappop(self._agenda)
            if self._due.get(key) == due:
                self._due[key] = _NEVER
                yield key

    def flush(self, keep: int) -> dict[bytes, bytes | None]:
        """The changed state by key, in the order of keys; it counts as stored from here on, and at most `keep` episodes
        stay unfolded."""
        changed: dict[bytes, bytes | None] = {}
        for key in sorted(self.dirty):
            if key == PARTITION_KEY:
                changed[key] = _encoder.encode(self.state)
            elif key == TURNS_KEY:
                changed[key] = encode_turns(self.turns)
            elif key == INSTRUMENTS_KEY:
                changed[key] = self._registrations.payload()
            elif key in self._held:
                held = self._held[key]
                clients = _encoder.encode(held.clients)
                state = _encoder.encode(EpisodeState(held.live.episode, held.memory, held.told))
                changed[key] = self._stored[key] = _HEAD.pack(VERSION, self._due[key], len(clients)) + clients + state
            else:
                changed[key] = self._stored.get(key)
        self.dirty.clear()
        while len(self._held) > keep:
            self._held.popitem(last=False)
        return changed

    def register(self, event: InstrumentRegistered) -> None:
        """Takes a clinic's instrument: its measures are read by it from here on. Raises `ValueError` for impossible facts."""
        if not self._registrations.take(event):
            return
        self.dirty.add(INSTRUMENTS_KEY)
        prefix = f"{event.clinic}/".encode()
        for key, held in self._held.items():  # those held as bytes are read with it when they are unfolded
            if key.startswith(prefix):
                held.live.read_again()

    def erase(self, clinic: str, client: str) -> list[tuple[bytes, list[str]]]:
        """Forgets the episodes of a client of a clinic; returns their keys, each with the alerts told of it.

        Whoever an opening ever named counts, even one that was corrected.
        """
        gone = []
        for key in sorted(self._of_client.pop(f"{clinic}/{client}", ())):
            held = self.get(key)
            if held is None or client not in held.clients:
                continue
            gone.append((key, held.told))
            self._stored.pop(key, None)
            self._held.pop(key, None)
            self._due.pop(key, None)
            self.dirty.add(key)
        return gone

    def payloads(self) -> dict[bytes, bytes]:
        """What the changelog holds of this partition once the last step is committed."""
        own = {} if self.state == PartitionState() else {PARTITION_KEY: _encoder.encode(self.state)}
        if self.turns:
            own[TURNS_KEY] = encode_turns(self.turns)
        if (registered := self._registrations.payload()) is not None:
            own[INSTRUMENTS_KEY] = registered
        return self._stored | own

    def keys(self) -> list[bytes]:
        """The keys of all episodes, sorted."""
        return sorted(self._stored.keys() | self._held.keys())

    def _unfolded(self, payload: bytes) -> Held:
        start = _HEAD.size + _HEAD.unpack_from(payload)[2]
        state = _episode_state.decode(memoryview(payload)[start:])
        return Held(self._live(state.episode), state.memory, state.told, _clients_of(payload))

    def _note(self, key: bytes, client: str) -> None:
        name = key[: key.index(b"/") + 1].decode() + client
        known = self._of_client.get(name, ())
        if key not in known:
            self._of_client[name] = (*known, key)

    def _hold(self, key: bytes, held: Held) -> Held:
        self._held[key] = held
        return held

    def _live(self, episode: Episode) -> Live:
        return Live(episode, partial(self._find, episode.key.partition("/")[0]))

    def _find(self, clinic: str, name: str) -> Instrument | None:
        return self._registrations.get(clinic, name)


class PredictorProcessor:
    """Scores at every accepted event and due timer. Deterministic: the same records give the same bytes."""

    def __init__(self, topics: Topics, default: Assessor, promote: Promote) -> None:
        self._topics = topics
        self._default = default
        self._promote = promote
        self.shelves: dict[int, Shelf] = {}

    @property
    def default(self) -> Assessor:
        """What assesses where no release was promoted."""
        return self._default

    def recall(self, partition: int, turns: Sequence[Turn]) -> None:
        """Makes a replay decide as it was decided then. Must come before the first step of the partition.

        Without turns of the role `begin` it begins with the default. A turn that was taken and now cannot be raises
        `InvalidRelease`, out of the step at its place.
        """
        shelf = self._shelf(partition)
        shelf.recalled = {(turn.offset, turn.event_id): turn for turn in turns if turn.role != "begin"}
        shelf.beginnings = sorted((turn for turn in turns if turn.role == "begin"), key=lambda turn: turn.offset)
        shelf.begun = bool(shelf.beginnings)

    def in_use(self) -> set[tuple[str, str]]:
        """The releases in use, each with its role, over all partitions."""
        found = {roles_of(shelf.turns) for shelf in self.shelves.values()}
        champions = {(each.champion, "champion") for each in found}
        shadows = {(each.shadow, "shadow") for each in found}
        return {(release, role) for release, role in champions | shadows if release is not None}

    def restore(self, partition: int, key: bytes, payload: bytes | None) -> None:
        """Takes one changelog entry of a partition, in offset order. Raises `Outdated`; then nothing but the turns counts."""
        self._shelf(partition).restore(key, payload)

    def forget(self, partition: int) -> None:
        """Drops the memory of a partition."""
        self.shelves.pop(partition, None)

    def step(self, partition: int, records: Sequence[Record]) -> Step:
        """Works records of one partition in, in offset order."""
        shelf = self._shelf(partition)
        if shelf.outdated:
            self.forget(partition)
            self.recall(partition, shelf.turns)
            shelf = self._shelf(partition)
        out: list[Message] = []
        refused = 0
        for record in records:
            self._begin(shelf, record.offset)
            refusal = self._take(shelf, partition, record, out)
            if refusal is not None:
                refused += 1
                out.append(letter(self._topics.dead_letters, record, *refusal))
        return Step(out, shelf.flush(KEPT_LIVE // len(self.shelves)), len(records), len(records) - refused, refused)

    def _take(self, shelf: Shelf, partition: int, record: Record, out: list[Message]) -> tuple[RefusalCode, str] | None:
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
                self._tick(shelf, partition, micros(event.time), out)
            case ModelPromoted():
                self._change_model(shelf, record.offset, event)
            case InstrumentRegistered():
                try:
                    shelf.register(event)
                except ValueError as error:
                    return "invalid", f"$.data: {error}"
            case ClientErased():
                self._erase(shelf, partition, event, out)
            case _:
                return self._event(shelf, partition, event, out)
        return None

    def _event(
        self, shelf: Shelf, partition: int, event: AnyEvent, out: list[Message]
    ) -> tuple[RefusalCode, str] | None:
        key = event.key.encode()
        held = shelf.get(key) or shelf.open(key)
        folded = held.live.fold(event)
        if folded == "full":
            return "episode_full", "$.subject: the episode has as many events as one may have; open a new episode"
        if folded == "taken":
            if isinstance(event, EpisodeOpened):
                shelf.belongs(key, held, event.data.client_id)
            at = micros(event.time)
            safety = isinstance(event, MeasureCompleted) and (event.data.safety_item or 0) > 0
            endorsed = at if safety and held.live.holds(event.source, event.id) else None
            tick = shelf.state.tick
            history = tick is not None and is_history(self._champion(shelf).policy, at, tick)
            trigger = Trigger(event.id, event.source, event.traceparent, endorsed, tick if history else None)
            self._assess(shelf, partition, held, trigger, out)
        return None

    def _erase(self, shelf: Shelf, partition: int, event: ClientErased, out: list[Message]) -> None:
        """Forgets a client, and deletes what was put out of the client's episodes; an episode that goes on begins anew."""
        topics = self._topics
        for key, told in shelf.erase(event.clinic, event.data.client_id):
            out.append(Message(topics.scores, key, None, partition=partition))
            out += [Message(topics.alerts, b"%s#%s" % (key, name.encode()), None, partition=partition) for name in told]
            if any(turn.role == "shadow" for turn in shelf.turns):
                out.append(Message(topics.shadow_scores, key, None, partition=partition))

    def _tick(self, shelf: Shelf, partition: int, tick: int, out: list[Message]) -> None:
        before = shelf.state.tick
        if before is not None and tick <= before:
            return
        shelf.state.tick = tick
        shelf.dirty.add(PARTITION_KEY)
        for key in shelf.due_until(tick):
            held = shelf.get(key)
            if held is None:
                continue
            policy = self._champion(shelf).policy
            course = held.live.course
            now = max(held.live.episode.latest, tick)
            since = before if before is not None else -_NEVER
            due = timers(policy, held.memory, course, held.live.episode.latest)
            names = [name for moment, name in due if since < moment <= tick]
            # What a history amounts to is told once, after all else that falls due at this tick.
            for name in sorted(dict.fromkeys(names), key=CAUGHT_UP.__eq__):
                trigger = Trigger(f"timer:{name}:{rfc3339(now)}", caught_up=name == CAUGHT_UP)
                self._assess(shelf, partition, held, trigger, out)
            if not names:
                self._reschedule(shelf, key, held)
                shelf.dirty.add(key)

    def _assess(self, shelf: Shelf, partition: int, held: Held, trigger: Trigger, out: list[Message]) -> None:
        key = held.live.episode.key.encode()
        tick = shelf.state.tick
        now = held.live.episode.latest if tick is None else max(held.live.episode.latest, tick)
        score, alerts, held.memory = self._champion(shelf).assess(held.live, held.memory, now, trigger)
        out.append(Message(self._topics.scores, key, encode_output(score), partition=partition))
        for alert in alerts:
            held.told.append(alert.notice)
            out.append(Message(self._topics.alerts, alert.key, encode_output(alert), partition=partition))
        if shelf.shadow is not None:
            beside, _ = shelf.shadow.score(held.live, now, trigger)
            out.append(Message(self._topics.shadow_scores, key, encode_output(beside), partition=partition))
        self._reschedule(shelf, key, held)
        shelf.dirty.add(key)

    def _reschedule(self, shelf: Shelf, key: bytes, held: Held) -> None:
        shelf.schedule(key, self._due(shelf, held))

    def _due(self, shelf: Shelf, held: Held) -> int:
        """The first moment after the newest tick at which something falls due."""
        tick = shelf.state.tick if shelf.state.tick is not None else -_NEVER
        episode = held.live.episode
        ahead = timers(self._champion(shelf).policy, held.memory, held.live.course, max(episode.latest, tick))
        return min((moment for moment, _ in ahead if moment > tick), default=_NEVER)

    def _begin(self, shelf: Shelf, offset: int) -> None:
        """Notes at which record the predictor began with the release it has, or with another one than before."""
        while shelf.beginnings and shelf.beginnings[0].offset <= offset:  # its own record may have been erased
            self._take_turn(shelf, shelf.beginnings.pop(0))
        if shelf.begun:
            return
        shelf.begun = True
        present = roles_of(shelf.turns)
        if not present.promoted and present.champion != self._default.model:
            self._take_turn(shelf, Turn(offset, self._default.model, "begin"))

    def _change_model(self, shelf: Shelf, offset: int, event: ModelPromoted) -> None:
        if any(turn.event_id == event.id for turn in shelf.turns):
            return
        turn = shelf.recalled.get((offset, event.id))
        if turn is None:
            turn = turn_of(offset, event, self._refusal(event))
        self._take_turn(shelf, turn)

    def _refusal(self, event: ModelPromoted) -> str | None:
        """Why a promoted release cannot be used; None where it can, or where nothing is to be loaded."""
        try:
            if event.data.role != "none":
                self._promote(event.data.release)
        except InvalidRelease as error:
            return error.code
        return None

    def _take_turn(self, shelf: Shelf, turn: Turn) -> None:
        """Goes over to what a turn says. Everything new is loaded before anything old is left."""
        old = shelf.champion
        turns = (*shelf.turns, turn)
        present = roles_of(turns)
        champion = old if old is not None and old.model == present.champion else self._loaded(present.champion)
        shadow = self._loaded(present.shadow) if present.shadow is not None else None
        shelf.turns, shelf.champion, shelf.shadow = turns, champion, shadow
        shelf.dirty.add(TURNS_KEY)
        if old is None or timing(old.policy) != timing(champion.policy):
            shelf.redue(partial(self._due, shelf))

    def _champion(self, shelf: Shelf) -> Assessor:
        """What assesses a partition; after a restore, loads the releases that were in use."""
        if shelf.champion is None:
            present = roles_of(shelf.turns)
            shelf.shadow = self._loaded(present.shadow) if present.shadow is not None else None
            shelf.champion = self._loaded(present.champion)
        return shelf.champion

    def _loaded(self, release: str | None) -> Assessor:
        return self._default if release in (None, self._default.model) else self._promote(release)

    def _shelf(self, partition: int) -> Shelf:
        if partition not in self.shelves:
            self.shelves[partition] = Shelf()
        return self.shelves[partition]


def _clients_of(payload: bytes) -> tuple[str, ...]:
    """The clients that stand in the head of an episode's state."""
    size = _HEAD.unpack_from(payload)[2]
    return _clients.decode(memoryview(payload)[_HEAD.size : _HEAD.size + size]) if size > 1 else ()
