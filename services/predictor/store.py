"""The state store of the predictor: what it holds of one partition, in memory and for the changelog."""

from __future__ import annotations

import heapq
import struct
import threading
from collections import OrderedDict
from collections.abc import Iterator
from functools import partial
from typing import Final

import msgspec
import zstandard

from keepwell.alerting.assess import Assessor
from keepwell.alerting.policy import Memory
from keepwell.care.episode import Episode, Live
from keepwell.care.instruments import Instrument
from keepwell.contract.events import InstrumentRegistered
from keepwell.streams.worker.step import Outdated
from services.predictor.registered import INSTRUMENTS_KEY, Registrations
from services.predictor.turns import TURNS_KEY, Turn, decode_turns, encode_turns

PARTITION_KEY: Final = b"_partition"
"""Key of the state of the partition itself; no episode key is without a slash."""
VERSION: Final = 0x84
"""First byte of an episode's state. The first version had none and began with the due moment, whose first byte is below 0x40.
A record of another version is not read: the worker builds the partition's state anew from its source."""
NEVER: Final = (1 << 62) - 1
_HEAD: Final = struct.Struct(">BqI")
"""What stands before an episode's state, to be read without unfolding it: version, due moment (µs), bytes of the clients."""


class EpisodeState(msgspec.Struct, array_like=True):
    """What the changelog holds of an episode, behind its head and its clients. `told`: every alert record, as `id.status`."""

    episode: Episode
    memory: Memory = Memory()
    told: list[str] = []


class PartitionState(msgspec.Struct, array_like=True):
    """What the changelog holds of a partition beside its releases: its newest tick (µs)."""

    tick: int | None = None


_one_at_a_time = threading.Lock()
"""What compresses must not be used by two threads at once."""
_packer = zstandard.ZstdCompressor(level=-1)
_unpacker = zstandard.ZstdDecompressor()
_encoder = msgspec.msgpack.Encoder()
_episode_state = msgspec.msgpack.Decoder(EpisodeState)
_clients = msgspec.msgpack.Decoder(tuple[str, ...])
_partition_state = msgspec.msgpack.Decoder(PartitionState)


class HeldEpisode:
    """An episode in memory, with its course, the alerts told of it and the clients whom an opening named."""

    __slots__ = ("clients", "live", "memory", "told")

    def __init__(self, live: Live, memory: Memory, told: list[str], clients: tuple[str, ...]) -> None:
        self.live = live
        self.memory = memory
        self.told = told
        self.clients = clients


class PartitionStore:
    """The memory of one partition: every episode as bytes, those at rest compressed, the lately used ones unfolded besides,
    the moments that are due, and which episodes are a client's."""

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
        self._held: OrderedDict[bytes, HeldEpisode] = OrderedDict()
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
            self._stored[key] = _at_rest(payload)
            self.schedule(key, _HEAD.unpack_from(payload)[1])
            for client in _clients_of(payload):
                self._note(key, client)

    def get(self, key: bytes) -> HeldEpisode | None:
        """The episode of a key; None for one that is not known."""
        held = self._held.get(key)
        if held is not None:
            self._held.move_to_end(key)
            return held
        payload = self._payload(key)
        return None if payload is None else self._hold(key, self._unfolded(payload))

    def open(self, key: bytes) -> HeldEpisode:
        """A new episode."""
        return self._hold(key, HeldEpisode(self._live(Episode(key.decode())), Memory(), [], ()))

    def belongs(self, key: bytes, held: HeldEpisode, client: str) -> None:
        """Notes that an opening of an episode named a client."""
        if client not in held.clients:
            held.clients = (*held.clients, client)
            self._note(key, client)

    def schedule(self, key: bytes, due: int) -> None:
        """Notes when an episode next needs a look."""
        if self._due.get(key) != due:
            self._due[key] = due
            if due < NEVER:
                heapq.heappush(self._agenda, (due, key))

    def due_until(self, moment: int) -> Iterator[tuple[int, bytes]]:
        """Takes the episodes due up to and including a moment off the agenda: sorted by due moment (µs) and key, provided
        that what is scheduled meanwhile is due later than that."""
        while self._agenda and self._agenda[0][0] <= moment:
            due, key = heapq.heappop(self._agenda)
            if self._due.get(key) == due:
                self._due[key] = NEVER
                yield due, key

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
                changed[key] = self._payload(key)
        self.dirty.clear()
        while len(self._held) > keep:
            key, _ = self._held.popitem(last=False)
            self._stored[key] = _at_rest(self._stored[key])
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
        return {key: _awake(kept) for key, kept in self._stored.items()} | own

    def keys(self) -> list[bytes]:
        """The keys of all episodes, sorted."""
        return sorted(self._stored.keys() | self._held.keys())

    def _payload(self, key: bytes) -> bytes | None:
        kept = self._stored.get(key)
        return None if kept is None else _awake(kept)

    def _unfolded(self, payload: bytes) -> HeldEpisode:
        start = _HEAD.size + _HEAD.unpack_from(payload)[2]
        state = _episode_state.decode(memoryview(payload)[start:])
        return HeldEpisode(self._live(state.episode), state.memory, state.told, _clients_of(payload))

    def _note(self, key: bytes, client: str) -> None:
        name = key[: key.index(b"/") + 1].decode() + client
        known = self._of_client.get(name, ())
        if key not in known:
            self._of_client[name] = (*known, key)

    def _hold(self, key: bytes, held: HeldEpisode) -> HeldEpisode:
        self._held[key] = held
        return held

    def _live(self, episode: Episode) -> Live:
        return Live(episode, partial(self._find, episode.key.partition("/")[0]))

    def _find(self, clinic: str, name: str) -> Instrument | None:
        return self._registrations.get(clinic, name)


def _at_rest(payload: bytes) -> bytes:
    """An episode's state compressed, to less than half; one that is so already as it is."""
    if payload[0] != VERSION:
        return payload
    with _one_at_a_time:
        return bytes(memoryview(_packer.compress(payload)))  # a copy: what is returned keeps all the room it was given


def _awake(kept: bytes) -> bytes:
    """The state as the changelog has it."""
    if kept[0] == VERSION:
        return kept
    with _one_at_a_time:
        return _unpacker.decompress(kept)


def _clients_of(payload: bytes) -> tuple[str, ...]:
    """The clients that stand in the head of an episode's state."""
    size = _HEAD.unpack_from(payload)[2]
    return _clients.decode(memoryview(payload)[_HEAD.size : _HEAD.size + size]) if size > 1 else ()
