"""What topics hold of a client that keep bytes as senders sent them: found by what they say, to be listed by place."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from keepwell.care.instruments import Instruments
from keepwell.contract.decode import Accepted, decode
from keepwell.contract.events import AnyEvent, ClientErased, EpisodeOpened
from keepwell.streams.log import Log, Partition, Record
from services.erasure.client import Client

_LATE: Final = datetime(2199, 1, 1, tzinfo=UTC)
_EDGE: Final = rb"[A-Za-z0-9._~-]"


class Sent(NamedTuple):
    """Places of what was sent about a client, all offsets of a partition in order.

    `openings` name the client, and so tell whose `others` are: who removes both removes the openings last.
    """

    openings: dict[Partition, list[int]]
    others: dict[Partition, list[int]]


def opened(log: Log, topic: str, client: Client) -> frozenset[bytes]:
    """The episodes that an opening in a topic says are the client's, whatever has become of them since."""
    found = set()
    for number in range(log.partitions(topic)):
        for record in log.read(Partition(topic, number)):
            event = _event(record)
            if isinstance(event, EpisodeOpened) and Client(event.clinic, event.data.client_id) == client:
                found.add(event.key.encode())
    return frozenset(found)


def raw(log: Log, topic: str, client: Client, episodes: Iterable[bytes]) -> Sent:
    """The places of records that are about a client or one of the client's episodes.

    What can be read as an event is judged by it. What cannot, as is usual among dead letters, counts where it holds the
    clinic and one of the pseudonyms: rather one too many listed than one too few.
    """
    wanted = frozenset(key.decode() for key in episodes)
    names = [client.name, *(key.partition("/")[2] for key in wanted)]
    said = re.compile(rb"(?<!%b)(?:%b)(?!%b)" % (_EDGE, b"|".join(re.escape(name.encode()) for name in names), _EDGE))
    of_clinic = re.compile(rb'"/?%b["/]' % client.clinic.encode())
    found = Sent({}, {})
    for number in range(log.partitions(topic)):
        partition = Partition(topic, number)
        for record in log.read(partition):
            event = _event(record)
            if event is None:
                about, opening = _says(record, said, of_clinic), False
            else:
                opening = isinstance(event, EpisodeOpened) and Client(event.clinic, event.data.client_id) == client
                asked = isinstance(event, ClientErased) and Client(event.clinic, event.data.client_id) == client
                about = opening or asked or event.key in wanted
            if about:
                (found.openings if opening else found.others).setdefault(partition, []).append(record.offset)
    return found


def _event(record: Record) -> AnyEvent | None:
    read = decode(record.value, record.headers, now=_LATE, instruments=Instruments())
    return read.event if isinstance(read, Accepted) else None


def _says(record: Record, said: re.Pattern[bytes], of_clinic: re.Pattern[bytes]) -> bool:
    parts = [record.key or b"", record.value or b"", *(content for _, content in record.headers)]
    text = b'"' + b'"'.join(parts) + b'"'
    return bool(said.search(text)) and bool(of_clinic.search(text))
