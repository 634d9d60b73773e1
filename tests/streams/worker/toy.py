"""A small processor with everything that makes a worker hard: state, deletions, duplicates, refusals, order of arrival."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import strategies as st

from keepwell.streams.log import Message, Record
from keepwell.streams.worker import dead_letters
from keepwell.streams.worker.step import Step

SOURCE, SCORES, LETTERS, CHANGELOG = "events", "scores", "letters", "state"
Entry = tuple[int, str, int]


class Toy:
    """Sums amounts by key. A value is `id time amount`; an amount of 0 erases the key; anything else is refused.

    The state of a key is its sorted entries; each new entry gives one score, the running sums in order of time.
    """

    def __init__(self) -> None:
        self.memory: dict[int, dict[bytes, list[Entry]]] = {}

    def restore(self, partition: int, key: bytes, payload: bytes | None) -> None:
        held = self.memory.setdefault(partition, {})
        if payload is None:
            held.pop(key, None)
        else:
            held[key] = [read_entry(line) for line in payload.splitlines()]

    def step(self, partition: int, records: Sequence[Record]) -> Step:
        held = self.memory.setdefault(partition, {})
        messages: list[Message] = []
        dirty: dict[bytes, bytes | None] = {}
        refused = 0
        for record in records:
            key = record.key
            try:
                entry = read_entry(record.value or b"")
            except ValueError:
                entry = None
            if key is None or entry is None:
                refused += 1
                messages.append(dead_letters.letter(LETTERS, record, "unreadable", "$"))
            elif entry[2] == 0:
                held.pop(key, None)
                dirty[key] = None
            elif all(entry[1] != known[1] for known in held.get(key, ())):
                held[key] = sorted([*held.get(key, ()), entry])
                dirty[key] = payload_of(held[key])
                messages.append(Message(SCORES, key, _score(entry, held[key])))
        return Step(messages, dirty, len(records), len(records) - refused, refused)

    def forget(self, partition: int) -> None:
        self.memory.pop(partition, None)

    def payloads(self, partition: int) -> Mapping[bytes, bytes]:
        """What the changelog should hold of a partition."""
        return {key: payload_of(entries) for key, entries in self.memory.get(partition, {}).items()}


def event(key: bytes, name: str, amount: int, time: int = 0) -> Message:
    """A good event."""
    return Message(SOURCE, key, f"{name} {time} {amount}".encode())


def read_entry(value: bytes) -> Entry:
    """Raises `ValueError` for anything that is no entry."""
    name, time, amount = value.decode().split(" ")
    return int(time), name, int(amount)


def payload_of(entries: Sequence[Entry]) -> bytes:
    return "\n".join(f"{name} {time} {amount}" for time, name, amount in entries).encode()


def events() -> st.SearchStrategy[Message]:
    """Events, a tenth of them bad, in any order of time, ids that come again."""
    keys = st.sampled_from([b"a", b"b", b"c", b"d", b"e"])
    amounts = st.sampled_from([0, 1, 2, 3])
    good = st.builds(event, keys, st.integers(0, 60).map("n{}".format), amounts, st.integers(0, 9))
    bad = st.sampled_from(
        [
            Message(SOURCE, b"a", b"\xff\x00"),
            Message(SOURCE, b"b", None),
            Message(SOURCE, None, b"n1 1 1", (("traceparent", b"00-1"),), 1),
            Message(SOURCE, b"c", b"", ((dead_letters.ATTEMPTS, b"1"),)),
        ]
    )
    return st.one_of([good] * 9 + [bad])


def _score(entry: Entry, entries: Sequence[Entry]) -> bytes:
    sums = [sum(amount for _, _, amount in entries[: last + 1]) for last in range(len(entries))]
    return f"{entry[1]} {sums}".encode()
