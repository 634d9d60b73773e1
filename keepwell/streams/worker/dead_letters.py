"""Dead letters: records that were refused, kept untouched with the reason, to be looked at, put back or given up.

A letter is the refused record with its own headers, followed by six of ours. Putting a letter back, or giving it up, adds a
*marker* to the same partition of the dead letters; the list is what no marker settles. Letter and marker are ordinary
records, so this works on every log, and a replay writes the record and its marker in one append, whole or not at all.

A letter of an effect outside the log (`OUTSIDE`: an alert that a webhook did not take) does not go back to its topic, where
it stands already and once is right. Its marker alone is written: the service whose effect it was follows the markers, and
finds with `put_back` what to try again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple

from keepwell.streams.log import Header, Log, Message, Partition, Record

MAX_ATTEMPTS: Final = 5
"""A record refused this often is not put back again: whatever was mended, it was not what it needs."""

MAX_BYTES: Final = 8 * 1024 * 1024 - 16 * 1024
"""Largest content of a letter: what Kafka is set to take (8 MiB), less room for our headers. A compressed record of another
sender can be larger."""

REASON: Final = "keepwell-reason"
DETAIL: Final = "keepwell-detail"
TOPIC: Final = "keepwell-source-topic"
PARTITION: Final = "keepwell-source-partition"
OFFSET: Final = "keepwell-source-offset"
ATTEMPTS: Final = "keepwell-attempts"
SETTLES: Final = "keepwell-settles"
ACTION: Final = "keepwell-action"

UNREADABLE_ALERT: Final = "webhook_unreadable"
WEBHOOK_REJECTED: Final = "webhook_rejected"
WEBHOOK_UNDELIVERED: Final = "webhook_undelivered"
OUTSIDE: Final = frozenset((UNREADABLE_ALERT, WEBHOOK_REJECTED, WEBHOOK_UNDELIVERED))
"""Reasons of letters whose effect lies outside the log."""

_OURS: Final = (REASON, DETAIL, TOPIC, PARTITION, OFFSET, ATTEMPTS)
_REPLAYED: Final = "replayed"
_CHUNK: Final = 200


class Letter(NamedTuple):
    """A dead letter as read. `record` is where and what it is among the dead letters; `headers` are the original ones."""

    record: Record
    reason: str
    detail: str
    source: Partition
    source_offset: int
    attempts: int
    headers: tuple[Header, ...]

    @property
    def name(self) -> str:
        """Its name for commands: partition and offset among the dead letters, as `3/17`."""
        return f"{self.record.partition.number}/{self.record.offset}"


class Outcome(NamedTuple):
    """What `replay` did: letters put back, and letters left because they were refused too often."""

    replayed: int
    refused_too_often: int


def letter(topic: str, record: Record, reason: str, detail: str) -> Message:
    """The dead letter of a refused record, to be committed with the offsets of the batch that refused it.

    `reason` is a code, `detail` the JSON path; neither may quote the payload. How often the record was refused before
    comes from the header that `replay` gave it. A record without a key goes to partition 0.

    Two kinds of record no log lets us write again. One with neither key nor value gets the empty key. Of one above
    `MAX_BYTES` the letter tells the place only, where the content stays, and counts as refused too often to be put back.
    """
    origin = tuple(header for header in record.headers if header[0] != ATTEMPTS)
    ours = (
        reason,
        detail,
        record.partition.topic,
        str(record.partition.number),
        str(record.offset),
        str(_attempts(record) + 1),
    )
    headers = tuple((name, text.encode()) for name, text in zip(_OURS, ours, strict=True))
    if _size(record) > MAX_BYTES:
        return Message(topic, b"", b"", (*headers[:-1], (ATTEMPTS, str(MAX_ATTEMPTS).encode())))
    key = b"" if record.key is None and record.value is None else record.key
    return Message(topic, key, record.value, origin + headers, 0 if record.key is None else None)


def reason_of(message: Message) -> str | None:
    """The reason code of a message made by `letter`, None for any other message."""
    ours = message.headers[-len(_OURS) :]
    return ours[0][1].decode() if tuple(name for name, _ in ours) == _OURS else None


def letters(log: Log, topic: str, wanted: Callable[[Letter], bool] = lambda _: True) -> list[Letter]:
    """The letters that nobody has settled and that are `wanted`, ordered by source partition and offset.

    Raises `LogError` where there is no such topic.
    """
    found = [
        found
        for number in range(log.partitions(topic))
        for found in _unsettled(log, Partition(topic, number))
        if wanted(found)
    ]
    return sorted(found, key=lambda found: (found.source, found.source_offset, found.record.offset))


def refused(log: Log, topic: str, source: str) -> set[tuple[int, int]]:
    """Partition and offset of every record of a source that became a letter, settled or not, as far as letters are held."""
    found = (_letter_of(r) for number in range(log.partitions(topic)) for r in log.read(Partition(topic, number)))
    return {(one.source.number, one.source_offset) for one in found if one is not None and one.source.topic == source}


def find(log: Log, topic: str, name: str) -> Letter | None:
    """The unsettled letter called `name`, None where there is none. Raises `ValueError` where `name` is not `3/17`."""
    number, slash, offset = name.partition("/")
    if not (slash and number.isdecimal() and offset.isdecimal()):
        raise ValueError(f"{name!r} names no letter: give PARTITION/OFFSET as `list` shows it, such as 3/17")
    if int(number) >= log.partitions(topic):
        return None
    unsettled = _unsettled(log, Partition(topic, int(number)))
    return next((found for found in unsettled if found.record.offset == int(offset)), None)


def replay(log: Log, chosen: Iterable[Letter], dry_run: bool = False) -> Outcome:
    """Puts letters back where they came from: key, value and headers untouched, and a header that counts the attempts.

    Of those with a reason in `OUTSIDE`, tells only whose effect it is that they are to be tried again.
    Letters refused `MAX_ATTEMPTS` times are left. Raises `Doubt` where an append may or may not have happened: list again,
    what is no longer there was put back; a record put back twice is one event (`source` + `id`).
    """
    chosen = list(chosen)
    fit = [found for found in chosen if found.attempts < MAX_ATTEMPTS]
    if not dry_run:
        _append(log, fit, lambda found: [*_back(found), _marker(found, _REPLAYED)])
    return Outcome(len(fit), len(chosen) - len(fit))


def drop(log: Log, chosen: Iterable[Letter], dry_run: bool = False) -> int:
    """Gives letters up: they are listed no more, and the log forgets them with its retention. Returns how many."""
    chosen = list(chosen)
    if not dry_run:
        _append(log, chosen, lambda found: [_marker(found, "dropped")])
    return len(chosen)


def _append(log: Log, chosen: Sequence[Letter], write: Callable[[Letter], list[Message]]) -> None:
    rest = iter(chosen)
    while chunk := list(islice(rest, _CHUNK)):
        log.append([message for found in chunk for message in write(found)])


def put_back(log: Log, record: Record) -> Record | None:
    """What is to be tried again because of a record of the dead letters: the refused record, at its place then and as it was
    but for the header that counts the attempts, and with the time at which it was put back.

    None where the record is no marker of a letter with a reason in `OUTSIDE`, or the log holds that letter no more.
    """
    settled = _settles(record)
    if settled is None or record.headers[1] != (ACTION, _REPLAYED.encode()):
        return None
    held = next(iter(log.read(record.partition, settled, settled + 1)), None)
    found = None if held is None else _letter_of(held)
    if found is None or found.reason not in OUTSIDE:
        return None
    return Record(
        found.source, found.source_offset, found.record.key, found.record.value, _counted(found), record.timestamp
    )


def _back(found: Letter) -> list[Message]:
    if found.reason in OUTSIDE:
        return []
    return [Message(found.source.topic, found.record.key, found.record.value, _counted(found), found.source.number)]


def _counted(found: Letter) -> tuple[Header, ...]:
    return (*found.headers, (ATTEMPTS, str(found.attempts).encode()))


def _marker(found: Letter, action: str) -> Message:
    headers = ((SETTLES, str(found.record.offset).encode()), (ACTION, action.encode()))
    return Message(found.record.partition.topic, b"", b"", headers, found.record.partition.number)


def _unsettled(log: Log, partition: Partition) -> Iterator[Letter]:
    """In offset order. A marker always comes after its letter, so the whole partition is read first."""
    found: dict[int, Letter] = {}
    for record in log.read(partition):
        if (settled := _settles(record)) is not None:
            found.pop(settled, None)
        elif (one := _letter_of(record)) is not None:
            found[record.offset] = one
    return iter(found.values())


def _settles(record: Record) -> int | None:
    if len(record.headers) == 2 and record.headers[0][0] == SETTLES:
        return _number(record.headers[0][1])
    return None


def _letter_of(record: Record) -> Letter | None:
    """None for a record that `letter` did not make: nobody else writes here, but then it is no letter of ours."""
    ours = record.headers[-len(_OURS) :]
    if tuple(name for name, _ in ours) != _OURS:
        return None
    reason, detail, topic, *numbers = (value for _, value in ours)
    number, offset, attempts = map(_number, numbers)
    if number is None or offset is None or attempts is None:
        return None
    source = Partition(_text(topic), number)
    return Letter(record, _text(reason), _text(detail), source, offset, attempts, record.headers[: -len(_OURS)])


def _size(record: Record) -> int:
    return len(record.key or b"") + len(record.value or b"") + sum(len(n) * 4 + len(v) for n, v in record.headers)


def _attempts(record: Record) -> int:
    """What the last attempts header says; 0 where there is none or a sender wrote nonsense into it."""
    told = [value for name, value in record.headers if name == ATTEMPTS]
    return (_number(told[-1]) or 0) if told else 0


def _number(text: bytes) -> int | None:
    return int(text) if text.isdigit() and len(text) < 19 else None


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
