"""What topics hold of a client that keep bytes as senders sent them: found by what they say, to be listed by place."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from keepwell.care.instruments import Instruments
from keepwell.contract.decode import Accepted, decode
from keepwell.contract.events import ClientErased, EpisodeOpened
from keepwell.streams.log import Log, Partition, Record
from services.erasure.client import Client

_LATE: Final = datetime(2199, 1, 1, tzinfo=UTC)
_EDGE: Final = rb"[A-Za-z0-9._~-]"


def raw(log: Log, topic: str, client: Client, episodes: Iterable[bytes]) -> dict[Partition, list[int]]:
    """The places of records that are about a client or one of the client's episodes; all of a partition's offsets in order.

    What can be read as an event is judged by it. What cannot, as is usual among dead letters, counts where it holds the
    clinic and one of the pseudonyms: rather one too many listed than one too few.
    """
    wanted = frozenset(key.decode() for key in episodes)
    names = [client.name, *(key.partition("/")[2] for key in wanted)]
    said = re.compile(rb"(?<!%b)(?:%b)(?!%b)" % (_EDGE, b"|".join(re.escape(name.encode()) for name in names), _EDGE))
    of_clinic = re.compile(rb'"/%b["/]' % client.clinic.encode())
    found: dict[Partition, list[int]] = {}
    for number in range(log.partitions(topic)):
        partition = Partition(topic, number)
        offsets = [
            record.offset for record in log.read(partition) if _is_about(record, client, wanted, said, of_clinic)
        ]
        if offsets:
            found[partition] = offsets
    return found


def _is_about(
    record: Record, client: Client, episodes: frozenset[str], said: re.Pattern[bytes], of_clinic: re.Pattern[bytes]
) -> bool:
    parts = [record.key or b"", record.value or b"", *(content for _, content in record.headers)]
    text = b'"' + b'"'.join(parts) + b'"'
    read = decode(record.value, record.headers, now=_LATE, instruments=Instruments())
    if not isinstance(read, Accepted):
        return bool(said.search(text)) and bool(of_clinic.search(text))
    event = read.event
    if isinstance(event, EpisodeOpened | ClientErased) and Client(event.clinic, event.data.client_id) == client:
        return True
    return event.key in episodes
